"""Dividends in other money than the prices: at a fixing that was known, on the row that holds them, or refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from wealtharena.data import currency
from wealtharena.data.dividends import Payout, carried, in_money_of, of_yahoo
from wealtharena.data.reading.venues import Quote
from wealtharena.errors import DataError

DAYS = pd.bdate_range("2024-03-04", periods=10, tz="UTC")


def bars(stamps: pd.DatetimeIndex = DAYS, **paid: float) -> pd.DataFrame:
    """Return a table with cash on rows that are named by their numbers: `r3=0.5`."""
    dividend = np.zeros(len(stamps))
    for row, amount in paid.items():
        dividend[int(row[1:])] = amount
    return pd.DataFrame({"timestamp": stamps, "close": 1.0, "dividend": dividend})


@pytest.mark.slow
@pytest.mark.parametrize(("calendar", "known"), [("XLON", 3), ("XNYS", 3), ("XTKS", 2), ("XASX", 2)])
def test_the_fixing_is_one_that_was_known_when_the_bar_of_the_ex_date_closed(calendar: str, known: int) -> None:
    table, words = in_money_of(
        Quote("EUR"), bars(r3=0.5), [Payout(DAYS[3], 0.5, "USD")], calendar=calendar, hourly=False
    )
    assert table["dividend"][3] == 0.5 * currency.cross_rate("USD", "EUR")[DAYS[known]]
    assert words == "dividends in USD are converted to EUR at the ECB's fixings of their ex-dates"


def test_an_hours_dividend_is_converted_at_what_was_known_in_that_hour() -> None:
    hours = pd.date_range("2024-03-05 08:00", periods=8, freq="h", tz="UTC")
    table, _ = in_money_of(
        Quote("GBP", 0.01), bars(hours, r0=0.005), [Payout(hours[0], 0.5, "USD")], calendar="XLON", hourly=True
    )
    assert table["dividend"][0] == 0.5 * currency.cross_rate("USD", "GBP")[pd.Timestamp("2024-03-04", tz="UTC")]


def test_two_payouts_on_one_row_are_each_converted_and_one_between_bars_is_on_the_bar_before() -> None:
    week = DAYS[[0, 1, 4, 5]]
    paid = [Payout(DAYS[1], 0.5), Payout(DAYS[2], 1.0, "USD")]
    table, _ = in_money_of(Quote("EUR"), bars(week, r1=1.5), paid, calendar="XETR", hourly=False)
    rate = currency.cross_rate("USD", "EUR")[DAYS[2]]
    np.testing.assert_allclose(table["dividend"], [0.0, 0.5 + rate, 0.0, 0.0], rtol=1e-15)


def test_payouts_in_the_prices_own_money_change_no_number() -> None:
    table = bars(r3=0.005)
    for code in ("", "GBp", "GBX"):
        made, words = in_money_of(
            Quote("GBP", 0.01), table, [Payout(DAYS[3], 0.5, code)], calendar="XLON", hourly=False
        )
        assert made is table
        assert words == ""


@pytest.mark.parametrize("held", [0.0, 0.25])
def test_payouts_beyond_the_rows_are_left_out(held: float) -> None:
    lost = [Payout(DAYS[0] - pd.DateOffset(years=26), 0.5, "USD"), Payout(DAYS[0] - pd.Timedelta(days=3), 1.0, "VND")]
    lost.append(Payout(DAYS[9] + pd.Timedelta(days=1), 2.0, "USD"))
    table = bars(r3=0.5, r9=held)
    last = [Payout(DAYS[9], held)] if held else []
    same, words = in_money_of(Quote("EUR"), table, [*lost, *last], calendar="XETR", hourly=False)
    assert same is table
    assert words == ""
    paid = [*lost, Payout(DAYS[3], 0.5, "USD"), *last]
    made, words = in_money_of(Quote("EUR"), table, paid, calendar="XETR", hourly=False)
    assert made["dividend"][3] == 0.5 * currency.cross_rate("USD", "EUR")[DAYS[3]]
    assert made["dividend"][9] == held
    assert words


def test_a_payout_after_the_last_row_that_stands_on_it_is_converted() -> None:
    after = DAYS[4]  # a Friday, whose fixing is there
    table, _ = in_money_of(
        Quote("EUR"), bars(DAYS[:4], r3=0.5), [Payout(after, 0.5, "USD")], calendar="XETR", hourly=False
    )
    assert table["dividend"][3] == 0.5 * currency.cross_rate("USD", "EUR")[after]


def test_pence_are_brought_to_pounds_before_they_are_converted() -> None:
    table, words = in_money_of(
        Quote("EUR"), bars(r3=50.0), [Payout(DAYS[3], 50.0, "GBp")], calendar="XETR", hourly=False
    )
    assert table["dividend"][3] == pytest.approx(0.5 * currency.cross_rate("GBP", "EUR")[DAYS[3]])
    assert words.startswith("dividends in GBP are converted")


def test_of_what_is_paid_after_the_last_hour_began_only_what_is_within_it_stands_there() -> None:
    hours = pd.date_range("2024-03-05 08:00", periods=8, freq="h", tz="UTC")
    within, beyond = (Payout(hours[-1] + pd.Timedelta(minutes=late), 0.5, "USD") for late in (30, 60))
    table, _ = in_money_of(Quote("GBP", 0.01), bars(hours, r7=0.005), [within, beyond], calendar="XLON", hourly=True)
    assert table["dividend"][7] == 0.5 * currency.cross_rate("USD", "GBP")[pd.Timestamp("2024-03-05", tz="UTC")]


def test_a_dividend_that_does_not_stand_where_it_was_paid_is_refused() -> None:
    for at in (DAYS[4], DAYS[9]):
        with pytest.raises(DataError, match="do not stand in the bars"):
            in_money_of(Quote("EUR"), bars(r3=0.5), [Payout(at, 0.5, "USD")], calendar="XETR", hourly=False)
    old = DAYS - pd.DateOffset(years=26)
    with pytest.raises(DataError, match="1998-03-04 is paid in USD") as refused:
        in_money_of(Quote("EUR"), bars(old, r0=0.5), [Payout(old[0], 0.5, "USD")], calendar="XETR", hourly=False)
    assert "data.start" in refused.value.hint


@pytest.mark.parametrize(
    "event",
    [
        {"date": 1709562600000, "amount": 0.5},
        {"date": 1e300, "amount": 0.5},
        {"date": "x", "amount": 0.5},
        {"amount": 0.5},
        {"date": 1709562600, "amount": None},
    ],
)
@pytest.mark.parametrize("daily", [True, False])
def test_dividends_without_an_amount_or_a_date_are_an_error_of_their_symbol(event: object, daily: bool) -> None:
    result = {"meta": {"exchangeTimezoneName": "America/New_York"}, "events": {"dividends": {"1": event}}}
    with pytest.raises(DataError, match="no amounts on dates"):
        of_yahoo(json.dumps({"chart": {"result": [result]}}), daily=daily)


def test_of_a_rows_events_only_those_after_its_end_are_handed_on() -> None:
    """A Friday has a dividend and a split of its own beside those of a Monday without a bar."""
    table = bars(DAYS.delete(5), r4=2.0).assign(split=0.0)
    table.loc[4, "split"] = 6.0
    friday, monday = (int(day.timestamp()) + 60 * 60 * 14 for day in DAYS[4:6])
    events = {
        "dividends": {"1": {"date": friday, "amount": 0.5}, "2": {"date": monday, "amount": 1.5}},
        "splits": {
            "1": {"date": friday, "numerator": 3, "denominator": 1},
            "2": {"date": monday, "numerator": 2, "denominator": 1},
        },
    }
    result = {"meta": {"exchangeTimezoneName": "America/New_York"}, "events": events}
    moved = carried(json.dumps({"chart": {"result": [result]}}), table, daily=True)
    assert moved.loc[3:6, "dividend"].tolist() == [0.0, 0.5, 1.5, 0.0]
    assert moved.loc[3:6, "split"].tolist() == [0.0, 3.0, 2.0, 0.0]
