"""Looking without opening: a training whose test window stays closed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.attacks import moments
from tests.tasks.conftest import SMALL, UNPUBLISHED, WITH_PAGE, record
from wealtharena.config import compose
from wealtharena.evaluation.records import RunResult
from wealtharena.tasks import closed, compare, dispatch
from wealtharena.tasks.record import RunContext
from wealtharena.tasks.train import run_in

pytestmark = pytest.mark.slow

Small = Callable[..., tuple[int, Path]]


def kinds(folder: Path) -> list[str]:
    ledger = folder / "results" / "ledger.jsonl"
    return [json.loads(line)["kind"] for line in ledger.read_text().splitlines()] if ledger.exists() else []


def test_a_closed_window_is_no_opening_in_the_ledger_and_no_version(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    code, folder = small("train.test=false", WITH_PAGE)
    run, root = record(folder), folder.parents[2]
    assert code == 0
    assert (run["status"], run["test_window"], run["metrics"]["test"]) == ("completed", "closed", None)
    assert run["verdict"]["status"] == "unproven"
    assert kinds(root) == ["trial"], "what it was chosen by, and no opening"
    assert not (root / "checkpoints").exists()
    assert run["metrics"]["validation"]["sharpe"] is not None
    page = (folder / "report.html").read_text()
    assert "Test window closed" in page
    assert "backtest on data the agent never saw" not in page
    out = capsys.readouterr().out.replace("\n", " ")
    assert "train.test=true" in out
    assert RunResult(folder, run).status == "closed"


def test_a_closed_window_shows_what_tilts_add_to_their_anchor(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    code, folder = small("train.test=false", WITH_PAGE, "env.action=tilt", "env.anchor=equal_weight")
    run = record(folder)
    assert code == 0
    found = run["comparison"]["anchor"]
    assert set(found["active"]["symbols"]) == set(run["data"]["symbols"])
    assert found["active"]["annual_return"] == pytest.approx(found["return_difference"])
    assert run["baselines"]["anchor"]["sharpe"] + found["sharpe_difference"] == pytest.approx(
        run["metrics"]["validation"]["sharpe"]
    )
    page = (folder / "report.html").read_text()
    assert "Agent less its anchor, a year" in page
    assert 'data-metric="comparison.anchor.active.information_ratio"' in page
    assert run["metrics"]["validation"]["information_ratio"] == found["active"]["information_ratio"]
    assert run["metrics"]["train"]["information_ratio"] is not None
    assert 'data-metric="metrics.train.information_ratio"' in page
    said = " ".join(capsys.readouterr().out.split())
    assert "Less its anchor:" in said
    assert f"That ratio in training {run['metrics']['train']['information_ratio']:+.2f}, on validation" in said


def test_orders_that_do_not_go_through_are_told_of_the_validation_and_wherever_the_run_is_compared(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    lots = "asset.instrument.lot_size=1000000000000"
    code, folder = small("train.test=false", lots)
    assert code == 0
    verdict = record(folder)["verdict"]
    (agent, *_) = verdict["evidence"]["unfilled"]
    assert (verdict["status"], agent["who"], agent["cause"]) == ("unproven", "the agent", "lots")
    assert agent["share"] > 0.9
    told = "of the order value that the agent asked for lapsed or was cut"
    assert f"On validation {agent['share']:.0%} {told}" in verdict["reasons"][1]
    assert " ".join(capsys.readouterr().out.split()).count(told) == 1
    code, folder = small("train.test=true", UNPUBLISHED, lots)
    place = next(at for at, reason in enumerate(record(folder)["verdict"]["reasons"]) if told in reason)
    assert place >= 4, "or this shows nothing"
    capsys.readouterr()
    assert dispatch(compose(["task=compare", f"compare.runs=['{folder}']", "evaluation.bootstrap_draws=200"])) == 0
    assert " ".join(capsys.readouterr().out.split()).count(told) == 1


def test_the_window_is_opened_once_and_shows_what_an_open_run_shows(tmp_path: Path) -> None:
    outcomes = {}
    for name, first in (("open", ()), ("closed", ("train.test=false",))):
        place = tmp_path / name
        paths = (
            f"paths.results={place}/results",
            f"paths.ledger={place}/results/ledger.jsonl",
            f"paths.checkpoints={place}/checkpoints",
        )
        context = RunContext(place / "run", (*SMALL, *paths, *first))
        assert run_in(context, compose([*SMALL, *paths, *first])) == 0
        if first:
            (place / "run" / ".hydra").mkdir()
            (place / "run" / ".hydra" / "overrides.yaml").write_text(json.dumps([*SMALL, *paths, *first]))
            compare.open_window(RunResult(place / "run", record(place / "run")))
        outcomes[name] = record(place / "run")
        assert kinds(place).count("open") == 1
    shown, later = outcomes["open"], outcomes["closed"]
    assert later["metrics"] == shown["metrics"]
    assert later["verdict"]["status"] == shown["verdict"]["status"]
    assert "test_window" not in later
    assert later["registry"]


def test_a_completed_run_goes_on_as_another_with_the_window_closed(finished: Callable[..., list[Path]]) -> None:
    (first,) = finished()
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    overrides = [*SMALL, "train.env_steps=8192"]
    assert dispatch(compose([*overrides, f"resume='{first}'"])) == 0
    (second,) = (folder for folder in first.parent.iterdir() if folder != first)
    old, new = record(first), record(second)
    assert new["parent"] == old["run_id"] != new["run_id"]
    assert new["training"]["env_steps"] == 8192
    assert new["test_window"] == "closed"
    assert kinds(first.parents[2]).count("open") == 1
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    steps = [json.loads(line)["env_step"] for line in (second / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] == 8192


def test_debug_registers_nothing(small: Small) -> None:
    _, folder = small("debug=fast", "train.test=true", "train.env_steps=4096")
    assert "registry" not in record(folder)
    assert kinds(folder.parents[2]).count("open") == 1
    assert compose(["debug=fast"]).train.test is False
    assert compose(["debug=oracle"]).train.test is False


def test_a_grid_of_configurations_names_the_command_that_opens_the_window_for_the_best(tmp_path: Path) -> None:
    words = ("-m", *SMALL, "algo.gamma=0.5,0.9", "hydra.sweep.dir=grid")
    with moments.quiet_environment():
        done = moments.play(tmp_path, words)
    assert done.code == 0, done.said
    assert kinds(tmp_path) == ["trial", "trial"]
    board = json.loads((tmp_path / "grid" / "validation.json").read_text())
    scores = [row["score"] for row in board["rows"]]
    assert scores == sorted(scores, reverse=True)
    assert board["rows"][0]["open"] in done.said.replace("\n", " ").replace("  ", " ")
    assert "open" not in board["rows"][1]


def test_what_luck_gives_is_taken_off_the_figure_that_chose_a_checkpoint(finished: Callable[..., list[Path]]) -> None:
    (folder,) = finished("train.test=false")
    picked = record(folder)["selection"]
    assert picked["checkpoints"] == 2
    assert picked["validation_sharpe_deflated"] == pytest.approx(
        picked["validation_sharpe"] - picked["expected_of_luck"]
    )
    assert picked["expected_of_luck"] >= 0


def test_who_earned_nothing_ranks_before_who_lost(tmp_path: Path) -> None:
    shown = {"lost": (-0.4, 9), "nothing": (0.0, 9), "never traded": (None, 0), "won": (0.2, 9), "unknown": (None, 9)}
    runs = [
        RunResult(
            tmp_path / name,
            {
                "agent": "etf",
                "config_hash": name,
                "checkpoint": {"score": score},
                "metrics": {"validation": {"trades": n}},
            },
        )
        for name, (score, n) in shown.items()
    ]
    rows = closed.ranking(tmp_path, runs)["rows"]
    assert [row["config_hash"] for row in rows] == ["won", "nothing", "never traded", "lost", "unknown"]
