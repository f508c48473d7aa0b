"""How jobs end: their exit codes, and their errors in lines that people can read."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from hydra.core.hydra_config import HydraConfig

from wealtharena.config import speech
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.shown import without_places

WHY: Final = Path(".hydra", "error.json")  # of a job that was refused, or ended before it had a record of its own


def keep_why(error: WealthArenaError) -> None:
    """Write what ended a job beside how it was called, where it was refused, or wrote no record that says so."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    lacking = isinstance(error, ConfigError) or not (folder / "run.json").exists()
    if (folder / WHY).parent.is_dir() and lacking:
        told = {"message": without_places(error.message), "hint": without_places(error.hint)}
        with suppress(OSError):  # a full disk, of which it may be; the error itself is told all the same
            (folder / WHY).write_text(json.dumps(told), encoding="utf-8")


def show(error: WealthArenaError) -> int:
    """Print the error to stderr, one line a problem, and return its exit code."""
    if speech.as_json():
        facts = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        speech.say("error", facts, stream=sys.stderr)
        return error.exit_code
    from wealtharena.terminal import Screen

    console = Screen(stderr=True)
    for line in str(error).splitlines():
        console.print("error: ", style="bold red", end="")
        console.print(line)
    return error.exit_code


class Codes:
    """Exit codes of the jobs; of a grid in files, since a launcher may run each in a process of its own.

    What ends several jobs of a grid in the same words is told by the first, and at the end with the numbers of all.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._own: list[int] = []

    def add(self, code: int) -> None:
        """Keep a job's exit code."""
        if self._folder is None:
            self._own.append(code)
            return
        with (self._folder / "codes").open("a") as file:
            file.write(f"{code}\n")

    def all(self) -> list[int]:
        """Return the exit code of every job so far."""
        if self._folder is None:
            return self._own
        path = self._folder / "codes"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def show(self, error: WealthArenaError) -> int:
        """Print what ended a job, unless another job of the grid has said it, and return its exit code."""
        if self._folder is None or speech.as_json():
            return show(error)
        told = self._folder / f"{hashlib.sha256(str(error).encode()).hexdigest()}.told"
        try:
            with told.open("x", encoding="utf-8") as file:
                file.write(f"{error.message.splitlines()[0]}\n")
        except FileExistsError:
            code = error.exit_code
        else:
            code = show(error)
        with told.with_suffix(".jobs").open("a") as file:
            file.write(f"{HydraConfig.get().job.num}\n")
        return code

    def repeated(self) -> Iterator[str]:
        """Yield a sentence for each error that ended several jobs."""
        for path in sorted(self._folder.glob("*.jobs")) if self._folder is not None else ():
            jobs = sorted(map(int, path.read_text().splitlines()))
            if len(jobs) > 1:
                message = path.with_suffix(".told").read_text(encoding="utf-8").strip()
                yield f"{len(jobs)} jobs ended so ({', '.join(f'#{job}' for job in jobs)}): {message}"
