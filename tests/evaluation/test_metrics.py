import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.evaluation import metrics

RNG = np.random.default_rng(7)
SERIES = {
    "random": RNG.normal(0.0005, 0.01, 500),
    "fat": RNG.standard_t(3, 700) * 0.01,
    "flat": np.zeros(30),
    "all-loss": np.full(30, -0.01),
    "losses": -np.abs(RNG.normal(0, 0.01, 50)),
    "ruin": np.array([0.1, -1.0, 0.2]),
    "single": np.array([0.01]),
    "nan": np.where(RNG.random(200) < 0.1, np.nan, RNG.normal(0, 0.01, 200)),
    "empty": np.array([]),
}
SAME_AS_EMPYRICAL = {
    "total_return": ("cum_returns_final", {}),
    "annual_return": ("annual_return", {"annualization": 365}),
    "annual_volatility": ("annual_volatility", {"annualization": 365}),
    "sharpe": ("sharpe_ratio", {"risk_free": 1e-4, "annualization": 365}),
    "sortino": ("sortino_ratio", {"required_return": 1e-4, "annualization": 365}),
    "max_drawdown": ("max_drawdown", {}),
    "calmar": ("calmar_ratio", {"annualization": 365}),
    "var_95": ("value_at_risk", {}),
    "cvar_95": ("conditional_value_at_risk", {}),
}
OTHERWISE = {"annual_return", "calmar"}  # by another formula for the same: by its logarithm, which never overflows


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("name", SAME_AS_EMPYRICAL)
def test_a_measure_is_empyricals_to_the_last_digit(name, series):
    empyrical = pytest.importorskip("empyrical", reason="comes with the extra `dev`: pip install -e '.[dev]'")
    returns = SERIES[series]
    ours = metrics.of_returns(returns, bars_per_year=365, risk_free=1e-4)[name]
    function, words = SAME_AS_EMPYRICAL[name]
    theirs = getattr(empyrical, function)(returns[~np.isnan(returns)] if name == "var_95" else returns, **words)
    error = 1e-12 if name in OTHERWISE else 0.0
    assert ours == pytest.approx(theirs, rel=error, abs=error, nan_ok=True)


@pytest.mark.parametrize("series", SERIES)
def test_every_series_has_an_answer_without_a_warning(series):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics.of_returns(SERIES[series], bars_per_year=252)
    assert all(isinstance(value, float) for value in found.values())


def test_measures_follow_their_written_definitions():
    r, b, rf = SERIES["random"], 252.0, 2e-4
    value = np.concatenate([[1.0], np.cumprod(1 + r)])
    excess = r - rf
    expected = {
        "total_return": value[-1] - 1,
        "annual_return": value[-1] ** (b / r.size) - 1,
        "annual_volatility": r.std(ddof=1) * math.sqrt(b),
        "sharpe": excess.mean() / excess.std(ddof=1) * math.sqrt(b),
        "sortino": excess.mean() / math.sqrt((np.minimum(excess, 0) ** 2).mean()) * math.sqrt(b),
        "max_drawdown": (value / np.maximum.accumulate(value)).min() - 1,
        "win_rate": (r > 0).sum() / (r != 0).sum(),
        "profit_factor": r[r > 0].sum() / -r[r < 0].sum(),
        "var_95": np.quantile(r, 0.05),
        "cvar_95": r[r <= np.quantile(r, 0.05)].mean(),
    }
    found = metrics.of_returns(r, bars_per_year=b, risk_free=rf)
    for name, number in expected.items():
        assert found[name] == pytest.approx(number, rel=1e-12), name
    assert found["calmar"] == pytest.approx(expected["annual_return"] / abs(expected["max_drawdown"]), rel=1e-12)


def test_growth_from_64900_to_176000_over_1095_days_is_39_45_percent_a_year():
    assert metrics.growth_rate(176_000 / 64_900, years=1095 / 365) == pytest.approx(0.3945, abs=5e-5)
    daily = np.full(1095, (176_000 / 64_900) ** (1 / 1095) - 1)
    assert metrics.annual_return(daily, bars_per_year=365) == pytest.approx(0.3945, abs=5e-5)


@pytest.mark.parametrize(
    ("series", "name", "answer"),
    [
        ("flat", "sharpe", math.nan),
        ("flat", "max_drawdown", 0.0),
        ("flat", "calmar", math.nan),
        ("flat", "win_rate", math.nan),
        ("flat", "profit_factor", math.nan),
        ("flat", "psr", math.nan),
        ("all-loss", "win_rate", 0.0),
        ("all-loss", "profit_factor", 0.0),
        ("losses", "min_track_record_length", math.inf),
        ("ruin", "annual_return", -1.0),
        ("ruin", "max_drawdown", -1.0),
        ("single", "sharpe", math.nan),
        ("single", "annual_volatility", math.nan),
        ("empty", "total_return", math.nan),
        ("empty", "cvar_95", math.nan),
    ],
)
def test_a_degenerate_series_has_the_answer_that_is_written_down(series, name, answer):
    found = metrics.of_returns(SERIES[series], bars_per_year=252)[name]
    assert found == pytest.approx(answer, nan_ok=True)


def test_equity_below_zero_is_a_total_loss_not_a_complex_number():
    assert metrics.annual_return([0.1, -1.5, 0.2]) == -1.0


def test_a_summary_has_every_name_of_the_design_and_counts_from_the_trajectory():
    played = worlds.trajectory(SERIES["random"], trades=37)
    found = metrics.summary(played)
    assert list(found) == [
        "total_return",
        "annual_return",
        "annual_volatility",
        "sharpe",
        "sortino",
        "max_drawdown",
        "calmar",
        "win_rate",
        "profit_factor",
        "var_95",
        "cvar_95",
        "psr",
        "min_track_record_length",
        "turnover",
        "exposure",
        "trades",
        "costs_paid",
    ]
    assert found["trades"] == 37
    assert found["costs_paid"] == pytest.approx(5_000.0)
    assert found["exposure"] == pytest.approx(0.8)
    assert found["turnover"] == pytest.approx((1e4 / played.equity[:-1]).mean() * 252)
    assert found["sharpe"] == metrics.sharpe(played.returns, bars_per_year=252)


def test_exposure_is_what_was_held_over_the_bars_not_before_the_first():
    played = worlds.trajectory(SERIES["random"])
    weights = np.zeros_like(played.weights)
    weights[0], weights[-1] = 9.0, 0.75 / weights.shape[1]
    assert metrics.exposure(replace(played, weights=weights)) == pytest.approx(0.75 / (len(weights) - 1))


def test_two_dimensional_returns_are_refused():
    with pytest.raises(ValueError, match="2 axes"):
        metrics.sharpe(np.zeros((3, 2)))


@pytest.mark.parametrize("name", ["total_return", "sharpe", "sortino", "max_drawdown", "calmar", "var_95", "psr"])
def test_an_infinite_return_is_refused_with_its_place(name):
    """Drawdown passed over what followed, and a Sharpe ratio over the bar itself."""
    with pytest.raises(ValueError, match="the return at 2 is infinite"):
        getattr(metrics, name)([0.1, -0.2, math.inf, -0.5])


@pytest.mark.parametrize("name", ["total_return", "sharpe", "sortino", "max_drawdown", "calmar", "var_95"])
@pytest.mark.parametrize("first", [1e4, math.nan])
def test_prices_and_factors_of_growth_are_no_returns(name, first):
    """The drawdown of an equity of ten thousand was that of a fortune that is multiplied at every bar."""
    with pytest.raises(ValueError, match=r"8 bars that all earned more than 50%, the least 0\.97, are no returns: "):
        getattr(metrics, name)([first, *[1.01, 0.97, 1.0] * 2, 1e4])
    getattr(metrics, name)([first, *[1.01, 0.97, 1.0] * 2, 0.5])


@pytest.mark.filterwarnings("error")
def test_growth_beyond_all_numbers_has_no_warning_and_no_drawdown():
    grown = [*[1.0] * 1100, -0.5]
    assert metrics.total_return(grown) == math.inf
    assert math.isnan(metrics.max_drawdown(grown))
    assert math.isnan(metrics.calmar(grown))
    assert metrics.annual_return(grown) == math.inf
