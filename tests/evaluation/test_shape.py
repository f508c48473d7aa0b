import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from wealtharena.evaluation import metrics, shape

RNG = np.random.default_rng(3)
OURS, THEIRS = RNG.standard_t(5, 600) * 0.01, RNG.standard_t(5, 600) * 0.01
LEANING = 0.6 * THEIRS + 0.4 * OURS
DAYS = np.datetime64("2020-01-01", "ns") + np.arange(601) * np.timedelta64(1, "D")


def test_the_distribution_is_that_of_scipy_and_empyrical() -> None:
    empyrical = pytest.importorskip("empyrical", reason="comes with the extra `dev`: pip install -e '.[dev]'")
    found = shape.distribution(OURS)
    assert found["skew"] == pytest.approx(stats.skew(OURS), rel=1e-12)
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(OURS, fisher=False), rel=1e-12)
    assert found["tail_ratio"] == pytest.approx(empyrical.tail_ratio(OURS), rel=1e-12)
    assert (found["best"], found["worst"]) == (OURS.max(), OURS.min())


def test_alpha_and_beta_are_those_of_a_regression_of_the_excess_returns() -> None:
    free = np.full(600, 0.0001)
    found = shape.relative(LEANING, THEIRS, bars_per_year=252.0, risk_free=free)
    line = stats.linregress(THEIRS - free, LEANING - free)
    assert found["beta"] == pytest.approx(line.slope, rel=1e-12)
    assert found["alpha"] == pytest.approx(line.intercept * 252.0, rel=1e-9)
    assert found["correlation"] == pytest.approx(line.rvalue, rel=1e-12)
    apart = LEANING - THEIRS
    assert found["information_ratio"] == pytest.approx(apart.mean() / apart.std(ddof=1) * math.sqrt(252.0), rel=1e-12)
    assert found["tracking_error"] == pytest.approx(apart.std(ddof=1) * math.sqrt(252.0), rel=1e-12)


def test_a_record_set_against_itself_has_beta_one_and_no_alpha() -> None:
    found = shape.relative(OURS, OURS, bars_per_year=252.0)
    assert found["beta"] == pytest.approx(1.0)
    assert found["alpha"] == pytest.approx(0.0, abs=1e-12)
    assert (found["tracking_error"], math.isnan(found["information_ratio"])) == (0.0, True)


def test_what_differs_by_rounding_alone_has_no_information_ratio() -> None:
    rng = np.random.default_rng(0)
    returns = rng.normal(0.0, 0.01, 700)
    found = shape.relative(returns, returns + rng.normal(1e-12, 2e-12, 700), bars_per_year=252.0)
    assert found["beta"] == pytest.approx(1.0)
    assert math.isnan(found["information_ratio"])


@pytest.mark.parametrize("returns", [np.zeros(0), np.zeros(1), np.zeros(50)])
def test_what_never_moves_has_no_shape_and_no_warning(returns) -> None:
    found = shape.distribution(returns) | shape.relative(returns, returns, bars_per_year=252.0)
    assert all(math.isnan(found[name]) for name in ("skew", "kurtosis", "tail_ratio", "beta", "information_ratio"))


def test_what_earns_the_same_in_every_bar_has_the_shape_of_no_rounding() -> None:
    """Its skew was that of the last bits, its record needed 0 years, and its Sharpe ratio a dash."""
    equity = 100.0 * np.cumprod(np.full(1_000, 1.0001))
    returns = np.diff(equity) / equity[:-1]
    assert np.ptp(returns) > 0.0
    found = shape.distribution(returns)
    assert all(math.isnan(found[name]) for name in ("skew", "kurtosis"))
    assert all(math.isnan(of(returns)) for of in (metrics.psr, metrics.min_track_record_length))


def test_drawdowns_are_told_from_the_peak_to_the_day_it_is_reached_again() -> None:
    equity = np.array([100.0, 110, 99, 104.5, 110, 121, 60.5, 90])
    found = shape.worst_drawdowns(equity, DAYS[:8])
    assert [(one.depth, one.began, one.bottom, one.recovered, one.bars) for one in found] == [
        (-0.5, "2020-01-06", "2020-01-07", None, 2),
        (pytest.approx(-0.1), "2020-01-02", "2020-01-03", "2020-01-05", 3),
    ]
    assert shape.worst_drawdowns(np.array([1.0, 2.0, 3.0]), DAYS[:3]) == ()


def test_drawdowns_within_the_day_are_told_with_their_hours() -> None:
    hours = np.datetime64("2020-01-01T23", "ns") + np.arange(4) * np.timedelta64(1, "h")
    (found,) = shape.worst_drawdowns(np.array([100.0, 90.0, 80.0, 100.0]), hours)
    assert (found.began, found.bottom, found.recovered) == ("2020-01-01T23:00", "2020-01-02T01:00", "2020-01-02T02:00")


@pytest.mark.parametrize(("names", "beats", "to"), [
    (("buy_and_hold", "momentum", "benchmark"), ("momentum",), "benchmark"),
    (("buy_and_hold", "momentum"), ("benchmark", "momentum"), "momentum"),
    (("cash", "buy_and_hold"), ("momentum",), "buy_and_hold"), (("cash",), ("momentum",), "cash"), ((), ("momentum",), None),
])  # fmt: skip
def test_a_record_is_set_against_its_benchmark_else_what_it_must_beat(names, beats, to) -> None:
    assert shape.benchmark_of(names, beats) == to


@pytest.mark.slow
@given(arrays.arrays(np.float64, st.integers(2, 60), elements=st.floats(-0.4, 0.6)))
def test_the_deepest_drawdown_is_the_maximum_drawdown_and_no_two_overlap(returns) -> None:
    equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    found = shape.worst_drawdowns(equity, DAYS[: len(equity)], count=100)
    deepest = float((equity / np.maximum.accumulate(equity)).min() - 1.0)
    assert (found[0].depth if found else 0.0) == pytest.approx(deepest, abs=1e-12)
    spans = sorted((one.began, one.recovered or "9999") for one in found)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    assert [one.depth for one in found] == sorted(one.depth for one in found)
