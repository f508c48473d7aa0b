"""Negative numbers as accounts write them: (1,234.50), $(0.50), (1.25)% and SAP's 1.25- stand for a number with a minus before it."""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

_BLANKS: Final = r"[\s\u00a0\u2007\u202f]*"
_MONEY: Final = r"(?:[^\W\d_]{1,3}\.?|[^\w\s.,()+'%-]|[^\W\d_]{1,2}[^\w\s.,()+'%-])"  # EUR, Rs., $, A$
_NUMBER: Final = r"[\d.,](?:[\d.,'\u2019\s\u00a0\u2007\u2009\u202f]*\d)?\.?"
_BEHIND: Final = rf"(?:{_BLANKS}(?:%|{_MONEY}|[^\W\d_]{{1,4}}\.?))?"  # of a scale: Mio.
_BRACKETS: Final = re.compile(
    rf"(?P<before>{_MONEY}?){_BLANKS}\({_BLANKS}(?P<within>(?:{_MONEY}{_BLANKS})?{_NUMBER}{_BEHIND}){_BLANKS}\)(?P<behind>{_BEHIND})"
)
_LAST: Final = re.compile(rf"(?P<before>)(?P<within>{_NUMBER})(?P<behind>)-")


def with_minus(text: pd.Series) -> pd.Series:
    """Return cells with a minus before each number in parentheses or with one behind it; all others as they are."""
    odd = text.str.endswith("-") | text.str.contains("(", regex=False)
    if not odd.any():
        return text
    found = text.copy()
    found[odd] = [_turned(str(cell)) for cell in text[odd]]
    return found


def told(text: pd.Series, name: str, ledger: Ledger) -> pd.Series:
    """Return the cells of a column as `with_minus` does, and say of how many it is true.

    Raises:
        DataError: others have a minus before them, so that parentheses may mean another thing.
    """
    found = with_minus(text)
    turned = found.ne(text).to_numpy(dtype=bool)
    if turned.any():
        first = text[turned].iloc[0]
        signed = text[~turned & text.str.contains(r"^-.*\d", regex=True).to_numpy(dtype=bool)]
        if len(signed):
            raise DataError(
                f"{ledger.name}: {name} holds {signed.iloc[0]} and {first}, which may both be negative or not",
                hint="write all negative numbers with a minus before them",
            )
        ledger.note(
            f"{int(turned.sum())} of {len(text)} cells of {name} are taken as negative, as accounts write it: {first}"
        )
    return found


def _turned(cell: str) -> str:
    found = _BRACKETS.fullmatch(cell) or _LAST.fullmatch(cell)
    if found is None or not re.search(r"\d", found["within"]):
        return cell
    return f"-{found['before']}{found['within']}{found['behind']}"
