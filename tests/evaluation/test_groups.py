"""What is set together on a leaderboard: seeds of one configuration over one test window, and nothing else."""

import json

import numpy as np
import pytest

from tests.evaluation import worlds
from tests.evaluation.test_leaderboard import board, run_dir
from wealtharena.evaluation import groups, leaderboard, records
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.reporting import leaderboard as page
from wealtharena.tasks import compare

TRAINED = ["2018-01-01", "2021-12-30"]
SEEN = "Part of this window was seen in training or selection: its figures prove nothing."


@pytest.fixture(scope="module")
def evaluation(spec):
    return worlds.of_short_records(spec, draws=200)


def backtest_dir(root, name, *, window="train", dates=TRAINED, **changes):
    """Write the run directory of a backtest of seed 0, newer than every training."""
    played = {"task": "backtest", "split": {"test": dates}, "backtest": {"of": "ppo", "window": window}}
    ruled = [{"rule": "seeds", "status": "unproven", "reason": "1 seed; 3 are asked."}]
    said = {"status": "unproven", "reasons": [SEEN, "1 seed; 3 are asked."], "rules": ruled, "evidence": {}}
    return run_dir(root, name, started="2026-02-01", drift=0.01, **{"verdict": said, **played, **changes})


def trained(root, count=3, **changes):
    return [run_dir(root, f"r{seed}", seed=seed, **changes) for seed in range(count)]


@pytest.mark.slow
def test_a_backtest_of_another_window_never_stands_in_for_a_seeds_test(tmp_path, evaluation):
    trained(tmp_path)
    (alone,) = board(tmp_path, evaluation)["rows"]
    backtest_dir(tmp_path, "seen")
    rows = {row["run_ids"][0]: row for row in board(tmp_path, evaluation)["rows"]}
    assert sorted(rows) == ["r0", "seen"]
    for key in ("metrics", "spread", "verdict", "intervals", "seeds", "window", "run_ids"):
        assert rows["r0"][key] == alone[key], key
    assert rows["seen"]["window"] == TRAINED
    assert rows["seen"]["played"] == "train"
    assert rows["r0"]["played"] is None


def test_a_backtest_of_the_test_window_itself_is_no_newer_test_of_its_seed(tmp_path, evaluation):
    trained(tmp_path)
    backtest_dir(tmp_path, "again", window="test", dates=["2022-01-01", "2023-02-05"])
    rows = {row["run_ids"][0]: row for row in board(tmp_path, evaluation)["rows"]}
    assert rows["r0"]["seeds"] == [0, 1, 2]
    assert rows["r0"]["verdict"]["evidence"]["left_out"] == []
    assert rows["r0"]["verdict"]["evidence"]["strategies"] == 0  # PBO has one configuration


@pytest.mark.parametrize("beside", [False, True])
def test_a_backtest_over_bars_of_training_keeps_saying_so(tmp_path, evaluation, beside):
    if beside:
        trained(tmp_path)
    backtest_dir(tmp_path, "seen")
    row = next(row for row in board(tmp_path, evaluation)["rows"] if row["run_ids"] == ["seen"])
    assert row["verdict"]["status"] == "unproven"
    assert row["verdict"]["reasons"][0] == SEEN


def test_two_backtests_of_two_agents_with_the_seed_of_their_commands_are_two_rows(tmp_path, evaluation):
    for name in ("one", "other"):
        backtest_dir(tmp_path, name)
    assert sorted(row["run_ids"] for row in board(tmp_path, evaluation)["rows"]) == [["one"], ["other"]]


def test_trainings_tested_over_two_windows_are_two_rows(tmp_path, evaluation):
    trained(tmp_path, 2)
    run_dir(tmp_path, "later", seed=2, split={"test": ["2023-01-01", "2024-02-05"]})
    assert sorted(row["seeds"] for row in board(tmp_path, evaluation)["rows"]) == [[0, 1], [2]]


def test_a_record_of_the_registry_joins_the_seeds_of_its_configuration(tmp_path, evaluation):
    trained(tmp_path, 2)
    run_dir(tmp_path, "registered", seed=2, split={})
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["seeds"] == [0, 1, 2]


def searched(root, name, *sharpes, **changes):
    """Write the run directory of a search that was judged over several seeds; its own figures are the middle seed's."""
    tests = [{"sharpe": sharpe, "annual_return": sharpe / 10} for sharpe in sharpes]
    middle = sorted(tests, key=lambda test: test["sharpe"])[len(tests) // 2]
    said = {"count": len(tests), "sharpe_interquartile_mean": 0.0, "ci95": [0.0, 1.0], "metrics": tests}
    return run_dir(root, name, task="sweep", seeds=said, metrics={"test": middle}, **changes)


def test_a_search_shows_the_mean_and_the_spread_of_its_seeds(tmp_path, evaluation):
    said = searched(tmp_path, "s", -1.0, 0.2, 0.4)
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["seeds"] == [None, None, None]  # an older record, which counts them only
    assert row["metrics"]["sharpe"] == pytest.approx(-0.4 / 3)
    assert row["spread"]["sharpe"] == [-1.0, 0.4]
    assert row["judged"] == "together"
    content = json.loads((said / "run.json").read_text())
    content["seeds"]["numbers"] = [1000, 1001, 1002]
    (said / "run.json").write_text(json.dumps(content))
    (row,) = (found := board(tmp_path, evaluation))["rows"]
    assert row["seeds"] == [1000, 1001, 1002]
    assert "3 seeds" in page.render(found)


def test_a_search_and_the_repetitions_of_its_winner_stand_apart_and_leave_nothing_out(tmp_path, evaluation):
    ledger, window = (
        Ledger(tmp_path / "ledger"),
        Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", False),
    )
    folders = [searched(tmp_path / "runs", "s", -1.0, 0.2, 0.4), *trained(tmp_path / "runs")]
    for run in map(records.read, folders):
        who = RunIdentity(run.run_id, run.config_hash, run.agent, "train", run.seed)
        ledger.record_result(who, window=window, sharpe=run.test["sharpe"])
    rows = {row["run_ids"][0]: row for row in board(tmp_path / "runs", evaluation, ledger)["rows"]}
    assert [len(rows[name]["seeds"]) for name in ("r0", "s")] == [3, 3]
    assert rows["r0"]["verdict"]["evidence"]["left_out"] == []
    assert not any("left out" in reason for reason in rows["s"]["verdict"]["reasons"])


@pytest.mark.parametrize(
    ("tried", "looks", "told"),
    [
        (0, 0, None),
        (2, 0, "3 configurations tried, of which it knew 1."),
        (0, 2, "3 openings, of which it knew 1."),
        (1, 1, "2 configurations tried, of which it knew 1 and 2 openings, of which it knew 1."),
    ],
)
def test_the_verdict_of_a_search_is_held_to_what_was_tried_since(tmp_path, evaluation, tried, looks, told):
    ledger = Ledger(tmp_path / "ledger")
    window = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", False)
    said = {"status": "promotable", "reasons": [], "evidence": {"configurations": 1, "openings": 1}}
    run = records.read(searched(tmp_path / "runs", "s", 1.0, 1.2, 1.4, verdict=said))
    own = RunIdentity("s", run.config_hash, run.agent, "sweep", run.seed)
    ledger.record_opening(own, window=window, fold=0)
    ledger.record_result(own, window=window, sharpe=run.test["sharpe"])
    for i in range(tried):
        ledger.record_trial(RunIdentity(f"t{i}", f"h{i}", run.agent, "train"), window=window)
    for i in range(looks):
        ledger.record_opening(RunIdentity(f"b{i}", "", run.agent, "backtest"), window=window, fold=0)
    (row,) = board(tmp_path / "runs", evaluation, ledger)["rows"]
    if told is None:
        assert (row["verdict"]["status"], row["verdict"]["reasons"]) == ("promotable", [])
    else:
        assert row["verdict"]["status"] == "unproven"
        assert row["verdict"]["reasons"][-1].endswith(f"of this window: {told}")


def test_no_two_groups_share_a_name_and_none_changes_the_draws_of_another(tmp_path):
    trained(tmp_path)
    backtest_dir(tmp_path, "seen")
    searched(tmp_path, "s", 0.0, 1.0)
    found = groups.group(records.find([tmp_path]))
    assert len({one.key for one in found}) == len(found) == 3
    assert {one.stream for one in found} == {"etf/c1/ffffffff"}


def test_board_and_page_name_a_backtest_and_the_line_of_an_agent_is_none(tmp_path, evaluation):
    trained(tmp_path, 1)
    backtest_dir(tmp_path, "seen")
    found = leaderboard.build(
        records.find([tmp_path]), evaluation=evaluation, ledger=None, rng=np.random.default_rng(0)
    )
    assert "backtest: train" in page.render(found)
    assert [compare.algorithm(row) for row in found["rows"]] == ["ppo (backtest: train)", "ppo"]
    assert compare.comparison_report(found)["agents"]["etf"]["run_ids"] == ["r0"]
