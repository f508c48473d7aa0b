from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.registry.shelf import AGENT, save, stocked
from wealtharena.errors import CheckpointError
from wealtharena.prediction import ProductionModelManager
from wealtharena.registry import ModelCheckpoint, history, promote, rollback, withdraw
from wealtharena.registry.history import read_pointer
from wealtharena.registry.mending import mend
from wealtharena.registry.verifying import adopt, verify


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return stocked(tmp_path)


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "link": lambda path: (path.rename(path.with_name("kept")), path.symlink_to("kept")),
    "deep": lambda path: path.write_text("[" * 60_000),
    "huge": lambda path: path.write_text(" " * 100_000),
    "verdict": lambda path: path.write_text(path.read_text().replace('"promotable"', '"<b onclick=x>"')),
    "surrogate": lambda path: path.write_text(
        path.read_text().replace('"forced_reason": null', '"forced_reason": "\\ud800"')
    ),
}


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_named_and_comes_back_as_the_history_tells(store: ModelCheckpoint, damage: str) -> None:
    path = store.root / AGENT / "production.json"
    before = read_pointer(store.root, AGENT, "production")
    DAMAGE[damage](path)
    with pytest.raises(CheckpointError, match=r"production\.json.*deploy\.action=mend"):
        read_pointer(store.root, AGENT, "production")
    assert [row["version"] for row in store.list_checkpoints(AGENT)] == ["v1"]
    with pytest.raises(CheckpointError):
        store.delete_checkpoint(AGENT, "v1")
    assert mend(store, AGENT) == ["production is v1 again"]
    assert read_pointer(store.root, AGENT, "production") == before
    assert mend(store, AGENT) == []


def test_after_a_rollback_the_older_version_comes_back_and_after_a_withdrawal_none(store: ModelCheckpoint) -> None:
    path = store.root / AGENT / "production.json"
    save(store, "v2", verdict="promotable")
    promote(store, AGENT, "v2")
    rollback(store, AGENT)
    path.write_text("{")
    assert mend(store, AGENT) == ["production is v1 again"]
    withdraw(store, AGENT)
    path.write_text("{")
    assert mend(store, AGENT) == ["production is empty, as it was"]
    assert read_pointer(store.root, AGENT, "production") is None


def test_a_changed_version_does_not_come_back(store: ModelCheckpoint) -> None:
    (store.root / AGENT / "production.json").write_text("{")
    manifest = store.root / AGENT / "v1" / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(CheckpointError, match="not the one that was saved"):
        mend(store, AGENT)
    withdraw(store, AGENT)
    assert not (store.root / AGENT / "production.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("then", ["promote", "rollback"])
def test_a_record_that_is_gone_leaves_its_stage_to_no_other_version(store: ModelCheckpoint, then: str) -> None:
    """The service went over to what was on paper, be it rejected, and `verify` found nothing."""
    save(store, "v2", verdict="promotable")
    save(store, "on-paper", verdict="rejected")
    promote(store, AGENT, "on-paper")
    if then == "rollback":
        promote(store, AGENT, "v2")
        rollback(store, AGENT)
    manager = ProductionModelManager(store.root)
    manager.refresh()
    (store.root / AGENT / "production.json").unlink()
    gone = "production.json: is gone, and the history says that v1 stands there"
    manager.refresh()
    assert manager.loaded[AGENT].pointer.version == "v1"
    assert gone in manager.problems[AGENT]
    fresh = ProductionModelManager(store.root)
    fresh.refresh()
    assert AGENT not in fresh.loaded
    assert any(gone in problem for problem in verify(store).problems)
    assert mend(store, AGENT) == ["production is v1 again"]
    manager.refresh()
    assert manager.problems == {}
    (store.root / AGENT / "production.json").unlink()
    withdraw(store, AGENT)
    manager.refresh()
    assert manager.loaded[AGENT].pointer.version == "on-paper"
    assert verify(store).problems == ()


def test_where_the_history_is_gone_nobody_is_told_to_mend_by_it(store: ModelCheckpoint) -> None:
    """The record was said to differ from it, and to be restored from it."""
    kept = store.root / history.HISTORY
    kept.rename(kept.with_name("kept"))
    with pytest.raises(CheckpointError, match=r"registry\.jsonl is gone.*restore it from a copy; .*action=adopt"):
        history.standing(store.root, AGENT, "production")
    assert adopt(store, AGENT) == ["v1"]
    promote(store, AGENT, "v1", stage="paper")
    kept.with_name("kept").rename(kept)
    assert history.standing(store.root, AGENT, "production") is not None
