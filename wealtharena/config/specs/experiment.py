"""The whole of one job."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, SerializeAsAny

from wealtharena.config.specs.agent import AlgoSpec, ComputeSpec, ModelSpec
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.base import Spec, Word
from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.config.specs.runs import (
    AuditSpec,
    BacktestSpec,
    CollectSpec,
    CompareSpec,
    DeploySpec,
    EvaluationSpec,
    PaperSpec,
    PathsSpec,
    ServeSpec,
    TrackingSpec,
    TrainSpec,
)
from wealtharena.config.specs.split import SplitSpec
from wealtharena.config.specs.sweep import SweepSpec
from wealtharena.config.specs.zoo import ZooSpec

SEEDS: Final = 2**32  # there are, as many as numpy's older generators take


def seed_after(seed: int, by: int) -> int:
    """Return the seed `by` places after another; behind the last stands the first."""
    return (seed + by) % SEEDS


class ExperimentSpec(Spec):
    """The parsed configuration: what `config.parse` returns and every task receives.

    `env` is complete: parse fills its `costs`, `limits`, `instrument` from the asset and its `reward` from the
    group of that name, so an environment needs nothing else.
    """

    task: Word = Field(description="verb; the file of that name in wealtharena/tasks/")
    seed: int = Field(ge=0, lt=SEEDS, description="of all randomness of the job")
    log: Literal["text", "json"] = Field(description="how the console speaks: to people, or one JSON object a line")
    quiet: bool = Field(description="say the verdict, or what was asked for, and where the report is; nothing else")
    resume: str | None = Field(description="run directory to go on from")
    returns: str | None = Field(description="task=report: a CSV or Parquet file of dates and returns, or equity")
    returns_unit: Literal["auto", "share", "percent"] = Field(
        description="what returns are written in; auto asks if open"
    )
    asset: AssetSpec
    data: DataSpec
    features: FeaturesSpec
    env: EnvSpec
    split: SplitSpec
    algo: SerializeAsAny[AlgoSpec]
    model: ModelSpec
    compute: ComputeSpec
    evaluation: EvaluationSpec
    tracking: TrackingSpec
    risk: RiskSpec
    broker: SerializeAsAny[BrokerSpec]
    sweep: SweepSpec
    zoo: ZooSpec
    paths: PathsSpec
    train: TrainSpec
    collect: CollectSpec
    backtest: BacktestSpec
    compare: CompareSpec
    deploy: DeploySpec
    serve: ServeSpec
    audit: AuditSpec
    paper: PaperSpec
