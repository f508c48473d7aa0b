"""Which version stands on which stage, and how it came to stand there.

`<agent>/production.json` and `<agent>/paper.json` are the truth of the moment, replaced atomically;
`registry.jsonl` is the history, only ever appended to. The history is written first, so that no change of a stage
goes unrecorded; a crash between the two leaves a recorded attempt and the old stage.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from wealtharena.errors import CheckpointError
from wealtharena.files import read_regular, sync_folder, write_json
from wealtharena.registry.metadata import VerdictStatus
from wealtharena.registry.names import check_agent, check_version

Stage = Literal["production", "paper"]
STAGES: tuple[Stage, ...] = get_args(Stage)
HISTORY = "registry.jsonl"
MEND = "task=deploy deploy.action=mend restores it from the history; or promote a version again"
_MAX_POINTER_BYTES = 64 * 1024


@dataclass(frozen=True)
class Pointer:
    """A stage's version, as `production.json` or `paper.json` says it."""

    agent: str
    stage: Stage
    version: str
    manifest_sha256: str
    verdict: str
    simulated: bool
    since: str
    forced_reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {"schema_version": 1, **self.__dict__}


def now() -> str:
    """Return the present moment in UTC, to the microsecond, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def pointer_path(root: Path, agent: str, stage: Stage) -> Path:
    """Return the file that names the version of a stage."""
    return root / check_agent(agent) / f"{stage}.json"


def read_pointer(root: Path, agent: str, stage: Stage) -> Pointer | None:
    """Return what stands on a stage, None where nothing does; CheckpointError for an unreadable file."""
    path = pointer_path(root, agent, stage)
    where = f"{agent}/{path.name}"
    try:
        raw = read_regular(path, limit=_MAX_POINTER_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{where}: {error}", hint=MEND) from error
    try:
        content = json.loads(raw)
        pointer = Pointer(
            agent=agent,
            stage=stage,
            version=check_version(_text(content["version"])),
            manifest_sha256=_text(content["manifest_sha256"]),
            verdict=_one_of(content["verdict"], get_args(VerdictStatus)),
            simulated=_one_of(content["simulated"], (True, False)),
            since=_text(content["since"]),
            forced_reason=None if content.get("forced_reason") is None else _text(content["forced_reason"]),
        )
        named = content["agent"], content["stage"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CheckpointError) as error:
        raise CheckpointError(f"{where}: is not a promotion record", hint=MEND) from error
    if named != (agent, stage):
        raise CheckpointError(f"{where}: speaks of another agent or stage", hint=MEND)
    return pointer


def _text(value: object) -> str:
    """Return `value`, a text that can be written anywhere; ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("not a text")
    value.encode()
    return value


def _one_of(value: Any, known: tuple[Any, ...]) -> Any:
    if not any(value is one or (isinstance(value, str) and value == one) for one in known):
        raise ValueError("not one of the known values")
    return value


def write_pointer(root: Path, pointer: Pointer) -> None:
    """Put a version on a stage, atomically."""
    write_json(pointer_path(root, pointer.agent, pointer.stage), pointer.to_dict())


def remove_pointer(root: Path, agent: str, stage: Stage) -> None:
    """Leave a stage empty."""
    path = pointer_path(root, agent, stage)
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the registry's lock: one process at a time changes stages or deletes versions."""
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def append(root: Path, event: Mapping[str, Any]) -> None:
    """Append one line to the history and flush it to disk; a torn last line of a crash is closed off first."""
    line = json.dumps({"time": now(), **event}, allow_nan=False, ensure_ascii=False).encode() + b"\n"
    path = root / HISTORY
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_history(root: Path, *, agent: str | None = None) -> list[dict[str, Any]]:
    """Return the history oldest first; a line torn by a crash is passed over."""
    path = root / HISTORY
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and (agent is None or event.get("agent") == agent):
                events.append(event)
    return events


def once_in_production(root: Path, agent: str) -> frozenset[str]:
    """Return every version that the history has seen in production; these outlive any retention rule."""
    events = read_history(root, agent=agent)
    return frozenset(str(e["version"]) for e in events if e.get("stage") == "production" and e.get("version"))


def predecessor(root: Path, pointer: Pointer) -> dict[str, Any] | None:
    """Return the promotion that `pointer`'s version replaced on its stage, None where it was the first.

    A rollback undoes the promotion that it goes back over, so two rollbacks go back two promotions.
    """
    stack: list[dict[str, Any]] = []
    for event in read_history(root, agent=pointer.agent):
        if event.get("stage") != pointer.stage:
            continue
        if event.get("event") == "promote":
            stack.append(event)
        elif event.get("event") == "rollback":
            while stack and stack[-1].get("version") != event.get("version"):
                stack.pop()
    while stack and stack[-1].get("version") != pointer.version:
        stack.pop()
    while stack and stack[-1].get("version") == pointer.version:
        stack.pop()
    return stack[-1] if stack else None
