"""Promote, roll back, withdraw: the only ways in which a stage changes hands."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from wealtharena.errors import CheckpointError, PromotionError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry import history
from wealtharena.registry.checkpoints import LoadedCheckpoint, ModelCheckpoint
from wealtharena.registry.gate import Clearance, barriers, by_ledger, by_shipped_rules, decide, held
from wealtharena.registry.history import Pointer, Stage
from wealtharena.registry.metadata import Metadata


def opened(store: ModelCheckpoint, agent: str, version: str, *, manifest_sha256: str | None = None) -> LoadedCheckpoint:
    """Return a version that is whole, and that still answers its recorded observations as the torch policy did."""
    loaded = store.load_checkpoint(agent, version, manifest_sha256=manifest_sha256)
    loaded.policy.check_probe()
    return loaded


def promote(
    store: ModelCheckpoint,
    agent: str,
    version: str,
    *,
    force_reason: str | None = None,
    stage: Stage | None = None,
    ledger: Ledger | None = None,
) -> tuple[Pointer, Clearance]:
    """Put a version on the stage that the gate allows, and return what was written and why.

    `stage` asks for one: `paper` is open to every verified checkpoint, while `production` raises PromotionError where
    the gate says no. `force_reason` lets an unproven one through and is recorded. A verdict that counts fewer trials than
    the `ledger` knows of its test window by now is unproven.
    """
    agent = store.resolve(agent)
    with history.locked(store.root):
        loaded = opened(store, agent, version)
        described = _described(store, loaded, ledger)
        standing = _current(store, agent, "production")
        incumbent = standing.version if standing is not None else None
        clearance = decide(described, force_reason=force_reason, incumbent=incumbent)
        if force_reason is not None and clearance.stage != "production":
            why = "; ".join(clearance.reasons) if force_reason.strip() else "the reason is empty"
            raise PromotionError(
                f"{agent}/{version} can't be forced into production: {why}",
                hint="leave deploy.force_reason out to put it on paper",
            )
        if stage == "production" and clearance.stage != "production":
            raise PromotionError(
                f"{agent}/{version} is not for production: {'; '.join(clearance.reasons)}", hint="put it on paper"
            )
        if stage == "paper":
            clearance = Clearance("paper", clearance.reasons)
        pointer = _pointer(loaded, described, clearance, force_reason)
        # only what the history bears out counts as standing there
        current = standing if clearance.stage == "production" else _current(store, agent, clearance.stage)
        if current is None or (current.version, current.manifest_sha256) != (pointer.version, pointer.manifest_sha256):
            before = current.version if current is not None else None
            event = {"event": "promote", **asdict(pointer), "reasons": list(clearance.reasons), "from_version": before}
            history.place(store.root, event, pointer)
    return pointer, clearance


def rollback(store: ModelCheckpoint, agent: str, *, stage: Stage = "production") -> Pointer:
    """Put the version before the present one back on a stage; PromotionError where there was none before.

    The older version is verified again, and refused where it could not be promoted today.
    """
    agent = store.resolve(agent)
    with history.locked(store.root):
        current = history.standing(store.root, agent, stage)
        if current is None:
            raise _empty(store, agent, stage, hint="promote a version with task=deploy")
        earlier = history.predecessor(store.root, current)
        if earlier is None:
            raise PromotionError(
                f"{agent}/{current.version} is the first in {stage}",
                hint="promote another version, or withdraw this one",
            )
        loaded = opened(store, agent, str(earlier["version"]), manifest_sha256=earlier.get("manifest_sha256"))
        if stage == "production" and barriers(loaded.metadata):
            raise PromotionError(
                f"{loaded.metadata.model_path} may not return: {'; '.join(barriers(loaded.metadata))}",
                hint="promote another version",
            )
        forced = earlier.get("forced_reason")
        pointer = _pointer(loaded, _described(store, loaded), Clearance(stage, (), forced=forced is not None), forced)
        event = {"event": "rollback", **asdict(pointer), "from_version": current.version}
        history.place(store.root, event, pointer)
    return pointer


def withdraw(store: ModelCheckpoint, agent: str, *, stage: Stage = "production", reason: str | None = None) -> None:
    """Leave a stage empty, also one whose record is damaged or gone; PromotionError where it is empty already."""
    agent = store.resolve(agent)
    with history.locked(store.root):
        current = _current(store, agent, stage)
        if current is None and _is_empty(store, agent, stage):
            raise _empty(store, agent, stage, hint="there is nothing to withdraw")
        event: dict[str, Any] = {
            "event": "withdraw",
            "agent": agent,
            "stage": stage,
            "version": current.version if current is not None else None,
            "reason": reason,
        }
        history.append(store.root, event)
        history.remove_pointer(store.root, agent, stage)


def _empty(store: ModelCheckpoint, agent: str, stage: Stage, *, hint: str) -> PromotionError:
    """Return the error for a stage on which nothing stands; its hint is the other one where something stands there."""
    other: Stage = "paper" if stage == "production" else "production"
    there = _current(store, agent, other)
    hint = hint if there is None else f"{there.version} is in {other}: deploy.stage={other}"
    return PromotionError(f"{agent} has nothing in {stage}", hint=hint)


def _is_empty(store: ModelCheckpoint, agent: str, stage: Stage) -> bool:
    """Return whether nothing stands on a stage, not even a record that is damaged, by the history too."""
    if os.path.lexists(history.pointer_path(store.root, agent, stage)):
        return False
    try:
        return history.standing(store.root, agent, stage) is None
    except CheckpointError:
        return False


def _current(store: ModelCheckpoint, agent: str, stage: Stage) -> Pointer | None:
    """Return what stands on a stage; a record that is damaged or foreign is nothing, since promoting is what repairs it."""
    try:
        return history.standing(store.root, agent, stage)
    except CheckpointError:
        return None


def _described(store: ModelCheckpoint, loaded: LoadedCheckpoint, ledger: Ledger | None = None) -> Metadata:
    """Return what a version says of itself as far as its history, the rules that ship and the ledger bear it out."""
    meta = loaded.metadata
    counted = by_ledger(by_shipped_rules(meta, loaded.files.content["config.yaml"]), ledger)
    return held(counted, history.doubted(history.read_history(store.root, agent=meta.agent), meta.version))


def _pointer(loaded: LoadedCheckpoint, meta: Metadata, clearance: Clearance, force_reason: str | None) -> Pointer:
    return Pointer(
        agent=meta.agent,
        stage=clearance.stage,
        version=meta.version,
        manifest_sha256=loaded.files.manifest_sha256,
        verdict=meta.verdict.status,
        simulated=meta.simulated,
        since=history.now(),
        forced_reason=force_reason.strip() if clearance.forced and force_reason else None,
    )
