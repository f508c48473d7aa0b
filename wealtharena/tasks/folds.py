"""What a training leaves to be judged: one chosen policy a fold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wealtharena.agents.policy import Trained, load_policy
from wealtharena.tasks.pipeline import Prepared
from wealtharena.training.job import TrainingResult


@dataclass(frozen=True, eq=False)
class TrainedFold:
    """The chosen policy of one fold, and the run directory's part it came from."""

    index: int
    folder: Path
    result: TrainingResult

    def load(self) -> Trained:
        """Return the chosen candidate."""
        assert self.result.best is not None
        return load_policy(self.folder / self.result.best.path)


def fold_folder(folder: Path, prepared: Prepared, position: int) -> Path:
    """Return where a fold's candidates and state go: the run directory itself where there is one fold only."""
    return folder if len(prepared.folds) == 1 else folder / "folds" / str(prepared.folds[position].index)
