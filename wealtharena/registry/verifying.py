"""Whether folders, stages and history agree, and how somebody who has looked accepts what they don't agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wealtharena.errors import CheckpointError, UnknownCheckpointError
from wealtharena.registry import chain, history
from wealtharena.registry.checkpoints import ModelCheckpoint
from wealtharena.registry.integrity import read_verified, sha256
from wealtharena.registry.metadata import Metadata
from wealtharena.registry.onnx_trial import together
from wealtharena.registry.promotion import opened


@dataclass(frozen=True)
class Findings:
    """What `verify` looked at and what it found wrong, by the name of the file."""

    versions: int
    lines: int
    signed: bool  # each line of the history was checked against the key
    problems: tuple[str, ...]
    gone: tuple[
        str, ...
    ]  # saved, by the history, and no longer here: removed by hand, or a run was killed while it saved


def verify(store: ModelCheckpoint) -> Findings:
    """Return every disagreement between the history, the versions and the stages of a registry; changes nothing.

    Every byte of every version is read, and every version asked for its recorded decisions.
    """
    problems: list[str] = []
    try:
        events = history.read_history(store.root)
    except CheckpointError as error:
        return Findings(0, 0, signed=False, problems=(str(error),), gone=())
    versions = [(agent, path.name) for agent in store.agents() for path in store.folders(agent)]
    with together():
        for agent, version in versions:
            try:
                opened(store, agent, version)
            except CheckpointError as error:
                problems.append(str(error))
    for agent in store.agents():
        for stage in history.STAGES:
            try:
                pointer = history.standing(store.root, agent, stage)
                if pointer is not None and (agent, pointer.version) not in versions:
                    problems.append(f"{agent}/{stage}.json: {pointer.version} is missing")
            except CheckpointError as error:
                problems.append(str(error))
    return Findings(
        versions=len(versions),
        lines=len(events),
        signed=chain.signing_key() is not None,
        problems=tuple(dict.fromkeys(problems)),
        gone=_gone(events, versions),
    )


def _gone(events: Sequence[dict[str, object]], versions: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    named = {(str(e["agent"]), str(e["version"])) for e in events if e.get("event") in ("save", "adopt")}
    missing = sorted(named - set(versions))
    return tuple(
        f"{agent}/{version}"
        for agent, version in missing
        if history.saved([e for e in events if e.get("agent") == agent], version) is not None
    )


def adopt(store: ModelCheckpoint, agent: str, *, versions: Sequence[str] = (), reason: str | None = None) -> list[str]:
    """Write into the history what versions of an agent hold now, and return their names.

    Without `versions` those that the history knows nothing of, as from before it said. A version that it knows as another,
    or a history that is damaged, is a finding: it is accepted only with a `reason`, which is kept. CheckpointError else.
    """
    agent = store.resolve(agent)
    done: list[str] = []
    problems: list[CheckpointError] = []
    with history.locked(store.root):
        begin(store, reason=reason)
        for version in versions or [path.name for path in store.folders(agent)]:
            try:
                if _adopt(store, agent, version, named=bool(versions), reason=reason):
                    done.append(version)
            except CheckpointError as error:  # one bad folder keeps none of the others back
                problems.append(error)
    if problems:
        kind = UnknownCheckpointError if isinstance(problems[0], UnknownCheckpointError) else CheckpointError
        raise kind("; ".join([*map(str, problems), *(f"{version} was adopted" for version in done)]))
    return done


def _adopt(store: ModelCheckpoint, agent: str, version: str, *, named: bool, reason: str | None) -> bool:
    """Write what a version holds into the history; return whether that was news."""
    known = history.saved(history.read_history(store.root, agent=agent), version)
    if known is not None and not named:
        return False
    files = read_verified(store.folder(agent, version))
    if known == files.manifest_sha256:
        return False
    if known is not None:
        _need(reason, f"{agent}/{version} is not what was saved")
    loaded = store.proven(files, agent, version)
    loaded.policy.check_probe()
    history.append(store.root, {**_facts(loaded.metadata, files.manifest_sha256), "reason": reason})
    return True


def begin(store: ModelCheckpoint, *, reason: str | None) -> None:
    """Begin a chain over a history that has none, is damaged or is not signed; nothing happens where one can be read.

    To be called with the registry's lock. CheckpointError for a damaged one without a `reason`.
    """
    content = history.content(store.root)
    try:
        chain.verified(content, key=chain.signing_key())
        if not content or chain.is_chained(content):
            return
    except ValueError as error:
        if not chain.is_sound(content):
            _need(reason, f"{history.HISTORY}: {error}")
    event = {"event": "begin", "bytes": len(content), "sha256": sha256(content), "reason": reason}
    history.append(store.root, event, anew=True)


def _need(reason: str | None, finding: str) -> None:
    if reason is None or not reason.strip():
        raise CheckpointError(finding, hint="find out why; deploy.force_reason='why' accepts it, and is kept")


def _facts(described: Metadata, manifest_sha256: str) -> dict[str, object]:
    return {
        "event": "adopt",
        "agent": described.agent,
        "version": described.version,
        "verdict": described.verdict.status,
        "simulated": described.simulated,
        "manifest_sha256": manifest_sha256,
    }
