from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wealtharena.config import compose
from wealtharena.tracking import Tracker, console, wandb_run
from wealtharena.tracking.journal import read
from wealtharena.tracking.mirror import Guarded
from wealtharena.tracking.tracker import summary, tags

RECORD: dict[str, Any] = {
    "run_id": "20260101-000000-abcdef",
    "asset": "forex",
    "algo": "ppo",
    "data": {"source": "ecb"},
}


def test_figures_reach_the_journal_under_telling_names(tmp_path: Path) -> None:
    tracker = Tracker.start(compose(["tracking=none"]), tmp_path, RECORD)
    tracker.on_iteration({"env_step": 100, "iteration": 1, "reward": 0.1})
    tracker.on_evaluation({"env_step": 100, "iteration": 1, "fold": 0, "sharpe": 0.4, "calmar": math.nan})
    tracker.finish(RECORD | {"status": "completed"})
    assert read(tmp_path / "metrics.jsonl") == [
        {"env_step": 100, "iteration": 1, "reward": 0.1, "fold": 0, "validation/sharpe": 0.4, "validation/calmar": None}
    ]


def test_a_resumed_tracker_goes_on_where_training_does(tmp_path: Path) -> None:
    spec = compose(["tracking=none"])
    first = Tracker.start(spec, tmp_path, RECORD)
    for step in (100, 200, 300):
        first.on_iteration({"env_step": step})
    first.finish(RECORD | {"status": "interrupted"})
    second = Tracker.start(spec, tmp_path, RECORD, 200)
    second.on_iteration({"env_step": 300})
    second.finish(RECORD)
    assert [line["env_step"] for line in read(tmp_path / "metrics.jsonl")] == [100, 200, 300]


def test_the_console_tells_how_training_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = compose(["tracking=default", "tracking.wandb.mode=disabled", "tracking.console=plain"])
    tracker = Tracker.start(spec, tmp_path, RECORD)
    tracker.on_iteration({"env_step": 1000})
    tracker.on_evaluation({"env_step": 1000, "sharpe": 0.37})
    tracker.finish(RECORD)
    assert "validation Sharpe +0.37" in capsys.readouterr().out


def test_the_best_so_far_outlives_an_interruption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = compose(["tracking.wandb.mode=disabled", "tracking.console=plain"])
    first = Tracker.start(spec, tmp_path, RECORD)
    first.on_evaluation({"env_step": 100, "sharpe": 0.9})
    first.finish(RECORD | {"status": "interrupted"})
    second = Tracker.start(spec, tmp_path, RECORD, 100)
    second.on_evaluation({"env_step": 200, "sharpe": 0.2})
    second.finish(RECORD)
    assert "validation Sharpe +0.20, best +0.90" in capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_of_several_folds_the_budget_is_theirs_together_and_the_best_that_of_the_one_that_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = compose(["tracking.wandb.mode=disabled", "tracking.console=plain", "train.env_steps=4000"])
    tracker = Tracker.start(spec, tmp_path, RECORD, folds=2)
    for fold, step, sharpe in ((0, 2048, 1.74), (0, 4096, 0.3), (1, 6048, 0.2), (1, 8096, -0.1)):
        tracker.on_evaluation({"env_step": step, "fold": fold, "sharpe": sharpe})
    tracker.finish(RECORD)
    lines = told(capsys)
    assert ["fold 1 of 2" in line for line in lines] == [True, True, False, False]
    assert "4,096 / 8,000 steps ( 51 %)" in lines[1]
    assert "best +1.74" in lines[1]
    assert "fold 2 of 2      6,048 / 8,000 steps ( 76 %)" in lines[2]
    assert "validation Sharpe +0.20, best +0.20" in lines[2]
    assert "8,096 / 8,000 steps (100 %)" in lines[3]


def test_a_fold_that_ended_early_makes_no_pace_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps are passed over at once: by them the next would be said to end in no time."""
    now, left = [0.0], []
    monkeypatch.setattr(console.State.__init__, "__kwdefaults__", {"clock": lambda: now[0]})
    monkeypatch.setattr(console.Quiet, "show", lambda _, state, *, evaluated: left.append(state.seconds_left))
    tracker = Tracker.start(compose(["tracking=none", "train.env_steps=4000"]), tmp_path, RECORD, folds=2)
    for fold, step in ((0, 100), (0, 200), (1, 4100), (1, 4200)):
        now[0] += 10.0
        tracker.on_iteration({"env_step": step, "fold": fold})
    tracker.finish(RECORD)
    assert left == [None, pytest.approx(780.0), None, pytest.approx(380.0)]


def test_the_best_of_each_fold_outlives_an_interruption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = compose(["tracking.wandb.mode=disabled", "tracking.console=plain", "train.env_steps=4000"])
    first = Tracker.start(spec, tmp_path, RECORD, folds=2)
    for fold, step, sharpe in ((0, 4000, 1.7), (1, 5000, 0.9)):
        first.on_evaluation({"env_step": step, "fold": fold, "sharpe": sharpe})
    first.finish(RECORD | {"status": "interrupted"})
    second = Tracker.start(spec, tmp_path, RECORD, 5000, folds=2)
    second.on_evaluation({"env_step": 6000, "fold": 1, "sharpe": 0.2})
    second.finish(RECORD)
    assert "validation Sharpe +0.20, best +0.90" in told(capsys)[-1]


def test_a_disabled_mirror_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_run.WandbRun, "log", lambda *_: pytest.fail("the mirror was used"))
    tracker = Tracker.start(compose(["tracking=none"]), tmp_path, RECORD)
    tracker.on_iteration({"env_step": 1})
    tracker.finish(RECORD)


def test_simulated_data_is_a_tag() -> None:
    record = RECORD | {"data": {"source": "simulated", "simulated": True}}
    assert tags(record, ("mine",)) == ("forex", "ppo", "simulated", "SIMULATED", "mine")
    assert "SIMULATED" not in tags(RECORD, ())


def test_the_summary_is_flat_and_holds_what_is_known() -> None:
    found = summary(
        RECORD
        | {
            "status": "completed",
            "metrics": {"test": {"sharpe": 1.5, "calmar": None}, "train": {"sharpe": 2.0}},
            "baselines": {"cash": {"sharpe": None, "total_return": 0.0}},
            "training": {"seconds": 60.0},
            "verdict": {"status": "unproven"},
            "comparison": {"anchor": {"active": {"active_share": 0.2, "symbols": {"A": {"earned": 0.1}}}}},
            "checkpoint": {"kept_share": 0.4},
        }
    )
    assert found == {
        "test/sharpe": 1.5,
        "train/sharpe": 2.0,
        "baseline/cash/total_return": 0.0,
        "training/seconds": 60.0,
        "active/active_share": 0.2,
        "active/kept_share": 0.4,
        "status": "completed",
        "verdict": "unproven",
    }


@pytest.mark.slow
def test_the_jobs_of_a_grid_share_a_group_and_a_named_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[wandb_run.Identity] = []
    monkeypatch.setattr(wandb_run.WandbRun, "__init__", lambda self, spec, identity, **_: seen.append(identity))
    monkeypatch.setattr("wealtharena.tracking.tracker.grid_name", lambda: "12-00-00-abcdef")
    for number, more in enumerate(([], ["tracking.wandb.group=mine"])):
        (tmp_path / str(number)).mkdir()
        Tracker.start(compose(["tracking.console=quiet", *more]), tmp_path / str(number), RECORD)._journal.close()
    assert [identity.group for identity in seen] == ["12-00-00-abcdef", "mine"]


def test_a_mirror_of_a_package_that_exits_ends_alone_and_what_it_writes_is_its_own() -> None:
    def log(record: dict[str, Any]) -> None:
        record["reward"] = 9.0
        sys.exit(0)

    half: Any = SimpleNamespace(log=log)
    mirror = Guarded("mine", lambda: half)
    record = {"env_step": 1, "reward": 0.5}
    mirror.log(record)
    assert record == {"env_step": 1, "reward": 0.5}
    assert mirror.trouble is not None
    assert "log raised SystemExit: 0" in mirror.trouble
