"""Which columns of somebody's file are its dates, and which rows stand below the last of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from wealtharena.data.reading.columns import plain as letters_of
from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.words import ABSENT
from wealtharena.errors import DataError
from wealtharena.evaluation.cells import PROBE, Column, holds_numbers, is_typed, text_of
from wealtharena.evaluation.naming import is_named

if TYPE_CHECKING:
    import pandas as pd

    from wealtharena.data.reading.stamps import Stamps

STARTS: Final = re.compile(r"[+-.,]?\d")  # a date, or a number
DIGITS: Final = r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 20240131
DAY: Final = 86_400 * 10**9  # ns
EVENING: Final = 20 * 3600 * 10**9  # ns; later than that Europe's midnights are
WEEK: Final = 7  # days
YEAR: Final = 12  # months
MONTHLY: Final = re.compile(  # forms of a stamp
    r"(?:year and month|month's name and year|month and year|year and month by name)$|months of years of two digits"
)
BEGINS, ENDS = re.compile("from|start|begin"), re.compile("^to|end|until|thru")  # of a period, in a column's name
PARTS: Final = {  # of a date, by the names of their columns
    "year": ("year", "yr", "jahr", "annee", "anno", "ano"),
    "month": ("month", "monat", "mois", "mese", "mes"),
    "day": ("day", "tag", "jour", "giorno", "dia"),
}


def without_footer(columns: list[Column], ledger: Ledger) -> list[Column]:
    """Return columns without the last rows that have no date: a sum, a source, a line about the file.

    Such a row is text in its only cell, or has a word without a digit where dates stand.
    """
    import pandas as pd

    cells = pd.DataFrame({place: text_of(values) for place, (_, values) in enumerate(columns) if not is_typed(values)})
    if cells.empty or len(cells.columns) < len(columns):  # a file of typed columns has no text below them
        return columns
    times = [place for place, (name, _) in enumerate(columns) if role_of(name) == "timestamp"] or [0]
    kept = len(cells)
    while kept:
        row = [str(cell) for cell in cells.iloc[kept - 1]]
        lone = [cell for cell in row if cell]
        dates = [row[place] for place in times if row[place].lower() not in (*ABSENT, "nat")]
        word = bool(dates) and not any(letter.isdigit() for cell in dates for letter in cell)
        if not word and not (len(lone) == 1 and not STARTS.match(lone[0]) and not is_date(lone[0])):
            break
        kept -= 1
    if not kept:
        raise DataError(f"{ledger.name}: no row has a date", hint="give one row a date, written as 2024-01-31")
    ledger.drop("no date, below the last one", len(cells) - kept)
    return [(name, values.iloc[:kept]) for name, values in columns]


def is_date(cell: str) -> bool:
    """Return whether a cell is a date, or may be two."""
    import pandas as pd

    from wealtharena.data.reading import stamps

    try:
        stamps.parse(pd.Series([cell], dtype="string"), "")
    except DataError as error:
        return "may " in error.message
    return True


def _are_dates(cells: pd.Series) -> bool:
    """Return whether most cells of a column are dates, or its type says so, so that one that is none is a fault."""
    import pandas as pd

    if holds_numbers(cells):
        return False
    if not (pd.api.types.is_string_dtype(cells) or cells.dtype == object):
        return True
    probe = cells.astype("string").fillna("").iloc[:: max(1, len(cells) // PROBE)]
    return 2 * sum(is_date(str(cell)) for cell in probe) > len(probe)


def dates_of(columns: Sequence[Column], ledger: Ledger) -> npt.NDArray[np.datetime64]:
    """Return the stamp of each row, [n] in ns: the date that is written where rows are a day or more apart, else UTC.

    Columns that are called so count, numbers among them (20240131, epochs); else whatever holds dates that are written.

    Raises:
        DataError: there is none, a cell is none, or two columns tell different dates.
    """
    from wealtharena.data.reading import stamps
    from wealtharena.data.reading.moments import time_of_rows

    found: dict[str, npt.NDArray[np.datetime64]] = {}
    broken: DataError | None = None
    times = {name for name, _ in _called_times(columns, ledger.name)}
    columns = [(name, _written_out(cells, ledger, is_time=name in times)) for name, cells in columns]
    named = _called_times(columns, ledger.name)
    if named:
        try:
            read = time_of_rows([(name, cells.reset_index(drop=True)) for name, cells in named], ledger)
            found[ledger.facts.get("time column", named[0][0])] = _moments(read, ledger)
        except DataError as error:
            if "tell different" in error.message or any(map(_are_dates, (cells for _, cells in named))):
                raise
            broken = error
    for name, cells in columns:
        if name in dict(named) or holds_numbers(cells):
            continue
        try:
            found[name] = _moments(stamps.parse(cells, f"{ledger.name}: {name}"), ledger)
        except DataError:
            continue
    found = found or _of_digits(columns, ledger)
    if not found:
        hint = "write them as 2024-01-31, in a column of their own"
        raise broken or DataError(f"{ledger.name} has no column of dates", hint=hint)
    moving = {name: at for name, at in found.items() if len(np.unique(at)) > 1}  # others are of the file or the fund
    found = _of_ends(moving or found)
    at = next(iter(found.values()))
    if not all((other == at).all() for other in found.values()):
        raise DataError(f"{ledger.name}: dates may be any of {', '.join(found)}", hint="keep one column of dates")
    return at


def _called_times(columns: Sequence[Column], where: str) -> list[Column]:
    """Return the columns that are called times, and a first one without a name, each name once.

    Raises:
        DataError: two columns of one name differ.
    """
    found: dict[str, pd.Series] = {}
    for place, (name, cells) in enumerate(columns):
        nameless = not letters_of(name) or letters_of(name).startswith("unnamed")
        if role_of(name) != "timestamp" and (place or not nameless):
            continue
        if name in found and not (text_of(found[name]) == text_of(cells)).all():
            raise DataError(f"{where}: dates may be any of {name}, {name}", hint="keep one column of dates")
        found.setdefault(name, cells)
    return list(found.items())


def _of_ends(found: dict[str, npt.NDArray[np.datetime64]]) -> dict[str, npt.NDArray[np.datetime64]]:
    """Return the ends alone where one of two columns tells where periods begin and the other where they end."""
    begins = [name for name in found if BEGINS.search(letters_of(name))]
    ends = [name for name in found if ENDS.search(letters_of(name)) and name not in begins]
    paired = len(found) == 2 and len(begins) == len(ends) == 1
    return {ends[0]: found[ends[0]]} if paired and (found[begins[0]] <= found[ends[0]]).all() else found


def _of_digits(columns: Sequence[Column], ledger: Ledger) -> dict[str, npt.NDArray[np.datetime64]]:
    """Return the dates of columns that hold nothing else than dates such as 20240131, whatever they are called."""
    from wealtharena.data.reading import stamps

    found: dict[str, npt.NDArray[np.datetime64]] = {}
    for name, cells in columns:
        text = text_of(cells)
        if len(text) and text.str.fullmatch(DIGITS).all() and not is_named(name):
            with contextlib.suppress(DataError):  # off the calendar
                found[name] = _moments(stamps.parse(text, ledger.name), ledger)
    return found


def dated(columns: list[Column]) -> list[Column]:
    """Return columns with one of dates in the place of those called year, month and day, or year alone; any others as they are.

    Where another column tells dates, that one counts.
    """
    import pandas as pd

    names = [letters_of(name) for name, _ in columns]
    found = {part: [place for place, name in enumerate(names) if name in words] for part, words in PARTS.items()}
    ours = [place for places in found.values() for place in places]
    others = [place for place, (name, _) in enumerate(columns) if role_of(name) == "timestamp" and place not in ours]
    is_day_of_nothing = found["day"] and not found["month"]
    if others or len(found["year"]) != 1 or any(len(one) > 1 for one in found.values()) or is_day_of_nothing:
        return columns
    year, month, day = (
        text_of(columns[one[0]][1]).str.removesuffix(".0") if one else pd.Series("", index=columns[0][1].index)
        for one in found.values()
    )
    if month.str.fullmatch(r"\d{1,2}|").all():
        made = year
        for one in (month, day):
            made = made + ("-" + one.str.zfill(2)).where(one != "", "")
    else:
        made = (day + " " + month + " " + year).str.strip()
    return [("date", made), *(one for place, one in enumerate(columns) if place not in ours)]


def _written_out(cells: pd.Series, ledger: Ledger, *, is_time: bool) -> pd.Series:
    """Return a column with its periods as their last days; of times with months as 2024-01 where it writes 202401, years as 2024-12.

    Six digits are months where each row is of the month after the one before, in either order, and no date of two digits a
    year is written so: 202401 has no month 24, and no year has its first twelve days alone.
    """
    import pandas as pd

    if isinstance(cells.dtype, pd.PeriodDtype):
        ends = cells.dt.to_timestamp(how="end").astype("datetime64[ns]")
        return ends.dt.floor("D") if (ends.diff().dropna().abs() >= pd.Timedelta(days=1)).all() else cells
    if not is_time:
        return cells
    text = text_of(cells)
    if len(text) > 1 and text.is_unique and text.str.fullmatch(r"(?:19|20)\d{2}").all():
        ledger.note("each year is taken as of its last day")
        return text + "-12"
    if not text.str.fullmatch(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])").all():
        return cells
    months = text.str[:4].astype("int64") * 12 + text.str[4:].astype("int64")
    apart = months.diff().dropna()
    alone = len(text) > YEAR or (text.str[2:4].astype("int64") > YEAR).any()
    return text.str[:4] + "-" + text.str[4:] if alone and (apart.eq(1).all() or apart.eq(-1).all()) else cells


def _moments(read: Stamps, ledger: Ledger) -> npt.NDArray[np.datetime64]:
    """Return dates of rows that are a day or more apart, else instants; an epoch's date is that of a bar stamped so."""
    import pandas as pd

    from wealtharena.data import intervals
    from wealtharena.data.reading.moments import bar_times

    if MONTHLY.search(read.form):  # 2024-01 says which month it is of, and its figure is known at the end
        return (pd.DatetimeIndex(read.wall) + pd.offsets.MonthEnd(0)).to_numpy().astype("datetime64[ns]")
    if intervals.is_dated(pd.DatetimeIndex(read.instants)) is False:
        return read.instants.astype("datetime64[ns]")
    if not read.form.startswith("epochs"):
        return _written_dates(read, ledger).astype("datetime64[ns]")
    keeps_weekends = pd.DatetimeIndex(read.instants).day_of_week.nunique() < WEEK
    found = bar_times(read, dated=True, zone="UTC", weekdays=keeps_weekends, where=ledger.name)
    return np.asarray(pd.DatetimeIndex(found).tz_localize(None).as_unit("ns").to_numpy(), dtype="datetime64[ns]")


def _months_further_east(wall: npt.NDArray[np.int64], ledger: Ledger) -> npt.NDArray[np.int64]:
    """Return the dates of times in UTC, ns, or the next ones where evenings show midnights of the ends or, by their summers, of the firsts of months."""
    import pandas as pd

    dates, hours = wall // DAY * DAY, wall % DAY
    there = pd.DatetimeIndex(dates + DAY)
    firsts = there.is_month_start.all() and len(np.unique(hours)) > 1
    if (hours < EVENING).any() or not (firsts or there.is_month_end.all()):
        return dates
    ledger.note("its times are midnights further east: all are taken as of the next date")
    return np.asarray(dates + DAY)


def _written_dates(read: Stamps, ledger: Ledger) -> npt.NDArray[np.int64]:
    """Return the dates of days as they are written, ns; of times in UTC those that keep weekends.

    Midnight of a place further east is the evening before there.
    """
    from wealtharena.data.reading.moments import off_weekends

    dates = read.wall // DAY * DAY
    if read.whole_days or (read.wall != read.instants).any():
        return dates
    if np.median(np.diff(np.sort(dates))) > DAY:
        return _months_further_east(read.wall, ledger)
    kept = off_weekends(read.wall)
    if kept is None or (kept == dates).all():
        return dates
    ledger.note(
        "by their times of day some rows would be of weekends: all are taken as of the dates half a day on or back"
    )
    return kept
