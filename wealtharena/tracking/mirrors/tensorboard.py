"""TensorBoard: scalars by environment step in `tensorboard/` of the run directory; nothing leaves the machine."""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from wealtharena import files, shown
from wealtharena.tracking import journal
from wealtharena.tracking.journal import STEP
from wealtharena.tracking.mirror import Ending, Identity

FOLDER: Final = "tensorboard"
FLUSH_SECONDS: Final = 5.0  # between writes to the disk
AGAIN: Final = 300  # records of a journal that are shown once more: more than a training makes between them
_NUMBERS: Final = (int, float, np.integer, np.floating)


def open_mirror(folder: Path, identity: Identity, *, resume_step: int | None) -> TensorBoard:
    """Return the mirror of a run; its file is made with the first figure."""
    kept = [] if resume_step is None else journal.read(folder / "metrics.jsonl")
    kept = [line for line in kept if line.get(STEP, 0) <= (resume_step or 0)][-AGAIN:]
    return TensorBoard(folder / FOLDER, identity, resume_step=resume_step, again=kept)


class TensorBoard:
    """Event files that `tensorboard --logdir` reads; steps of before a resume that were run again are purged.

    Of a killed run the last figures are missing there, since they were not on the disk: the newest records of the journal,
    `again`, are shown once more.
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
        self._writer: _Events | None = None
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
            self._give_up(error)
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
            writer.flush()
        except OSError as error:  # a full disk, a folder that is gone
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.trouble = str(error)
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._writer = None

    def _opened(self) -> _Events:
        self._writer = _Events(self._folder, purge=self._purge)
        config = yaml.safe_dump(dict(self._identity.config), sort_keys=False)
        self._writer.add_text("configuration", "    " + config.replace("\n", "\n    "), 0)
        for record in self._again:
            for key, value in _numbers(record).items():
                self._writer.add_scalar(key, value, int(record.get(STEP, 0)))
        return self._writer


class _Events:
    """An event file that is written in the thread that adds to it, so that an OSError comes where it can be told.

    The library's own writer has a thread for that: on a full disk it ends, and what is added waits for it without an end.
    """

    def __init__(self, folder: Path, *, purge: int | None) -> None:
        from tensorboardX import summary
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        files.make_folder(folder)
        self._summary, self._event = summary, Event
        self._file = RecordWriter(str(folder / f"events.out.tfevents.{time.time():.0f}.{os.getpid()}"))
        self._flushed = 0.0  # the first figures at once
        self._write(file_version="brain.Event:2")
        if purge is not None:
            self._write(step=purge, session_log=SessionLog(status=SessionLog.START))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write a number."""
        self._write(summary=self._summary.scalar(name, value), step=step)

    def add_text(self, name: str, text: str, step: int) -> None:
        """Write a text in Markdown."""
        self._write(summary=self._summary.text(name, text), step=step)

    def _write(self, **facts: Any) -> None:
        self._file.write(self._event(wall_time=time.time(), **facts).SerializeToString())

    def flush(self) -> None:
        """Put what was added on the disk, now and then."""
        if (now := time.monotonic()) - self._flushed >= FLUSH_SECONDS:
            self._flushed = now
            self._file.flush()

    def close(self) -> None:
        """Put all on the disk and close the file, which is closed also where there is no room."""
        try:
            self._file.flush()
        finally:
            self._file.close()


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return what is a finite number, by name; others are null elsewhere."""
    numbers = {
        key: float(v)
        for key, v in figures.items()
        if key != STEP and isinstance(v, _NUMBERS) and not isinstance(v, bool)
    }
    return {key: value for key, value in numbers.items() if math.isfinite(value)}
