"""Where the version that an account trades stands in the registry, which another process may change meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wealtharena.errors import CheckpointError
from wealtharena.registry import history

RULE: Final = "version"
SINCE: Final = "retired"  # of a ledger: when that retirement was recorded which was heeded last
NOTE: Final = "standing"  # of a ledger: what was found last, so that each change is heeded once
STANDS: Final = "stands"
RETIRED: Final = "retired"
UNKNOWN: Final = "the registry does not say where it stands"


def where(root: Path, agent: str, version: str) -> str:
    """Return `stands`, `retired`, or what became of a version otherwise, as the history says it.

    Retired is one that was withdrawn from its last stage; one that another replaced there is not. A promotion that was
    recorded and not carried out, because a crash came between, replaced nothing.
    """
    return _found(root, agent, version)[0]


def _found(root: Path, agent: str, version: str) -> tuple[str, str]:
    """Return what `where` says, and of a version that is retired when that was recorded."""
    try:
        events = history.read_history(root, agent=agent)
    except CheckpointError:
        return UNKNOWN, ""
    last = {stage: history.on_stage(events, stage)[-1:] for stage in history.STAGES}
    if any(_places(one, version) for found in last.values() for one in found):
        return STANDS, ""
    if any(_is_on(root, agent, stage, version) for stage in history.STAGES):
        return STANDS, ""
    stages = [stage for one in events for stage in history.STAGES if _places(one, version) and one["stage"] == stage]
    if not stages:
        return UNKNOWN, ""
    (now,) = last[stages[-1]]
    if now["event"] in history.PLACED:
        return f"replaced by {now['version']} on {now['stage']}", ""
    if now.get("version") in (version, None):
        return RETIRED, str(now.get("time"))
    return f"replaced, and {now['stage']} is empty", ""


def _is_on(root: Path, agent: str, stage: history.Stage, version: str) -> bool:
    try:
        pointer = history.standing(root, agent, stage)
    except CheckpointError:
        return False
    return pointer is not None and pointer.version == version


def _places(event: Mapping[str, Any], version: str) -> bool:
    return event.get("event") in history.PLACED and event.get("version") == version


@dataclass(eq=False)
class Standing:
    """Looks where an account's version stands."""

    root: Path
    agent: str
    version: str
    since: str = field(default="", init=False)  # of a version that is retired: when that was recorded
    _seen: tuple[object, str] | None = field(default=None, init=False)

    def look(self) -> str:
        """Return what `where` says; it is asked again only where the history or the record of a stage has changed."""
        records = (history.pointer_path(self.root, self.agent, stage) for stage in history.STAGES)
        mark = tuple(_mark(path) for path in (self.root / history.HISTORY, *records))
        if self._seen is None or self._seen[0] != mark:
            found, self.since = _found(self.root, self.agent, self.version)
            self._seen = mark, found
        return self._seen[1]


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
