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
_STRAY: Final = 0.05  # of them may have a bar that lies in none of them, and
_FITTING: Final = 0.5  # must have one at their open or, where times are the ends of bars, at their close
_WEEK: Final = pd.Timedelta(days=7)


def zones(walls: Mapping[str, tuple[IntArray, str]], *, where: str) -> dict[str, str]:
    """Return the zone in which the times of each symbol are written: UTC, or its exchange's as the sessions' hours tell.

    `walls` has by symbol what a clock showed at its bars, in ns since 1970, rising, and its calendar. Symbols of a calendar
    that tell nothing themselves, as they are seldom traded, follow those that do.

    Raises:
        DataError: the hours show one symbol of a calendar to be in UTC, and another in the exchange's zone.
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
    return {name: found[told[calendar]] or UTC if calendar in told else UTC for name, (_, calendar) in walls.items()}


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
    """Return the zone that the sessions of a calendar show; nothing where they show none."""
    if calendar in (calendars.ALWAYS, calendars.WEEKDAYS) or len(wall) < 2:
        return ""
    steps, counts = np.unique(np.diff(wall), return_counts=True)
    step = int(steps[counts.argmax()])
    own = calendars.time_zone(calendar)
    for zone in filter(None, (UTC, own, _OF_VENDORS.get(own))):
        stamps = _instants(wall, zone)
        if stamps is not None and _fits(stamps, step, calendar):
            return zone
    return ""


def _instants(wall: IntArray, zone: str) -> IntArray | None:
    """Return the instants at which a clock of `zone` showed `wall`; None where it showed one twice, or never."""
    if zone == UTC:
        return wall
    local = pd.DatetimeIndex(wall.astype("datetime64[ns]")).tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    return None if local.hasnans else np.asarray(local.tz_convert(UTC).as_unit("ns").asi8, dtype=np.int64)


def _fits(stamps: IntArray, step: int, calendar: str) -> bool:
    """Return whether bars, rising, lie in the sessions as those of an exchange do."""
    first, last = pd.Timestamp(int(stamps[0])), pd.Timestamp(int(stamps[-1]))
    hours = calendars.opening_hours(calendar, (first - _WEEK).date(), (last + _WEEK).date())
    if hours.empty:
        return False
    begins, ends = (pd.DatetimeIndex(hours[name]).as_unit("ns").asi8 for name in ("open", "close"))
    if begins[0] > stamps[0] or ends[-1] < stamps[-1]:
        return False  # of years whose holidays are not known
    earliest = begins // step * step  # bars on the clock begin at 9:00 where a session opens at 9:30
    session = np.maximum(np.searchsorted(earliest, stamps, side="right") - 1, 0)
    within = (earliest[session] <= stamps) & (stamps <= ends[session])
    seen, starts = np.unique(session[within], return_index=True)
    if len(seen) < _SESSIONS or (~within).sum() > _STRAY * len(seen):
        return False
    opened = (stamps[within][starts] <= begins[seen]).mean()
    closed = np.isin(ends[seen], stamps).mean()
    return bool(max(opened, closed) >= _FITTING)
