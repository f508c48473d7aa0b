from __future__ import annotations

from datetime import date

import exchange_calendars
import pandas as pd
import pytest

from wealtharena.data import calendars
from wealtharena.errors import ConfigError


def test_an_exchange_rests_on_its_holidays_and_crypto_never() -> None:
    week = (date(2024, 12, 23), date(2024, 12, 29))
    assert [day.day for day in calendars.sessions("XNYS", *week)] == [23, 24, 26, 27]
    assert [day.day for day in calendars.sessions("XASX", *week)] == [23, 24, 27]
    assert [day.day for day in calendars.sessions("weekday24", *week)] == [23, 24, 25, 26, 27]
    assert len(calendars.sessions("24/7", *week)) == 7


@pytest.mark.parametrize("calendar", ["XASX", "XNYS", "CMES", "24/7", "weekday24"])
@pytest.mark.parametrize("interval", ["1d", "1h"])
def test_the_last_bars_are_as_many_as_asked_for_in_order_and_utc(calendar: str, interval: str) -> None:
    times = calendars.last_bar_times(calendar, interval, 3000, date(2024, 6, 28))
    assert len(times) == 3000
    assert times.is_monotonic_increasing
    assert times.is_unique
    assert str(times.dtype) == "datetime64[ns, UTC]"
    assert times[-1].date() == date(2024, 6, 28)


@pytest.mark.slow
def test_daily_sessions_older_than_the_holiday_rules_are_weekdays() -> None:
    times = calendars.last_bar_times("XNYS", "1d", 20_000, date(2024, 6, 28))
    assert len(times) == 20_000
    assert times[0] < pd.Timestamp("1950-01-01", tz="UTC")
    assert set(times.day_of_week) == {0, 1, 2, 3, 4}


def test_hours_of_a_session_lie_inside_it() -> None:
    hours = calendars.hours("XNYS", date(2024, 7, 3), date(2024, 7, 5))  # the 3rd closes at 17:00 UTC, the 4th is off
    assert [(hour.day, hour.hour) for hour in hours] == [(3, h) for h in (13, 14, 15, 16)] + [
        (5, h) for h in range(13, 20)
    ]


def test_an_unknown_calendar_is_named_with_a_way_out() -> None:
    with pytest.raises(ConfigError, match=r"XYZ.*XASX"):
        calendars.sessions("XYZ", date(2024, 1, 1), date(2024, 2, 1))


def test_more_bars_than_time_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.simulator\.bars=200000"):
        calendars.last_bar_times("XNYS", "1d", 200_000, date(2024, 6, 28))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calendar", "start", "end", "week"),
    [
        ("XTKS", date(1990, 1, 1), date(2024, 12, 31), {0, 1, 2, 3, 4}),
        ("XBOM", date(1995, 1, 2), date(1998, 1, 2), {0, 1, 2, 3, 4}),
        ("XSAU", date(2019, 1, 1), date(2023, 1, 1), {0, 1, 2, 3, 6}),  # its week begins on a Sunday
        ("XSHG", date(2026, 1, 1), date(2028, 12, 28), {0, 1, 2, 3, 4}),
        ("XTKS", date(1990, 1, 1), date(1991, 1, 1), {0, 1, 2, 3, 4}),
        ("XSHG", date(2035, 1, 1), date(2036, 1, 1), {0, 1, 2, 3, 4}),
    ],
)
def test_where_the_records_of_an_exchange_end_its_sessions_are_the_days_of_its_week(
    calendar: str, start: date, end: date, week: set[int]
) -> None:
    days = calendars.sessions(calendar, start, end)
    assert days.is_monotonic_increasing
    assert days.is_unique
    assert set(days.day_of_week) == week
    assert (days[0] - pd.Timestamp(start, tz="UTC")).days <= 7
    assert (pd.Timestamp(end, tz="UTC") - days[-1]).days <= 7
    weeks = (end - start).days / 7
    assert 0.9 < len(days) / (5 * weeks) <= 1.02


@pytest.mark.slow
def test_holidays_that_are_known_are_kept_beside_those_that_are_not() -> None:
    days = calendars.sessions("XTKS", date(1996, 12, 1), date(1997, 1, 31))
    assert pd.Timestamp("1996-12-31", tz="UTC") in days
    assert pd.Timestamp("1997-01-15", tz="UTC") not in days  # Coming of Age


def test_a_simulation_beyond_the_records_has_the_bars_it_asks_for() -> None:
    times = calendars.last_bar_times("XSHG", "1d", 500, date(2028, 12, 28))
    assert len(times) == 500
    assert times[-1] == pd.Timestamp("2028-12-28", tz="UTC")


@pytest.mark.slow
@pytest.mark.parametrize("calendar", sorted(exchange_calendars.get_calendar_names(include_aliases=False)))
def test_every_calendar_of_the_library_gives_sessions_or_one_line(calendar: str) -> None:
    try:
        days = calendars.sessions(calendar, date(2012, 1, 1), date(2024, 12, 31))
    except ConfigError as error:
        assert "cannot be worked out here" in error.message  # noqa: PT017 - most calendars raise nothing
    else:
        assert len(days) > 2_800
        assert days.is_unique
