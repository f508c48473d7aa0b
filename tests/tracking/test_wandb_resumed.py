"""W&B of a run that goes on: what it is told where nothing is left to train."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest

from tests.tracking.test_wandb_run import NOBODY, spec
from wealtharena.config import compose
from wealtharena.tracking import Tracker
from wealtharena.tracking.wandb_run import Ending, WandbRun


def test_a_run_that_was_resumed_for_its_test_alone_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, float] = {}
    run = types.SimpleNamespace(
        settings=types.SimpleNamespace(sync_dir=str(tmp_path / "kept"), mode="offline"),
        define_metric=lambda *_, **__: None,
        summary=told,
        tags=(),
        finish=lambda **_: None,
    )
    fake = types.ModuleType("wandb")
    fake.Settings, fake.init = (lambda **_: None), lambda **_: run
    monkeypatch.setitem(sys.modules, "wandb", fake)
    mirror = WandbRun(spec(), NOBODY, folder=tmp_path, mode="offline", resume_step=4096)
    mirror.finish(Ending((), {"test/sharpe": 0.5}, [], None, 0))
    assert (mirror.trouble, told) == (None, {"test/sharpe": 0.5})
    assert "wandb sync" in str(mirror.whereabouts())


def test_what_a_resumed_run_keeps_offline_is_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses what the library had not got to, and of a record that it tore no other part is sent by `wandb sync`."""
    told: list[dict[str, float]] = []
    run = types.SimpleNamespace(
        settings=types.SimpleNamespace(sync_dir=str(tmp_path / "kept"), mode="offline"),
        define_metric=lambda *_, **__: None,
        summary={},
        tags=(),
        log=told.append,
        finish=lambda **_: None,
    )
    fake = types.ModuleType("wandb")
    fake.Settings, fake.init = (lambda **_: None), lambda **_: run
    monkeypatch.setitem(sys.modules, "wandb", fake)
    text = ["asset=forex", "tracking.wandb.mode=offline", "tracking.console=quiet"]
    lines = [{"env_step": 8, "reward": 0.1, "kl": None, "validation/sharpe": 0.4}, {"env_step": 16, "reward": 0.2}]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    tracker = Tracker.start(compose(text), tmp_path, {"run_id": "id1"}, 8)
    tracker.on_iteration({"env_step": 16, "reward": 0.3})
    tracker.finish({"status": "completed"})
    assert told == [{"env_step": 8, "reward": 0.1, "validation/sharpe": 0.4}, {"env_step": 16, "reward": 0.3}]
