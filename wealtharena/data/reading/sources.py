"""What a source's own names tell of its figures: signs, units and factors that no other source writes so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import PRICES, plain
from wealtharena.data.reading.settled import Ledger

_DIVIDING: Final = ("cfacpr", "ajexdi")  # factors of CRSP and Compustat: prices are divided by them
_FIXED: Final = 1e-9  # what Databento's whole numbers count of a price
_LEAST_FIXED: Final = 1e6  # a tenth of a cent in them, and more than any quote that is whole
_NO_FIXED: Final = 9.2e18  # its largest number stands for none


def as_written_by_source(
    numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], columns: Iterable[object], ledger: Ledger
) -> None:
    """Turn figures into prices and factors as others write them, with a note, where a column's name tells the source."""
    names = {role: plain(items[0][0]) for role, items in found.items() if items}
    if names.get("factor") in _DIVIDING:
        numbers["factor"] = 1.0 / numbers["factor"].where(numbers["factor"] > 0)
    if names.get("close") == "prc":
        _without_signs(numbers, found["close"][0][0], ledger)
    known = {plain(column) for column in columns}
    if "tsevent" in known or {"rtype", "publisherid"} <= known:
        _without_fixed_point(numbers, ledger)


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


def _without_fixed_point(numbers: pd.DataFrame, ledger: Ledger) -> None:
    prices = [role for role in PRICES if role in numbers]
    cells = numbers[prices].where(numbers[prices] < _NO_FIXED)
    values = cells.to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) and (values == np.trunc(values)).all() and values.min() >= _LEAST_FIXED:
        numbers[prices] = cells * _FIXED
        ledger.note("its prices are whole numbers of billionths, as Databento writes them, and are divided by 10^9")
