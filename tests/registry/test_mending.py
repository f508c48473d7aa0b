from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.registry.shelf import AGENT, save, stocked
from wealtharena.errors import CheckpointError
from wealtharena.registry import ModelCheckpoint, promote, rollback, withdraw
from wealtharena.registry.history import read_pointer
from wealtharena.registry.mending import mend


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
