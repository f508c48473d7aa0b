"""In what rows of one leaderboard differ, and what a row has no figure for."""

import json

import numpy as np
import pytest

from tests.evaluation import worlds
from tests.evaluation.test_leaderboard import board, run_dir
from wealtharena.evaluation import leaderboard, records, tables

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
