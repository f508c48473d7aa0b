"""A group's verdict reaches the registry: the checkpoint of its middle seed, once more, under what the group proved."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from wealtharena.errors import CheckpointError
from wealtharena.registry.checkpoints import ModelCheckpoint
from wealtharena.registry.probe import Probe

SUFFIX = "-judged"


def endorse(store: ModelCheckpoint, row: Mapping[str, Any]) -> str | None:
    """Return `<agent>/<version>` of a new checkpoint that carries the row's verdict; None where there is nothing to add.

    Only a promotable group is endorsed. The policy is that of the seed with the median Sharpe ratio, byte for byte; its
    own single-run verdict stays with the old version. None too where that checkpoint is not in the registry, was endorsed
    before, or carries the verdict of all seeds already, as that of a search does.
    """
    if row.get("status") != "completed" or row["verdict"]["status"] != "promotable" or not row.get("middle_run"):
        return None
    if len(row["run_ids"]) < len(row["seeds"]):  # one record of several seeds
        return None
    agent, version = str(row["agent"]), str(row["middle_run"])
    new = f"{version}{SUFFIX}"
    if agent not in store.agents() or (store.root / agent / new).exists():
        return None
    try:
        loaded = store.load_checkpoint(agent, version)
    except CheckpointError:
        return None
    content = loaded.files.content
    described = loaded.metadata.model_dump(mode="json")
    described |= {
        "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "verdict": row["verdict"],
        "comparison": row["comparisons"],
        "judged_with": list(row["run_ids"]),
    }
    store.save_checkpoint(
        agent,
        new,
        policy_folder=loaded.files.folder,
        onnx=content["policy.onnx"],
        probe=Probe.from_bytes(content["probe.npz"]),
        metadata=described,
        config=content["config.yaml"].decode(),
    )
    return f"{agent}/{new}"
