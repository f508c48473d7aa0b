"""What a group is judged beside on a leaderboard: all of its own paths, and whole rivals."""

import json
import shutil

import pytest

from tests.evaluation.test_leaderboard import board, run_dir
from wealtharena.evaluation import records
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window


@pytest.mark.slow
def test_several_configurations_of_one_agent_have_a_probability_of_overfitting(tmp_path, evaluation):
    for i, drift in enumerate((0.0, 0.0001, -0.0001, 0.0)):
        run_dir(tmp_path, f"r{i}", config=f"c{i}", seed=i, drift=drift)
    rows = board(tmp_path, evaluation)["rows"]
    assert {row["verdict"]["evidence"]["strategies"] for row in rows} == {4}
    assert 0 <= rows[0]["verdict"]["evidence"]["pbo"] <= 1


def test_a_configuration_under_another_name_of_the_agent_is_one_more_to_overfit_by(tmp_path, evaluation):
    for i, agent in enumerate(("etf", "funds")):
        run_dir(tmp_path, f"r{i}", agent=agent, config=f"c{i}", seed=i)
    assert {row["verdict"]["evidence"]["strategies"] for row in board(tmp_path, evaluation)["rows"]} == {2}


def test_rivals_that_were_chosen_for_the_comparison_prove_nothing_of_overfitting(tmp_path, evaluation):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    window = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", simulated=False)
    for i in range(1, 5):
        ledger.record_result(RunIdentity(f"x{i}", f"c{i}", "etf", "train", 0), window=window, sharpe=0.5 * i)
    two_configurations(tmp_path / "runs", ledger, window)
    (best, _) = board(tmp_path / "runs", evaluation, ledger)["rows"]
    assert (best["verdict"]["evidence"]["pbo"], best["verdict"]["evidence"]["tested"]) == (0.0, 6)
    assert any("records of 4 more that showed this window" in reason for reason in best["verdict"]["reasons"])


def two_configurations(root, ledger, window):
    """Write three seeds of a good configuration and of a bad one, each a look in the ledger."""
    for config, drift in (("c5", 0.004), ("c0", -0.004)):
        for seed in range(3):
            folder = run_dir(root, f"{config}-{seed}", config=config, seed=seed, drift=drift)
            shown = records.read(folder).test["sharpe"]
            ledger.record_result(RunIdentity(folder.name, config, "etf", "train", seed), window=window, sharpe=shown)


@pytest.mark.slow
def test_the_worst_seed_of_a_rival_is_no_record_of_it(tmp_path, evaluation):
    """Whoever compares his best configuration with the worst seed of another has a probability of 0 by choice."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    window = Window("f" * 16, (("2022-01-01", "2023-02-05"),), ("A", "B"), "1d", simulated=False)
    two_configurations(tmp_path / "runs", ledger, window)
    (best, _) = board(tmp_path / "runs", evaluation, ledger)["rows"]
    assert (best["verdict"]["evidence"]["strategies"], best["verdict"]["evidence"]["pbo"]) == (2, 0.0)
    for seed in (0, 1):
        shutil.rmtree(tmp_path / "runs" / f"c0-{seed}")
    (best, worst) = board(tmp_path / "runs", evaluation, ledger)["rows"]
    assert (best["verdict"]["evidence"]["strategies"], best["verdict"]["evidence"]["pbo"]) == (0, None)
    assert any("their records are not at hand for PBO" in reason for reason in best["verdict"]["reasons"])
    assert worst["verdict"]["evidence"]["strategies"] == 2, (
        "it is named for its own choice, and has the whole of its rival"
    )


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ({"worst_drawdown": -0.36}, "rejected"),
        ({"liquidated": True}, "rejected"),
        ({"fewest_trades": 3}, "unproven"),
        ({"exposure": 0.01, "max_gross": 1.0}, "unproven"),
        ({"worst_drawdown": None}, "promotable"),
    ],
)
def test_the_worst_path_of_a_combinatorial_split_counts_though_only_the_middle_one_is_kept(
    tmp_path, evaluation, evidence, status
):
    """Each run's own verdict saw all of its paths, and the folder has the one with the median Sharpe ratio."""
    for seed in range(3):
        run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004, combinatorial=True)
    path = tmp_path / "r1" / "run.json"
    content = json.loads(path.read_text())
    content["verdict"]["evidence"] |= evidence
    path.write_text(json.dumps(content))
    found = board(tmp_path, evaluation)["rows"][0]["verdict"]
    assert found["status"] == status
    assert all(found["evidence"][name] == value for name, value in evidence.items() if value is not None)
