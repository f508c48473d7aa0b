"""What several records say together, of each fact the gravest; and which records those are."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.evaluation import groups, leaderboard, tables
from wealtharena.evaluation.evidence import PLAYED, TEST_WINDOW
from wealtharena.evaluation.groups import Group, Paths
from wealtharena.evaluation.ledger import Ledger, RunIdentity
from wealtharena.evaluation.records import RunResult

TESTED, TRAINED = ["2022-01-01", "2023-02-05"], ["2018-01-01", "2021-12-30"]


def run(
    name="r0", *, seed=0, config="c1", simulated=False, evidence=None, verdict=None, folder=Path("nowhere"), **more
):
    content = {
        "run_id": name, "status": "completed", "task": "train", "agent": "etf", "seed": seed, "config_hash": config,
        "data": {"simulated": simulated, "fingerprint": "f" * 16, "symbols": ["A"], "frequency": "1d"},
        "split": {"test": TESTED}, "metrics": {"test": {"sharpe": 1.0}},
        "verdict": verdict or {"status": "unproven", "reasons": [], "evidence": evidence or {}},
    }  # fmt: skip
    return RunResult(folder, content | more)


def backtest(name="b0", *, dates=TESTED, **more):
    return run(name, task="backtest", split={"test": dates}, backtest={"window": "train"}, **more)


def lapsed(share):
    return {"unfilled": [{"who": "the agent", "share": share, "cause": "volume"}]}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_what_seeds_say_the_gravest_counts_wherever_it_stands(order):
    said = (
        {"simulated": True, "evidence": {**lapsed(0.1), "invested": {"buy_and_hold": 0.9, "benchmark": 0.5}}},
        {"evidence": {**lapsed(0.4), "invested": {"buy_and_hold": 0.7}, "configurations": 7, "openings": 2}},
        {"evidence": {**lapsed(0.2), "invested": {"buy_and_hold": 0.8}, "configurations": 2, "openings": 5}},
    )
    runs = tuple(run(f"r{at}", seed=at, **said[at]) for at in order)
    found = leaderboard.facts_of(Group(runs), None)
    assert found.simulated
    assert [one.share for one in found.unfilled] == [0.4]
    assert found.invested == {"benchmark": 0.5, "buy_and_hold": 0.7}
    assert (found.trials.configurations, found.openings, found.own_openings) == (7, 5, 3)


def test_a_ledger_that_knows_of_less_than_a_record_takes_nothing_away(tmp_path):
    """A record may have been made beside another ledger, which is not at hand."""
    found = Group((run(evidence={"configurations": 7, "openings": 5}),))
    trials, looks, own = leaderboard.counted(found, Ledger(tmp_path / "ledger.jsonl"))
    assert (trials.configurations, looks, own) == (7, 5, 1)


def test_the_looks_of_a_configuration_are_those_of_the_ledger_and_no_fewer_than_its_seeds(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    seeds = tuple(run(f"r{seed}", seed=seed) for seed in range(2))
    window = leaderboard.window_of(seeds[0])
    for name, config in (("r0", "c1"), ("b1", "c1"), ("b2", "c1"), ("b3", "c2")):
        ledger.record_opening(RunIdentity(name, config, "etf", "backtest"), window=window, fold=0)
    assert leaderboard.counted(Group(seeds), ledger)[1:] == (4, 3)
    assert leaderboard.counted(Group(seeds), None)[1:] == (1, 2)


def test_a_seed_counts_once_whatever_it_replaced_and_a_window_is_called_what_it_is():
    again = leaderboard.facts_of(Group((run(), run("r1", seed=1)), older=(run("before"),)), None)
    assert (again.seeds, again.window) == (2, TEST_WINDOW)
    played = {"backtest": {"window": "test"}}
    assert leaderboard.facts_of(Group((backtest(),)), None).window == PLAYED
    assert leaderboard.facts_of(Group((run(task="backtest", **played),)), None).window == TEST_WINDOW


@pytest.mark.parametrize(
    ("evidence", "rate"),
    [
        ({"risk_free_floor": 0.02, "risk_free_per_year": 0.05}, 0.02),  # of dated rates the least that counts
        ({"risk_free_floor": 0.0, "risk_free_per_year": 0.05}, 0.0),
        ({"risk_free_per_year": 0.05}, 0.05),
        ({}, 0.0),
    ],
)
def test_the_rate_of_cash_is_the_floor_of_dated_ones_where_a_record_has_it(evidence, rate):
    assert leaderboard.risk_free_of(evidence) == rate


def test_seeds_stand_in_the_order_of_their_numbers_and_one_without_a_number_is_itself():
    runs = [run("a", seed=10), run("c", seed=None), run("b", seed=2), run("d", seed=None)]
    (found,) = groups.group(runs)
    assert [one.run_id for one in found.runs] == ["b", "a", "c", "d"]
    assert found.older == ()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_where_paths_are_gone_the_gravest_verdict_stands_with_its_reasons(order):
    said = [
        {"status": status, "reasons": [f"so {status}"], "evidence": {}}
        for status in ("promotable", "rejected", "unproven")
    ]
    found = leaderboard.from_records(Group(tuple(run(f"r{at}", seed=at, verdict=said[at]) for at in order)), None)
    assert (found["status"], found["reasons"][-1]) == ("rejected", "so rejected")


def test_a_backtest_from_before_reasons_had_rules_is_judged_by_rules_alone():
    """Which of its reasons stand beside the rules nobody knows: the rules are asked anew."""
    judged = {"status": "promotable", "reasons": ["as ruled"]}
    said = {"status": "unproven", "reasons": ["1 seed; 3 are asked."], "evidence": {}}
    assert leaderboard.held(Group((backtest(verdict=said),)), judged) == judged
    ruled = {**said, "reasons": ["seen in training", *said["reasons"]], "rules": [{"reason": "1 seed; 3 are asked."}]}
    held = leaderboard.held(Group((backtest(verdict=ruled),)), judged)
    assert held == {"status": "unproven", "reasons": ["seen in training", "as ruled"]}


def test_rivals_are_compared_by_what_they_earned_above_the_anchor_else_above_their_own_cash():
    rng = np.random.default_rng(1)
    anchor, *returns = rng.normal(0.001, 0.01, (4, 30))
    own, rival = (
        Group((run(config=name, evidence={"risk_free_per_year": rate}),)) for name, rate in (("a", 0.0), ("b", 0.1))
    )
    agents = {own.key: (returns[0],), rival.key: (returns[1], returns[2])}

    def columns(**baselines):
        loaded = {
            key: Paths(tuple(map(worlds.trajectory, of_seeds)), baselines if key == own.key else {})
            for key, of_seeds in agents.items()
        }
        return leaderboard.alternatives(own, (own, rival), loaded)

    mean = (returns[1] + returns[2]) / 2
    np.testing.assert_allclose(columns(), np.column_stack([returns[0], mean - 0.1 / 365.25]), atol=1e-12)
    beside = columns(anchor=worlds.trajectory(anchor))
    np.testing.assert_allclose(beside, np.column_stack([returns[0] - anchor, mean - anchor]), atol=1e-12)


def test_a_backtest_is_no_rival_of_its_training_and_no_seed_left_out_beside_it():
    training, later, other = run(), run("r1", config="c2"), backtest("b1", config="c2")
    found = {one.newest.run_id: one for one in groups.group([backtest(), training, other, later])}
    assert [one.run_id for one in found["b0"].beside] == ["r0"]
    assert found["r0"].beside == ()
    rivals = groups.configurations(found["r0"], tuple(found.values()))
    assert sorted(one.newest.run_id for one in rivals) == ["r0", "r1"]


def test_a_record_without_a_window_is_of_the_window_of_trainings_not_of_a_backtest():
    registered = run("registered", seed=1, split={})
    found = groups.group([run(), registered, backtest(dates=TRAINED)])
    assert Counter(tuple(one.run_id for one in each.runs) for each in found) == Counter([("r0", "registered"), ("b0",)])


def test_paths_are_set_beside_the_baselines_that_all_seeds_have_and_no_drawn_one(tmp_path):
    """Each seed drew its own `random`: the first one's stands for none of the others."""
    path = worlds.trajectory(np.linspace(-0.01, 0.01, 12))
    runs = []
    for seed, names in enumerate((("buy_and_hold", "momentum", "random"), ("buy_and_hold", "random"))):
        runs.append(run(f"r{seed}", seed=seed, folder=tmp_path / f"r{seed}"))
        runs[-1].folder.mkdir()
        tables.write(runs[-1].folder, path, baselines=dict.fromkeys(names, path))
    found = groups.load(Group(tuple(runs)))
    assert found is not None
    assert list(found.baselines) == ["buy_and_hold"]
