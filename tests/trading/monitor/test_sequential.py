import numpy as np
import pytest

from wealtharena.trading.monitor.sequential import Sum, limit_of, promised, resampled

BARS = 252.0


@pytest.fixture(scope="module")
def backtest():
    """Three years of returns that follow each other in their size, as markets do."""
    rng = np.random.default_rng(3)
    size = np.exp(0.3 * np.convolve(rng.normal(size=800), np.ones(10) / np.sqrt(10), mode="valid"))
    return 0.01 * size * rng.standard_t(5, size=len(size)) + 0.0006


@pytest.fixture(scope="module")
def found(backtest):
    promise = promised(backtest, sharpe=0.5, bars_per_year=BARS)
    assert promise is not None
    return promise, limit_of(backtest, promise, false_alarms=0.02, rng=np.random.default_rng(1))


def first_alarms(backtest, promise, limit, *, sharpe, years, paths, seed):
    """Return the bar of the first alarm on each path, none where there is none: through `Sum` itself."""
    rng = np.random.default_rng(seed)
    standard = (backtest - backtest.mean()) / backtest.std(ddof=1)
    bars = int(years * BARS)
    rows = resampled(np.arange(len(standard)), bars=bars, block=15, rng=rng, draws=paths)
    returns = (standard[rows] + sharpe / np.sqrt(BARS)) * promise.deviation
    found = []
    for path in range(paths):
        total = Sum(promise, limit)
        found.append(next((bar for bar in range(bars) if total.tell(returns[bar, path])), None))
    return found


def test_a_promise_that_is_kept_seldom_alarms(backtest, found):
    promise, limit = found
    alarms = first_alarms(backtest, promise, limit, sharpe=0.5, years=2, paths=150, seed=11)
    share = sum(one is not None for one in alarms) / (2 * len(alarms))
    assert share <= 0.02 + 2.6 * np.sqrt(0.02 / (2 * len(alarms)))


def test_a_loss_of_one_sharpe_unit_is_found_in_about_the_stated_time(backtest, found):
    promise, limit = found
    assert limit.median_years is not None
    assert 1.0 < limit.median_years < 12.0
    years = 2 * limit.median_years
    alarms = first_alarms(backtest, promise, limit, sharpe=-0.5, years=years, paths=80, seed=12)
    times = [years if one is None else one / BARS for one in alarms]
    assert np.median(times) == pytest.approx(limit.median_years, rel=0.35)


def test_a_larger_loss_is_found_sooner_and_fewer_false_alarms_take_longer(backtest, found):
    promise, limit = found
    soon = first_alarms(backtest, promise, limit, sharpe=-3.0, years=limit.median_years, paths=40, seed=13)
    assert np.median([10**6 if one is None else one for one in soon]) < 0.7 * limit.median_years * BARS
    stricter = limit_of(backtest, promise, false_alarms=0.005, rng=np.random.default_rng(1))
    assert stricter.height > limit.height


def test_a_sum_falls_no_lower_than_nothing_and_returns_that_do_not_scatter_promise_nothing(found):
    promise, limit = found
    total = Sum(promise, limit)
    assert not any(total.tell(0.05) for _ in range(50))
    assert total.height == 0.0
    assert promised(np.zeros(100), sharpe=1.0, bars_per_year=BARS) is None
