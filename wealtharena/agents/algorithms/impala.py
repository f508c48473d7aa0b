"""Importance-weighted actor-learner (Espeholt et al. 2018), RLlib's own, over our vector environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wealtharena.agents.specs import AsyncSpec
from wealtharena.envs.actions import CONTINUOUS, DISCRETE

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = (*CONTINUOUS, *DISCRETE)


class AlgorithmSpec(AsyncSpec):
    """IMPALA."""

    name: Literal["impala"]


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.on_policy.asynchronous import AsyncEngine

    assert isinstance(bench.spec.algo, AlgorithmSpec)
    return AsyncEngine(bench, bench.spec.algo)
