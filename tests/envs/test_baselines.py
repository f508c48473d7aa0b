"""The rules: what each wants at a row, from recent bars alone."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.config import compose
from wealtharena.config.paths import baseline_names
from wealtharena.envs.baselines import Baseline, available, minimum_variance, spec_of
from wealtharena.envs.baselines._history import unit_profits
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.errors import ConfigError
from wealtharena.evaluation.backtest import plain_scaler
from wealtharena.features.panel import FeaturePanel

NAMES = baseline_names()


@pytest.fixture(scope="module")
def spec():
    return compose(["asset=crypto", "asset.action=auto"])


def baseline(name, spec, *, env=None, seed=0, **changes):
    found = spec_of(name, evaluation=spec.evaluation, env=env or spec.env, benchmark="S1", seed=seed)
    return Baseline(found.model_copy(update=changes))


def weights(name, panel, spec, *, row=100, **changes):
    return baseline(name, spec, **changes).weights(panel, row)


def limited(spec, **limits):
    return spec.env.model_copy(update={"limits": spec.env.limits.model_copy(update=limits)})


def with_gaps(panel, rows=slice(95, 104), symbol=2):
    close, tradable = panel.close.copy(), panel.tradable.copy()
    close[rows, symbol], tradable[rows, symbol] = np.nan, False
    return replace(panel, close=close, tradable=tradable)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_knows_no_later_bar_and_no_more_than_recent_ones(name, spec):
    """Cut what comes after, poison it, or give recent bars only, as a server does: the weights stay what they were."""
    panel = with_gaps(worlds.panel(300, 4, seed=5))
    rule = baseline(name, spec)
    for row in (80, 100, 121, 250):
        whole = rule.weights(panel, row)
        first = max(row + 1 - rule.history_bars, 0)
        recent = panel.slice(first, row + 1)
        assert np.array_equal(rule.weights(recent, row - first), whole)
        close = panel.close.copy()
        close[row + 1 :] = 1e6
        assert np.array_equal(rule.weights(replace(panel, close=close), row), whole)


@pytest.mark.parametrize("max_weight", [1.0, 0.3, 0.2])
@pytest.mark.parametrize("name", NAMES)
def test_weights_sum_as_documented(name, max_weight, spec):
    """Fully invested rules reach `gross`, or `max_weight` in every symbol; the others stay within it."""
    env = limited(spec, max_weight=max_weight, max_gross=0.9)
    found = weights(name, worlds.panel(300, 4, seed=5, volatility=0.01), spec, env=env)
    assert (found >= 0).all()
    assert found.max() <= max_weight + 1e-12
    total = {"cash": 0.0, "benchmark": min(max_weight, 0.9)}.get(name, min(0.9, 4 * max_weight))
    if name in ("momentum", "random"):
        assert found.sum() <= total + 1e-12
    else:
        assert found.sum() == pytest.approx(total)


def test_a_halted_symbol_keeps_its_part_and_one_without_a_price_has_none(spec):
    panel = with_gaps(worlds.panel(300, 4, seed=5))
    close, tradable = panel.close.copy(), panel.tradable.copy()
    close[:200, 3], tradable[:200, 3] = np.nan, False
    gaps = replace(panel, close=close, tradable=tradable)
    assert weights("equal_weight", gaps, spec) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    for name in set(NAMES) - {"benchmark", "cash"}:
        found = weights(name, gaps, spec)
        assert np.isfinite(found).all(), name
        assert not found[3], name
    struck_off = with_gaps(panel, slice(60, 300))
    assert weights("equal_weight", struck_off, spec)[2] == 0.0


def test_momentum_buys_what_rose_and_sells_what_fell_only_where_shorts_are_allowed(spec):
    panel = worlds.panel(200, 3, volatility=1e-6, drift=0.0)
    trending = replace(panel, close=panel.close * np.exp(np.outer(np.arange(200), [0.001, -0.001, 0.002])))
    assert weights("momentum", trending, spec) == pytest.approx([1 / 3, 0, 1 / 3])
    both = limited(spec, long_only=False)
    assert weights("momentum", trending, spec, env=both) == pytest.approx([1 / 3, -1 / 3, 1 / 3])
    assert not weights("momentum", trending, spec, row=59).any(), "59 returns are no 60 bars of momentum"


def test_inverse_volatility_weighs_the_calm_symbol_more(spec):
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, [0.01, 0.02, 0.04], (300, 3)), axis=0))
    found = weights("inverse_volatility", worlds.panel(300, 3, close=close, open=None), spec)
    expected = 1 / (np.diff(close[40:101], axis=0) / close[40:100]).std(axis=0, ddof=1)
    assert found == pytest.approx(expected / expected.sum(), rel=1e-9)


def yen(bars=200):
    """Two pairs: one quoted in dollars, and USDJPY, whose value in dollars is 1 at every bar."""
    rng = np.random.default_rng(4)
    close = np.column_stack(
        [np.exp(np.cumsum(rng.normal(0, 0.02, bars))), 150 * np.exp(np.cumsum(rng.normal(0.002, 0.005, bars)))]
    )
    return worlds.panel(bars, 2, close=close, open=None, to_account=np.column_stack([np.ones(bars), 1 / close[:, 1]]))


def test_a_pair_whose_value_never_moves_is_judged_by_what_a_unit_earns(spec):
    panel, margined = yen(), {"margined": True}
    assert weights("momentum", panel, spec, **margined)[1] == 0.5, "the dollar rose all the time"
    earned = np.diff(panel.close[40:101], axis=0) * panel.to_account[41:101]
    held = panel.close[40:100] * panel.to_account[40:100]
    inverse = 1 / (earned / held).std(axis=0, ddof=1)
    assert weights("inverse_volatility", panel, spec, **margined) == pytest.approx(inverse / inverse.sum())
    least = minimum_variance.least_variance(minimum_variance.shrunk_covariance(earned / held))
    assert weights("minimum_variance", panel, spec, **margined) == pytest.approx(least)
    assert least[1] < 0.99, "what has a price of 1 is not free of risk"


@pytest.mark.parametrize("margined", [False, True])
def test_what_a_unit_earns_is_what_the_kernel_pays_for_it(margined, spec):
    dividends = np.zeros((200, 2))
    dividends[90, 0] = 0.01
    panel = replace(yen(), dividends=dividends)
    instrument = spec.env.instrument.model_copy(update={"margin_futures": margined})
    features = FeaturePanel(panel=panel, values=np.zeros((200, 2, 1), np.float32), names=("none",), warmup_bars=0)
    market = Market.build(features, spec.env.model_copy(update={"instrument": instrument}), plain_scaler(features))
    profit, mark = unit_profits(panel, 120, 60, margined=margined)
    paid = np.diff(market.prices, axis=0) + market.bars[1:, BAR.income]
    assert profit == pytest.approx(paid[60:120], abs=1e-15)
    assert mark == pytest.approx(market.prices[60:120])
    assert profit[29, 0] == pytest.approx(panel.close[90, 0] - panel.close[89, 0] + 0.01)


def test_shrinkage_is_that_of_scikit_learn():
    covariance = pytest.importorskip("sklearn.covariance", reason="comes with the extra `dev`: pip install -e '.[dev]'")
    returns = np.random.default_rng(1).normal(0, 0.01, (60, 5)) @ np.random.default_rng(2).normal(0, 1, (5, 5))
    reference, _ = covariance.ledoit_wolf(returns)
    assert np.allclose(minimum_variance.shrunk_covariance(returns), reference, rtol=1e-10)


def test_least_variance_beats_every_other_long_only_portfolio():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T * 1e-4
    found = minimum_variance.least_variance(covariance)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0).all()
    others = rng.dirichlet(np.full(6, 0.5), 20_000)
    assert found @ covariance @ found <= np.einsum("ij,jk,ik->i", others, covariance, others).min() + 1e-12


def test_least_variance_of_uncorrelated_symbols_is_inverse_variance():
    variances = np.array([1.0, 2.0, 4.0])
    assert minimum_variance.least_variance(np.diag(variances)) == pytest.approx(
        (1 / variances) / (1 / variances).sum(), rel=1e-6
    )


def test_random_portfolios_differ_by_seed_and_bar_and_go_short_where_allowed(spec):
    panel = worlds.panel(300, 4)
    first = weights("random", panel, spec, seed=1)
    assert not np.array_equal(first, weights("random", panel, spec, seed=2))
    assert not np.array_equal(first, weights("random", panel, spec, seed=1, row=101))
    free = np.array([weights("random", panel, spec, env=limited(spec, long_only=False), seed=s) for s in range(20)])
    assert free.min() < 0 < free.max()


def test_an_unknown_baseline_names_the_known_ones(spec):
    with pytest.raises(ConfigError, match="'buy_and_hodl' is not a baseline") as caught:
        baseline("buy_and_hodl", spec)
    assert "buy_and_hold" in str(caught.value.hint)


def test_the_benchmark_needs_its_symbol(spec):
    assert weights("benchmark", worlds.panel(150), spec).tolist() == [0, 1, 0]
    assert not available("benchmark", worlds.panel(150), benchmark="^GSPC")
    with pytest.raises(ConfigError, match="no bars"):
        weights("benchmark", worlds.panel(150), spec, benchmark=None)


@pytest.mark.parametrize("key", ["backtest.baseline", "evaluation.verdict.beats", "algo.record"])
def test_a_misspelt_baseline_is_refused_before_anything_runs(key):
    with pytest.raises(
        ConfigError, match=rf"{key}(\.0)?=buy_and_hodl must be one of .*; try {key}(\.0)?=buy_and_hold$"
    ):
        compose(["algo=bc", f"{key}=buy_and_hodl"])
