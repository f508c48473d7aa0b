"""Asynchronous PPO, RLlib's own, over our vector environment: IMPALA with a clipped ratio to a target network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wealtharena.agents.specs import AsyncSpec
from wealtharena.envs.actions import CONTINUOUS, DISCRETE

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = (*CONTINUOUS, *DISCRETE)


class AlgorithmSpec(AsyncSpec):
    """APPO."""

    name: Literal["appo"]
    clip: float = Field(gt=0, lt=1, description="largest change of the probability ratio, as a share")


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.on_policy.asynchronous import AsyncEngine

    assert isinstance(bench.spec.algo, AlgorithmSpec)
    return AsyncEngine(bench, bench.spec.algo)
