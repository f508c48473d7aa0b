"""Dates that leave the century out, or write 年, 月 and 日 behind their numbers: brought to 2024-01-31."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

import pandas as pd

from wealtharena.errors import DataError

_SIGNS: Final = re.compile(r"([0-9]{4})\s*[年년]\s*([0-9]{1,2})\s*[月월]\s*([0-9]{1,2})\s*[日일]")
_SHORT: Final = re.compile(r"([0-9]{1,2})([-/. ])([0-9]{1,2}|[A-Za-z]{3,9})\2([0-9]{1,2})(?![0-9:/.-])")
_ORDERS: Final = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}  # of year, month, day
MONTHS: Final = {
    name: place + 1
    for place, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
}
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


def _dates(pieces: Sequence[tuple[str, str, str]], order: tuple[int, int, int]) -> list[dt.date] | None:
    """Return the dates whose year, month and day stand in that order; None where one is not on the calendar."""
    found: list[dt.date] = []
    for one in pieces:
        year, month, day = (one[place] for place in order)
        number = MONTHS.get(month[:3].lower(), month)
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
