"""A damaged record of a stage is written again as the history tells it."""

from __future__ import annotations

from wealtharena.errors import CheckpointError
from wealtharena.registry import history
from wealtharena.registry.checkpoints import ModelCheckpoint
from wealtharena.registry.history import Pointer, Stage


def mend(store: ModelCheckpoint, agent: str) -> list[str]:
    """Write every damaged stage record of an agent again, as its last line of the history says, and return what was done.

    The version is verified against the hash in that line before it returns to its stage. CheckpointError where the
    history does not say what stood there, or where the version is not whole: then `withdraw` leaves the stage empty.
    """
    agent = store.resolve(agent)
    done = []
    with history.locked(store.root):
        for stage in history.STAGES:
            try:
                history.standing(store.root, agent, stage)
            except CheckpointError:
                done.append(_mend(store, agent, stage))
    return done


def _mend(store: ModelCheckpoint, agent: str, stage: Stage) -> str:
    events = history.on_stage(history.read_history(store.root, agent=agent), stage)
    if not events:
        raise CheckpointError(
            f"{agent}/{stage}.json: the history does not say what stood there", hint="promote a version again"
        )
    last = events[-1]
    if last["event"] == "withdraw":
        history.append(store.root, {"event": "mend", "agent": agent, "stage": stage, "to": None})
        history.remove_pointer(store.root, agent, stage)
        return f"{stage} is empty, as it was"
    try:
        pointer = Pointer(**{name: last.get(name) for name in Pointer.__dataclass_fields__})  # type: ignore[arg-type]  # read back below
        store.load_checkpoint(agent, str(pointer.version), manifest_sha256=str(pointer.manifest_sha256))
    except TypeError as error:
        raise CheckpointError(
            f"{agent}/{stage}.json: its line in the history is damaged too", hint="promote again"
        ) from error
    history.place(store.root, {"event": "mend", "agent": agent, "stage": stage, "to": pointer.version}, pointer)
    history.standing(store.root, agent, stage)
    return f"{stage} is {pointer.version} again"
