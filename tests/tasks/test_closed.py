"""Looking without opening: a training whose test window stays closed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.attacks import moments
from tests.tasks.conftest import SMALL, UNPUBLISHED, WITH_PAGE, record
from wealtharena import files
from wealtharena.config import compose, speech, spelling
from wealtharena.evaluation.ledger import Ledger, Window
from wealtharena.evaluation.records import RunResult
from wealtharena.evaluation.trials import History
from wealtharena.files import relative
from wealtharena.tasks import closed, compare, dispatch
from wealtharena.tasks.record import RunContext
from wealtharena.tasks.train import run_in
from wealtharena.training.checkpoints import METRICS_FILE

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
    assert f"Report: {relative(folder / 'report.html')}" in out
    assert RunResult(folder, run).status == "closed"


def test_a_quiet_closed_run_says_where_its_report_is_and_how_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").touch()
    speech.use("text", quiet=True)
    try:
        run = {"algo": "ppo", "metrics": {"validation": {"sharpe": 0.3}}, "verdict": {"reasons": []}}
        closed.say(run, tmp_path)
    finally:
        speech.use("text")
    report, opening = capsys.readouterr().out.splitlines()
    assert report == "Report: report.html"
    assert opening.startswith("Open it, once, with: ")


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
    lines = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    assert [line["env_step"] for line in lines if "validation/sharpe" in line] == [2048, 4096, 8192]
    assert new["selection"]["checkpoints"] == 3
    steps = [line["env_step"] for line in lines]
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
    assert kinds(tmp_path) == ["trial"] * 4  # by what each was chosen, and the test window for which both were tried
    board = json.loads((tmp_path / "grid" / "validation.json").read_text())
    scores = [row["score"] for row in board["rows"]]
    assert scores == sorted(scores, reverse=True)
    assert board["rows"][0]["open"] in done.said.replace("\n", " ").replace("  ", " ")
    assert "open" not in board["rows"][1]
    with moments.quiet_environment():
        for _ in range(2):
            done = moments.play(
                tmp_path, (*shlex.split(board["rows"][0]["open"])[2:], "evaluation.bootstrap_draws=200")
            )
            assert done.code == 0, done.said
    (place,) = board["rows"][0]["runs"]
    assert record(tmp_path / place)["verdict"]["evidence"]["configurations"] == 2
    assert "2 configurations tried" in done.said
    assert "One configuration was tried" not in done.said
    assert kinds(tmp_path) == [*["trial"] * 4, "open", "result", "pin"]


def test_members_of_a_grid_without_a_ranking_are_trials_when_one_of_them_is_opened(tmp_path: Path) -> None:
    def write(name: str, config: str, **more: str) -> None:
        place = tmp_path / "grid" / name
        place.mkdir(parents=True)
        run = {"run_id": name, "config_hash": config, "agent": "etf", "seed": 0, "task": "train", "status": "completed"}
        data = {"fingerprint": "f", "symbols": ["A"], "frequency": "1d", "simulated": False}
        (place / "run.json").write_text(
            json.dumps(run | {"data": data, "split": {"test": ["2020-01-01", "2020-12-31"]}} | more)
        )

    for name, config in (("0", "a"), ("1", "b"), ("2", "b")):
        write(name, config, test_window="closed")
    write("3", "c", status="interrupted")  # the one that is opened
    ledger = Ledger(tmp_path / "ledger.jsonl")
    closed.record_trials(ledger, closed.beside(tmp_path / "grid" / "3"))
    assert list(ledger.entries()) == []  # no folder of a grid
    (tmp_path / "grid" / "multirun.yaml").touch()
    for _ in range(2):
        closed.record_trials(ledger, closed.beside(tmp_path / "grid" / "3"))
    window = Window("f", (("2020-06-01", "2020-07-01"),), ("A",), "1d", simulated=False)
    assert [entry["run_id"] for entry in ledger.entries()] == ["0", "1", "2"]
    assert History.of(ledger, "etf", window).trials("c").configurations == 3


def test_seeds_of_one_configuration_are_no_choice_and_no_trials(tmp_path: Path) -> None:
    facts = {"agent": "etf", "config_hash": "a", "status": "completed", "test_window": "closed"}
    runs = [RunResult(tmp_path / str(seed), {**facts, "seed": seed}) for seed in range(2)]
    closed.record_trials(Ledger(tmp_path / "ledger.jsonl"), runs)
    assert not (tmp_path / "ledger.jsonl").exists()


def closed_run(root: Path, name: str, config: str, **more: Any) -> RunResult:
    """Leave and return a closed run of real data."""
    split = {"test": ["2020-01-01", "2020-12-31"]}
    data = {"fingerprint": "f", "symbols": ["A"], "frequency": "1d", "simulated": False}
    run = {"run_id": name, "config_hash": config, "agent": "etf", "seed": 0, "task": "train", "status": "completed"}
    content = {**run, "test_window": "closed", "data": data, "split": split, "command": "wealtharena asset=etf", **more}
    files.write_json(root / name / "run.json", content)
    return RunResult(root / name, content)


def test_a_run_that_failed_does_not_make_several_configurations_of_the_seeds_of_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    seeds = [closed_run(tmp_path, str(seed), "a", seed=seed) for seed in range(2)]
    broken = RunResult(tmp_path / "2", {"agent": "etf", "status": "failed"})
    early = RunResult(tmp_path / "3", {"agent": "etf", "status": "interrupted", "config_hash": "of no data yet"})
    closed.record_trials(ledger, [*seeds, broken, early])
    assert list(ledger.entries()) == []


def test_a_debug_run_is_no_trial_and_makes_none_of_another(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    fast = closed_run(tmp_path, "1", "b", command="wealtharena asset=etf debug=fast")
    closed.record_trials(ledger, [closed_run(tmp_path, "0", "a"), fast])
    assert list(ledger.entries()) == []
    plain = closed_run(tmp_path, "2", "c", command="wealtharena asset=etf debug=none")
    closed.record_trials(ledger, [closed_run(tmp_path, "0", "a"), fast, plain])
    assert [entry["run_id"] for entry in ledger.entries()] == ["0", "2"]


def test_the_other_member_of_a_grid_is_a_trial_while_one_is_opened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    opened = closed_run(tmp_path, "1", "b", status="interrupted", checkpoint={"path": "checkpoints/1"})
    closed.record_trials(ledger, [closed_run(tmp_path, "0", "a"), opened])
    assert [entry["run_id"] for entry in ledger.entries()] == ["0"]


def test_closed_runs_beside_one_that_was_opened_are_not_ranked_and_no_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = compose(["task=compare", *SMALL])
    ended = RunResult(tmp_path / "2", {"agent": "etf", "config_hash": "c", "status": "failed", "opened": "c"})
    shown = [closed_run(tmp_path, "0", "a"), closed_run(tmp_path, "1", "b")]
    compare.write(tmp_path, [*shown, ended], spec=spec)
    assert not Path(spec.paths.ledger).exists()
    compare.write(tmp_path, shown, spec=spec)
    assert [entry["run_id"] for entry in Ledger(spec.paths.ledger).entries()] == ["0", "1"]


def test_a_job_that_failed_does_not_keep_closed_ones_from_being_ranked_and_is_told_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A leaderboard without a figure came of it, and no command that opens the best."""
    monkeypatch.chdir(tmp_path)
    spec = compose(["task=compare", *SMALL])
    shown = [closed_run(tmp_path, name, name, checkpoint={"score": score}) for name, score in (("a", 0.1), ("b", 0.5))]
    told = {"message": "missing.parquet does not exist", "hint": ""}
    failed = RunResult(tmp_path / "2", {"agent": "etf", "seed": 0, "status": "failed", "error": told})
    stopped = RunResult(tmp_path / "3", {"agent": "etf", "seed": 1, "status": "interrupted"})
    compare.write(tmp_path, [failed, *shown, stopped], spec=spec)
    rows = json.loads((tmp_path / "validation.json").read_text())["rows"]
    assert [(row["score"], row["status"]) for row in rows] == [
        (0.5, "closed"), (0.1, "closed"), (None, "failed"), (None, "interrupted")
    ]  # fmt: skip
    assert "compare.runs=['b']" in shlex.split(rows[0]["open"])
    assert rows[2]["error"]["message"] == told["message"]
    assert "Not ranked: 2 failed, missing.parquet does not exist" in capsys.readouterr().out
    assert [entry["run_id"] for entry in Ledger(spec.paths.ledger).entries()] == ["a", "b"]
    assert compare.run(compose(["task=compare", "compare.runs=[a,b]", *SMALL])) == 0


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


def test_a_ranking_of_walks_forward_looks_at_no_validation_that_another_fold_tests_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def walked(name: str, first: float | None, last: float) -> RunResult:
        folds = [{"checkpoint": {"score": score, "path": f"folds/{n}"}} for n, score in enumerate((first, last))]
        return closed_run(tmp_path, name, name, folds=folds, checkpoint={"score": last, "path": "folds/1"})

    runs = [walked("late", 0.1, 3.0), walked("early", 0.5, -2.0), walked("idle", None, 1.0)]
    files.write_json(tmp_path / "idle" / "folds" / "0" / METRICS_FILE, {"validation": {"trades": 0}})
    rows = closed.ranking(tmp_path, runs)["rows"]
    assert [(row["config_hash"], row["score"]) for row in rows] == [("early", 0.5), ("late", 0.1), ("idle", 0.0)]
    assert "Validation window of the first fold" in capsys.readouterr().out


def test_a_seed_that_was_run_again_or_copied_counts_once_in_a_ranking(tmp_path: Path) -> None:
    runs = [
        closed_run(tmp_path, name, "a", seed=seed, checkpoint={"score": score})
        for name, seed, score in (("old", 0, 0.1), ("1", 1, 0.3), ("new", 0, 0.5))
    ]
    (row,) = closed.ranking(tmp_path, [*runs, RunResult(tmp_path / "copy", runs[1].content)])["rows"]
    assert (row["seeds"], row["score"]) == ([0, 1], pytest.approx(0.4))
    assert [Path(place).name for place in row["runs"]] == ["new", "copy"]


@pytest.mark.parametrize("other", [False, True])
def test_a_ranking_names_the_ledger_in_its_command_and_tells_of_unlike_windows(
    other: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened by another ledger the best is judged by what that knows: nothing would vouch for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own conf").mkdir()
    monkeypatch.setattr(spelling, "own_config_dirs", lambda: (tmp_path / "own conf", tmp_path))
    windows = (["2019-01-01", "2019-12-30"], ["2019-02-01" if other else "2019-01-01", "2019-12-30"])
    runs = [
        closed_run(tmp_path, name, name, split={"validation": window, "test": ["2020-01-01", "2020-12-31"]})
        for name, window in zip("ab", windows, strict=True)
    ]
    (tmp_path / "a" / ".hydra").mkdir()
    (tmp_path / "a" / ".hydra" / "config.yaml").write_text(
        "paths: {ledger: my ledger.jsonl}\nevaluation: {verdict: {min_seeds: 5}}\n"
    )
    best = closed.ranking(tmp_path, runs)["rows"][0]
    words = shlex.split(best["open"])
    assert words[-2:] == ["evaluation.verdict.min_seeds=5", "paths.ledger='my ledger.jsonl'"]
    assert words[words.index("--config-dir") :][:4] == ["--config-dir", "own conf", "--config-dir", "."]
    assert ("of several validation windows" in capsys.readouterr().out) is other
    going_on = shlex.split(closed.opening(tmp_path / "a b"))
    assert going_on[going_on.index("--config-dir") + 1 :] == [
        "own conf",
        "--config-dir",
        ".",
        "resume='a b'",
        "train.test=true",
    ]


def test_a_ranking_tells_that_its_scores_are_of_several_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a grid over what trading costs the cheapest was ranked first, and the best to open, without a word."""
    costs = [{"commission_bps": 10.0}, {"commission_bps": 0.0}]
    runs = [
        closed_run(tmp_path, str(i), str(i), data={"costs": own, "fill": "next_open"}) for i, own in enumerate(costs)
    ]
    closed.ranking(tmp_path, runs)
    assert "etf: the scores are of several costs, which do not compare." in capsys.readouterr().out
    closed.ranking(tmp_path, runs[:1])
    assert "compare" not in capsys.readouterr().out.replace("task=compare", "").replace("compare.", "")
