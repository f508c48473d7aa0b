"""W&B of a run that goes on: what it is told where nothing is left to train."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from tests.tracking.test_wandb_run import NOBODY, spec
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
