"""Which bar a stamp belongs to: the time column among several, and the date of a day's bar at its venue."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.bars import TIMESTAMP_DTYPE
from wealtharena.data.reading import stamps
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import IntArray, Stamps
from wealtharena.errors import DataError

_HOUR: Final = 3600 * 10**9
_DAY: Final = 24 * _HOUR
_QUARTER: Final = _HOUR // 4
_WEEKEND_SHARE: Final = 0.1  # of daily bars that fall on a weekend where the wrong side of midnight was taken


def time_of_rows(columns: list[tuple[str, pd.Series]], ledger: Ledger) -> Stamps:
    """Return the stamps of a table whose time columns are `columns`, the likeliest first.

    A date and a time of day are joined; a counter of rows and columns that hold no time are passed over; two columns
    that tell the same are one.

    Raises:
        DataError: no column can be read, or two of them tell different times.
    """
    read: dict[str, Stamps] = {}
    clocks: dict[str, IntArray] = {}
    errors: list[tuple[str, DataError]] = []
    for name, values in columns:
        day_time = stamps.clock(values) if len(columns) > 1 and not _is_counter(values) else None
        if day_time is not None:
            clocks[name] = day_time
            continue
        try:
            read[name] = stamps.parse(values, ledger.name)
        except DataError as error:
            errors.append((name, error))
    broken = next((error for name, error in errors if not read or _mostly_times(dict(columns)[name])), None)
    if broken is not None or not read:
        raise broken or DataError(f"{ledger.name} has times of day and no date", hint="add a column date")
    name, found = _chosen(read, ledger)
    if clocks and found.whole_days and not found.zoned:
        clock_name, day_time = next(iter(clocks.items()))
        found = replace(found, wall=found.wall + day_time, instants=found.instants + day_time)
        name = f"{name} and {clock_name}, joined"
    others = [label or "the first column" for label, _ in columns if label not in name]
    ledger.settle("time column", name + (f" (not {', '.join(others)})" if others else ""))
    ledger.settle("stamps", found.form + ("" if found.zoned else ", no zone written"))
    return found


def _chosen(read: dict[str, Stamps], ledger: Ledger) -> tuple[str, Stamps]:
    """Return the column to go by: the first, a finer one that agrees with it, or the one whose instants are known."""
    names = list(read)
    best = names[0]
    for name in names[1:]:
        one, other = read[best], read[name]
        apart = other.wall - one.wall
        if (apart == 0).all():
            continue
        if one.whole_days and not other.whole_days and (other.wall // _DAY * _DAY == one.wall).all():
            best = name
        elif other.whole_days and (one.wall // _DAY * _DAY == other.wall).all():
            continue
        elif (np.abs(apart) <= 14 * _HOUR).all() and (apart % _QUARTER == 0).all() and one.zoned != other.zoned:
            best = name if other.zoned else best
            ledger.note(f"{names[0]} and {name} are some hours apart; {best} says in which zone and is taken")
        else:
            row = int(np.flatnonzero(apart)[0])
            raise DataError(
                f"{ledger.name}: {best} and {name} tell different times in row {row + 1}", hint="remove one of them"
            )
    return best, read[best]


def _is_counter(values: pd.Series) -> bool:
    """Return whether a column counts rows or days: small whole numbers that begin at 0 or 1."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any() or not len(numbers):
        return False
    array = numbers.to_numpy(dtype=np.float64)
    return bool((array == np.trunc(array)).all() and array.min() in (0.0, 1.0) and array.max() <= 4 * len(array) + 10
                and (np.diff(array) != 0).any() and array.max() > 0)  # fmt: skip


def _mostly_times(values: pd.Series) -> bool:
    """Return whether most of a column's cells are times, so that a cell that is none is a fault of the file."""
    probe = values.iloc[np.unique(np.linspace(0, len(values) - 1, min(len(values), 20)).astype(int))]
    good = 0
    for i in range(len(probe)):
        try:
            stamps.parse(probe.iloc[i : i + 1], "")
            good += 1
        except DataError as error:
            good += "may mean" in error.message
    return 2 * good > len(probe)


def bar_times(found: Stamps, *, dated: bool, zone: str, weekdays: bool, where: str) -> pd.Series:
    """Return the UTC stamps of one symbol's bars: the instant, or 00:00 of its date at the venue where it is `dated`.

    `weekdays` says that the venue keeps weekends, which tells on which side of midnight a day's bar belongs.

    Raises:
        DataError: the instants of a day's bars leave open which date they belong to.
    """
    if not dated:
        return _utc(found.instants)
    if not found.zoned:
        return _utc(found.wall // _DAY * _DAY)
    if found.offset and found.whole_days:
        return _utc(found.wall)
    if (found.instants % _DAY == 0).all():
        return _utc(found.instants)
    local = pd.DatetimeIndex(found.instants, tz="UTC").tz_convert(zone).tz_localize(None).as_unit("ns").asi8
    floor = local // _DAY * _DAY
    hours = local % _DAY // _HOUR
    if weekdays and len(floor) >= 5:
        here, ahead = _weekend_share(floor), _weekend_share(floor + _DAY)
        return _utc(floor + _DAY if here > _WEEKEND_SHARE >= ahead and (hours >= 12).all() else floor)
    if zone == "UTC" and (hours >= 12).mean() > 0.5 and (local % _HOUR == 0).mean() > 0.5:
        if (hours >= 20).mean() > 0.95:
            return _utc(np.where(hours >= 12, floor + _DAY, floor))
        raise DataError(
            f"{where}: daily bars stamped {int(np.median(hours))}:00 UTC may belong to that date or the next",
            hint="write plain dates, one a bar",
        )
    return _utc(floor)


def _weekend_share(days: IntArray) -> float:
    return float(((days // _DAY + 3) % 7 >= 5).mean())  # 1970-01-01 was a Thursday


def _utc(nanoseconds: IntArray) -> pd.Series:
    made: pd.Series = pd.Series(pd.DatetimeIndex(nanoseconds, tz="UTC")).astype(TIMESTAMP_DTYPE)
    return made
