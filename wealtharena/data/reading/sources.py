"""What a source's own names tell of its figures: signs, units and factors that no other source writes so."""

from __future__ import annotations

from typing import Final

import pandas as pd

from wealtharena.data.reading.columns import plain
from wealtharena.data.reading.settled import Ledger

_DIVIDING: Final = ("cfacpr", "ajexdi")  # factors of CRSP and Compustat: prices are divided by them


def as_written_by_source(numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Turn figures into prices and factors as others write them, with a note, where a column's name tells the source."""
    names = {role: plain(items[0][0]) for role, items in found.items() if items}
    if names.get("factor") in _DIVIDING:
        numbers["factor"] = 1.0 / numbers["factor"].where(numbers["factor"] > 0)
    if names.get("close") == "prc":
        _without_signs(numbers, found["close"][0][0], ledger)


def _without_signs(numbers: pd.DataFrame, column: str, ledger: Ledger) -> None:
    """Take a negative price of CRSP for what it is: the mean of bid and ask of a day without a trade."""
    marked = numbers["close"] < 0
    if marked.any():
        numbers["close"] = numbers["close"].abs()
        ledger.note(f"{int(marked.sum())} closes are means of bid and ask, which {column} marks by a minus")
    for role in ("open", "high", "low"):
        if role in numbers:
            numbers[role] = numbers[role].abs()
    for role in ("open", "high", "low", "close"):
        if role in numbers:
            numbers[role] = numbers[role].where(numbers[role] != 0)  # zero stands for none
