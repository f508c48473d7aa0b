"""Search over configurations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from wealtharena.config.specs.base import Spec


class DimensionSpec(Spec):
    """One override that a search varies."""

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] | None = None
    when: dict[str, tuple[Any, ...]] | None = Field(
        default=None, description="only while the named overrides have one of these values"
    )


class SweepSpec(Spec):
    """A Ray Tune search with Optuna; `name: none` does not search."""

    name: str
    study: str | None = Field(description="name of the Optuna study; the same name resumes it")
    fixed: tuple[str, ...] = Field(description="overrides of every trial, such as algo=sac; what is typed wins")
    space: dict[str, DimensionSpec] = Field(description="override key -> dimension")
    metric: str
    mode: Literal["max", "min"]
    trials: int = Field(ge=1)
    time_budget_seconds: float | None = Field(gt=0)
    concurrency: int = Field(ge=1)
    cpus_per_trial: float = Field(gt=0)
    gpus_per_trial: float = Field(ge=0)
    sampler: Literal["tpe", "random", "cmaes"]
    startup_trials: int = Field(ge=1)
    scheduler: Literal["none", "asha", "median"]
    grace_evaluations: int = Field(ge=1)
    reduction_factor: int = Field(ge=2)
    seeds_per_trial: int = Field(ge=1)
    finalists: int = Field(ge=1, description="best configurations that are trained again")
    finalist_seeds: int = Field(ge=1)
    max_failed_share: float = Field(ge=0, le=1)
    env_steps: int | None = Field(ge=1, description="training length of a trial; null takes train.env_steps")
