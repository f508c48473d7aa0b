"""Search over configurations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from wealtharena.config.specs.base import InWords, Spec


class DimensionSpec(Spec):
    """One override that a search varies."""

    type: Literal["float", "int", "categorical"] = Field(description="kind of value")
    low: float | None = Field(default=None, description="least value")
    high: float | None = Field(default=None, description="largest value")
    log: bool = Field(default=False, description="drawn by its logarithm")
    step: float | None = Field(default=None, description="between two values")
    choices: tuple[Any, ...] | None = Field(default=None, description="categorical: the values")
    when: dict[str, tuple[Any, ...]] | None = Field(
        default=None, description="only while the named overrides have one of these values"
    )


class SweepSpec(Spec):
    """A Ray Tune search with Optuna; `name: none` does not search."""

    name: str = Field(description="a choice of sweep=; none does not search")
    study: Annotated[str | None, InWords("a name without / and \\, and not of dots alone, such as momentum")] = Field(
        description="name of the Optuna study; the same name resumes it",
        pattern=r"^[^/\\]*[^/\\.][^/\\]*$",
        max_length=100,
    )
    fixed: tuple[str, ...] = Field(description="overrides of every trial, such as algo=sac; what is typed wins")
    space: dict[str, DimensionSpec] = Field(description="override key -> dimension")
    metric: str = Field(description="measure of the validation backtest that is searched for")
    mode: Literal["max", "min"] = Field(description="whether more of it is better")
    trials: int = Field(ge=1, description="configurations that are tried")
    time_budget_seconds: float | None = Field(gt=0, description="after which trials end where they are; null: none")
    concurrency: int = Field(ge=1, description="trials at once")
    cpus_per_trial: float = Field(gt=0, description="cores that Ray keeps for one")
    gpus_per_trial: float = Field(ge=0, description="GPUs that Ray keeps for one")
    sampler: Literal["tpe", "random", "cmaes"] = Field(description="Optuna's way to propose the next configuration")
    startup_trials: int = Field(ge=1, description="random trials before the sampler begins to learn")
    scheduler: Literal["none", "asha", "median"] = Field(description="what stops poor trials early")
    grace_evaluations: int = Field(ge=1, description="validation backtests that a trial gets in any case")
    reduction_factor: int = Field(ge=2, description="asha: one trial in so many goes on at each rung")
    seeds_per_trial: int = Field(ge=1, description="seeds whose mean is a trial's score")
    finalists: int = Field(ge=1, description="best configurations that are trained again")
    finalist_seeds: int = Field(ge=1, description="fresh seeds that each finalist is trained with")
    max_failed_share: float = Field(ge=0, le=1, description="failed trials up to which a search counts as done")
    env_steps: int | None = Field(ge=1, description="training length of a trial; null takes train.env_steps")
