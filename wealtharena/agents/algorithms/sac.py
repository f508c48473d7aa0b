"""Soft actor-critic (Haarnoja et al. 2018) on the batched path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wealtharena.agents.specs import SoftSpec
from wealtharena.envs.actions import CONTINUOUS

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = CONTINUOUS


class AlgorithmSpec(SoftSpec):
    """SAC with twin critics and a temperature that follows a target entropy."""

    name: Literal["sac"]


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.exploring import Squashed
    from wealtharena.agents.off_policy.engine import OffPolicyEngine
    from wealtharena.agents.off_policy.soft_actor_critic import SACUpdate, sac_settings

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)
    return OffPolicyEngine(bench, algo, SACUpdate(bench, sac_settings(algo)), explorer=Squashed())
