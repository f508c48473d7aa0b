"""TensorBoard: scalars by environment step in `tensorboard/` of the run directory; nothing leaves the machine."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from wealtharena import files, shown
from wealtharena.tracking import journal
from wealtharena.tracking.journal import STEP
from wealtharena.tracking.mirror import Ending, Identity

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

FOLDER: Final = "tensorboard"
FLUSH_SECONDS: Final = 5  # between writes of its thread
AGAIN: Final = 300  # records of a journal that are shown once more: more than a training makes between them
_NUMBERS: Final = (int, float, np.integer, np.floating)


def open_mirror(folder: Path, identity: Identity, *, resume_step: int | None) -> TensorBoard:
    """Return the mirror of a run; its file is made with the first figure."""
    kept = [] if resume_step is None else journal.read(folder / "metrics.jsonl")
    kept = [line for line in kept if line.get(STEP, 0) <= (resume_step or 0)][-AGAIN:]
    return TensorBoard(folder / FOLDER, identity, resume_step=resume_step, again=kept)


class TensorBoard:
    """Event files that `tensorboard --logdir` reads; steps of before a resume that were run again are purged.

    Of a killed run the last figures are missing there, since the writer's thread has not got to them: the newest records
    of the journal, `again`, are shown once more.
    """

    title = "TensorBoard"

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        resume_step: int | None,
        again: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.trouble: str | None = None
        self._folder, self._identity = folder, identity
        self._again = again
        self._purge = None if resume_step is None else resume_step + 1  # what is of this step or later is hidden
        if again:
            self._purge = int(again[0].get(STEP, 0))
        self._writer: SummaryWriter | None = None
        self._step = resume_step or 0
        self._told = set(again[-1]) if again else set()  # of this step: a validation repeats some

    def log(self, record: Mapping[str, Any]) -> None:
        """Write every finite number of the record at its environment step, once."""
        if (step := int(record.get(STEP, self._step))) != self._step:
            self._step, self._told = step, set()
        self._write({key: value for key, value in record.items() if key not in self._told})
        self._told |= record.keys()

    def finish(self, ending: Ending) -> None:
        """Write the figures of the test and the verdict, and close."""
        self._write({f"summary/{key}": value for key, value in ending.summary.items()})
        try:
            if self._writer is not None:
                said = {"verdict": ending.summary.get("verdict"), "tags": list(ending.tags)}
                self._writer.add_text("run", f"    {yaml.safe_dump(said)}".replace("\n", "\n    "), self._step)
                self._writer.close()
        except OSError as error:
            self.trouble = str(error)
        self._writer = None

    def whereabouts(self) -> str | None:
        """Return the command that shows the run."""
        place = shown.without_home(shlex.quote(files.relative(self._folder)))
        return None if self.trouble else f"tensorboard --logdir {place}"

    def _write(self, figures: Mapping[str, Any]) -> None:
        numbers = _numbers(figures)
        if self.trouble or not numbers:
            return
        try:
            writer = self._writer or self._opened()
            for key, value in numbers.items():
                writer.add_scalar(key, value, self._step)
        except OSError as error:  # a full disk, a folder that is gone
            self.trouble = str(error)

    def _opened(self) -> SummaryWriter:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(
            str(self._folder), purge_step=self._purge, flush_secs=FLUSH_SECONDS, write_to_disk=True
        )
        config = yaml.safe_dump(dict(self._identity.config), sort_keys=False)
        self._writer.add_text("configuration", "    " + config.replace("\n", "\n    "), 0)
        for record in self._again:
            for key, value in _numbers(record).items():
                self._writer.add_scalar(key, value, int(record.get(STEP, 0)))
        return self._writer


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return what is a finite number, by name; others are null elsewhere."""
    numbers = {
        key: float(v)
        for key, v in figures.items()
        if key != STEP and isinstance(v, _NUMBERS) and not isinstance(v, bool)
    }
    return {key: value for key, value in numbers.items() if math.isfinite(value)}
