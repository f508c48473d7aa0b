"""Dividends and splits written as words: rows of their own between the bars, as a web page shows them, and ratios."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.words import ABSENT
from wealtharena.errors import DataError

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_RATIO: Final = re.compile(rf"({_NUMBER}) ?(?::|/|[- ]?for[- ]?) ?({_NUMBER})", re.IGNORECASE)
_CASH: Final = re.compile(rf"[$€£]?({_NUMBER}) (?:cash )?dividends?", re.IGNORECASE)
_SPLIT: Final = re.compile(rf"({_RATIO.pattern}) (?:stock )?splits?", re.IGNORECASE)
_NAMES: Final = {"dividend": "Dividends", "split": "Stock Splits"}


@dataclass(frozen=True)
class Event:
    """A dividend or split of a row of its own: `date` as it stands there, `cell` the amount or ratio."""

    role: str
    date: str
    cell: str


def taken_out(text: str, separator: str, names: list[str]) -> tuple[str, list[Event]]:
    """Return the text without rows that hold a date and a dividend or split in words, and what they say.

    They stay where the table has a column for them, or does not begin with its dates.
    """
    roles = {role_of(name) for name in names}
    if roles & set(_NAMES) or role_of(names[0]) != "timestamp" or not _may_tell(text):
        return text, []
    kept, found = list[str](), list[Event]()
    for line in text.split("\n"):
        event = _event(line, separator) if _may_tell(line) else None
        if event is None:
            kept.append(line)
        else:
            found.append(event)
    return "\n".join(kept), found


def _may_tell(text: str) -> bool:
    lower = text.lower()
    return "dividend" in lower or "split" in lower


def _event(line: str, separator: str) -> Event | None:
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    if len(cells) < 2 or any(cells[2:]):
        return None
    if cash := _CASH.fullmatch(cells[1]):
        return Event("dividend", cells[0], cash[1])
    split = _SPLIT.fullmatch(cells[1])
    return Event("split", cells[0], split[1]) if split else None


def put_in(frame: pd.DataFrame, events: list[Event], ledger: Ledger) -> pd.DataFrame:
    """Return the table with columns for the events, each on the bar of its date, or on a row without prices."""
    if not events:
        return frame
    dates = frame.iloc[:, 0].str.strip()
    first = dict(zip(dates[::-1], frame.index[::-1], strict=True))
    alone = [event.date for event in events if event.date not in first]
    rows = pd.DataFrame({dates.name: list(dict.fromkeys(alone))}, dtype="str")
    made = pd.concat([frame, rows], ignore_index=True).fillna("")
    first |= {date: len(frame) + place for place, date in enumerate(rows[dates.name])}
    for role in dict.fromkeys(event.role for event in events):
        cells = pd.Series("0", index=made.index, dtype="str")
        for event in events:
            if event.role == role:
                row = first[event.date]
                cells[row] = event.cell if cells[row] == "0" else _both(role, str(cells[row]), event.cell)
        made[_NAMES[role]] = cells
    count = {role: sum(event.role == role for event in events) for role in _NAMES}
    said = " and ".join(f"{number} {role}{'s' if number > 1 else ''}" for role, number in count.items() if number)
    ledger.note(f"rows of their own hold {said}, which are put on the bars of their dates")
    return made


def _both(role: str, one: str, other: str) -> str:
    """Return what two events of one date come to."""
    if role == "dividend":
        return f"{float(one) + float(other):.10g}"
    return f"{float(_ratio(one) * _ratio(other)):.12g}:1"


def ratios(values: pd.Series, where: str) -> pd.Series:
    """Return a column of splits as numbers where a cell is a ratio (2:1, 2/1, 2-for-1: two new shares for one); else itself.

    Raises:
        DataError: 1:1 is written on some bars, which no split is and a bonus issue may be.
    """
    text: pd.Series = values.astype("string").str.strip().fillna("")
    known = text.drop_duplicates()
    found = {cell: _ratio(cell) for cell in known if _RATIO.fullmatch(cell)}
    if not found:
        return values
    same = [cell for cell, ratio in found.items() if ratio == 1]
    if same and text.isin(same).mean() < 0.5:
        raise DataError(
            f"{where}: the split {same[0]} may be a bonus of as many shares as there are, or none",
            hint="write splits as new shares for old ones, like 2:1",
        )
    made = text.map({cell: repr(float(ratio)) for cell, ratio in found.items()}).fillna(text)
    numbers = pd.to_numeric(made.mask(absent := text.str.lower().isin(ABSENT)), errors="coerce")
    lost = numbers.isna() & ~absent
    return values if lost.any() else pd.Series(np.asarray(numbers, dtype=np.float64), index=values.index)


def _ratio(cell: str) -> Fraction:
    found = _RATIO.fullmatch(cell)
    new, old = (Fraction(found[1]), Fraction(found[2])) if found else (Fraction(1), Fraction(1))
    return new / old if old else Fraction(0)
