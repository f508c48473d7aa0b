"""Whether folders, stages and history agree, and how somebody who has looked accepts what they don't agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wealtharena.errors import CheckpointError, UnknownCheckpointError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry import chain, history
from wealtharena.registry.checkpoints import LoadedCheckpoint, ModelCheckpoint
from wealtharena.registry.gate import held
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
    versions: list[tuple[str, str]] = []
    closed = set[str]()  # agents of which nothing can be said but that
    for agent in store.agents():
        try:
            versions += [(agent, path.name) for path in store.folders(agent)]
        except CheckpointError as error:
            problems.append(str(error))
            closed.add(agent)
    with together():
        for agent, version in versions:
            try:
                opened(store, agent, version)
            except CheckpointError as error:
                problems.append(str(error))
    for agent in [agent for agent in store.agents() if agent not in closed]:
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
        gone=_gone([event for event in events if event.get("agent") not in closed], versions),
    )


def _gone(events: Sequence[dict[str, object]], versions: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    named = {(str(e["agent"]), str(e["version"])) for e in events if e.get("event") in ("save", "adopt")}
    missing = sorted(named - set(versions))
    return tuple(
        f"{agent}/{version}"
        for agent, version in missing
        if history.saved([e for e in events if e.get("agent") == agent], version) is not None
    )


@dataclass(frozen=True)
class Adoption:
    """How versions are taken in: what is known of their runs, whether a chain stood before, and why what differs is accepted."""

    ledger: Ledger | None = None  # None: nothing is known of any run
    begun: bool | None = None  # None: as the history stands
    reason: str | None = None


def has_begun(store: ModelCheckpoint) -> bool:
    """Return whether the history of a registry is a chain, so that it says what was saved from then on."""
    return chain.is_chained(history.content(store.root))


def adopt(store: ModelCheckpoint, agent: str, *, versions: Sequence[str] = (), how: Adoption = Adoption()) -> list[str]:
    """Write into the history what versions of an agent hold now, and return their names.

    Without `versions` those that the history knows nothing of, as from before it said. A version that it knows as another,
    or a history that is damaged, is a finding: it is accepted only with a reason, which is kept. A version that is not, byte
    for byte, what the ledger says its run left counts as unproven at most, and needs the reason too where a chain had begun
    before; one that the ledger knows under another verdict is not taken in. CheckpointError else.
    """
    agent = store.resolve(agent)
    done: list[str] = []
    problems: list[CheckpointError] = []
    with history.locked(store.root):
        how = replace(how, begun=has_begun(store) if how.begun is None else how.begun)
        begin(store, reason=how.reason)
        for version in versions or [path.name for path in store.folders(agent)]:
            try:
                if _adopt(store, agent, version, named=bool(versions), how=how):
                    done.append(version)
            except CheckpointError as error:  # one bad folder keeps none of the others back
                problems.append(error)
    if problems:
        kind = UnknownCheckpointError if isinstance(problems[0], UnknownCheckpointError) else CheckpointError
        raise kind("; ".join([*map(str, problems), *(f"{version} was adopted" for version in done)]))
    return done


def _adopt(store: ModelCheckpoint, agent: str, version: str, *, named: bool, how: Adoption) -> bool:
    """Write what a version holds into the history; return whether that was news."""
    known = history.saved(history.read_history(store.root, agent=agent), version)
    if known is not None and not named:
        return False
    files = read_verified(store.folder(agent, version))
    if known == files.manifest_sha256:
        return False
    if known is not None:
        _need(how.reason, f"{agent}/{version} is not what was saved")
    loaded = store.proven(files, agent, version)
    doubt = _doubt(loaded, how.ledger)
    if doubt is not None and how.begun:
        _need(how.reason, f"{agent}/{version}: {doubt}")
    loaded.policy.check_probe()
    facts = _facts(held(loaded.metadata, doubt), files.manifest_sha256)
    history.append(store.root, {**facts, "reason": how.reason, "doubt": doubt})
    return True


def _doubt(loaded: LoadedCheckpoint, ledger: Ledger | None) -> str | None:
    """Return why the verdict of a version cannot be believed; None where the ledger knows it byte for byte.

    CheckpointError where the ledger knows its run under another verdict.
    """
    described = loaded.metadata
    pin = None if ledger is None else ledger.pinned(described.agent, described.version)
    if pin is None or pin.get("verdict") is None:
        return "adopted, and the ledger does not know the verdict of its run"
    if pin["verdict"] != described.verdict.status:
        raise CheckpointError(
            f"{described.model_path} says {described.verdict.status}, and the ledger says {pin['verdict']} of its run",
            hint="find out who changed it; it is not taken in",
        )
    if pin.get("manifest") != loaded.files.manifest_sha256:
        return "adopted, and it is not what its run left, by the ledger"
    return None


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
