"""When the bars of a venue are over: its own sessions in its own time zone, each met once, on absolute deadlines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from wealtharena.data import calendars
from wealtharena.errors import ConfigError

SLICE_SECONDS: Final = 60.0  # longest wait before the time is looked at again: clocks are set, machines sleep
_YEARS_AHEAD: Final = 2  # in which a venue must have a session, for it to have a calendar at all


@dataclass(frozen=True)
class Session:
    """One session of a venue: the date that its bar carries, and when it begins and ends (UTC)."""

    date: dt.date
    opens: dt.datetime
    closes: dt.datetime

    @property
    def stamp(self) -> np.datetime64:
        """Return the time of its bar, as panels have it."""
        return np.datetime64(self.date, "ns")

    @property
    def bar(self) -> str:
        """Return the time of its bar, as every file of an account names it."""
        return str(self.stamp)


@dataclass(frozen=True)
class Timer:
    """The time, and a way to let it pass; tests bring their own."""

    now: Callable[[], dt.datetime]  # UTC, by the wall clock
    wait: Callable[[float], None]  # passes at most so many seconds; may return early
    stopped: Callable[[], bool] = lambda: False

    def until(self, deadline: dt.datetime) -> bool:
        """Let the time pass up to a deadline and return True; False as soon as the end is asked for.

        The deadline is absolute: what a wait is late by is not added to the next, and a clock that is set is followed.
        """
        while (left := (deadline - self.now()).total_seconds()) > 0.0:
            if self.stopped():
                return False
            self.wait(min(left, SLICE_SECONDS))
        return not self.stopped()


@lru_cache(maxsize=64)
def sessions_of(calendar: str, year: int) -> tuple[Session, ...]:
    """Return the sessions whose date lies in a year, in order."""
    table = calendars.opening_hours(calendar, dt.date(year, 1, 1), dt.date(year, 12, 31))
    return tuple(
        Session(day.date(), opens.to_pydatetime(), closes.to_pydatetime())
        for day, opens, closes in zip(table.index, table["open"], table["close"], strict=True)
    )


def from_date(calendar: str, first: dt.date) -> Iterator[Session]:
    """Yield the sessions of the date `first` and later, without an end; ConfigError where the calendar ends."""
    year, empty = first.year, 0
    while empty < _YEARS_AHEAD:
        found = sessions_of(calendar, year)
        yield from (one for one in found if one.date >= first)
        year, empty = year + 1, 0 if found else empty + 1
    raise ConfigError(f"calendar {calendar} knows no session after {first}", hint="install a newer exchange_calendars")


def each_session(
    calendar: str,
    timer: Timer,
    *,
    after: dt.date | None,
    patience: dt.timedelta,
    missed: Callable[[Session], None] = lambda session: None,
) -> Iterator[tuple[Session, dt.datetime]]:
    """Yield each session of a later date than `after` when it is over, once and in order, with its own deadline.

    The deadline is `patience` after its end, or the end of the next one where that is earlier. A session whose deadline
    is past before it is come to, as after a long stop, is told to `missed` and not yielded. Without `after`, the first is
    the newest that is over and still within its deadline, or the next to end. Ends where the timer is stopped.
    """
    start = after + dt.timedelta(days=1) if after is not None else timer.now().date() - dt.timedelta(days=14)
    begun = after is not None
    waiting = from_date(calendar, start)
    session = next(waiting)
    while timer.until(session.closes):
        following = next(waiting)
        deadline = min(session.closes + patience, following.closes)
        if timer.now() < deadline:
            begun = True
            yield session, deadline
        elif begun:
            missed(session)
        session = following
