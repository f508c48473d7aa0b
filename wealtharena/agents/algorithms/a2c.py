"""Advantage actor-critic (Mnih et al. 2016): one unclipped step over the whole rollout, on the batched path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wealtharena.agents.specs import OnPolicySpec
from wealtharena.envs.actions import CONTINUOUS, DISCRETE

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = (*CONTINUOUS, *DISCRETE)


class AlgorithmSpec(OnPolicySpec):
    """A2C: PPO whose ratio is never clipped; one epoch over one batch makes it the plain policy gradient."""

    name: Literal["a2c"]


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.on_policy.engine import OnPolicyEngine

    assert isinstance(bench.spec.algo, AlgorithmSpec)
    return OnPolicyEngine(bench, bench.spec.algo)
