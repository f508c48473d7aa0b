"""Dates that leave the century out, or write 年, 月 and 日 behind their numbers: brought to 2024-01-31."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

import pandas as pd

from wealtharena.errors import DataError

_SIGNS: Final = re.compile(r"([0-9]{4})\s*[年년]\s*([0-9]{1,2})\s*[月월]\s*([0-9]{1,2})\s*[日일]")
_SHORT: Final = re.compile(r"([0-9]{1,2})([-/. ])([0-9]{1,2}|[A-Za-z]{3,9}\.?)\2([0-9]{1,2})(?![0-9:/.-])")
_ORDERS: Final = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}  # of year, month, day
_FULL: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
ABBREVIATED: Final = tuple(name[:3] for name in _FULL)
MONTHS: Final = {"sept": 9} | {word: place for place, name in enumerate(_FULL, 1) for word in (name, name[:3])}
_WEEK: Final = re.compile(r"([0-9]{4})[- ]?W([0-9]{2})(?:-?([1-7]))?")
_QUARTER: Final = re.compile(
    r"(?P<year>[0-9]{4})[-/ ]?Q(?P<of>[1-4])|Q(?P<first>[1-4])[-/ ]?(?P<last>[0-9]{4})|(?P<one>[1-4])Q[-/ ]?(?P<four>[0-9]{4})"
)
_MONTH_YEAR: Final = re.compile(
    r"(?P<month>[A-Za-z]{3,9})\.?[- '\u2019]+(?P<year>[0-9]{2})|(?P<first>[0-9]{2})[- ](?P<next>[A-Za-z]{3,9})"
)
_TURN: Final = 69  # years of two digits from here on are of the last century, as POSIX has it


def written_out(text: pd.Series, where: str) -> tuple[pd.Series, str] | None:
    """Return times with their dates as 2024-01-31, and how they were read in words; None where they are no such dates.

    A year of two digits stands first or last. The reading counts that gives dates of the calendar, none of them still to
    come, under which the rows follow each other in time.

    Args:
        text: Cells [n], none twice, in the order of the file.
        where: What a message begins with.

    Raises:
        DataError: several readings are possible.
    """
    cells = [str(cell) for cell in text]
    if (periods := _periods(cells, where)) is not None:
        return periods
    signs = [found for cell in cells if (found := _SIGNS.match(cell))]
    if len(signs) == len(cells):
        dates = _dates([(one[1], one[2], one[3]) for one in signs], (0, 1, 2))
        return None if dates is None else (_replaced(cells, signs, dates), "text, year first")
    parts = [found for cell in cells if (found := _SHORT.match(cell))]
    if len(parts) < len(cells):
        return None
    pieces = [(one[1], one[3], one[4]) for one in parts]
    last = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    points = any(one[2] == "." for one in parts)  # no month stands first before a point: 09.30.00 is a time of day
    readings = {
        name: dates
        for name, order in _ORDERS.items()
        if not (points and name == "month first")
        and (dates := _dates(pieces, order)) is not None
        and max(dates) <= last
    }
    if len(readings) > 1:
        ordered = {name: dates for name, dates in readings.items() if dates in (sorted(dates), sorted(dates)[::-1])}
        if len(ordered) != 1:
            raise DataError(
                f"{where}: dates like {cells[0]} may be written {' or '.join(ordered or readings)}",
                hint="write them like 2024-01-31",
            )
        readings = ordered
    if not readings:
        return None
    [(name, dates)] = readings.items()
    years = sorted({min(dates).year, max(dates).year})
    told = f"text, {name}, years of two digits: {' to '.join(map(str, years))}"
    return _replaced(cells, parts, dates), told


def _periods(cells: list[str], where: str) -> tuple[pd.Series, str] | None:
    """Return the first days of weeks (2023-W05), quarters (2023Q1) or months (Jan-10); None of other cells."""
    weeks = [found for cell in cells if (found := _WEEK.fullmatch(cell))]
    if len(weeks) == len(cells):
        try:
            days = [dt.date.fromisocalendar(int(one[1]), int(one[2]), int(one[3] or 1)) for one in weeks]
        except ValueError:  # week 53 of a year of 52, or week 0 of another way of counting
            return None
        return pd.Series([day.isoformat() for day in days], dtype="string"), "text, ISO weeks, each by its Monday"
    quarters = [found for cell in cells if (found := _QUARTER.fullmatch(cell))]
    if len(quarters) == len(cells):
        starts = [
            f"{one['year'] or one['last'] or one['four']}-{3 * int(one['of'] or one['first'] or one['one']) - 2:02d}-01"
            for one in quarters
        ]
        return pd.Series(starts, dtype="string"), "text, quarters, each by its first day"
    months = [found for cell in cells if (found := _MONTH_YEAR.fullmatch(cell))]
    if len(months) < len(cells):
        return None
    read = [(MONTHS.get((one["month"] or one["next"]).lower(), 0), int(one["year"] or one["first"])) for one in months]
    years = [(1900 if year >= _TURN else 2000) + year for _, year in read]
    steps = {12 * (later - year) + after - month for (month, _), (after, _), year, later in
             zip(read, read[1:], years, years[1:], strict=False)}  # fmt: skip
    if any(month == 0 for month, _ in read):
        return None
    if steps not in ({1}, {-1}) or len(set(years)) < 2:
        raise DataError(
            f"{where}: dates like {cells[0]} may be a month of a year, or a day of a month",
            hint="write them like 2024-01-31",
        )
    made = [f"{year}-{month:02d}-01" for (month, _), year in zip(read, years, strict=True)]
    return pd.Series(made, dtype="string"), f"text, months of years of two digits: {min(years)} to {max(years)}"


def _dates(pieces: Sequence[tuple[str, str, str]], order: tuple[int, int, int]) -> list[dt.date] | None:
    """Return the dates whose year, month and day stand in that order; None where one is not on the calendar."""
    found: list[dt.date] = []
    for one in pieces:
        year, month, day = (one[place] for place in order)
        number = MONTHS.get(month.lower().rstrip("."), month)
        if len(year) == 1:  # no year is written so
            return None
        if len(year) == 2:
            year = ("19" if int(year) >= _TURN else "20") + year
        try:
            found.append(dt.date(int(year), int(number), int(day)))
        except ValueError:  # no such date, or a name where a number belongs
            return None
    return found


def _replaced(cells: Sequence[str], parts: Sequence[re.Match[str]], dates: Sequence[dt.date]) -> pd.Series:
    made = [
        f"{date.isoformat()} {cell[part.end() :].lstrip(' T,')}".strip()
        for cell, part, date in zip(cells, parts, dates, strict=True)
    ]
    return pd.Series(made, dtype="string")
