"""Which bar a stamp belongs to: the time column among several, and the date of a day's bar at its venue."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data import intervals
from wealtharena.data.bars import TIMESTAMP_DTYPE
from wealtharena.data.reading import stamps, zones
from wealtharena.data.reading.candidates import is_count, is_counter, likely
from wealtharena.data.reading.columns import plain
from wealtharena.data.reading.labels import check_labels, check_weekdays
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import BoolArray, IntArray, Stamps
from wealtharena.errors import DataError

_MINUTE: Final = 60 * 10**9
_HOUR: Final = 3600 * 10**9
_DAY: Final = 24 * _HOUR
_QUARTER: Final = _HOUR // 4
_NOON: Final = 12 * _HOUR
_EAST: Final = ("Asia/Tokyo", "Asia/Shanghai", "Asia/Kolkata", "Australia/Sydney", "Australia/Perth", "Pacific/Auckland",
                "Europe/London")  # fmt: skip
_ENOUGH: Final = 5  # daily bars: one weekend day among fewer tells nothing
_WEEKEND_SHARE: Final = 0.1  # of daily bars that fall on a weekend where the wrong side of midnight was taken
_STRAYS: Final = 0.05  # of a session's times that lie apart from the others: half days close earlier


def time_of_rows(
    columns: list[tuple[str, pd.Series]],
    ledger: Ledger,
    *,
    symbols: pd.Series | None = None,
    zone: tuple[str, pd.Series] | None = None,
) -> Stamps:
    """Return the stamps of a table whose time columns are `columns`, the likeliest first; `symbols` are those of its rows.

    `zone` is a column of time zones or offsets beside them.

    A date and a time of day are joined; a counter of rows and columns that hold no time are passed over; two columns
    that tell the same are one.

    Raises:
        DataError: no column can be read, two of them tell different times, or one that cannot be read tells rows of one
            date apart; or the zone that is stated is not known.
    """
    columns = likely(columns, ledger.name)
    read: dict[str, Stamps] = {}
    clocks: dict[str, IntArray] = {}
    errors: list[tuple[str, DataError]] = []
    behind: dict[str, pd.Series] = {}
    for name, values in columns:
        values, words = zones.split_off(values, ledger.name)
        if words is not None:
            behind[name] = words
        day_time = stamps.clock(values) if len(columns) > 1 and not is_count(name, values) else None
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
    for unread, _ in errors:
        _check_unread(unread, dict(columns)[unread], found, symbols, ledger.name)
    clocks = {
        label: time for label, time in clocks.items() if label not in behind or _tells_apart(found, time, symbols)
    }  # 16:00 ET behind each date is no news, and its date stays
    used, found = _with_clock(name, found, clocks, symbols, ledger)
    words_behind = next(((label, behind[label]) for label in used if label in behind), None)
    found = zones.placed(found, used, zone, symbols, ledger, words_behind)
    others = [label or "the first column" for label, _ in columns if label not in used]
    shown = " and ".join(label or "the first column" for label in used) + (", joined" if len(used) > 1 else "")
    ledger.settle("time column", shown + (f" (not {', '.join(others)})" if others else ""))
    ledger.settle("stamps", found.form + ("" if found.zoned else ", no zone written"))
    return found


def _with_clock(
    name: str, found: Stamps, clocks: dict[str, IntArray], symbols: pd.Series | None, ledger: Ledger
) -> tuple[tuple[str, ...], Stamps]:
    """Return the columns that are used and the stamps, a time of day added to dates.

    Dates with a zone say all there is of a day's bar; where they repeat, their times are of that zone.
    """
    telling = {label: time for label, time in clocks.items() if _tells_apart(found, time, symbols)}
    label, time = next(iter((telling or clocks).items()), ("", None))
    if time is None or not (telling or (found.whole_days and not found.zoned)):
        return (name,), found
    other = next((key for key, value in telling.items() if (value != time).any()), None)
    if other is not None:
        raise DataError(f"{ledger.name}: {label} and {other} tell different times of day", hint="remove one of them")
    if not found.whole_days or found.offset:
        own = "an offset from UTC" if found.whole_days else "a time of day of its own"
        raise DataError(
            f"{ledger.name}: {name} has {own}, and {label} tells its rows of one date apart",
            hint="write both in one column, like 2024-01-31T15:00:00Z",
        )
    if found.zoned:
        ledger.note(f"{label} is taken as UTC, the zone of {name}")
    return (name, label), replace(found, wall=found.wall + time, instants=found.instants + time)


def _check_unread(name: str, values: pd.Series, found: Stamps, symbols: pd.Series | None, where: str) -> None:
    """Refuse a column that is no time in any form that is known, and yet tells rows of one date apart.

    Raises:
        DataError: naming the column and its first cell that cannot be read.
    """
    if is_count(name, values) or not _tells_apart(found, values, symbols):
        return
    row, cell = stamps.first_unread(values)
    if stamps.is_bare(values):
        raise DataError(
            f"{where}: {name} holds numbers such as {cell}: hours or minutes?", hint="write times of day like 09:00"
        )
    if is_counter(values) and not values.duplicated().any():
        return
    raise DataError(
        f"{where}: {name} tells rows of one date apart and cannot be read: {cell!r} in row {row + 1}",
        hint="write times of day like 09:30 or 16:00:00, or remove the column",
    )


def _tells_apart(found: Stamps, values: pd.Series | IntArray, symbols: pd.Series | None) -> bool:
    """Return whether values differ among a symbol's rows of one stamp, where there is no more than one stamp a date."""
    if len(np.unique(found.wall // _DAY)) < len(np.unique(found.wall)):
        return False
    cells = pd.factorize(values.astype("string") if isinstance(values, pd.Series) else values)[0]
    owner = np.zeros(len(cells), dtype=np.int64) if symbols is None else pd.factorize(symbols)[0]
    rows = pd.DataFrame({"owner": owner, "stamp": found.wall, "cell": cells}).drop_duplicates()
    return bool(rows.duplicated(subset=["owner", "stamp"]).any())


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
        elif _begins(best) != _begins(name) and ((apart > 0) == _begins(best)).all():
            best, other_end = (best, name) if _begins(best) else (name, best)
            ledger.note(f"bars stand at their beginnings, {best}, and not at {other_end}")
        else:
            row = int(np.flatnonzero(apart)[0])
            raise DataError(
                f"{ledger.name}: {best} and {name} tell different times in row {row + 1}", hint="remove one of them"
            )
    return best, read[best]


def _begins(name: str) -> bool:
    """Return whether a column's name says that it holds the beginnings of bars: open_time, startedAt."""
    return re.search("open|start|begin|from", plain(name)) is not None


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


def without_quotes(groups: dict[str, IntArray], found: Stamps, ledger: Ledger) -> dict[str, IntArray]:
    """Return the rows of each symbol without those that are quotes of a day that was not over: a time of day among dates.

    So it is where nearly all of a symbol's daily bars are stamped midnight and a few are not, or nearly all are stamped on
    a quarter of an hour. A half day's close is on one.
    """
    kept: dict[str, IntArray] = {}
    last = 0
    for name, rows in groups.items():
        wall = found.wall[rows]
        odd = ~np.isin(wall % _DAY, (0, _HOUR, _DAY - _HOUR))  # a midnight elsewhere moves by an hour in summer
        if odd.mean() > _STRAYS:
            odd = wall % _QUARTER != 0
        is_daily = not odd.all() and intervals.is_dated(pd.DatetimeIndex(np.unique(wall[~odd])))
        few = odd.any() and odd.sum() <= max(1, _STRAYS * len(rows)) and (~odd).sum() >= _ENOUGH
        kept[name] = rows[~odd] if few and is_daily else rows
        last = max(last, int(wall[odd].max()) if few and is_daily else 0)
    lost = sum(map(len, groups.values())) - sum(map(len, kept.values()))
    if lost:
        ledger.note(
            f"{lost} of {ledger.rows} rows left out: a time of day among dates is of a quote, and of no bar"
            f" (the last {pd.Timestamp(last):%Y-%m-%d %H:%M:%S})"
        )
    return kept


def bar_times(found: Stamps, *, dated: bool, zone: str, weekdays: bool, where: str) -> pd.Series:
    """Return the UTC stamps of one symbol's bars: the instant, or 00:00 of its date at the venue where it is `dated`.

    `weekdays` says that the venue keeps weekends, which tells on which side of midnight a day's bar belongs.

    Raises:
        DataError: the instants of a day's bars leave open which date they belong to, days fall on weekends and never on
            others, or weeks or months are labelled by one day for a stretch and by another after it.
    """
    if not dated:
        return _utc(found.instants)
    dates = _dates(found, zone=zone, weekdays=weekdays, where=where)
    check_labels(dates, where)
    if weekdays:
        check_weekdays(dates, where)
    return dates


def _dates(found: Stamps, *, zone: str, weekdays: bool, where: str) -> pd.Series:
    if not found.zoned:
        return _utc(found.wall // _DAY * _DAY)
    if found.offset and found.whole_days:
        return _utc(found.wall)
    if (found.instants % _DAY == 0).all():
        return _utc(found.instants)
    local = pd.DatetimeIndex(found.instants, tz="UTC").tz_convert(zone).tz_localize(None).as_unit("ns").asi8
    shown = intervals.spacing(pd.DatetimeIndex(found.instants))
    interval = shown.interval if shown else None
    if interval == "1mo":
        return _utc(_month_dates(found.instants, local, weekdays=weekdays, where=where))
    if weekdays and (len(local) >= _ENOUGH or interval == "1w"):
        return _utc(_session_dates(local, zone=zone, where=where))
    return _utc(_dates_round_the_clock(local, zone=zone, where=where))


def dated_together(table: pd.DataFrame, zone: str, weekdays: bool, *, zoned: bool, where: str) -> pd.DataFrame:
    """Return bars of one file each, none of which shows how far apart they are, with dates where they are days.

    `zoned` says whether their times are instants; see `bar_times`.
    """
    times = pd.DatetimeIndex(table["timestamp"]).tz_convert("UTC").tz_localize(None).as_unit("ns").asi8
    if not intervals.is_dated(pd.DatetimeIndex(times)):
        return table
    found = Stamps(times, times, zoned, False, "")
    return table.assign(timestamp=bar_times(found, dated=True, zone=zone, weekdays=weekdays, where=where))


def _session_dates(local: IntArray, *, zone: str, where: str) -> IntArray:
    """Return the dates of a venue's bars by their times there; midnight says its date itself, weekends or not."""
    dates = off_weekends(local)
    if dates is not None:
        return dates
    floor = local // _DAY * _DAY
    if (local == floor).all():
        return floor
    first = pd.Timestamp(local[_on_weekends(floor)][0])
    raise DataError(
        f"{where}: bars stamped like {first:%Y-%m-%d %H:%M} in {zone} fall on weekends, and so do the days beside them",
        hint="write plain dates, one a bar",
    )


def off_weekends(local: IntArray) -> IntArray | None:
    """Return the dates of times at a venue, the next or the ones before, whichever keep weekends best; or None.

    Half a day on or back, a session whose times lie on both sides of midnight is of one date; one that spans noon is of
    its own.
    """
    candidates = [local // _DAY * _DAY]
    quarter = local % _DAY // (6 * _HOUR)
    if min((quarter == 1).mean(), (quarter == 2).mean()) <= _STRAYS:
        candidates += [(local + _NOON) // _DAY * _DAY, (local - _NOON) // _DAY * _DAY]
    best = min(candidates, key=lambda dates: float(_on_weekends(dates).mean()))
    return best if _on_weekends(best).mean() <= _WEEKEND_SHARE else None


def _month_dates(instants: IntArray, local: IntArray, *, weekdays: bool, where: str) -> IntArray:
    """Return the dates of monthly bars: those of their times, or the next where all are of a month's last evening.

    Where the 1st begins further east while the old month lasts here, in the morning of its last day or in summer alone, a
    place has to show it. Dates that differ from month to month are of sessions, and keep weekends.

    Raises:
        DataError: a month's last morning, which is the 1st in no place that is known.
    """
    floor = local // _DAY * _DAY
    days = pd.DatetimeIndex(local)
    lasts = days.is_month_end
    if lasts.all() and (local % _QUARTER == 0).all() and (local % _DAY).max() >= _NOON:
        return floor + _DAY
    if (local != floor).any() and lasts.any() and len(days) >= _ENOUGH:
        for place in _EAST:
            there = pd.DatetimeIndex(instants, tz="UTC").tz_convert(place).tz_localize(None)
            if there.is_month_start.all() and (there == there.normalize()).all():
                return np.asarray(there.as_unit("ns").asi8)
        if lasts.all() and (local % _DAY).max() < _NOON:
            raise DataError(
                f"{where}: monthly bars stamped like {days[0]:%Y-%m-%d %H:%M} may be of the month that ends or the next",
                hint="write plain dates, one a bar",
            )
    dates = off_weekends(local) if weekdays and not lasts.all() and days.day.nunique() > 1 else None
    return floor if dates is None else dates


def _dates_round_the_clock(local: IntArray, *, zone: str, where: str) -> IntArray:
    """Return the dates of bars that no weekend tells about: in UTC, those that begin in the evening are of the next."""
    floor = local // _DAY * _DAY
    hours = local % _DAY // _HOUR
    if zone != "UTC" or (hours >= 12).mean() <= 0.5 or (local % _HOUR == 0).mean() <= 0.5:
        return floor
    if (hours >= 20).mean() > 0.95:
        return np.where(hours >= 12, floor + _DAY, floor)
    raise DataError(
        f"{where}: daily bars stamped {int(np.median(hours))}:00 UTC may belong to that date or the next",
        hint="write plain dates, one a bar",
    )


def from_ends(found: Stamps, frame: pd.DataFrame, ledger: Ledger) -> Stamps:
    """Return the stamps of BitMEX's bars, which name their ends, at their beginnings."""
    if not {"homenotional", "foreignnotional"} <= {plain(name) for name in frame.columns}:
        return found
    shown = intervals.spacing(pd.DatetimeIndex(found.instants))
    if shown is None:
        return found
    step = shown.typical.value
    ledger.note(
        f"BitMEX stamps bars by their ends: they stand {shown.interval or shown.typical} earlier, at their beginnings"
    )
    return replace(found, wall=found.wall - step, instants=found.instants - step)


def _on_weekends(days: IntArray) -> BoolArray:
    return np.asarray((days // _DAY + 3) % 7 >= 5)  # 1970-01-01 was a Thursday


def _utc(nanoseconds: IntArray) -> pd.Series:
    made: pd.Series = pd.Series(pd.DatetimeIndex(nanoseconds, tz="UTC")).astype(TIMESTAMP_DTYPE)
    return made


def from_beginnings(found: Stamps, ledger: Ledger) -> Stamps:
    """Return stamps of a symbol's bars within the day at their beginnings where they name the last moment of a bar (09:59:59.999)."""
    apart = np.diff(np.unique(found.instants))
    for before in (10**6, 10**9):  # a millisecond, a second
        if len(apart) and ((found.instants + before) % _MINUTE == 0).all():
            shift = before - int(np.median(apart))
            ledger.note("its times are the last moments of bars, which stand at their beginnings")
            return replace(found, wall=found.wall + shift, instants=found.instants + shift)
    return found
