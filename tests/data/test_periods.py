"""Bars of weeks and months: converted at the rate of their close, under one label, whatever day of it names them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.specs import compose
from wealtharena.data import calendars, currency, periods
from wealtharena.data.align import align
from wealtharena.data.bars import Bars, raw_table
from wealtharena.data.panel import Panel
from wealtharena.errors import DataError

WEEKS, MONTHS = "data.interval=1w", "data.interval=1mo"
FETCHED = datetime(2024, 6, 1, tzinfo=UTC)


def _bars(stamps: pd.DatetimeIndex, symbol: str = "A", money: str = "USD") -> Bars:
    utc = stamps.tz_localize("UTC").as_unit("ns")
    table = raw_table(pd.DataFrame({"timestamp": utc, "close": np.arange(1.0, len(stamps) + 1)})).assign(tradable=True)
    return Bars("test", symbol, "1w", table, money, "none", "splits", FETCHED)


def _panel(*bars: Bars, asset: str = "etf", interval: str = WEEKS) -> Panel:
    spec = compose([f"asset={asset}", "data=files", interval])
    return align(bars, spec.asset, spec.data, source="test", simulated=False)


def _label(days: pd.DatetimeIndex, freq: str) -> pd.DatetimeIndex:
    """Return the labels that pandas gives to the bars made of these days."""
    rule, side = freq.split(":")
    return pd.DatetimeIndex(pd.Series(1, days).resample(rule, label=side, closed=side).sum().index)


@pytest.mark.parametrize(
    ("interval", "freqs"),
    [(WEEKS, ("W-MON:left", "W-FRI:right", "W-SUN:right")), (MONTHS, ("MS:left", "BMS:left", "ME:right", "BME:right"))],
)
@pytest.mark.parametrize(("symbol", "money"), [("VOD.L", "GBP"), ("7203.T", "JPY")])
def test_a_long_bar_is_converted_at_its_close_wherever_its_label_stands(
    interval: str, freqs: tuple[str, ...], symbol: str, money: str
) -> None:
    days = calendars.sessions("XLON", pd.Timestamp("2022-01-03"), pd.Timestamp("2022-12-30")).tz_localize(None)
    key = "W-SUN" if interval == WEEKS else "M"
    home = "XTKS" if money == "JPY" else "XLON"
    sessions = calendars.sessions(home, pd.Timestamp("2022-01-03"), pd.Timestamp("2022-12-30")).tz_localize(None)
    rates = currency.cross_rate(money, "USD")
    for freq in freqs:
        labels = _label(days, freq)
        panel = _panel(_bars(labels, symbol, money), interval=interval)
        for stamp, rate in zip(panel.timestamps, panel.to_account[:, 0], strict=True):
            period = pd.Timestamp(stamp).to_period(key)
            last = sessions[sessions.to_period(key) == period][-1].tz_localize("UTC")
            known = rates[rates.index <= last] if money == "GBP" else rates[rates.index < last]
            assert rate == known.iloc[-1], (freq, stamp)


def test_a_bar_that_was_not_over_is_converted_at_what_was_known_when_it_was_fetched() -> None:
    months = pd.date_range("2024-01-01", "2024-06-01", freq="MS")
    panel = _panel(_bars(months, "VOD.L", "GBP"), interval=MONTHS)
    rates = currency.cross_rate("GBP", "USD")
    assert panel.to_account[-1, 0] == rates[rates.index < pd.Timestamp(FETCHED)].iloc[-1]


@pytest.mark.parametrize("interval", ["1m", "15m", "1h", "4h"])
def test_no_bar_knows_a_fixing_that_came_after_its_end(interval: str) -> None:
    stamps = pd.date_range("2024-03-12 08:00", "2024-03-12 20:00", freq=interval.replace("m", "min"), tz="UTC")
    ends = periods.closes(stamps.as_unit("ns").asi8, interval, calendar="XNYS", begins=False)
    rates = currency.cross_rate("GBP", "USD")
    found = currency.from_ecb("GBP", "USD", closes=ends)
    today = found == rates[pd.Timestamp("2024-03-12", tz="UTC")]
    np.testing.assert_array_equal(today, ends >= pd.Timestamp("2024-03-12 15:00", tz="UTC"))


@pytest.mark.slow
@settings(max_examples=25)
@given(
    shifts=st.lists(st.sampled_from([0, 3, 4, 5]), min_size=2, max_size=4),
    holes=st.lists(st.sets(st.integers(0, 29), max_size=8), min_size=4, max_size=4),
)
def test_one_week_is_one_row_whatever_day_labels_it(shifts: list[int], holes: list[set[int]]) -> None:
    weeks = pd.date_range("2023-01-02", periods=30, freq="W-MON")
    bars = []
    for column, shift in enumerate(shifts):
        kept = [row for row in range(30) if row not in holes[column]]
        bars.append(_bars(weeks[kept] + pd.Timedelta(days=shift), "ABCD"[column]))
    panel = _panel(*bars)
    rows = pd.DatetimeIndex(panel.timestamps).to_period("W-SUN")
    assert rows.is_unique
    for column, item in enumerate(bars):
        own = pd.DatetimeIndex(item.table["timestamp"].dt.tz_localize(None)).to_period("W-SUN")
        assert list(rows[np.isfinite(panel.close[:, column])]) == list(own)
    assert any("label their weeks" in note for note in panel.notes) == (len(set(shifts)) > 1)


def test_labels_that_agree_stay_as_they_are() -> None:
    weeks = pd.date_range("2023-01-02", periods=30, freq="W-MON")
    panel = _panel(_bars(weeks, "A"), _bars(weeks[3:], "B"))
    np.testing.assert_array_equal(panel.timestamps, weeks.to_numpy())
    assert not any("label" in note for note in panel.notes)


@pytest.mark.parametrize("day", ["W-MON", "W-WED", "W-FRI", "W-SUN"])
def test_weeks_that_a_sunday_may_begin_or_end_are_said_to_end_there(day: str) -> None:
    panel = _panel(_bars(pd.date_range("2023-01-02", periods=30, freq=day), "A"))
    assert any("weeks of A are labelled by Sundays" in note for note in panel.notes) == (day == "W-SUN")


@pytest.mark.parametrize(("asset", "other"), [("etf", "W-SUN"), ("crypto", "W-FRI")])
def test_weeks_that_may_be_different_ones_are_refused(asset: str, other: str) -> None:
    one, two = (pd.date_range("2023-01-02", periods=30, freq=freq) for freq in ("W-MON", other))
    with pytest.raises(DataError, match="do not show which of them are the same") as caught:
        _panel(_bars(one, "A"), _bars(two, "B"), asset=asset)
    assert "under one day" in str(caught.value)


def _ns(*days: str) -> np.ndarray:
    return pd.DatetimeIndex(days).as_unit("ns").asi8


def test_a_week_ends_on_its_usual_day_a_later_label_where_it_has_one_and_a_month_named_by_its_middle_there() -> None:
    thursdays = ("2024-02-01", "2024-02-08", "2024-02-16")  # the last is a Friday
    np.testing.assert_array_equal(periods.last_days(_ns(*thursdays), "1w", "XNYS"), _ns(*thursdays))
    middles = ("2024-01-15", "2024-02-15", "2024-03-15")
    np.testing.assert_array_equal(periods.last_days(_ns(*middles), "1mo", "XNYS"), _ns(*middles))
    firsts = ("2024-02-01", "2024-03-01")
    np.testing.assert_array_equal(periods.last_days(_ns(*firsts), "1mo", "XNYS"), _ns("2024-02-29", "2024-03-28"))


@pytest.mark.parametrize("other", ["2024-02-01", "2024-02-29"])
def test_a_month_named_by_its_middle_is_not_known_for_that_of_another_label(other: str) -> None:
    """It may go from the fifteenth to the fourteenth."""
    with pytest.raises(DataError, match="the months of its symbols are labelled by different days"):
        periods.under_one_label([_ns("2024-02-15"), _ns(other)], "1mo", always=False)
