"""Times within the day behind which no zone is written: the sessions' hours tell whether they are UTC or the exchange's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data import calendars
from wealtharena.data.reading import weeks
from wealtharena.data.reading.clocks import METATRADER, UTC, instants, spoken, step_of
from wealtharena.data.reading.stamps import IntArray
from wealtharena.errors import DataError

_OF_VENDORS: Final = {"America/Chicago": "America/New_York"}  # whose clock American files of futures keep, too
_SESSIONS: Final = 5  # that tell which clock was read, at least;
_FITTING: Final = 0.5  # of them must have a bar at their open and one at their close, where bars lie around them, too
_STRAY: Final = 0.05  # of the bars may lie far from any session
_EVEN: Final = 0.005  # of the bars: readings with as many in sessions, but for these, are even
_WEEK: Final = pd.Timedelta(days=7)


def zones(walls: Mapping[str, tuple[IntArray, str]], *, where: str) -> dict[str, str]:
    """Return the zone in which the times of each symbol are written: UTC, or another as the hours of sessions or weeks tell.

    `walls` has by symbol what a clock showed at its bars, in ns since 1970, rising, and its calendar. The clock of one exchange may be that
    of shares of another, too. Symbols that tell nothing themselves, as they are seldom traded, follow those of their calendar that do, or all
    others where these are by one clock.

    Raises:
        DataError: two symbols of a calendar are by different clocks, or one that follows has two to follow, or has times that
            the clock of the others never shows.
    """
    alone = _told(walls, ())
    others = sorted({*alone.values()} - {"", UTC})
    found = _told(walls, others) if others else alone
    told: dict[str, str] = {}  # calendar -> the first symbol that tells
    for name, zone in found.items():
        first = told.setdefault(walls[name][1], name) if zone else name
        if found[first] != zone:
            of = f"by {_who(walls[name][1])} times of {first} are in {found[first]}, of {name} in {zone}"
            raise _unlike(where, of)
    clocks = sorted({found[first] for first in told.values()}) or [UTC]
    taken = dict(found)
    for name, (wall, calendar) in walls.items():
        if not found[name]:
            taken[name] = found[told[calendar]] if calendar in told else clocks[0]
            if calendar not in told and len(clocks) > 1:
                raise _unlike(
                    where, f"times of {name} tell no clock, and those of others are in {' and in '.join(clocks)}"
                )
        if instants(wall, taken[name]) is None:
            raise _unlike(where, f"others are in {taken[name]}, and {name} has a time that comes there twice, or never")
    return taken


def _unlike(where: str, words: str) -> DataError:
    hint = "write an offset behind all times, as in 2024-01-31T15:00:00Z"
    return DataError(f"{where}: no zone is written, and {words}", hint=hint)


def in_utc(wall: IntArray, zone: str) -> IntArray:
    """Return the instants, ns since 1970, at which a clock of `zone` showed `wall`; see `zones`."""
    stamps = instants(wall, zone)
    assert stamps is not None, "a zone is told by times that it has"
    return stamps


def words(names: str, zone: str, calendar: str) -> str:
    """Return in which zone the times of symbols were taken, and why."""
    if zone == UTC:
        return f"times of {names} have no zone and are taken as UTC; write an offset if they are of another"
    return f"times of {names} have no zone and are taken as {spoken(zone)}, as {_who(calendar)} tell; write an offset if they are not"


def _who(calendar: str) -> str:
    """Return what tells the clock of symbols of a calendar; coins have neither hours nor weekends, and follow others."""
    if calendar in (calendars.ALWAYS, calendars.WEEKDAYS):
        return "the symbols beside them" if calendar == calendars.ALWAYS else "their weekends"
    return f"the hours of {calendar}"


def _told(walls: Mapping[str, tuple[IntArray, str]], others: Sequence[str]) -> dict[str, str]:
    """Return the zone that the hours of each symbol tell, maybe one of `others`; nothing where they tell none."""
    pairs = {name: wall for name, (wall, calendar) in walls.items() if calendar == calendars.WEEKDAYS}
    told = weeks.told(pairs, others)
    return {
        name: told[name] if name in told else _zone(wall, calendar, others) for name, (wall, calendar) in walls.items()
    }


def _zone(wall: IntArray, calendar: str, others: Sequence[str] = ()) -> str:
    """Return the zone, maybe of `others`, in which most bars lie in the sessions of a calendar, UTC where two are even.

    Nothing is returned where that one does not fit.
    """
    if calendar == calendars.ALWAYS or len(wall) < 2:
        return ""
    step, own = step_of(wall), calendars.time_zone(calendar)
    found, most = "", 0.0
    for zone in dict.fromkeys(filter(None, (UTC, own, _OF_VENDORS.get(own), METATRADER, *others))):
        stamps = instants(wall, zone)
        share, fits = (0.0, False) if stamps is None else _inside(stamps, step, calendar)
        if share > most + _EVEN:
            found, most = zone if fits else "", share
    return found


def _inside(stamps: IntArray, step: int, calendar: str) -> tuple[float, bool]:
    """Return the share of bars, rising, that lie in the sessions, and whether next to all do or most sessions have bars where they
    begin and where they end.

    The share is 0 where these are no bars of such an exchange: too many lie far from any session.
    """
    first, last = pd.Timestamp(int(stamps[0])), pd.Timestamp(int(stamps[-1]))
    hours = calendars.opening_hours(calendar, (first - _WEEK).date(), (last + _WEEK).date())
    if len(hours) < _SESSIONS:
        return 0.0, False
    begins, ends = (pd.DatetimeIndex(hours[name]).as_unit("ns").asi8 for name in ("open", "close"))
    if begins[0] > stamps[0] or ends[-1] < stamps[-1]:
        return 0.0, False  # of years whose holidays are not known
    earliest = begins // step * step  # bars on the clock begin at 9:00 where a session opens at 9:30
    apart = (begins[1:] - ends[:-1]).min() >= calendars.EARLY.value + calendars.LATE.value
    early, late = (calendars.EARLY.value, calendars.LATE.value) if apart else (0, 0)
    session = np.maximum(np.searchsorted(earliest - early, stamps, side="right") - 1, 0)
    near = (earliest[session] - early <= stamps) & (stamps <= ends[session] + late)
    within = (earliest[session] <= stamps) & (stamps <= ends[session])
    seen = np.unique(session[within])
    if len(seen) < _SESSIONS or (~near).mean() > _STRAY:
        return 0.0, False
    second = np.isin(stamps, begins + step) | np.isin(stamps, earliest + step)  # the first, where times are ends
    opened = np.isin(seen, session[within & ((stamps <= begins[session]) | second)]).mean()
    closed = np.isin(seen, session[within & (stamps >= ends[session] - step)]).mean()
    share = float(within.mean())
    return share, bool(min(opened, closed) >= _FITTING) or share >= 1.0 - _STRAY
