"""What a training is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel

Figure = float | int | str
# among the measures of a validation where what was learned is shrunk: see training/shrinkage.py
KEPT_SHARE: Final = "kept_share"  # lambda
LEARNED: Final = (
    "learned_less_anchor"  # what was learned earned a year beside its anchor, before it was shrunk, as a share
)
LEARNED_T: Final = "learned_t"  # that over its standard error


class Listener(Protocol):
    """Who is told how a training goes; called in the process that drives it."""

    def on_iteration(self, record: Mapping[str, Figure]) -> None:
        """Take the figures of one iteration; `iteration` and `env_step` are among them."""

    def on_evaluation(self, record: Mapping[str, Figure]) -> None:
        """Take the measures of one validation backtest, under the same `iteration` and `env_step`."""


class Silent:
    """A listener that tells nobody."""

    def on_iteration(self, record: Mapping[str, Figure]) -> None:
        """Do nothing."""

    def on_evaluation(self, record: Mapping[str, Figure]) -> None:
        """Do nothing."""


@dataclass(frozen=True, eq=False)
class Several:
    """Listeners as one, told in their order."""

    listeners: tuple[Listener, ...]

    def on_iteration(self, record: Mapping[str, Figure]) -> None:
        """Tell each of an iteration."""
        for listener in self.listeners:
            listener.on_iteration(record)

    def on_evaluation(self, record: Mapping[str, Figure]) -> None:
        """Tell each of a validation backtest."""
        for listener in self.listeners:
            listener.on_evaluation(record)


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """One training on one fold. `features` ends where validation ends, so that no test row is within reach.

    Segments index rows of `features`. `folder` is the run directory: candidates go to checkpoints/, the state for
    resume to trainer/.
    """

    spec: ExperimentSpec
    features: FeaturePanel
    train: tuple[Segment, ...]
    validation: Segment
    folder: Path
    resume: bool = False
    warm: Path | None = None  # folder of a saved policy whose weights training begins with


@dataclass(frozen=True)
class Candidate:
    """A policy that was kept, and what it did on the validation window."""

    path: str  # relative to the run directory
    env_step: int
    score: float  # validation measure by which candidates are ranked; -inf where it is not a number
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves; `candidates` are in falling order of score, `best` is the first of them."""

    candidates: tuple[Candidate, ...]
    best: Candidate | None
    env_steps: int
    seconds: float
    env_steps_per_second: float
    iterations: int
    final_reward: float  # mean reward a bar of the last iteration
    status: Literal["completed", "interrupted"]
    degenerate: str | None  # what is wrong with the best policy's behaviour, in words

    @property
    def kept_share(self) -> float | None:
        """Return lambda, the share of the best policy that its validation proved; None where nothing is shrunk."""
        return None if self.best is None else self.best.metrics.get(KEPT_SHARE)
