"""Monotonic advantage re-weighted imitation learning (Wang et al. 2018): imitate what turned out well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wealtharena.agents.specs import OfflineSpec
from wealtharena.envs.actions import Weights

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench
    from wealtharena.config.specs.experiment import ExperimentSpec

ACTIONS = (Weights.name,)  # which a recording holds


class AlgorithmSpec(OfflineSpec):
    """MARWIL."""

    name: Literal["marwil"]
    beta: float = Field(gt=0, description="0 would imitate everything alike; larger follows the better steps more")
    value_coefficient: float = Field(ge=0, description="weight of the value network's loss")

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return also what only those read that have a target network."""
        found = super().unread(spec, action=action)
        return found | {"algo.tau": f"algo={self.name} has no target network"}


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.off_policy.offline import ImitationUpdate, OfflineEngine

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)
    return OfflineEngine(
        bench, algo, lambda: ImitationUpdate(bench, algo, beta=algo.beta, value_coefficient=algo.value_coefficient)
    )
