"""metrics.jsonl: one line per training iteration, the local truth that everything else mirrors."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from wealtharena import files
from wealtharena.errors import WealthArenaError

STEP = "env_step"


class Journal:
    """An append-only file of JSON lines that survives a kill at any byte.

    Each line is written in one call and handed to the operating system before `write` returns. Opened with
    `resume_step`, the file first loses a torn last line and every line past that environment step, so that a resumed
    training writes no step twice; opened without, it starts empty. `of_folds` has the step of each fold that goes on from
    one of its own, and `unvalidated` those folds that go on from before their first validation.
    """

    def __init__(
        self,
        path: Path,
        *,
        resume_step: int | None = None,
        of_folds: Mapping[int, int] | None = None,
        unvalidated: Collection[int] = (),
    ) -> None:
        self.path = path
        steps, kept = of_folds or {}, list[dict[str, Any]]()
        if resume_step is not None:
            kept = [line for line in read(path) if line.get(STEP, 0) <= steps.get(line.get("fold", 0), resume_step)]
            kept = [_without_validation(line) if line.get("fold", 0) in unvalidated else line for line in kept]
        self.kept = tuple(kept)
        files.write_text(path, "".join(_line(record) for record in kept))
        self._file = path.open("ab")
        self._last: dict[str, Any] = kept[-1] if kept else {}
        self._offset = path.stat().st_size - len(_line(self._last).encode()) if kept else 0

    def write(self, record: Mapping[str, Any]) -> None:
        """Append `record` as one line; NaN and infinity become null."""
        self._last, self._offset = dict(record), self._file.tell()
        self._append(self._last)

    def amend(self, record: Mapping[str, Any]) -> None:
        """Add `record` to the last line if that is of the same step, else append it as a line of its own."""
        if self._last.get(STEP) != record.get(STEP):
            self.write(record)
            return
        self._last = self._last | dict(record)
        os.ftruncate(self._file.fileno(), self._offset)
        self._append(self._last)

    def close(self) -> None:
        """Flush to disk and close; a second call does nothing."""
        if not self._file.closed:
            with files.naming(self.path):  # a line that had no room is tried once more
                os.fsync(self._file.fileno())
                self._file.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        with files.naming(self.path):
            self._file.write(_line(record).encode())
            self._file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal, oldest first; a torn last line is left out, a missing file is an empty one.

    Raises `WealthArenaError` where a line before the last is not JSON: then the file is damaged, not torn.
    """
    return list(_lines(path)) if path.exists() else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    content = path.read_bytes()
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if number == len(lines):  # nothing, or what a kill left of a line: only a newline ends one
            return
        try:
            record = json.loads(line)
        except ValueError as error:
            raise WealthArenaError(
                f"{path.name}: line {number} is not JSON", hint="remove that line, or start a new run"
            ) from error
        yield record


def _without_validation(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if not key.startswith("validation/")}


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(files.jsonable(record), allow_nan=False) + "\n"
