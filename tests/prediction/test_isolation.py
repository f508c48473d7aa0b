"""One bad folder harms itself alone."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.registry.shelf import AGENT, place, save, seal, stocked
from wealtharena.config import compose
from wealtharena.errors import CheckpointError
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry import ModelCheckpoint, history, promote, withdraw
from wealtharena.registry.verifying import verify
from wealtharena.tasks.deploy import run

ZEROS = np.zeros((3, 2, 2), dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return stocked(tmp_path)


def test_foreign_names_in_the_registry_are_passed_over(store: ModelCheckpoint) -> None:
    for name in ("lost+found", "Backup", ".hidden", "a b", "x" * 80):
        (store.root / name).mkdir()
    (store.root / "notes").write_text("")
    manager = ProductionModelManager(store.root)
    assert set(manager.refresh()) == {AGENT, "etf", "commodities"}
    assert set(manager.loaded) == {AGENT, "etf"}


def test_whatever_one_agent_holds_the_others_are_taken_up(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save(store, "c2", agent="commodities")
    promote(store, "commodities", "c2", stage="paper")
    manager = ProductionModelManager(store.root)
    whole = ModelCheckpoint.load_checkpoint

    def load(self: ModelCheckpoint, agent: str, *given: object, **named: object) -> object:
        if agent == "commodities":
            raise KeyError(str(folder))
        return whole(self, agent, *given, **named)

    monkeypatch.setattr(ModelCheckpoint, "load_checkpoint", load)
    manager.refresh()
    assert set(manager.loaded) == {AGENT, "etf"}
    assert manager.problems == {"commodities": "commodities cannot be taken up: KeyError"}
    assert "commodities cannot be taken up" in caplog.text
    assert manager.refresh() == []


@pytest.fixture
def closed(store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an agent's folder that may not be read, as one of another user's; rights stop no superuser."""
    folder = store.root / AGENT
    monkeypatch.setattr(Path, "iterdir", _refusing(Path.iterdir, lambda path: path == folder))
    monkeypatch.setattr(Path, "lstat", _refusing(Path.lstat, lambda path: path.parent == folder))
    return folder


def _refusing(ask: Callable[[Path], Any], closed: Callable[[Path], bool]) -> Callable[[Path], Any]:
    def asked(path: Path) -> Any:
        if closed(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return ask(path)

    return asked


def test_an_agent_that_may_not_be_read_is_told_of_and_the_others_are_seen_to(
    store: ModelCheckpoint, closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = ProductionModelManager(store.root)
    for ask in (
        lambda: manager.get_model_prediction(AGENT, ZEROS),
        lambda: store.load_checkpoint(AGENT, "v1"),
        lambda: store.list_checkpoints(AGENT),
    ):
        with pytest.raises(CheckpointError, match=r"cannot be read: Permission denied; let whoever runs this read"):
            ask()
    assert manager.get_model_prediction("etf", ZEROS) is not None
    found = verify(store)
    (problem,) = found.problems
    assert f"{closed} cannot be read: Permission denied" in problem
    assert (found.versions, found.gone) == (2, ())
    assert run(compose(["task=deploy", "deploy.action=list", f"paths.checkpoints={store.root}"])) == 0
    shown = capsys.readouterr().out
    assert "unreadable" in shown
    assert "s1 " in shown, "another is shown"


def test_an_agent_whose_folder_is_gone_answers_no_longer(store: ModelCheckpoint) -> None:
    manager = ProductionModelManager(store.root)
    manager.refresh()
    shutil.rmtree(store.root / AGENT)
    assert manager.refresh() == [AGENT]
    assert set(manager.loaded) == {"etf"}


def test_an_agent_withdrawn_from_the_stage_that_was_asked_for_answers_no_longer(store: ModelCheckpoint) -> None:
    manager = ProductionModelManager(store.root)
    manager.load_agent_model(AGENT, stage="production")
    promote(store, AGENT, "v1", stage="paper")
    withdraw(store, AGENT)
    manager.refresh()
    with pytest.raises(CheckpointError, match="has nothing on stage production"):
        manager.load_agent_model(AGENT, stage="production")
    assert manager.serving(AGENT) is None


@pytest.mark.slow
@pytest.mark.parametrize("content", [{}, [], {"mean": "x"}, {"mean": [0.0], "std": [0.0]}])
def test_a_scaler_that_is_none_leaves_the_old_version_answering(store: ModelCheckpoint, content: object) -> None:
    manager = ProductionModelManager(store.root)
    manager.refresh()
    folder = save(store, "v2", verdict="promotable", weights=(0.0, 0.0, 0.9))
    (folder / "scaler.json").write_text(json.dumps(content))
    pointer = history.read_pointer(store.root, AGENT, "production")
    assert pointer is not None
    place(store.root, replace(pointer, version="v2", manifest_sha256=seal(folder)))
    assert manager.refresh() == [AGENT]
    assert manager.get_model_prediction(AGENT, ZEROS).version == "v1"
    assert "scaler.json" in manager.problems[AGENT]


def test_a_problem_that_stays_is_news_once(tmp_path: Path) -> None:
    manager = ProductionModelManager(tmp_path)
    assert [manager._note("etf", words) for words in ("a", "a", "b", "b")] == [True, False, True, False]
    assert manager.problems == {"etf": "b"}
