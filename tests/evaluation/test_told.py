"""What a judgement says is said of what it is of."""

import json
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.evaluation.test_evaluate import backtests, facts
from tests.evaluation.test_leaderboard import board, run_dir
from wealtharena.envs.trajectory import Trades
from wealtharena.evaluation import comparison, evaluate, metrics, stress
from wealtharena.evaluation.bootstrap import Interval


@pytest.fixture(scope="module")
def settings(spec):
    env = spec.env.model_copy(update={"window": 1})
    return env, spec.evaluation.model_copy(update={"bootstrap_draws": 200})


@pytest.mark.slow
def test_of_bars_beside_the_window_played_the_caller_says_what_training_saw(settings):
    """A backtest of bars of training may have a crisis behind it that was learned from, too, or one before it that was not."""
    env, evaluation = settings
    windows = {"late": ("2020-08-01", "2020-08-31"), "early": ("2020-03-01", "2020-03-31")}
    only = {"windows": windows, "cost_factors": (), "delay_bars": 0, "drop_best_days": 0}
    bare = evaluation.model_copy(update={"stress": evaluation.stress.model_copy(update=only)})
    (one,) = backtests(env)
    learned = one.features.panel.timestamps >= np.datetime64("2020-06-01")
    found = evaluate.evaluate(
        [one],
        evaluation=bare,
        facts=facts(saw=lambda bars: bool(learned[bars.start : bars.stop].any())),
        rng=np.random.default_rng(0),
    )
    assert {row.name: (row.in_sample, row.note != "") for row in found.stress} == {
        "late": (True, True),
        "early": (False, False),
    }


def test_what_the_window_shows_of_a_policy_stands_before_what_its_validation_showed(settings):
    """It had held 0.26 % of its equity on validation, and the page of a window without one trade said so of that."""
    env, evaluation = settings
    moved = backtests(env)[0].simulate()
    none = [column[:0] for column in (vars(moved.trades)[one.name] for one in fields(moved.trades))]
    still = replace(moved, trades=Trades(*none[:7], forced=none[7]))

    def told(path):
        found = evaluate.judge(
            [path],
            {"buy_and_hold": moved},
            evaluation=evaluation,
            facts=facts(degenerate="on validation it holds 0.26% of its equity on average"),
            rng=np.random.default_rng(0),
        )
        return found.verdict.evidence.degenerate

    assert told(still) == "it never trades"
    assert told(moved) == "on validation it holds 0.26% of its equity on average"


def test_a_hurdle_that_the_runs_name_is_none_of_cash_on_the_board_either(tmp_path, settings):
    folder = run_dir(tmp_path, "r0", seed=0)
    content = json.loads((folder / "run.json").read_text())
    content["verdict"]["evidence"]["hurdle_raised"] = True
    (folder / "run.json").write_text(json.dumps(content))
    (row,) = board(tmp_path, settings[1])["rows"]
    assert row["verdict"]["evidence"]["hurdle_raised"] is True


def test_no_shorter_record_than_the_one_at_hand_is_asked_of_who_is_not_sure_yet():
    """The interval of several seeds may be longer below its middle: 0 lies inside, and half its width is less than the lead."""
    interval = SimpleNamespace(sharpe=Interval(1.5, -0.004, 2.6))
    asked = comparison.Comparison("buy_and_hold", interval, years=1.0)
    assert asked.years_needed == pytest.approx((1.504 / 1.5) ** 2)
    of_seeds = comparison.Comparison("buy_and_hold", interval, years=1.0, lasting_share=0.5)
    assert of_seeds.years_needed > 1.0
    sure = comparison.Comparison("buy_and_hold", SimpleNamespace(sharpe=Interval(1.5, 0.2, 2.6)), years=1.0)
    assert sure.years_needed == pytest.approx((1.2 / 1.5) ** 2)


@pytest.mark.slow
def test_a_stressed_baseline_that_is_drawn_is_the_draw_that_is_shown_beside_it(settings):
    """Which draw stands for all goes by ratios above cash in both places."""
    env, evaluation = settings
    bare = evaluation.stress.model_copy(update={"windows": {}, "cost_factors": (), "delay_bars": 0})
    rules = evaluation.verdict.model_copy(update={"beats": ("random",)})
    asked = evaluation.model_copy(update={"stress": bare, "verdict": rules, "baselines": ("random",)})
    found = evaluate.evaluate(
        backtests(env), evaluation=asked, facts=facts(risk_free_per_year=0.3), rng=np.random.default_rng(0)
    )
    (row,) = found.stress
    path = found.baselines["random"]
    kept = path.returns[stress.not_best_days(path, bare.drop_best_days)]
    assert row.baseline["total_return"] == pytest.approx(metrics.total_return(kept))
