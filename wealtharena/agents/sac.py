"""Soft actor-critic (Haarnoja et al. 2018) on the batched path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wealtharena.agents.replay_spec import OffPolicySpec

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS: tuple[str, ...] = ("weights",)


class AlgorithmSpec(OffPolicySpec):
    """SAC with twin critics and a temperature that follows a target entropy."""

    name: Literal["sac"]
    initial_alpha: float = Field(gt=0, description="temperature: what a unit of entropy is worth in reward")
    alpha_learning_rate: float = Field(ge=0, le=1, description="0 keeps the temperature")
    target_entropy: float = Field(description="of the action, for each symbol; -1 is a spread of about 0.09 in weight")


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.off_policy import OffPolicyEngine, require_memoryless
    from wealtharena.agents.soft_actor_critic import SACUpdate, sac_settings

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)
    require_memoryless(bench)
    return OffPolicyEngine(bench, algo, SACUpdate(bench, sac_settings(algo)), explore="squashed")
