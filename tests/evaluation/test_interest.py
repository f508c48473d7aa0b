"""Interest is not skill: what an all-cash account earns is the zero of every measure."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, features_of, market_of, panel_of, spec_of
from tests.evaluation import worlds
from wealtharena.config import compose
from wealtharena.envs.simulate import simulate
from wealtharena.evaluation import backtest, comparison, evaluate, leaderboard, metrics, tables
from wealtharena.evaluation.evaluate import Facts
from wealtharena.evaluation.splits import Segment
from wealtharena.evaluation.trials import Trials

RATE = 0.045


def cash_account(bars=400):
    """Return the kernel's own all-cash account over weekdays, whose weekends are three nights."""
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + 2 * bars)
    stamps = days[np.is_busday(days)][:bars].astype("datetime64[ns]")
    panel = panel_of(np.full((bars, 2), 100.0), timestamps=stamps)
    spec = spec_of(costs={**EVERY_COST, "cash_bps_per_year": RATE * 1e4})
    return simulate(market_of(panel, spec), np.zeros((bars, 2)), spec=spec, name="cash")


def test_the_risk_free_return_is_what_the_kernels_cash_account_earned_bar_by_bar():
    played = cash_account()
    expected = metrics.cash_returns(played.timestamps, RATE)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(played.returns, expected, rtol=0, atol=1e-14)
    assert not metrics.excess(played.returns, expected).any()


def test_cash_has_no_sharpe_ratio_whatever_it_earns():
    played = cash_account()
    cash = metrics.cash_returns(played.timestamps, RATE)
    assert metrics.sharpe(played.returns, bars_per_year=played.bars_per_year) > 20  # the plain function's own default
    found = metrics.summary(played, risk_free=cash)
    assert math.isnan(found["sharpe"])
    assert math.isnan(found["psr"])
    both = comparison.compare(played, played, rng=np.random.default_rng(0), draws=200, risk_free=cash)
    assert both.difference.sharpe.value == 0.0


def judged(returns, *, exposure, rate):
    spec = compose(["asset=etf", "evaluation.bootstrap_draws=200"]).evaluation
    rng = np.random.default_rng(1)
    agents = [worlds.trajectory(row, trades=60) for row in returns]
    agents = [replace(agent, weights=agent.weights * 0.0 + exposure / 2) for agent in agents]
    hold = worlds.trajectory(rng.normal(0.0003, 0.01, returns.shape[1]), name="buy_and_hold")
    facts = Facts(
        simulated=False,
        unadjusted_rolls=False,
        trials=Trials(1),
        openings=1,
        audit="passed",
        risk_free_per_year=rate,
        max_gross=1.0,
    )
    return evaluate.judge(agents, {"buy_and_hold": hold}, evaluation=spec, facts=facts, rng=np.random.default_rng(0))


def test_three_seeds_that_live_on_interest_are_not_promotable():
    """Cash at 4.5 % and an exposure of 1.4 %: a Sharpe ratio of 20 over nothing, none over cash."""
    rng = np.random.default_rng(0)
    stamps = worlds.trajectory(np.zeros(750)).timestamps
    returns = metrics.cash_returns(stamps, RATE) + rng.normal(0.0, 1e-4, (3, 750))
    over_nothing = judged(returns, exposure=0.014, rate=0.0).verdict
    found = judged(returns, exposure=0.014, rate=RATE).verdict
    assert over_nothing.evidence.sharpe > 5
    assert abs(found.evidence.sharpe) < 2
    assert found.evidence.dsr < 0.95
    assert found.status != "promotable"
    assert found.evidence.cash_return == pytest.approx(math.expm1(RATE * (252 / 365.25)), rel=0.02)
    for verdict in (found, over_nothing):
        assert any("Hardly invested: it holds 1.4%" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("cash", "named", "rate"), [(450, 0, 0.045), (450, 200, 0.045), (0, 300, 0.03), (-50, 0, -0.005)]
)
def test_the_hurdle_is_never_below_what_cash_earns(cash, named, rate):
    overrides = [f"asset.costs.cash_bps_per_year={cash}", f"asset.risk_free_bps_per_year={named}"]
    assert compose(["asset=etf", *overrides]).asset.risk_free_per_year == pytest.approx(rate)


RATES = np.linspace(0.0, 0.06, 400)  # from nothing to 6 %, as between 2021 and 2024


def dated_market(bars=400):
    """Return features of two symbols that do not move, over weekdays with a dated cash rate, and the rules for it."""
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-01") + 2 * bars)
    stamps = days[np.is_busday(days)][:bars].astype("datetime64[ns]")
    panel = panel_of(np.full((bars, 2), 100.0), timestamps=stamps, cash=RATES[:bars])
    return features_of(panel), spec_of(costs={**EVERY_COST, "cash_bps_per_year": "DFF"})


def baselines_of(features, env, names=("cash", "buy_and_hold")):
    evaluation = compose(["evaluation.bootstrap_draws=200"]).evaluation
    window = Segment(0, features.bars)
    return backtest.of_baselines(
        features, env, window, evaluation=evaluation, rng=np.random.default_rng(0), names=names
    )


def test_the_risk_free_return_of_a_dated_rate_is_what_the_cash_baseline_earned():
    """True by the kernel's own account, whatever the calendar: one number would be wrong on nearly every bar."""
    played = baselines_of(*dated_market())
    free = metrics.risk_free(played["cash"], 0.0)
    np.testing.assert_allclose(played["cash"].returns, free, rtol=0, atol=1e-14)
    assert not metrics.excess(played["cash"].returns, free).any()
    assert math.isnan(metrics.summary(played["cash"], risk_free=free)["sharpe"])
    mean = metrics.cash_returns(played["cash"].timestamps, float(RATES.mean()))
    assert np.abs(metrics.excess(played["cash"].returns, mean)).max() > 1e-5
    assert np.array_equal(metrics.risk_free(played["buy_and_hold"], 0.0), free)


def test_a_named_hurdle_counts_on_the_bars_on_which_cash_earned_less():
    cash = baselines_of(*dated_market(), names=("cash",))["cash"]
    free = metrics.risk_free(cash, 0.03)
    assert np.array_equal(free, metrics.cash_returns(cash.timestamps, np.maximum(RATES[:-1], 0.03)))


def test_paths_on_disk_keep_their_rates_and_are_judged_by_them_again(tmp_path):
    features, env = dated_market()
    played = baselines_of(features, env)
    tables.write(tmp_path, replace(played["buy_and_hold"], name="agent"), baselines=played)
    agent, beside = tables.read(tmp_path)
    assert np.array_equal(agent.cash_rates, RATES[:-1])
    spec = compose(["asset=etf", "evaluation.bootstrap_draws=200"]).evaluation
    facts = Facts(simulated=False, unadjusted_rolls=False, trials=Trials(1), openings=1, audit="passed")
    first, again = (
        evaluate.judge([one], rivals, evaluation=spec, facts=facts, rng=np.random.default_rng(0))
        for one, rivals in ((replace(played["buy_and_hold"], name="agent"), dict(played)), (agent, beside))
    )
    assert first.verdict == again.verdict
    assert again.baseline_metrics["cash"]["sharpe"] is None or math.isnan(again.baseline_metrics["cash"]["sharpe"])
    evidence = again.verdict.to_json()["evidence"]
    assert evidence["risk_free_per_year"] == pytest.approx(RATES.mean(), rel=0.01)
    assert evidence["cash_return"] == pytest.approx(math.expm1(RATES.mean()), rel=0.02)
    assert leaderboard.risk_free_of(evidence) == 0.0  # the mean is for people: the hurdle stands in the paths
    assert leaderboard.risk_free_of({"risk_free_per_year": 0.045}) == 0.045  # a run from before


def test_folds_that_follow_each_other_keep_their_rates():
    cash = baselines_of(*dated_market(), names=("cash",))["cash"]
    features, env = dated_market()
    parts = [
        backtest.of_baselines(
            features, env, window, evaluation=compose([]).evaluation, rng=np.random.default_rng(0), names=("cash",)
        )["cash"]
        for window in (Segment(0, 200), Segment(199, 400))
    ]
    assert np.array_equal(backtest.join(parts).cash_rates, cash.cash_rates)
