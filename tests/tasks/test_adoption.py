"""A version that is carried into a registry is believed as far as the ledger bears it out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.registry.shelf import rewrite
from tests.tasks.conftest import record
from wealtharena.config import compose
from wealtharena.errors import CheckpointError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry import ModelCheckpoint, history
from wealtharena.registry.integrity import MANIFEST, sha256
from wealtharena.tasks import dispatch

pytestmark = pytest.mark.slow


def deploy(*words: str) -> int:
    return dispatch(compose(["task=deploy", "deploy.agents=[forex]", "tracking=quiet", *words]))


def test_a_registry_without_its_history_is_adopted_as_the_ledger_knows_it_and_a_copy_is_not(
    finished: Callable[..., list[Path]],
) -> None:
    (folder,) = finished()
    run, store = record(folder), ModelCheckpoint("checkpoints")
    version = store.root / run["registry"]
    pin = Ledger("results/ledger.jsonl").pinned(run["agent"], run["run_id"])
    assert pin is not None
    assert (pin["verdict"], pin["manifest"]) == (run["verdict"]["status"], sha256((version / MANIFEST).read_bytes()))

    (store.root / history.HISTORY).unlink()
    assert deploy("deploy.action=adopt") == 0
    (event,) = [e for e in history.read_history(store.root) if e["event"] == "adopt"]
    assert (event["doubt"], event["verdict"]) == (None, run["verdict"]["status"])

    copy = version.with_name("better")
    shutil.copytree(version, copy)
    verdict = {"status": "promotable", "reasons": []}
    rewrite(copy, lambda described: described.update(version="better", verdict={**described["verdict"], **verdict}))
    with pytest.raises(CheckpointError, match="the ledger does not know the verdict of its run"):
        deploy("deploy.action=adopt")
    rewrite(version, lambda described: described.update(verdict={**described["verdict"], **verdict}))
    words = (f"deploy.checkpoints=['{run['run_id']}']", "deploy.force_reason=why")
    with pytest.raises(CheckpointError, match=f"the ledger says {run['verdict']['status']}"):
        deploy("deploy.action=adopt", *words)
    assert json.loads((version / "metadata.json").read_text())["verdict"]["status"] == "promotable"
