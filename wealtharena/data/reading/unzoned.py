"""Times within the day behind which no zone is written: the sessions' hours tell whether they are UTC or the exchange's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data import calendars
from wealtharena.data.reading.stamps import IntArray
from wealtharena.errors import DataError

UTC: Final = "UTC"
_OF_VENDORS: Final = {"America/Chicago": "America/New_York"}  # whose clock American files of futures keep, too
_SESSIONS: Final = 5  # that tell which clock was read, at least;
_FITTING: Final = 0.5  # of them must have a bar at their open and one at their close, where bars lie around them, too
_STRAY: Final = 0.05  # of the bars may lie far from any session
_EVEN: Final = 0.005  # of the bars: readings with as many in sessions, but for these, are even
_WEEK: Final = pd.Timedelta(days=7)


def zones(walls: Mapping[str, tuple[IntArray, str]], *, where: str) -> dict[str, str]:
    """Return the zone in which the times of each symbol are written: UTC, or its exchange's as the sessions' hours tell.

    `walls` has by symbol what a clock showed at its bars, in ns since 1970, rising, and its calendar. Symbols of a calendar
    that tell nothing themselves, as they are seldom traded, follow those that do.

    Raises:
        DataError: the hours show one symbol of a calendar to be in UTC, and another in the exchange's zone; or one that
            follows has times that its zone has not.
    """
    found = {name: _zone(wall, calendar) for name, (wall, calendar) in walls.items()}
    told: dict[str, str] = {}  # calendar -> the first symbol that tells
    for name, zone in found.items():
        first = told.setdefault(walls[name][1], name) if zone else name
        if found[first] != zone:
            raise DataError(
                f"{where}: no zone is written, and by the hours of {walls[name][1]} times of {first} are in {found[first]}, of {name} in {zone}",
                hint="write an offset behind the times of both, as in 2024-01-31T15:00:00Z",
            )
    taken = {name: found[told[calendar]] if calendar in told else UTC for name, (_, calendar) in walls.items()}
    for name, zone in taken.items():
        if _instants(walls[name][0], zone) is None:
            raise DataError(
                f"{where}: no zone is written, others of {walls[name][1]} are in {zone}, and {name} has a time that comes there twice, or never",
                hint="write an offset behind the times, as in 2024-01-31T15:00:00Z",
            )
    return taken


def in_utc(wall: IntArray, zone: str) -> IntArray:
    """Return the instants, ns since 1970, at which a clock of `zone` showed `wall`; see `zones`."""
    stamps = _instants(wall, zone)
    assert stamps is not None, "a zone is told by times that it has"
    return stamps


def words(names: str, zone: str, calendar: str) -> str:
    """Return in which zone the times of symbols were taken, and why."""
    if zone == UTC:
        return f"times of {names} have no zone and are taken as UTC; write an offset if they are of another"
    return f"times of {names} have no zone and are taken as {zone}'s, as the hours of {calendar} tell; write an offset if they are not"


def _zone(wall: IntArray, calendar: str) -> str:
    """Return the zone in which most bars lie in the sessions of a calendar, UTC where two are even; nothing where that one does not fit."""
    if calendar in (calendars.ALWAYS, calendars.WEEKDAYS) or len(wall) < 2:
        return ""
    steps, counts = np.unique(np.diff(wall), return_counts=True)
    step, own = int(steps[counts.argmax()]), calendars.time_zone(calendar)
    found, most = "", 0.0
    for zone in filter(None, (UTC, own, _OF_VENDORS.get(own))):
        stamps = _instants(wall, zone)
        share, fits = (0.0, False) if stamps is None else _inside(stamps, step, calendar)
        if share > most + _EVEN:
            found, most = zone if fits else "", share
    return found


def _instants(wall: IntArray, zone: str) -> IntArray | None:
    """Return the instants at which a clock of `zone` showed `wall`; None where it showed one twice, or never."""
    if zone == UTC:
        return wall
    local = pd.DatetimeIndex(wall.astype("datetime64[ns]")).tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    return None if local.hasnans else np.asarray(local.tz_convert(UTC).as_unit("ns").asi8, dtype=np.int64)


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
