"""Stamps that no session has, filled holes, quotes among intraday bars, and dates the wrong way round."""

import warnings
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.sample import walk
from wealtharena.data import calendars, intervals
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import inspect
from wealtharena.errors import DataError, ProviderError

ZONE = "America/New_York"


@pytest.fixture
def look(specs):
    """Return `look(table, market, interval=)`: the bars kept, the findings by kind, and the notes."""

    def run(table, market="stocks", *, interval="1d", symbol="T", **actions):
        spec = specs[market]
        unit = "none" if market == "forex" else "units"
        fetched = datetime(2026, 1, 1, tzinfo=UTC)
        raw = RawBars("files", symbol, interval, raw_table(table), "USD", unit, "splits", fetched)
        bars, report = inspect(raw, spec.asset, spec.data.quality.model_copy(update=actions))
        return bars, {finding.kind: finding for finding in report.findings}

    return run


def bars_at(index, sigma=0.004):
    """Return bars of a walk at naive times of New York, or UTC where they have a zone."""
    zoned = index if index.tz is not None else index.tz_localize(ZONE)
    return walk(
        np.random.default_rng(2), "T", zoned.tz_convert("UTC").tz_localize(None), price=50, sigma=sigma, volume=1e6
    )


def sessions(first, last):
    return calendars.sessions("XNYS", pd.Timestamp(first).date(), pd.Timestamp(last).date()).tz_localize(None)


def daily(calendar="XNYS", volume=1e6):
    days = calendars.sessions(calendar, pd.Timestamp("2023-01-03").date(), pd.Timestamp("2023-12-29").date())
    return walk(np.random.default_rng(2), "T", days.tz_localize(None), price=50, sigma=0.015, volume=volume)


def hourly(days=40, first=9.5, count=7):
    opens = sessions("2023-10-02", "2023-12-29")[:days]
    return bars_at(pd.DatetimeIndex([day + pd.Timedelta(hours=first + k) for day in opens for k in range(count)]))


def filled(table, rule):
    return table.set_index("timestamp").resample(rule, origin=table["timestamp"].iloc[0]).ffill().reset_index()


@pytest.mark.parametrize("rule", ["D", "B"])
@pytest.mark.parametrize("market", ["stocks", "forex", "commodities"])
def test_days_filled_with_the_bar_before_are_no_bars(look, market, rule):
    calendar, symbol = {"forex": ("weekday24", "EURUSD=X"), "commodities": ("CMES", "GC=F")}.get(
        market, ("XNYS", "AAPL")
    )
    honest = daily(calendar, volume=0.0 if market == "forex" else 1e6)
    more = honest.set_index("timestamp").asfreq(rule).ffill().reset_index()
    bars, findings = look(more, market, symbol=symbol)
    np.testing.assert_array_equal(bars.table["timestamp"], honest["timestamp"])
    assert ("invented_bars" in findings) == (len(more) > len(honest))
    if len(more) > len(honest):
        assert findings["invented_bars"].rows == len(more) - len(honest)
        assert any("repeat the bar before" in note and str(len(more) - len(honest)) in note for note in bars.notes)
        assert bars.repairs.rows == 0  # every traded bar is still there


def test_nights_filled_with_the_bar_before_are_no_bars_and_a_coin_has_no_nights(look):
    honest = hourly()
    bars, findings = look(filled(honest, "h"), interval="1h", symbol="AAPL")
    np.testing.assert_array_equal(bars.table["timestamp"], honest["timestamp"])
    assert findings["invented_bars"].rows > 1000
    coin = bars_at(pd.date_range("2023-01-01", periods=300, tz="UTC"))
    coin.loc[10, coin.columns[2:7]] = coin.loc[9, coin.columns[2:7]]
    assert len(look(coin, "crypto", symbol="BTC-USD")[0].table) == 300


def test_bars_off_the_calendar_with_prices_of_their_own_stay_and_are_counted(look):
    days = sessions("2023-01-03", "2023-12-29")
    holidays = pd.DatetimeIndex(["2023-05-29", "2023-07-04", "2023-09-04"])
    table = walk(np.random.default_rng(2), "T", days.union(holidays), price=50, sigma=0.015, volume=1e6)
    bars, findings = look(table, symbol="AAPL")
    assert len(bars.table) == len(table)
    assert (findings["outside_sessions"].rows, findings["outside_sessions"].action) == (3, "warn")
    assert len(look(table, symbol="AAPL", outside_sessions="drop")[0].table) == len(days)


def test_hours_before_and_after_the_session_are_noted_and_a_wrong_clock_is_asked_about(look):
    early = hourly(30, first=4.0, count=16)
    bars, findings = look(early, interval="1h", symbol="AAPL")
    assert len(bars.table) == len(early)
    assert findings["outside_sessions"].rows == 30 * 9  # 4:00 to 8:00 and 16:00 to 19:00
    assert bars.notes == ()
    wrong = hourly().assign(timestamp=lambda t: t["timestamp"] - pd.Timedelta(hours=12))
    bars, findings = look(wrong, interval="1h", symbol="AAPL")
    assert findings["outside_sessions"].rows == 280
    assert any("zone right?" in note for note in bars.notes)
    assert "outside_sessions" not in look(hourly(30), interval="1h", symbol="AAPL")[1]


@pytest.mark.parametrize("market", ["stocks", "crypto", "forex"])
@pytest.mark.parametrize("late", ["2min5s", "7min17s", "35min"])
def test_a_quote_between_hourly_bars_is_no_bar(look, market, late):
    honest = hourly() if market == "stocks" else bars_at(pd.date_range("2023-10-02", periods=100, freq="h", tz="UTC"))
    rows = [50, len(honest) - 1]
    quotes = honest.iloc[rows].assign(timestamp=honest["timestamp"].iloc[rows] + pd.Timedelta(late))
    both = pd.concat([honest, quotes]).sort_values("timestamp", ignore_index=True)
    bars, findings = look(both, market, interval="1h", symbol="AAPL" if market == "stocks" else "BTC-USD")
    np.testing.assert_array_equal(bars.table["timestamp"], honest["timestamp"])
    assert findings["off_grid"].rows == 2
    assert any("2 bars off the grid" in note for note in bars.notes)


def test_sums_of_days_among_hourly_bars_are_no_bars(look):
    honest = hourly()
    sums = honest.iloc[[0, 70, 140]].assign(timestamp=lambda t: t["timestamp"].dt.normalize())
    both = pd.concat([honest, sums]).sort_values("timestamp", ignore_index=True)
    bars, findings = look(both, interval="1h", symbol="AAPL")
    assert findings["off_grid"].rows == 3
    assert len(bars.table) == len(honest)


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_hours_on_the_clock_with_half_an_hour_first_are_hourly_bars(look, share):
    table = hourly()
    local = table["timestamp"].dt.tz_convert(ZONE)
    cut = (local.dt.hour > 9) & (np.arange(len(table)) < share * len(table))
    table = table.assign(timestamp=local.where(~cut, local.dt.floor("h")).dt.tz_convert("UTC"))
    if share == 1.0:
        intervals.check_interval(table["timestamp"], "1h", where="AAPL.csv")
    assert intervals.found_interval(table["timestamp"]) == "1h"
    bars, findings = look(table, interval="1h", symbol="AAPL")
    assert len(bars.table) == len(table)
    assert "off_grid" not in findings


def test_bars_of_two_intervals_are_still_refused():
    half = bars_at(pd.date_range("2023-10-02", periods=200, freq="30min", tz="UTC"))["timestamp"]
    hours = bars_at(pd.date_range("2023-10-20", periods=200, freq="h", tz="UTC"))["timestamp"]
    with pytest.raises(DataError, match="several intervals"):
        intervals.check_interval(pd.concat([half, hours]), "30m", where="T.csv")


def test_four_hours_by_a_clock_that_changes_are_no_quotes(look):
    index = pd.date_range("2023-09-20", "2023-11-08", freq="4h", tz=ZONE)
    bars, findings = look(bars_at(index), "crypto", interval="4h", symbol="BTC-USD")
    assert "off_grid" not in findings
    assert len(bars.table) == len(index)


def turned(table):
    """Return the table with day and month exchanged where both are below 13, as a spreadsheet does."""
    stamps = [t.replace(day=t.month, month=t.day) if t.day < 13 else t for t in table["timestamp"]]
    return table.assign(timestamp=pd.DatetimeIndex(stamps)).sort_values("timestamp", ignore_index=True)


def test_dates_with_day_and_month_exchanged_are_refused(look):
    pair = bars_at(pd.date_range("2023-10-02", periods=840, freq="h", tz="UTC"), sigma=0.001)
    pair = pair[pair["timestamp"].dt.day_of_week < 5]
    for table, market, interval in ((pair, "forex", "1h"), (hourly(), "stocks", "1h"), (daily(), "stocks", "1d")):
        with pytest.raises(ProviderError, match="0 with day and month exchanged") as refused:
            look(turned(table), market, interval=interval, symbol="AAPL" if market == "stocks" else "EURUSD")
        assert refused.value.hint == "write dates as 2024-01-31, or correct the file"


@pytest.mark.parametrize("strays", [1, 5])
def test_rows_long_after_the_last_bar_do_not_wipe_out_the_history(look, strays):
    honest = daily()
    late = honest.iloc[-strays:].assign(timestamp=lambda t: t["timestamp"] + pd.Timedelta(days=500))
    bars, findings = look(pd.concat([honest, late], ignore_index=True), symbol="SPY")
    np.testing.assert_array_equal(bars.table["timestamp"], honest["timestamp"])
    assert findings["ticker_reuse"].rows == strays
    assert "strays" in findings["ticker_reuse"].detail


def test_a_history_of_which_little_would_stay_is_refused_with_the_start_to_set(look):
    honest = daily()
    late = honest.iloc[-40:].assign(timestamp=lambda t: t["timestamp"] + pd.Timedelta(days=500))
    with pytest.raises(ProviderError, match="40 of 290 bars would stay") as refused:
        look(pd.concat([honest, late], ignore_index=True), symbol="SPY")
    assert f"data.start={late['timestamp'].iloc[0]:%Y-%m-%d}" in refused.value.hint


def test_hours_without_bars_for_two_weeks_are_no_other_listing(look):
    table = hourly()
    bars, findings = look(table.drop(range(140, 203)), interval="1h", symbol="AAPL")
    assert "ticker_reuse" not in findings
    assert len(bars.table) == 280 - 63


@pytest.mark.parametrize("value", [-1.0, -99.0])
def test_volumes_below_zero_are_missing_and_counted(look, value):
    table = daily()
    table.loc[[10, 20], "volume"] = value
    bars, findings = look(table, symbol="AAPL")
    assert findings["bad_volume"].rows == 2
    assert bars.table["volume"].isna().sum() == 2
    assert "T: 2 volumes below zero" in look(table)[0].notes
    everything, findings = look(table.assign(volume=value), symbol="AAPL")
    assert findings["bad_volume"].rows == len(table)
    assert everything.table["tradable"].all()


def test_volumes_that_are_missing_among_others_or_all_zero_are_said(look):
    table = daily()
    table.loc[[10, 20, 30], "volume"] = np.nan
    bars, findings = look(table, symbol="AAPL")
    assert (findings["bad_volume"].rows, bars.table["tradable"].sum()) == (3, len(table) - 3)
    assert any("3 missing among others" in note for note in bars.notes)
    assert any("no volume is above zero" in note for note in look(table.assign(volume=0.0), symbol="AAPL")[0].notes)
    assert "bad_volume" not in look(table.assign(volume=0.0), "forex", symbol="EURUSD")[1]
    assert "bad_volume" not in look(table.assign(volume=np.nan), symbol="AAPL")[1]


def test_copies_of_one_close_that_differ_in_their_range_are_said_and_never_filled(look):
    table = daily()
    sums = table.iloc[[20, 40]].assign(high=table["high"][[20, 40]] * 1.1)
    corrected = table.iloc[[60]].assign(volume=table["volume"][60] * 1.2)
    both = pd.concat([sums, corrected, table]).sort_values("timestamp", kind="stable")
    bars, findings = look(both, symbol="AAPL")
    assert "2 with one close and another open, high or low, 1 with one set" in findings["duplicates"].detail
    assert any("2 timestamps repeat with one close" in note for note in bars.notes)
    assert (~bars.table["tradable"]).sum() == 2


@pytest.mark.parametrize("price", [1e300, 1e-300, 9e307])
@pytest.mark.parametrize("columns", [["close"], ["open", "high", "low", "close"]])
def test_a_corrupt_price_prints_no_warning_of_its_own(look, price, columns):
    table = daily()
    table.loc[50, columns] = price
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, findings = look(table, symbol="AAPL")
    assert findings
