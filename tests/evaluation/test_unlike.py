"""In what rows of one leaderboard differ, what a row has no figure for, and what its runs passed over."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from tests.evaluation.test_leaderboard import board, run_dir
from wealtharena.evaluation import leaderboard, records, tables
from wealtharena.evaluation.evaluate import Facts, judge
from wealtharena.evaluation.evidence import Unfilled
from wealtharena.evaluation.trials import Trials

COSTS = {"commission_bps": 1.0, "half_spread_bps": 2.0}


@pytest.mark.parametrize(
    ("change", "unlike"),
    [({}, []), ({"fill": "next_close"}, ["fills"]), ({"symbols": ["A"]}, ["symbols"]), ({"symbols": ["B", "A"]}, []),
     ({"costs": {**COSTS, "half_spread_bps": 0.0}}, ["costs"]), ({"costs": None, "symbols": None, "fill": None}, []),
     ({"costs": {**COSTS, "half_spread_bps": 0.0}, "symbols": ["C"], "asset": "crypto"}, [])],
)  # fmt: skip
def test_rows_of_other_fills_costs_or_symbols_are_of_unlike_contests(change, unlike):
    """Two agents of one asset stood in one order, one without costs, and nothing said so; another asset has its own."""
    row = {"asset": "etf", "fill": "next_open", "symbols": ["A", "B"], "costs": COSTS}
    assert leaderboard.unlike([row, row | change]) == unlike


def test_a_row_says_what_its_runs_traded_by_and_what_never_moved_has_no_interval(tmp_path, spec):
    folder = run_dir(tmp_path, "a")
    tables.write(folder, worlds.trajectory(np.zeros(400)), baselines={"cash": worlds.trajectory(np.zeros(400))})
    record = json.loads((folder / "run.json").read_text())
    record["data"]["costs"] = COSTS
    (folder / "run.json").write_text(json.dumps(record | {"fill": "next_open"}))
    (row,) = board(tmp_path, spec.evaluation.model_copy(update={"bootstrap_draws": 100}))["rows"]
    assert (row["fill"], row["costs"]) == ("next_open", COSTS)
    version = records.RunResult(tmp_path, {"data": {"fill": "next_close"}})
    assert leaderboard.identity(version)["fill"] == "next_close", "of which the registry alone is left"
    assert row["intervals"]["sharpe"] == [None, None]


@pytest.mark.slow
@pytest.mark.parametrize("loose", [{"max_unfilled": 1.0}, {"beats": ("cash",)}])
def test_what_a_run_passed_over_by_looser_rules_is_known_to_its_comparison(tmp_path, evaluation, loose):
    """Runs with max_unfilled=1, or that were to beat cash alone, were promotable together by the rules that ship."""
    facts = Facts(simulated=False, unadjusted_rolls=False, trials=Trials(1), openings=1, audit="passed")
    met = replace(facts, unfilled=(Unfilled("the agent", 0.6, "volume"),), invested={"buy_and_hold": 0.2})
    rules = evaluation.model_copy(update={"verdict": evaluation.verdict.model_copy(update=loose)})
    for seed in range(3):
        folder = run_dir(tmp_path, f"r{seed}", seed=seed, drift=0.004)
        agent, beside = tables.read(folder)
        own = judge([agent], beside, evaluation=rules, facts=met, rng=np.random.default_rng(0)).verdict.to_json()
        passed = {rule["rule"] for rule in own["rules"] if rule["status"] == "promotable"}
        assert ("fills" if "max_unfilled" in loose else "invested") in passed
        content = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(content | {"verdict": own}))
    verdict = board(tmp_path, evaluation)["rows"][0]["verdict"]
    assert verdict["status"] == "unproven"
    against = {rule["rule"] for rule in verdict["rules"] if rule["status"] != "promotable"}
    assert against == {"limits", "fills", "invested"}, "the first for the short records of these tests"
