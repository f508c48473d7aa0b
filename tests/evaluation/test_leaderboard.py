import json
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.errors import CheckpointError, ConfigError
from wealtharena.evaluation import leaderboard, metrics, records, tables
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window


def run_dir(
    root,
    name,
    *,
    agent="etf",
    seed=0,
    config="c1",
    drift=0.0,
    status="completed",
    paths=True,
    combinatorial=False,
    market_seed=1,
    started="2026-01-01",
    **changes,
):
    """Write a run directory as a training leaves it, with 400 bars of made-up returns."""
    folder = root / name
    folder.mkdir(parents=True)
    market = np.random.default_rng(market_seed).normal(0.0003, 0.01, 400)
    own = market * 0.5 + np.random.default_rng([seed, 99]).normal(drift, 0.006, 400)
    agent_path = worlds.trajectory(own, name="ppo")
    beside = {
        "buy_and_hold": worlds.trajectory(market, name="buy_and_hold"),
        "cash": worlds.trajectory(np.zeros(400), name="cash"),
    }
    content = {
        "schema_version": 1,
        "run_id": name,
        "status": status,
        "task": "train",
        "agent": agent,
        "asset": agent,
        "algo": "ppo",
        "seed": seed,
        "config_hash": config,
        "started_at": started,
        "data": {"source": "files", "simulated": False, "fingerprint": "f" * 16, "symbols": ["A", "B"]},
        "split": {"test": ["2022-01-01", "2023-02-05"]},
    }
    if status == "completed":
        content |= {
            "metrics": {"test": {k: v for k, v in metrics.summary(agent_path).items() if np.isfinite(v)}},
            "verdict": {
                "status": "unproven",
                "reasons": ["1 seed; 3 are asked."],
                "evidence": {
                    "audit": "passed",
                    "trials": 1,
                    "openings": 1,
                    "unadjusted_rolls": False,
                    "degenerate": None,
                },
            },
        }
        if paths:
            tables.write(folder, agent_path, baselines=beside)
    else:
        content["error"] = {"type": "DataError", "message": "no bars", "hint": "collect first"}
    if combinatorial:
        content["paths"] = {"count": 5}
    (folder / "run.json").write_text(json.dumps(content | changes))
    return folder


def board(root, evaluation, ledger=None):
    runs = records.find([root])
    return leaderboard.build(runs, evaluation=evaluation, ledger=ledger, rng=np.random.default_rng(0))


def test_three_good_seeds_of_one_configuration_are_promotable(tmp_path, evaluation):
    for seed in range(3):
        run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004)
    found = board(tmp_path, evaluation)
    (row,) = found["rows"]
    assert row["verdict"]["status"] == "promotable"
    assert row["seeds"] == [0, 1, 2]
    assert row["run_ids"] == ["r0", "r1", "r2"]
    assert row["comparison"]["ci95"][0] > 0
    assert row["intervals"]["sharpe"][0] < row["metrics"]["sharpe"] < row["intervals"]["sharpe"][1]
    assert row["spread"]["sharpe"][0] <= row["metrics"]["sharpe"] <= row["spread"]["sharpe"][1]
    json.dumps(found, allow_nan=False)


def test_one_seed_of_the_same_is_unproven(tmp_path, evaluation):
    run_dir(tmp_path, "r0", drift=0.004)
    assert board(tmp_path, evaluation)["rows"][0]["verdict"]["status"] == "unproven"


@pytest.mark.parametrize(
    ("evidence", "status"),
    [({"audit": None}, "unproven"), ({"audit": "failed"}, "rejected"), ({"degenerate": "it never trades"}, "rejected"),
     ({"unadjusted_rolls": True}, "unproven"), ({"leaks": ["close of A"]}, "unproven"), ({"hindsight": "late"}, "unproven"),
     ({"searched": "study a"}, "unproven"), ({"costless": True}, "unproven"),
     ({"assumed": "All shorts are paid"}, "unproven"), ({"uncharged": "Carry is left out"}, "unproven"),
     ({"faults": ["9 rows"]}, "unproven")],
)  # fmt: skip
def test_the_gravest_fact_of_any_seed_counts_for_all(tmp_path, evaluation, evidence, status):
    for seed in range(3):
        run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004)
    path = tmp_path / "r1" / "run.json"
    content = json.loads(path.read_text())
    content["verdict"]["evidence"] |= evidence
    path.write_text(json.dumps(content))
    assert board(tmp_path, evaluation)["rows"][0]["verdict"]["status"] == status


@pytest.mark.parametrize(
    ("kept", "tilt", "active", "own"),
    [
        ((0.0, 0.0, 0.0), (0.1, 0.2, 0.3), (0.2, 0.0), True),
        ((0.0, 0.3, 0.6), (0.1, 0.2, 0.3), (0.2, 0.3), False),
        ((0.0, None, 0.0), (0.1, None, 0.3), (None, None), False),
    ],
)
def test_lambda_and_active_share_of_the_runs_reach_the_board_and_its_verdict(
    tmp_path, evaluation, kept, tilt, active, own
):
    for seed in range(3):
        folder = run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004)
        content = json.loads((folder / "run.json").read_text())
        content["verdict"]["evidence"]["kept_share"] = kept[seed]
        content["comparison"] = {} if tilt[seed] is None else {"anchor": {"active": {"active_share": tilt[seed]}}}
        (folder / "run.json").write_text(json.dumps(content))
    (row,) = board(tmp_path, evaluation)["rows"]
    assert tuple(row["active"].values()) == pytest.approx(active)
    assert row["verdict"]["evidence"]["own_anchor"] is own
    assert any("lambda 0" in reason for reason in row["verdict"]["reasons"]) is own


@pytest.mark.parametrize("own", [(True, True, True), (True, False, True)])
def test_runs_that_are_their_anchor_are_judged_together_as_that(tmp_path, evaluation, own):
    """Where no lambda says so either: an algorithm without one whose tilts stayed next to nothing."""
    for seed in range(3):
        folder = run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004)
        content = json.loads((folder / "run.json").read_text())
        content["verdict"]["evidence"]["own_anchor"] = own[seed]
        (folder / "run.json").write_text(json.dumps(content))
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["verdict"]["evidence"]["own_anchor"] is all(own)
    assert any("It is its anchor" in reason for reason in row["verdict"]["reasons"]) is all(own)


def test_simulated_data_or_a_record_that_does_not_say_is_never_promotable(tmp_path, evaluation):
    for seed in range(3):
        run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004, data={"source": "simulated", "simulated": True})
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["simulated"]
    assert row["verdict"]["status"] == "unproven"
    assert records.RunResult(tmp_path, {}).simulated


def test_failed_and_stopped_jobs_show_as_rows_and_stop_nothing(tmp_path, evaluation):
    run_dir(tmp_path, "0", drift=0.001)
    run_dir(tmp_path, "1", agent="crypto", status="failed")
    run_dir(tmp_path, "2", agent="forex", status="interrupted", error=None)
    hydra = tmp_path / "3" / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "config.yaml").write_text(
        "task: train\nseed: 7\nasset: {name: stocks, agent: asx_stocks}\nalgo: {name: ppo}\n"
    )
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "run.json").write_text('{"status": "comp')
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "run.json").write_text('{"task": "compare", "status": "completed"}')
    rows = board(tmp_path, evaluation)["rows"]
    assert rows[0]["status"] == "completed"
    assert sorted(row["status"] for row in rows[1:]) == ["failed", "failed", "failed", "interrupted"]
    by_agent = {row["agent"]: row for row in rows}
    assert by_agent["crypto"]["error"] == {"message": "no bars", "hint": "collect first"}
    assert by_agent["asx_stocks"]["error"]["message"] == "the job left no run.json"
    assert by_agent["asx_stocks"]["seeds"] == [7]
    assert "cannot be read" in by_agent["unknown"]["error"]["message"]
    assert len(rows) == 5


def test_a_completed_run_without_measures_is_a_failed_row(tmp_path, evaluation):
    run_dir(tmp_path, "0", metrics={})
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["status"] == "failed"


@pytest.mark.slow
def test_agents_are_ranked_and_configurations_kept_apart(tmp_path, evaluation):
    run_dir(tmp_path, "a", agent="etf", config="x", drift=0.002)
    run_dir(tmp_path, "b", agent="etf", config="y", drift=-0.002)
    run_dir(tmp_path, "c", agent="crypto", config="z", drift=0.0)
    rows = board(tmp_path, evaluation)["rows"]
    assert [row["config_hash"] for row in rows] == ["x", "z", "y"]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["composite"] == pytest.approx(3.0)


def test_the_ledger_says_how_many_configurations_were_tried(tmp_path, evaluation):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for i in range(9):
        window = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", simulated=False)
        ledger.record_result(RunIdentity(f"x{i}", f"h{i}", "etf", "train"), window=window, sharpe=0.5 * i)
    run_dir(tmp_path / "runs", "r0", drift=0.002)
    plain = board(tmp_path / "runs", evaluation)["rows"][0]["verdict"]["evidence"]
    deflated = board(tmp_path / "runs", evaluation, ledger)["rows"][0]["verdict"]["evidence"]
    assert plain["trials"] == 1
    assert deflated["trials"] == 10
    assert deflated["dsr"] < plain["dsr"]


def test_of_two_runs_with_one_seed_the_newer_counts(tmp_path, evaluation):
    run_dir(tmp_path, "old", seed=0, drift=-0.01, started="2026-01-01")
    run_dir(tmp_path, "new", seed=0, drift=0.01, started="2026-01-02")
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["run_ids"] == ["new"]
    assert row["metrics"]["sharpe"] > 0


def test_runs_whose_paths_are_gone_keep_their_own_verdict(tmp_path, evaluation):
    for seed in range(3):
        run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004, paths=False)
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["verdict"]["status"] == "unproven"
    assert "3 seeds were not judged together" in row["verdict"]["reasons"][0]
    assert row["metrics"]["sharpe"] > 0


def test_the_same_runs_give_the_same_board(tmp_path, evaluation):
    for seed in range(3):
        run_dir(tmp_path, f"r{seed}", seed=seed)
    first, second = board(tmp_path, evaluation), board(tmp_path, evaluation)
    assert first["rows"] == second["rows"]


def test_a_place_without_runs_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        records.find([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no run"):
        records.find([tmp_path / "empty"])


def test_written_paths_are_read_back(tmp_path):
    agent = worlds.trajectory(np.random.default_rng(0).normal(0, 0.01, 50), name="ppo")
    tables.write(tmp_path, agent, baselines={"cash": worlds.trajectory(np.zeros(50))})
    back, beside = tables.read(tmp_path)
    assert back.name == "ppo"
    for name in ("timestamps", "equity", "weights", "traded_value", "costs"):
        assert np.array_equal(getattr(back, name), getattr(agent, name)), name
    assert np.array_equal(back.trades.bar, agent.trades.bar)
    assert np.array_equal(back.trades.value, agent.trades.value)
    assert back.trades.quote is None  # as in files from before quotes were kept
    quoted = replace(agent, trades=replace(agent.trades, quote=agent.trades.price * 156.0))
    tables.write(tmp_path, quoted, baselines={})
    assert np.array_equal(tables.read(tmp_path)[0].trades.quote, quoted.trades.quote)
    assert metrics.summary(back) == metrics.summary(agent)
    assert np.ptp(beside["cash"].equity) == 0
    (tmp_path / "trades.parquet").unlink()
    with pytest.raises(CheckpointError, match="missing"):
        tables.read(tmp_path)
    (tmp_path / "equity.parquet").write_bytes(b"no parquet")
    with pytest.raises(CheckpointError):
        tables.read(tmp_path)


def noise_runs(tmp_path, count, *, ledger=None):
    """Write runs of one configuration over noise, each a look in the ledger; return them best first."""
    window = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", simulated=False)
    found = []
    for seed in range(count):
        folder = run_dir(tmp_path / f"r{seed:03d}", f"r{seed:03d}", seed=seed, drift=0.0)
        run = records.read(folder)
        found.append(run)
        if ledger is not None:
            who = RunIdentity(run.run_id, run.config_hash, run.agent, "train", seed)
            ledger.record_opening(who, window=window, fold=0)
            ledger.record_result(who, window=window, sharpe=run.test["sharpe"])
    return sorted(found, key=lambda run: -run.test["sharpe"])


def judged(runs, evaluation, ledger):
    built = leaderboard.build(runs, evaluation=evaluation, ledger=ledger, rng=np.random.default_rng(0))
    return built["rows"][0]["verdict"]


@pytest.mark.slow
def test_the_three_best_of_many_seeds_are_a_choice_and_named_as_one(tmp_path, evaluation):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    runs = noise_runs(tmp_path, 40, ledger=ledger)
    blind = judged(runs[:3], evaluation, None)
    seen = judged(runs[:3], evaluation, ledger)
    everything = judged(runs, evaluation, ledger)
    assert blind["evidence"]["trials"] == 1
    assert seen["evidence"]["trials"] == 38
    assert seen["evidence"]["configurations"] == 1
    assert seen["evidence"]["dsr"] < 0.95
    assert seen["evidence"]["dsr"] < blind["evidence"]["dsr"]
    assert seen["status"] != "promotable"
    assert any("37 completed runs" in reason and runs[3].run_id[:1] in reason for reason in seen["reasons"])
    assert everything["evidence"]["left_out"] == []
    assert everything["evidence"]["trials"] == 1
    assert everything["status"] != "promotable"


@pytest.mark.slow
def test_a_good_group_that_leaves_a_run_out_is_unproven_and_names_it(tmp_path, evaluation):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    folders = [run_dir(tmp_path / "runs", f"r{seed}", seed=seed, drift=0.004) for seed in range(4)]
    window = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", simulated=False)
    runs = [records.read(folder) for folder in folders]
    for run in runs:
        who = RunIdentity(run.run_id, run.config_hash, run.agent, "train", run.seed)
        ledger.record_result(who, window=window, sharpe=run.test["sharpe"])
    assert judged(runs, evaluation, ledger)["status"] == "promotable"
    without = judged(runs[:3], evaluation, ledger)
    assert without["status"] == "unproven"
    assert "1 completed run of this configuration on this window left out: r3." in without["reasons"]
    without_paths = [replace_folder(run, tmp_path) for run in runs[:3]]
    assert "left out: r3." in judged(without_paths, evaluation, ledger)["reasons"][-1]


def replace_folder(run, folder):
    return records.RunResult(folder / "nowhere", run.content)


@pytest.mark.slow
def test_the_order_in_which_jobs_ended_changes_nothing(tmp_path, evaluation):
    """Jobs at once start and end as the machine likes: the seeds stand in their order and the verdict is the same."""
    for seed in range(3):
        run_dir(tmp_path / "one", f"r{seed}", seed=seed, started=f"2026-01-0{1 + seed}")
        run_dir(tmp_path / "other", f"r{seed}", seed=seed, started=f"2026-01-0{3 - seed}")
    one, other = (board(tmp_path / name, evaluation) for name in ("one", "other"))
    assert other["rows"] == one["rows"]
    assert one["rows"][0]["seeds"] == [0, 1, 2]


def test_a_seed_that_was_run_again_until_it_was_good_leaves_the_first_run_out(tmp_path, evaluation):
    run_dir(tmp_path, "old", seed=0, drift=-0.01, started="2026-01-01")
    run_dir(tmp_path, "new", seed=0, drift=0.01, started="2026-01-02")
    (row,) = board(tmp_path, evaluation)["rows"]
    assert row["verdict"]["evidence"]["left_out"] == ["old"]


@pytest.mark.slow
def test_a_window_that_was_opened_often_is_no_longer_unseen(tmp_path, evaluation):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for seed in range(3):
        run_dir(tmp_path / "runs", f"r{seed}", seed=seed, drift=0.004)
    window = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", simulated=False)
    for look in range(evaluation.verdict.max_openings + 1):
        ledger.record_opening(RunIdentity(f"b{look}", "", "etf", "backtest"), window=window, fold=0)
    (row,) = board(tmp_path / "runs", evaluation, ledger)["rows"]
    assert row["verdict"]["status"] == "unproven"
    assert any("opened 101 times" in reason for reason in row["verdict"]["reasons"])


@pytest.mark.slow
def test_a_row_does_not_depend_on_what_else_is_on_the_board(tmp_path, evaluation):
    for seed in range(3):
        run_dir(tmp_path / "a", f"r{seed}", seed=seed)
    coins = {"source": "files", "simulated": False, "fingerprint": "c" * 16, "symbols": ["C"]}
    run_dir(tmp_path / "b", "z", agent="crypto", config="z", data=coins)
    (alone,) = board(tmp_path / "a", evaluation)["rows"]
    beside = next(row for row in board(tmp_path, evaluation)["rows"] if row["agent"] == "etf")
    for key in ("intervals", "comparisons", "verdict", "metrics", "spread"):
        assert alone[key] == beside[key], key
