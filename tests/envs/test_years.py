"""A figure a year is of the bars that a year has in its window, whatever the rest of the record has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.envs.markets import market_of, panel_of, spec_of
from wealtharena.envs.simulate import simulate
from wealtharena.evaluation import backtest, metrics

_RATE = 0.05


@pytest.fixture(scope="module")
def market():
    """Return two years of Sydney's hours, which New York's join after one, in a market whose cash earns."""
    days = pd.bdate_range("2021-01-04", periods=500)
    one = [day + pd.Timedelta(hours=hour) for day in days for hour in range(6)]
    other = [day + pd.Timedelta(hours=hour) for day in days[250:] for hour in range(14, 21)]
    stamps = pd.DatetimeIndex(sorted([*one, *other])).to_numpy().astype("datetime64[ns]")
    panel = panel_of(np.full(len(stamps), 10.0), timestamps=stamps, frequency="1h")
    return market_of(panel, spec_of(costs={"cash_bps_per_year": 1e4 * _RATE}))


def _cash(market, start, stop):
    spec = spec_of(costs={"cash_bps_per_year": 1e4 * _RATE})
    return simulate(market, np.zeros((market.length, 1)), spec=spec, start=start, stop=stop)


@pytest.mark.parametrize(("start", "stop"), [(0, 1500), (1600, 4750), (3000, 4750)])
def test_cash_earns_its_rate_in_each_window(market, start, stop):
    """Hours that New York adds were years: 5 % were 3.7, and a test of a year passed for one of 16 months."""
    path = _cash(market, start, stop)
    earned = metrics.annual_return(path.returns, bars_per_year=path.bars_per_year)
    assert earned == pytest.approx(np.expm1(_RATE), rel=0.04)


def test_short_windows_and_ordinary_ones_are_counted_as_the_record(market):
    """Holidays of a few weeks make no year, and figures of a market that stays as it is are those of all its bars."""
    assert market.bars_a_year(slice(3000, 3200)) == market.bars_per_year
    plain = replace(
        market,
        timestamps=np.arange(len(market.timestamps)) * np.timedelta64(1, "D") + np.datetime64("2000-01-01", "ns"),
    )
    plain = replace(plain, bars_per_year=365.25)
    assert plain.bars_a_year(slice(100, 900)) == 365.25


def test_folds_of_several_numbers_of_bars_a_year_are_of_all_their_years(market):
    parts = [_cash(market, 0, 1500), _cash(market, 1499, 4750)]
    joint = backtest.join(parts)
    years = sum(len(part.costs) / part.bars_per_year for part in parts)
    assert len(joint.costs) / joint.bars_per_year == pytest.approx(years)
    assert (
        backtest.join([parts[0], replace(parts[1], bars_per_year=parts[0].bars_per_year)]).bars_per_year
        == parts[0].bars_per_year
    )
