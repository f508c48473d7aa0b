"""When markets trade: sessions by calendar code, and bar times made of them."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd

from wealtharena.errors import ConfigError

ALWAYS: Final = "24/7"
WEEKDAYS: Final = "weekday24"  # foreign exchange: round the clock from Monday to Friday
EARLY: Final = pd.Timedelta(hours=5.5)  # before the open, and
LATE: Final = pd.Timedelta(hours=4)  # after the close: 4:00 to 20:00 in New York, the widest hours of any shares
_FX_ZONE: Final = "America/New_York"
_FX_CLOSE: Final = 17  # o'clock there: the end of a day, and on Friday of the week
_HOUR: Final = pd.Timedelta(hours=1)
# Minutes from the end of a session here, mostly that of continuous trading, until free sources tell its official close: an
# auction comes after it, five to twelve minutes later, in Sydney trades at its price after that, and who tells of it for
# nothing does so fifteen to thirty minutes late. In Tokyo, Seoul, Taipei and Shanghai the auction is within the session.
_SETTLING: Final = {
    "XASX": 45,
    **dict.fromkeys(("XHKG", "XSHG"), 35),
    **dict.fromkeys(("XLON", "XETR", "XPAR", "XAMS", "XBRU", "XMIL", "XMAD"), 30),
    **dict.fromkeys(("XTKS", "XKRX", "XTAI"), 25),
    **dict.fromkeys((ALWAYS, WEEKDAYS, "XNYS", "XNAS", "XASE", "ARCX", "BATS", "CMES"), 0),
}
_UNKNOWN: Final = 45  # of a venue that is none of these: most have an auction behind, and are told late
_PRINTS: Final = timedelta(
    minutes=15
)  # behind the end of any exchange's session closing prints may come, or a clock be ahead
_EXCHANGE_RULES_FROM: Final = pd.Timestamp("1960-01-01")  # older sessions are taken as plain weekdays


@lru_cache(maxsize=64)  # the symbols of a panel mostly begin and end together
def sessions(calendar: str, start: date, end: date) -> pd.DatetimeIndex:
    """Return the session dates from `start` to `end`, both included, at 00:00 UTC.

    Where its holidays are not known (before 1960 of any, before 1997 of Tokyo, in years not yet decreed of Shanghai) an
    exchange's sessions are the days of its week.

    Raises:
        ConfigError: the calendar is unknown.
    """
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    if calendar == ALWAYS:
        return _every("D", first, last)
    if calendar == WEEKDAYS:
        return _every("B", first, last)
    known_from, known_to, weekmask = _known(calendar)
    day = pd.Timedelta(days=1)
    parts = [
        _weekdays(weekmask, first, min(last, known_from - day)),
        _known_sessions(calendar, max(first, known_from), min(last, known_to)),
        _weekdays(weekmask, max(first, known_to + day), last),
    ]
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else parts[1]
    return pd.DatetimeIndex(filled[0].append(filled[1:]))


def hours(calendar: str, start: date, end: date) -> pd.DatetimeIndex:
    """Return the start times (UTC) of the hourly bars from `start` to `end`; a session's bars begin on full hours.

    Outside the years whose holidays are known there are none.
    """
    first, last = pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC") + pd.Timedelta(hours=23)
    if calendar in (ALWAYS, WEEKDAYS):
        grid = pd.date_range(first, last, freq=_HOUR, unit="ns")
        return grid if calendar == ALWAYS else grid[grid.day_of_week < 5]
    known_from, known_to, _ = _known(calendar)
    begin, stop = max(pd.Timestamp(start), known_from), min(pd.Timestamp(end), known_to)
    if begin > stop:
        return pd.DatetimeIndex([], tz="UTC").as_unit("ns")
    schedule = _schedule(calendar, begin, stop)
    opens = schedule["open"].dt.tz_convert(None).dt.floor("h").to_numpy()
    closes = schedule["close"].dt.tz_convert(None).to_numpy()
    counts = np.maximum(np.ceil((closes - opens) / np.timedelta64(1, "h")).astype(np.int64), 1)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    stamps = np.repeat(opens.astype("datetime64[ns]"), counts) + offsets * np.timedelta64(1, "h")
    return pd.DatetimeIndex(stamps).tz_localize("UTC")


def opening_hours(calendar: str, start: date, end: date) -> pd.DataFrame:
    """Return `open` and `close` (UTC) of the sessions whose date lies from `start` to `end`, both included, by date.

    They are the venue's own: half days, evening sessions that begin the day before, changes of clocks. A day of foreign
    exchange is from 17:00 in New York to 17:00 there. Outside the years whose holidays are known there are none.
    """
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    if calendar not in (ALWAYS, WEEKDAYS):
        known_from, known_to, _ = _known(calendar)
        begin, stop = max(first, known_from), min(last, known_to)
        if begin > stop:
            return pd.DataFrame(columns=["open", "close"], index=pd.DatetimeIndex([]))
        return _schedule(calendar, begin, stop)
    days = pd.date_range(first, last, freq="D" if calendar == ALWAYS else "B")
    if calendar == ALWAYS:
        ends = pd.DatetimeIndex(days + pd.Timedelta(days=1)).tz_localize("UTC")
        return pd.DataFrame({"open": days.tz_localize("UTC"), "close": ends}, index=days)
    evening = pd.Timedelta(hours=_FX_CLOSE)
    opens, closes = (
        pd.DatetimeIndex(days + shift).tz_localize(_FX_ZONE).tz_convert("UTC")
        for shift in (evening - pd.Timedelta(days=1), evening)
    )
    return pd.DataFrame({"open": opens, "close": closes}, index=days)


def last_bar_times(calendar: str, interval: str, bars: int, end: date) -> pd.DatetimeIndex:
    """Return the times of the last `bars` bars up to and including the date `end`, in order.

    Raises:
        ConfigError: so many bars reach further back than timestamps do (about 1680).
    """
    make = sessions if interval == "1d" else hours
    per_year = {"1d": 240.0, "1h": 1200.0}[interval]
    days = int(np.ceil(bars / per_year * 366)) + 40
    last = pd.Timestamp(end)
    if days > (last - pd.Timestamp("1680-01-01")).days:
        raise ConfigError(
            f"data.simulator.bars={bars} reaches further back than timestamps can",
            hint="ask for fewer bars, or for data.interval=1h",
        )
    times = make(calendar, (last - pd.Timedelta(days=days)).date(), end)
    if len(times) < bars:
        raise ConfigError(
            f"calendar {calendar} has only {len(times)} {interval} bars up to {end}, not {bars}",
            hint="lower data.simulator.bars",
        )
    return times[-bars:]


def time_zone(calendar: str) -> str:
    """Return the IANA time zone in which the calendar's dates are meant."""
    return "UTC" if calendar in (ALWAYS, WEEKDAYS) else str(_exchange(calendar).tz)


def settling(calendar: str) -> timedelta:
    """Return how long after a session's end its daily bar may still stand at a price that is not its close."""
    return timedelta(minutes=_SETTLING.get(calendar, _UNKNOWN))


def settling_close(calendar: str) -> timedelta:
    """Return how long behind the end of its session a venue's close is waited for by who decides on it."""
    return settling(calendar) if calendar in (ALWAYS, WEEKDAYS) else max(settling(calendar), _PRINTS)


def settled(calendar: str, day: date) -> datetime:
    """Return when the daily bar of a date is its venue's close (UTC): that of currencies and coins at midnight UTC."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if calendar in (ALWAYS, WEEKDAYS) or (hours_ := opening_hours(calendar, day, day)).empty:
        return start + timedelta(days=1)
    end: datetime = hours_["close"].iloc[0].to_pydatetime()
    return end + settling_close(calendar)


def closes_after_fixing(calendar: str) -> bool:
    """Return whether a daily bar closes after the ECB's afternoon fixing, so that it may use the same date's rates.

    The reference rates are published at about 16:00 in Frankfurt: after the close of Sydney or Tokyo, before New York's.
    """
    zone = time_zone(calendar)
    return not zone.startswith(("Australia/", "Asia/", "Pacific/"))


def _every(step: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.date_range(first, last, freq=step, tz="UTC")).as_unit("ns")


def _weekdays(weekmask: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    days = pd.date_range(first, last, freq="D", tz="UTC").as_unit("ns")
    open_days = np.array([letter == "1" for letter in weekmask])
    return pd.DatetimeIndex(days[open_days[days.day_of_week]])


def _known_sessions(calendar: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    if first > last:
        return pd.DatetimeIndex([], tz="UTC").as_unit("ns")
    return pd.DatetimeIndex(_schedule(calendar, first, last).index).tz_localize("UTC").as_unit("ns")


@lru_cache(maxsize=16)
def _known(calendar: str) -> tuple[pd.Timestamp, pd.Timestamp, str]:
    """Return the first and last date whose sessions the library knows, and the exchange's week as 1111100."""
    found = _exchange(calendar)
    first, last = found.bound_min(), found.bound_max()
    begin = _EXCHANGE_RULES_FROM if first is None else max(first, _EXCHANGE_RULES_FROM)
    return begin, pd.Timestamp("2200-01-01") if last is None else last, str(found.weekmask)


@lru_cache(maxsize=16)
def _exchange(calendar: str) -> Any:
    return _make(calendar)


@lru_cache(maxsize=32)
def _schedule(calendar: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DataFrame:
    week = pd.Timedelta(days=7)
    known_from, known_to, _ = _known(calendar)
    begin, stop = max(first - week, known_from), min(max(last, first) + week, known_to)
    schedule: pd.DataFrame = _exchange(calendar).schedule  # of some twenty years; making another costs as much again
    if begin < schedule.index[0] or stop > schedule.index[-1]:
        schedule = _make(calendar, start=begin, end=stop).schedule
    return schedule.loc[first:last, ["open", "close"]]


def _make(calendar: str, **window: pd.Timestamp) -> Any:
    """Return the exchange_calendars object; it has no types, and with pandas 3.1 it warns about its own code."""
    import exchange_calendars

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return exchange_calendars.get_calendar(calendar, **window)
        except exchange_calendars.errors.InvalidCalendarName as error:
            raise ConfigError(
                f"universe.calendar={calendar} is not a known calendar",
                hint=f"use {ALWAYS}, {WEEKDAYS} or an exchange_calendars code such as XASX, XNYS or CMES",
            ) from error
        except Exception as error:  # an exchange's rules, and the packages that they ask, fail in ways of their own
            raise ConfigError(
                f"universe.calendar={calendar} cannot be worked out here ({type(error).__name__})",
                hint=f"use {WEEKDAYS}, or another exchange with the same holidays",
            ) from error
