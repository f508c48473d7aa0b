from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.worlds import DESIGN_NAMES
from tests.tasks.conftest import SMALL, UNPUBLISHED, WITH_PAGE, record
from wealtharena.config import compose
from wealtharena.config.spelling import command_line, override
from wealtharena.data import load, repeat_overrides
from wealtharena.errors import ConfigError, DataError, WealthArenaError
from wealtharena.evaluation import metrics
from wealtharena.evaluation.ledger import Ledger
from wealtharena.tasks import dispatch
from wealtharena.tasks.record import RunContext, recorded
from wealtharena.tasks.train import repeatable

pytestmark = pytest.mark.slow

Small = Callable[..., tuple[int, Path]]
Finished = Callable[..., list[Path]]


def test_a_run_leaves_what_the_design_promises(finished: Finished) -> None:
    (folder,) = finished(WITH_PAGE)
    run = record(folder)
    for key in (
        "run_id",
        "agent",
        "asset",
        "algo",
        "seed",
        "command",
        "config_hash",
        "versions",
        "data",
        "split",
        "fill",
    ):
        assert run[key] is not None, key
    assert run["status"] == "completed"
    assert run["schema_version"] == 1
    assert set(run["metrics"]) == {"train", "validation", "test"}
    assert set(run["metrics"]["test"]) >= set(DESIGN_NAMES)
    assert {"buy_and_hold", "equal_weight", "momentum", "cash", "random"} <= set(run["baselines"])
    assert {"sharpe_difference", "ci95", "p_value"} <= set(run["comparison"]["buy_and_hold"])
    assert run["verdict"]["status"] in ("unproven", "rejected")
    assert run["data"]["simulated"] is True
    assert (folder / run["checkpoint"]["path"] / "weights.pt").is_file()
    assert "SIMULATED" in (folder / "report.html").read_text()
    for name in ("equity.parquet", "trades.parquet", "metrics.jsonl", "plots/equity.png"):
        assert (folder / name).stat().st_size > 0, name
    saved = folder.parents[2] / "checkpoints" / run["registry"]
    assert {path.name for path in saved.iterdir()} >= {
        "weights.pt",
        "policy.onnx",
        "config.yaml",
        "scaler.json",
        "metadata.json",
        "manifest.json",
    }
    assert json.loads((saved / "metadata.json").read_text())["simulated"] is True


def test_the_figures_of_run_json_are_those_of_the_equity_on_disk(finished: Finished) -> None:
    (folder,) = finished()
    run, equity = record(folder), pd.read_parquet(folder / "equity.parquet")
    returns = equity["equity"].pct_change().to_numpy()[1:]
    assert run["metrics"]["test"]["total_return"] == pytest.approx(metrics.total_return(returns), abs=1e-12)
    assert run["metrics"]["test"]["max_drawdown"] == pytest.approx(metrics.max_drawdown(returns), abs=1e-12)


def test_the_same_seed_gives_the_same_metrics_and_another_seed_does_not(small: Small) -> None:
    first, again, other = (record(small(f"seed={seed}", UNPUBLISHED)[1]) for seed in (3, 3, 4))
    told = [[note for note in run["notes"] if "looked at this test window" in note] for run in (first, again, other)]
    assert [len(notes) for notes in told[:2]] == [0, 1]
    assert "1 time before" in told[1][0]
    assert first["metrics"] == again["metrics"]
    assert first["run_id"] != again["run_id"]
    assert first["config_hash"] == other["config_hash"]
    assert first["metrics"] != other["metrics"]


def test_a_completed_run_is_left_alone_when_it_is_resumed(
    finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = finished()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ledger = folder.parents[2] / "results" / "ledger.jsonl"
    looks = ledger.read_text()
    code = dispatch(compose([*SMALL, f"resume={folder}"]))
    assert code == 0
    said = capsys.readouterr().out
    taken = json.loads((folder / "run.json").read_text())["training"]["env_steps"]
    assert "Nothing to do" in said
    assert f"train.env_steps above {taken}" in " ".join(said.split()), "a budget is overshot by a part of a rollout"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert ledger.read_text() == looks


def test_two_processes_never_work_in_one_folder(tmp_path: Path) -> None:
    spec, context = compose(SMALL), RunContext(tmp_path, ())
    holder = "import sys; from pathlib import Path; import filelock; lock = filelock.FileLock(Path(sys.argv[1]) / '.lock'); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="another process is at work"), recorded(spec, context):
            pass
        assert not (tmp_path / "run.json").exists()
        other.kill()
        other.wait(timeout=120)
    with recorded(spec, context) as record_of_this:
        record_of_this.update(status="completed")


def test_a_report_that_cannot_be_drawn_does_not_end_the_run(
    small: Small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("min() arg is an empty sequence")

    monkeypatch.setattr("wealtharena.reporting.report.render", broken)
    code, folder = small(UNPUBLISHED, WITH_PAGE)
    assert code == 0
    assert record(folder)["status"] == "completed"
    assert "the report could not be drawn: ValueError: min() arg" in capsys.readouterr().out.replace("\n", " ")
    assert "Traceback" in (folder / "not-drawn.txt").read_text()


def test_walk_forward_trains_a_fold_at_a_time_and_joins_one_record(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("split=walk_forward", "split.folds=2", "train.env_steps=2048", "tracking.console=plain")
    code, folder = small(*quick, UNPUBLISHED)
    said = capsys.readouterr().out
    assert "fold 1 of 2" in said
    assert "(training and validation: the last fold's)" in said
    assert "2,048 / 4,096 steps ( 50 %)" in said
    assert "4,096 / 4,096 steps (100 %)" in said
    run = record(folder)
    assert code == 0
    assert [fold["index"] for fold in run["folds"]] == [0, 1]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["env_step"] for line in lines]
    assert steps == sorted(set(steps))
    assert {line["fold"] for line in lines} == {0, 1}
    first, last = run["folds"]
    assert set(first) >= {"checkpoint", "dates", "train", "validation"}
    assert first["dates"]["test"][-1][1] < last["dates"]["test"][0][0]
    for part in ("train", "validation"):
        ratios = [fold[part]["sharpe"] for fold in run["folds"]]
        assert ratios[0] != ratios[1]
        assert run["metrics"][part]["sharpe"] == pytest.approx(sum(ratios) / 2), "of all folds, not of the last"
    assert run["verdict"]["evidence"]["openings"] == run["verdict"]["evidence"]["own_openings"] == 1, (
        "one run, one look"
    )
    picked = run["selection"]
    assert picked["validation_sharpe"] == pytest.approx(run["metrics"]["validation"]["sharpe"])
    left = [fold["validation_sharpe"] - fold["expected_of_luck"] for fold in picked["folds"]]
    assert picked["validation_sharpe_deflated"] == pytest.approx(sum(left) / 2)


def test_an_interrupt_keeps_a_checkpoint_and_opens_no_test_window(small: Small, tmp_path: Path) -> None:
    def stop() -> None:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("outputs/*/*/trainer/state.pt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    killer = threading.Thread(target=stop)
    killer.start()
    code, folder = small("train.env_steps=100000000", "train.checkpoint_seconds=0.1")
    killer.join()
    run = record(folder)
    assert code == 130
    assert run["status"] == "interrupted"
    assert "test" not in run.get("metrics", {})
    assert (folder / run["checkpoint"]["path"] / "weights.pt").is_file()
    ledger = Ledger(tmp_path / "results" / "ledger.jsonl")
    assert {entry["kind"] for entry in ledger.entries()} <= {"trial"}, "it was validated, and its window stayed shut"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data.start=2024-01-01", "data.end=2020-01-01"], "start"),
        (["data.simulator.bars=60"], "bars"),
    ],
)
def test_bad_input_fails_with_a_hint_and_says_so_in_run_json(
    small: Small, tmp_path: Path, overrides: list[str], told: str
) -> None:
    with pytest.raises(WealthArenaError, match=told) as caught:
        small(*overrides)
    assert isinstance(caught.value, DataError | ConfigError)
    assert caught.value.hint
    for path in tmp_path.glob("outputs/*/*/run.json"):
        run: dict[str, Any] = json.loads(path.read_text())
        assert run["status"] == "failed"
        assert run["error"]["hint"]
        assert {entry.name for entry in path.parent.iterdir()} == {".lock", "run.json"}


def test_the_printed_command_is_the_same_configuration_and_gives_the_same_figures(
    finished: Finished, small: Small
) -> None:
    (folder,) = finished()
    run = record(folder)
    source = [word for word in run["command"].split() if word.startswith("data")]
    _, again = small(*source, UNPUBLISHED)
    assert record(again)["config_hash"] == run["config_hash"]
    assert record(again)["metrics"] == run["metrics"]
    assert record(again)["verdict"]["evidence"]["trials"] == 1


def test_the_recorded_command_of_a_run_that_was_gone_on_with_begins_anew(tmp_path: Path) -> None:
    """It went on with the run, which it found completed."""
    typed = ["asset=etf", "train.env_steps=512", override("resume", tmp_path), "train.test=true"]
    command = repeatable(command_line(typed), "data=simulated")
    assert shlex.split(command)[2:] == ["asset=etf", "train.env_steps=512", "train.test=true", "data=simulated"]


@pytest.mark.parametrize("name", ["bars.csv", "my bars (1).csv", "a=b, c.csv"])
def test_the_recorded_command_can_be_pasted_whatever_the_file_is_called(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "folder of bars" / name
    path.parent.mkdir()
    days = pd.date_range("2023-01-02", periods=50, freq="B")
    pd.DataFrame({"date": days, "symbol": "SPY", "close": np.linspace(100, 120, 50)}).to_csv(path, index=False)
    typed = ["asset=etf", "data=files", override("data.path", path)]
    spec = compose(typed)
    panel = load(spec.asset, spec.data, seed=0)
    command = repeatable(command_line(typed), repeat_overrides(panel, spec.data))
    assert str(tmp_path) not in command
    words = shlex.split(command)
    assert sorted(word.partition("=")[0] for word in words[2:]) == ["asset", "data", "data.end", "data.path"]
    again = compose(words[2:])
    assert load(again.asset, again.data, seed=0).fingerprint == panel.fingerprint
