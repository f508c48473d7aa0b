"""Proximal policy optimisation (Schulman et al. 2017) on the batched path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wealtharena.agents.specs import OnPolicySpec
from wealtharena.envs.actions import CONTINUOUS, DISCRETE

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = (*CONTINUOUS, *DISCRETE)


class AlgorithmSpec(OnPolicySpec):
    """PPO with a clipped ratio."""

    name: Literal["ppo"]


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.on_policy.engine import OnPolicyEngine

    assert isinstance(bench.spec.algo, AlgorithmSpec)
    return OnPolicyEngine(bench, bench.spec.algo)
