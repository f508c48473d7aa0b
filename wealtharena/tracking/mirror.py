"""The contract of a mirror: somewhere beside metrics.jsonl to which the figures of a run go.

A mirror is one file of `wealtharena/tracking/mirrors/`, or of a package's own, with a function

    def open_mirror(folder: Path, identity: Identity, *, resume_step: int | None) -> Mirror

and its name in `tracking.mirrors`. `folder` is the run directory. With a `resume_step` the run goes on from there: what was
shown of later steps is to be taken back, or shown once more.

What an implementer must hold: no call takes long or raises. What goes wrong is said once in `trouble` and ends the mirror,
never the run; metrics.jsonl has it all. Nothing personal leaves the machine: `identity` holds no paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Identity:
    """What a mirror is told about a run before its first figure; without personal paths."""

    run_id: str
    name: str
    job: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    group: str | None = None


@dataclass(frozen=True)
class Ending:
    """What a mirror is told when a run is over."""

    tags: tuple[str, ...]
    summary: Mapping[str, Any]
    plots: Sequence[Path]
    report: Path | str | None  # a file, or HTML
    exit_code: int


class Mirror(Protocol):
    """Shows the figures of a run somewhere else."""

    title: str  # as the console names it
    trouble: str | None  # what went wrong, in words

    def log(self, record: Mapping[str, Any]) -> None:
        """Take the figures of an iteration or a validation, `env_step` among them."""

    def finish(self, ending: Ending) -> None:
        """Close; waits for a bounded time at most."""

    def whereabouts(self) -> str | None:
        """Return where the run can be seen, or how to send what is kept here; None where there is nothing."""


class Guarded:
    """A mirror of a package, held to its contract: what it raises is its trouble and ends it, and not the run.

    One that did not open, or has no title, is called `plugin`.
    """

    def __init__(self, plugin: str, opened: Callable[[], Mirror]) -> None:
        self.trouble: str | None = None
        self._ended = False
        self._mirror = self._kept("open_mirror", opened)
        self.title = str(getattr(self._mirror, "title", None) or plugin)

    def log(self, record: Mapping[str, Any]) -> None:
        """Hand the figures on, a copy: others are shown them too."""
        self._told("log", dict(record))

    def finish(self, ending: Ending) -> None:
        """Hand the end on."""
        self._told("finish", ending)

    def whereabouts(self) -> str | None:
        """Return where the mirror says that the run can be seen."""
        where = self._told("whereabouts")
        return None if where is None else str(where)

    def _told(self, method: str, *values: Any) -> Any:
        if self._ended:
            return None
        answer = self._kept(method, lambda: getattr(self._mirror, method)(*values))
        self.trouble = self.trouble or getattr(self._mirror, "trouble", None)
        return answer

    def _kept(self, method: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told of as `trouble` at the end of the run
            self._ended = True
            self.trouble = f"{method} raised {type(error).__name__}: {error}; it was told nothing after that"
            return None
