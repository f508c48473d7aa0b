"""Truncated quantile critics (Kuznetsov et al. 2020) on the batched path: SAC with distributional critics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wealtharena.agents.specs import SoftSpec
from wealtharena.envs.actions import CONTINUOUS
from wealtharena.errors import ConfigError

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench
    from wealtharena.config.specs.experiment import ExperimentSpec

ACTIONS = CONTINUOUS


class AlgorithmSpec(SoftSpec):
    """TQC; of the pooled quantiles of both critics the largest are dropped, against overestimation."""

    name: Literal["tqc"]
    quantiles: int = Field(ge=2, le=200, description="of each critic")
    dropped: int = Field(ge=0, description="largest quantiles dropped, for each critic")

    def beside(self) -> int:
        """Return the errors of each quantile of both critics to each target's, and what a quantile loss makes of them."""
        return 6 * 2 * self.batch * self.quantiles * 2 * (self.quantiles - self.dropped)

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also where no quantile is left."""
        super().check(spec, action=action)
        if self.dropped >= self.quantiles:
            raise ConfigError(
                f"algo.dropped={self.dropped} drops all of algo.quantiles={self.quantiles}",
                hint=f"try algo.dropped={self.quantiles - 1} at most",
            )


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.exploring import Squashed
    from wealtharena.agents.off_policy.engine import OffPolicyEngine
    from wealtharena.agents.off_policy.soft_actor_critic import SACUpdate, sac_settings

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)
    return OffPolicyEngine(bench, algo, SACUpdate(bench, sac_settings(algo)), explorer=Squashed())
