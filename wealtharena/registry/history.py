"""Which version stands on which stage, and how it came to stand there.

`<agent>/production.json` and `<agent>/paper.json` are the truth of the moment, replaced atomically;
`registry.jsonl` is the history, a chain that is only ever appended to. The history is written first, so that no change of
a stage goes unrecorded; a crash between the two leaves a recorded attempt and the old stage. What stands on a stage, and
what a version holds, count only as the history says them too.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from wealtharena.errors import CheckpointError
from wealtharena.files import (
    NEWER,
    BadLineError,
    append_line,
    atomic_path,
    held,
    is_held,
    named_in,
    newer,
    read_log,
    read_regular,
    relative,
    sync,
    write_json,
)
from wealtharena.registry import chain
from wealtharena.registry.metadata import VerdictStatus
from wealtharena.registry.names import check_agent, check_version

Stage = Literal["production", "paper"]
STAGES: tuple[Stage, ...] = get_args(Stage)
HISTORY = "registry.jsonl"
SCHEMA_VERSION: Final = 1  # of a stage's file
MEND = "task=deploy deploy.action=mend restores it from the history; or promote a version again"
ADOPT = "look at it, then accept it with: task=deploy deploy.action=adopt"
PLACED = ("promote", "rollback")
_MAX_POINTER_BYTES = 64 * 1024
_LOCK: Final = ".lock"  # of the registry
_CHANGE_SECONDS: Final = 2.0  # that a change of a stage takes at most between its two writes


class _Own(threading.local):
    """Whether this thread holds the registry's lock itself."""

    locked = False


_OWN = _Own()


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
        return {"schema_version": SCHEMA_VERSION, **self.__dict__}


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
    found = _record_of(raw, where)
    try:
        pointer = Pointer(
            agent=agent,
            stage=stage,
            version=check_version(_text(found["version"])),
            manifest_sha256=_text(found["manifest_sha256"]),
            verdict=_one_of(found["verdict"], get_args(VerdictStatus)),
            simulated=_one_of(found["simulated"], (True, False)),
            since=_text(found["since"]),
            forced_reason=None if found.get("forced_reason") is None else _text(found["forced_reason"]),
        )
        named = found["agent"], found["stage"]
    except (ValueError, KeyError, TypeError, CheckpointError) as error:
        raise CheckpointError(f"{where}: is not a promotion record", hint=MEND) from error
    if named != (agent, stage):
        raise CheckpointError(f"{where}: speaks of another agent or stage", hint=MEND)
    return pointer


def _record_of(raw: bytes, where: str) -> dict[str, Any]:
    """Return the object in a stage's file; CheckpointError where there is none, or one of a newer schema."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: is not a promotion record", hint=MEND) from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{where}: is not a promotion record", hint=MEND)
    if wrong := newer(found, known=SCHEMA_VERSION):
        raise CheckpointError(f"{where} {wrong}", hint=NEWER)
    return found


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


def place(root: Path, event: Mapping[str, Any], pointer: Pointer) -> None:
    """Put a version on a stage after a line of the history that says so; where there is no room for both, neither is done.

    To be called with the registry's lock: what a crash left of such a record is removed.
    """
    path = pointer_path(root, pointer.agent, pointer.stage)
    with told(root):
        for left in _left(path):
            left.unlink(missing_ok=True)
        with atomic_path(path) as prepared:
            write_json(prepared, pointer.to_dict())
            append(root, event)


def _left(path: Path) -> Iterator[Path]:
    """Yield what was prepared to be a stage's record, and is not: under way, or left by a crash."""
    return path.parent.glob(f"*.{path.name}.*.tmp")


def remove_pointer(root: Path, agent: str, stage: Stage) -> None:
    """Leave a stage empty."""
    path = pointer_path(root, agent, stage)
    with told(root):
        path.unlink(missing_ok=True)
        sync(path.parent)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the registry's lock: one process at a time changes stages, names versions or deletes them.

    CheckpointError where the registry cannot be written, or where another process does not let go of it.
    """
    with told(root):
        stack = contextlib.ExitStack()
        stack.enter_context(held(root / _LOCK))
    with stack:
        _OWN.locked = True
        try:
            yield
        finally:
            _OWN.locked = False


@contextlib.contextmanager
def told(root: Path) -> Iterator[None]:
    """Turn the system's refusal to write in the block into a CheckpointError that says what and why."""
    try:
        yield
    except OSError as error:
        way = "make room or permission, or set paths.checkpoints to another folder"
        if isinstance(error, TimeoutError):
            way = f"see what holds {Path(named_in(error, HISTORY)).name} there, wait for it or end it"
        raise CheckpointError(
            f"the registry {root} cannot be written: {error.strerror or error}", hint=f"{way}, and do it again"
        ) from error


def append(root: Path, event: Mapping[str, Any], *, anew: bool = False) -> None:
    """Append one line to the history, on disk when this returns; CheckpointError where that cannot be.

    The line is chained to what stands before it, and signed where there is a key. `anew` accepts what stands as it is.
    """
    key = chain.signing_key()
    stamped = {"time": now(), **event}
    with told(root):
        append_line(root / HISTORY, lambda standing: chain.link(standing, stamped, key=key, anew=anew))


def require_signable(root: Path) -> None:
    """Raise the CheckpointError that a further line would meet where the history is signed and there is no key to go on with."""
    chain.link(content(root), {}, key=chain.signing_key())


def content(root: Path) -> bytes:
    """Return the history as it stands, unread; CheckpointError where the system does not give it."""
    try:
        return read_log(root / HISTORY)
    except OSError as error:
        raise CheckpointError(
            f"{relative(root / HISTORY)} cannot be read: {error.strerror}", hint="give it back"
        ) from error


def read_history(root: Path, *, agent: str | None = None) -> list[dict[str, Any]]:
    """Return the history oldest first; a last line torn by a crash is passed over.

    CheckpointError names the first line that is not as it was written: then nothing of it counts until somebody has looked.
    """
    try:
        events = chain.verified(content(root), key=chain.signing_key())
    except BadLineError as error:
        raise CheckpointError(
            f"{relative(root / HISTORY)}: {error}", hint=f"restore it from a copy; or {ADOPT}"
        ) from error
    return [event for event in events if agent is None or event.get("agent") == agent]


def saved(events: Sequence[Mapping[str, Any]], version: str) -> str | None:
    """Return the manifest's hash of an agent's version as its history has it, None where it doesn't say.

    Where nothing says what was saved, as in lines from before they did, the first promotion does.
    """
    found: str | None = None
    for event in events:
        if event.get("version") != version:
            continue
        kind, digest = event.get("event"), event.get("manifest_sha256")
        if kind == "delete":
            found = None
        elif isinstance(digest, str) and (kind in ("save", "adopt") or (kind in PLACED and found is None)):
            found = digest
    return found


def put_back(agent: str) -> str:
    """Return how a version that was deleted comes back, as the end of a hint."""
    return f"put its folder back from a copy, {ADOPT} 'deploy.agents=[{agent}]'"


def deleted(events: Sequence[Mapping[str, Any]], version: str) -> str:
    """Return when, and by which retention, an agent's version was deleted; "" for one that was not, or that came back."""
    made = [e for e in events if e.get("version") == version and e.get("event") in ("save", "adopt", "delete")]
    if not made or made[-1].get("event") != "delete":
        return ""
    keep = made[-1].get("keep")
    return f"on {str(made[-1].get('time'))[:10]}{f' by deploy.keep={keep}' if isinstance(keep, int) else ''}"


def doubted(events: Sequence[Mapping[str, Any]], version: str) -> str | None:
    """Return why an agent's version counts as unproven at most, as its adoption says; None where nothing does."""
    made = [e for e in events if e.get("version") == version and e.get("event") in ("save", "adopt")]
    why = made[-1].get("doubt") if made else None
    return str(why) if why else None


def standing(root: Path, agent: str, stage: Stage) -> Pointer | None:
    """Return what stands on a stage by its record and by the history; CheckpointError where the two differ.

    A promotion that a crash kept from being carried out leaves what stood there before; a rollback or a withdrawal is
    meant to end something, so what it ended does not stand any longer, carried out or not. A record that is gone is no
    empty stage: another one would answer in its place, and nobody would know. A change that somebody is making, of which
    the history knows and the record does not yet, is waited for.
    """
    until = time.monotonic() + _CHANGE_SECONDS
    pointer = read_pointer(root, agent, stage)
    while True:
        try:
            return _borne_out(root, agent, stage, pointer)
        except CheckpointError:
            changing = not _OWN.locked and is_held(root / _LOCK)  # asked before the record is read
            now = read_pointer(root, agent, stage)
            if (now == pointer and not changing) or time.monotonic() > until:
                raise
            pointer = now
        time.sleep(0.02)


def _borne_out(root: Path, agent: str, stage: Stage, pointer: Pointer | None) -> Pointer | None:
    """Return what a stage's record says where the history says it too; CheckpointError else."""
    path = pointer_path(root, agent, stage)
    if pointer is None and not path.parent.is_dir():
        return None
    events = on_stage(read_history(root, agent=agent), stage)
    last = events[-1] if events else {}
    if pointer is None:
        first = last.get("event") == "promote" and last.get("from_version") is None
        if last.get("event") not in PLACED or (first and any(_left(path))):
            return None
        raise CheckpointError(
            f"{agent}/{path.name}: is gone, and the history says that {last.get('version')} stands there",
            hint=f"{MEND}; deploy.action=withdraw leaves the stage empty",
        )
    if _places(last, pointer):
        return pointer
    unfinished = last.get("event") == "promote" and last.get("from_version", pointer.version) == pointer.version
    if unfinished and any(_places(event, pointer) for event in events):
        return pointer
    if not content(root):
        raise CheckpointError(
            f"{HISTORY} is gone, which says what {agent}/{stage}.json may name",
            hint=f"restore it from a copy; or {ADOPT}, and promote again",
        )
    raise CheckpointError(f"{agent}/{stage}.json: is not what the history says", hint=MEND)


def on_stage(events: Sequence[dict[str, Any]], stage: Stage) -> list[dict[str, Any]]:
    """Return the events that decided what stands on a stage."""
    return [e for e in events if e.get("stage") == stage and e.get("event") in (*PLACED, "withdraw")]


def _places(event: Mapping[str, Any], pointer: Pointer) -> bool:
    known = event.get("event") in PLACED
    return known and all(event.get(name) == value for name, value in asdict(pointer).items())


def once_in_production(root: Path, agent: str) -> frozenset[str]:
    """Return every version that the history has seen in production; these outlive any retention rule."""
    events = read_history(root, agent=agent)
    return frozenset(str(e["version"]) for e in events if e.get("stage") == "production" and e.get("version"))


def predecessor(root: Path, pointer: Pointer) -> dict[str, Any] | None:
    """Return the promotion that `pointer`'s version replaced on its stage, None where it was the first.

    A rollback undoes the promotion that it goes back over, so two rollbacks go back two promotions. A promotion that a
    crash kept from being carried out replaced nothing.
    """
    stack: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    for event in on_stage(read_history(root, agent=pointer.agent), pointer.stage):
        if stack and stack[-1] is last and _was_not_carried_out(last, event):
            stack.pop()
        last = event
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


def _was_not_carried_out(promotion: Mapping[str, Any], following: Mapping[str, Any]) -> bool:
    """Return whether the next change of the stage found there what the promotion was to replace."""
    found = following.get("version" if following.get("event") == "withdraw" else "from_version")
    return found is not None and found == promotion.get("from_version") != promotion.get("version")
