"""Single rows: which are out of order, when a bar is over, what a bar that lost a price is good for; payouts by hand."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import payouts, rows
from wealtharena.data.quality.report import Context

ZONES = {
    "XNYS": "America/New_York", "CMES": "America/Chicago", "XASX": "Australia/Sydney", "XLON": "Europe/London",
    "XTKS": "Asia/Tokyo",
}  # fmt: skip
DAY = pd.Timestamp("2024-07-03", tz="UTC")


@pytest.fixture
def seen(specs):
    """Return `seen(closes, adjusted=, **columns)`: a table of days, and what a check may know besides."""

    def made(closes, *, adjusted="splits", **columns):
        stamps = pd.bdate_range("2024-01-01", periods=len(closes), tz="UTC")
        table = raw_table(pd.DataFrame({"timestamp": stamps, "close": np.asarray(closes, dtype=float), **columns}))
        raw = RawBars("files", "T", "1d", table, "USD", "none", adjusted, datetime(2026, 1, 1, tzinfo=UTC))
        table = table.assign(tradable=True)
        return table, Context(raw, "stocks", "XNYS", specs["stocks"].data.quality)

    return made


def test_every_row_behind_a_later_one_is_out_of_order(seen):
    table, context = seen([1.0, 2.0, 3.0, 4.0])
    found = rows.out_of_order(table.iloc[[0, 3, 1, 2]], context)
    assert found.mask.tolist() == [False, False, True, True]
    assert found.repaired["close"].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("calendar", "interval", "ends"),
    [
        ("XNYS", "1d", "2024-07-03 21:00"),
        ("CMES", "1d", "2024-07-03 22:00"),
        ("XASX", "1d", "2024-07-03 07:00"),
        ("XLON", "1d", "2024-07-03 18:00"),
        ("XTKS", "1d", "2024-07-03 10:00"),
        ("24/7", "1d", "2024-07-04 00:00"),
        ("weekday24", "1d", "2024-07-04 00:00"),
        ("XNYS", "1h", "2024-07-03 01:00"),
    ],
)
def test_a_bar_is_over_an_hour_after_the_regular_close_of_its_own_venue(monkeypatch, calendar, interval, ends):
    monkeypatch.setattr(rows.calendars, "time_zone", ZONES.get)  # making a calendar takes a while
    assert rows.bar_end(DAY, interval, calendar) == pd.Timestamp(ends, tz="UTC")


@pytest.mark.parametrize("name", ["open", "high", "low"])
def test_a_bar_that_lost_a_price_is_a_mark_and_no_fill(judge, good, name):
    bad = good.copy()
    bad.loc[150, name] = -1.0
    bars, _ = judge(bad)
    assert len(bars.table) == len(good)
    assert bars.table.index[~bars.table["tradable"]].tolist() == [150]


@pytest.mark.parametrize(("adjusted", "row", "cash", "paid"), [
    ("splits", 0, 60.0, True), ("splits", 5, 60.0, False), ("splits", 5, 5.0, True), ("all", 5, 60.0, True),
])  # fmt: skip
def test_a_payout_is_doubted_where_a_price_before_it_could_have_shown_it(seen, adjusted, row, cash, paid):
    """Of the first bar's nobody knows what the price was before, and prices that contain payouts fall by none."""
    table, context = seen([50.0] * 10, adjusted=adjusted, dividend=np.where(np.arange(10) == row, cash, 0.0))
    assert (payouts.bad_dividends(table, context) is None) is paid


def test_a_payout_is_off_the_close_before_where_it_is_most_of_the_move():
    closes, paid = np.array([100.0, 91.0, 60.0, 60.0]), np.array([0.0, 10.0, 10.0, 10.0])
    assert payouts.closes_before(closes, paid)[1:].tolist() == [90.0, 91.0, 60.0]


def halved(table, *, from_row, volume=2.0):
    """Return the table from a row on at half its prices, and that row's volume so many times as large."""
    bad = table.copy()
    bad.loc[from_row:, ["open", "high", "low", "close"]] /= 2
    bad.loc[from_row, "volume"] *= volume
    return bad


@pytest.mark.parametrize(("volume", "split"), [(2.0, True), (0.2, False), (20.0, False)])
def test_half_a_price_is_a_split_where_about_as_much_money_trades_as_before(judge, good, volume, split):
    assert ("splits" in judge(halved(good, from_row=120, volume=volume))[1]) is split


@pytest.mark.parametrize("row", [144, 145, 146])
def test_beside_a_recorded_split_of_another_ratio_none_is_guessed(judge, good, row):
    bad = halved(good, from_row=row)
    bad.loc[145, "split"] = 12.0
    bars, findings = judge(bad, spikes="warn")
    assert "splits" not in findings
    np.testing.assert_array_equal(bars.table["close"], bad["close"])


def test_prices_in_another_unit_at_which_nothing_trades_tell_no_unit(judge, good):
    bad = good.copy()
    bad.loc[290:, ["open", "high", "low", "close"]] *= 100
    bad.loc[290:, "volume"] = 0.0
    np.testing.assert_allclose(judge(bad)[0].table["close"], good["close"])
