"""A group's verdict reaches the registry: the checkpoint of its middle seed, once more, under what the group proved."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from wealtharena.errors import CheckpointError
from wealtharena.registry.checkpoints import ModelCheckpoint
from wealtharena.registry.metadata import Metadata
from wealtharena.registry.probe import Probe

SUFFIX = "-judged"
_MOST = 1000  # verdicts on one middle run


def endorse(store: ModelCheckpoint, row: Mapping[str, Any]) -> str | None:
    """Return `<agent>/<version>` of a new checkpoint that carries the row's verdict; None where there is nothing to add.

    Only a promotable group is endorsed. The policy is that of the seed with the median Sharpe ratio, byte for byte; its
    own single-run verdict stays with the old version, as does the verdict of the same runs from before the ledger knew more.
    None too where that checkpoint is not in the registry, or where one carries this verdict already, as that of a search does.
    """
    if row.get("status") != "completed" or row["verdict"]["status"] != "promotable" or not row.get("middle_run"):
        return None
    agent, version = str(row["agent"]), str(row["middle_run"])
    if agent not in store.agents():
        return None
    there = {path.name for path in store.folders(agent)}
    try:
        loaded = store.load_checkpoint(agent, version)
        known = [loaded, *(store.load_checkpoint(agent, name) for name in _names(version) if name in there)]
    except CheckpointError:
        return None
    if any(_carries(one.metadata, row) for one in known):
        return None
    new = next(name for name in _names(version) if name not in there)
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


def _names(version: str) -> list[str]:
    """Return what the verdicts of groups are called whose middle one this was, in the order in which they came."""
    return [f"{version}{SUFFIX}", *(f"{version}-{number}{SUFFIX}" for number in range(2, _MOST))]


def _carries(known: Metadata, row: Mapping[str, Any]) -> bool:
    """Return whether a version was judged with the runs of a row, and by a count of trials that is the row's."""
    with_runs = (known.model_extra or {}).get("judged_with", [known.version])
    before, now = (verdict.get("trials") for verdict in (known.verdict.evidence, row["verdict"]["evidence"]))
    return sorted(with_runs) == sorted(row["run_ids"]) and before == now
