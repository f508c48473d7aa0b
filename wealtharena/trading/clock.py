"""When the bars of a venue are over: its own sessions in its own time zone, each met once, on absolute deadlines."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import dropwhile
from typing import Final, Protocol

import numpy as np

from wealtharena.data import calendars
from wealtharena.errors import ConfigError

SLICE_SECONDS: Final = 60.0  # longest wait before the time is looked at again: clocks are set, machines sleep
_BEFORE: Final = {
    "1d": dt.timedelta(days=14),
    "1h": dt.timedelta(days=1),
}  # in which some session of any venue was over
_YEARS_AHEAD: Final = 2  # in which a venue must have a session, for it to have a calendar at all


@dataclass(frozen=True)
class Session:
    """One session of a venue, or one hour of a venue that never closes: the date of its bar, and when it begins and ends (UTC)."""

    date: dt.date
    opens: dt.datetime
    closes: dt.datetime
    hourly: bool = False

    @property
    def stamp(self) -> np.datetime64:
        """Return the time of its bar, as panels have it: the start of an hour, the date of a session."""
        return np.datetime64(self.opens.replace(tzinfo=None) if self.hourly else self.date, "ns")

    @property
    def bar(self) -> str:
        """Return the time of its bar, as every file of an account names it."""
        return str(self.stamp)


@dataclass(frozen=True)
class Due:
    """A moment before which somebody has nothing to do."""

    moment: dt.datetime  # UTC, or the time of a bar
    early: bool = False  # or something to look at as soon as anybody is roused, and each minute


class Clock(Protocol):
    """What agents that take turns go by."""

    def now(self) -> dt.datetime: ...

    def until(self, moment: dt.datetime) -> bool:
        """Let the time pass up to a moment and return True; False where something asks all to look sooner, or the time went back."""


@dataclass(frozen=True)
class Timer:
    """The wall clock, and a way to let its time pass; tests bring their own."""

    now: Callable[[], dt.datetime]  # UTC
    wait: Callable[[float], None]  # passes at most so many seconds; may return early
    roused: Callable[[], bool] = lambda: False  # whether all are to look now: the end is asked for, or a broker spoke

    def until(self, moment: dt.datetime) -> bool:
        """Let the time pass up to a moment and return True; False as soon as somebody is roused, or the clock was set back.

        The moment is absolute: what a wait is late by is not added to the next, and a clock that is set is followed. Who
        has reckoned a moment by a clock that was set back since reckons it anew.
        """
        while (left := (moment - (before := self.now())).total_seconds()) > 0.0:
            self.wait(min(left, SLICE_SECONDS))
            if self.roused() or self.now() < before:
                return False
        return not self.roused()


class Pace:
    """The time of a replay: that of its bars, `speed` times as fast as real time, or as fast as it goes."""

    def __init__(self, speed: float | None, *, wait: Callable[[float], None]) -> None:
        self._speed, self._wait = speed, wait
        self._at: dt.datetime | None = None
        self._first = (dt.datetime.min, 0.0)  # and when it was reached, in seconds of real time

    def now(self) -> dt.datetime:
        """Return the time of the bar that was reached."""
        return self._at or dt.datetime.min.replace(tzinfo=dt.UTC)

    def until(self, moment: dt.datetime) -> bool:
        """Go to a bar, which is due at its own time after the first divided by the speed: waiting does not add up."""
        if self._at is None:
            self._first = moment, time.monotonic()
        elif self._speed is not None:
            first, began = self._first
            self._wait(max(0.0, began + (moment - first).total_seconds() / self._speed - time.monotonic()))
        self._at = moment
        return True


def comes_live(interval: str, calendar: str) -> bool:
    """Return whether bars of an interval are traded as they come: sessions, and hours where trading never stops."""
    return interval == "1d" or (interval == "1h" and calendar == calendars.ALWAYS)


@lru_cache(maxsize=64)
def sessions_of(calendar: str, year: int, interval: str = "1d") -> tuple[Session, ...]:
    """Return the sessions whose date lies in a year, in order; of `1h` its hours, which a venue without a night has."""
    first, last = dt.date(year, 1, 1), dt.date(year, 12, 31)
    if interval == "1h":
        hour = dt.timedelta(hours=1)
        starts = calendars.hours(calendar, first, last).to_pydatetime()
        return tuple(Session(start.date(), start, start + hour, hourly=True) for start in starts)
    table = calendars.opening_hours(calendar, first, last)
    return tuple(
        Session(day.date(), opens.to_pydatetime(), closes.to_pydatetime())
        for day, opens, closes in zip(table.index, table["open"], table["close"], strict=True)
    )


def from_date(calendar: str, first: dt.date, interval: str = "1d") -> Iterator[Session]:
    """Yield the sessions of the date `first` and later, without an end; ConfigError where the calendar ends."""
    year, empty = first.year, 0
    while empty < _YEARS_AHEAD:
        found = sessions_of(calendar, year, interval)
        yield from (one for one in found if one.date >= first)
        year, empty = year + 1, 0 if found else empty + 1
    raise ConfigError(f"calendar {calendar} knows no session after {first}", hint="install a newer exchange_calendars")


def after_bar(calendar: str, bar: np.datetime64, interval: str = "1d") -> Iterator[Session]:
    """Yield the sessions whose bars come after that of this time, without an end; ConfigError where the calendar ends."""
    return dropwhile(lambda one: one.stamp <= bar, from_date(calendar, bar.astype("datetime64[D]").item(), interval))


def each_session(
    calendar: str,
    now: Callable[[], dt.datetime],
    *,
    after: np.datetime64 | None,
    patience: dt.timedelta,
    until: Callable[[Session], dt.datetime] = lambda session: session.closes,
    missed: Callable[[Session], None] = lambda session: None,
    given_up: Callable[[Session], bool] = lambda session: False,
    interval: str = "1d",
) -> Iterator[Due | tuple[Session, dt.datetime]]:
    """Yield when the next session is over, and then it, each of a later bar than `after` once and in order, with its own deadline.

    The deadline is `patience` after its end, or `until` where that is later, or the end of the next one where that is earlier. A session whose deadline
    is past before it is come to, as after a long stop, is told to `missed` and not yielded; but where the clock is set back
    to before its end, it is still to come. So is one that was yielded and `given_up` since, for that very reason, with
    those that were passed by before it. Without `after`, the first is the newest that is over and still within its
    deadline, or the next to end. Goes on without an end.
    """
    start = np.datetime64(now().date() - _BEFORE[interval], "ns") if after is None else after
    begun = after is not None
    waiting = after_bar(calendar, start, interval)
    session = next(waiting)
    passed: list[Session] = []  # since the last that was yielded
    while True:
        yield Due(session.closes, early=bool(passed))
        if ahead := [one for one in passed if now() < one.closes]:  # the clock was wrong when they were passed by
            waiting, passed = after_bar(calendar, ahead[0].stamp - np.timedelta64(1, "ns"), interval), []
            session = next(waiting)
            continue
        if now() < session.closes:
            continue
        following = next(waiting)
        deadline = min(max(session.closes + patience, until(session)), following.closes)
        if now() < deadline:
            begun = True
            yield session, deadline
            passed = [*passed, session] if given_up(session) else []
        elif begun:
            missed(session)
            passed.append(session)
        session = following
