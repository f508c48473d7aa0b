import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.agents import baselines
from wealtharena.config import compose
from wealtharena.errors import ConfigError


@pytest.fixture(scope="module")
def spec():
    return compose(["asset=crypto"])


def path(name, panel, spec, *, env=None, start=100, seed=0):
    return baselines.path(
        name,
        panel,
        evaluation=spec.evaluation,
        env=env or spec.env,
        rng=np.random.default_rng(seed),
        start=start,
        benchmark="S1",
    )


def both_ways(spec):
    limits = spec.env.limits.model_copy(update={"long_only": False})
    return spec.env.model_copy(update={"limits": limits})


@pytest.mark.parametrize("name", sorted(baselines.BASELINES))
def test_targets_use_nothing_after_their_own_close(name, spec):
    """Cut the panel after bar t, and poison the future: the targets up to t stay what they were."""
    panel = worlds.panel(300, 4, seed=5)
    whole = path(name, panel, spec)
    for t in (100, 119, 120, 121, 250):
        short = path(name, panel.slice(0, t + 1), spec)
        assert np.array_equal(short.targets, whole.targets[: t + 1])
        assert np.array_equal(short.hold, whole.hold[: t + 1])


@pytest.mark.parametrize("name", sorted(baselines.BASELINES))
def test_weights_stay_within_full_investment_and_long_only(name, spec):
    found = path(name, worlds.panel(300, 4, seed=5), spec)
    acted = found.targets[~found.hold]
    assert np.isfinite(acted).all()
    assert (np.abs(acted).sum(axis=1) <= 1 + 1e-12).all()
    assert (acted >= 0).all()
    assert not found.hold[100]


def test_a_symbol_that_does_not_trade_is_not_bought(spec):
    panel = worlds.panel(300, 4, seed=5)
    tradable = panel.tradable.copy()
    tradable[100:140, 2] = False
    close = panel.close.copy()
    close[:200, 3] = np.nan
    from dataclasses import replace

    gaps = replace(panel, tradable=tradable, close=close)
    for name in set(baselines.BASELINES) - {"benchmark"}:
        found = path(name, gaps, spec)
        assert np.isfinite(found.targets).all(), name
        assert not found.targets[100, 2:].any(), name
        assert not found.targets[180, 3], name
    assert path("equal_weight", gaps, spec).targets[100].tolist() == [0.5, 0.5, 0, 0]


def test_momentum_buys_what_rose_and_sells_what_fell_only_where_shorts_are_allowed(spec):
    panel = worlds.panel(200, 3, volatility=1e-6, drift=0.0)
    close = panel.close * np.exp(np.outer(np.arange(200), [0.001, -0.001, 0.002]))
    from dataclasses import replace

    trending = replace(panel, close=close)
    assert path("momentum", trending, spec).targets[100] == pytest.approx([1 / 3, 0, 1 / 3])
    assert path("momentum", trending, spec, env=both_ways(spec)).targets[100] == pytest.approx([1 / 3, -1 / 3, 1 / 3])


def test_inverse_volatility_weighs_the_calm_symbol_more(spec):
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, [0.01, 0.02, 0.04], (300, 3)), axis=0))
    panel = worlds.panel(300, 3, close=close, open=None)
    weights = path("inverse_volatility", panel, spec).targets[100]
    returns = np.diff(close[40:101], axis=0) / close[40:100]
    expected = 1 / returns.std(axis=0, ddof=1)
    assert weights == pytest.approx(expected / expected.sum(), rel=1e-9)


def test_shrinkage_is_that_of_scikit_learn():
    covariance = pytest.importorskip("sklearn.covariance")
    returns = np.random.default_rng(1).normal(0, 0.01, (60, 5)) @ np.random.default_rng(2).normal(0, 1, (5, 5))
    reference, _ = covariance.ledoit_wolf(returns)
    assert np.allclose(baselines.shrunk_covariance(returns), reference, rtol=1e-10)


def test_least_variance_beats_every_other_long_only_portfolio():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T * 1e-4
    weights = baselines.least_variance(covariance)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    others = rng.dirichlet(np.full(6, 0.5), 20_000)
    assert weights @ covariance @ weights <= np.einsum("ij,jk,ik->i", others, covariance, others).min() + 1e-12


def test_least_variance_of_uncorrelated_symbols_is_inverse_variance():
    variances = np.array([1.0, 2.0, 4.0])
    assert baselines.least_variance(np.diag(variances)) == pytest.approx(
        (1 / variances) / (1 / variances).sum(), rel=1e-6
    )


def test_random_portfolios_differ_by_seed_and_go_short_where_allowed(spec):
    panel = worlds.panel(300, 4)
    assert not np.array_equal(path("random", panel, spec, seed=1).targets, path("random", panel, spec, seed=2).targets)
    free = path("random", panel, spec, env=both_ways(spec)).targets
    assert free.min() < 0 < free.max()


def test_an_unknown_baseline_names_the_known_ones(spec):
    with pytest.raises(ConfigError, match="buy_and_hold"):
        path("buy_and_hodl", worlds.panel(150), spec)


def test_the_benchmark_needs_its_symbol(spec):
    assert path("benchmark", worlds.panel(150), spec).targets[100].tolist() == [0, 1, 0]
    assert not baselines.available("benchmark", worlds.panel(150), benchmark="^GSPC")
    with pytest.raises(ConfigError, match="no bars"):
        baselines.path(
            "benchmark", worlds.panel(150), evaluation=spec.evaluation, env=spec.env, rng=np.random.default_rng(0)
        )
