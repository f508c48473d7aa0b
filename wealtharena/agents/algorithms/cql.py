"""Conservative Q-learning (Kumar et al. 2020) from a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wealtharena.agents.specs import CRITICS_KEPT, OfflineSpec, require_soft_spread
from wealtharena.envs.actions import Weights

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench
    from wealtharena.config.specs.experiment import ExperimentSpec

ACTIONS = (Weights.name,)  # which a recording holds


class AlgorithmSpec(OfflineSpec):
    """CQL over a soft actor-critic."""

    name: Literal["cql"]
    initial_alpha: float = Field(gt=0, description="temperature: what a unit of entropy is worth in reward")
    alpha_learning_rate: float = Field(ge=0, le=1, description="0 keeps the temperature")
    target_entropy: float = Field(le=0.6, description="of the action, for each symbol")
    conservatism: float = Field(ge=0, description="weight of the penalty on actions that the recording lacks")
    samples: int = Field(ge=1, le=64, description="actions drawn for the penalty, of each kind")

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also for a spread to begin with that cannot be learned from."""
        super().check(spec, action=action)
        require_soft_spread(spec, action=action)

    def copied(self, *, apart: bool) -> int:
        """Return those of a soft actor-critic, and what two critics lay beside each action that is drawn."""
        return (4 * self.samples + 6) * self.batch

    def passed(self) -> int:
        """Return those of a soft actor-critic, and half of each action that is drawn: critics are smaller than an actor."""
        return (2 * self.samples + 6) * self.batch

    def weights_kept(self, *, recurrent: bool) -> int:
        """Return those of a soft actor-critic."""
        return super().weights_kept(recurrent=recurrent) + CRITICS_KEPT


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.off_policy.offline import CQLUpdate, OfflineEngine
    from wealtharena.agents.off_policy.soft_actor_critic import sac_settings

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)
    settings = sac_settings(algo)
    return OfflineEngine(
        bench, algo, lambda: CQLUpdate(bench, settings, weight=algo.conservatism, samples=algo.samples)
    )
