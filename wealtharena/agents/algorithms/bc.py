"""Behaviour cloning: imitate a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wealtharena.agents.specs import OfflineSpec
from wealtharena.envs.actions import Weights

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench
    from wealtharena.config.specs.experiment import ExperimentSpec

ACTIONS = (Weights.name,)  # which a recording holds


class AlgorithmSpec(OfflineSpec):
    """Maximum likelihood of the recorded actions."""

    name: Literal["bc"]

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return also what only those read that learn from rewards."""
        found = super().unread(spec, action=action)
        return found | dict.fromkeys(
            ("reward", "algo.gamma", "algo.tau"), f"algo={self.name} imitates, whatever was earned"
        )


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.off_policy.offline import ImitationUpdate, OfflineEngine

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)
    return OfflineEngine(bench, algo, lambda: ImitationUpdate(bench, algo, beta=0.0, value_coefficient=0.0))
