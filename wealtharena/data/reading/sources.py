"""What a source's own names tell of its figures: signs, units and factors that no other source writes so."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import PRICES, plain
from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

_DIVIDING: Final = ("cfacpr", "ajexdi")  # factors of CRSP and Compustat: prices are divided by them
_DATABENTO: Final = frozenset({"rtype", "publisherid"})  # columns of its records
_NANO, _UNDEFINED = 1e-9, 2.0**63  # what it counts prices in, and writes where there is none
_LEAN_TIMES: Final = r"\d{8} \d{2}:\d{2}"  # of its files of shares, which have no header
_LEAN, _LEAN_LEAST = 1e-4, 10_000.0
_LARGE: Final = 1e9  # whole prices of this size that are all multiples of `_GRAIN` are prices of no market
_GRAIN: Final = 100_000
_ENOUGH: Final = 10  # prices


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


def to_prices(numbers: pd.DataFrame, columns: pd.Index, times: pd.Series, ledger: Ledger) -> None:
    """Bring whole numbers of a small unit to prices, in place, where the columns or the form of the file tell the unit.

    Raises:
        DataError: prices are whole numbers so large, and all of them multiples of so much, that they count a small unit
            which nothing tells.
    """
    names = [name for name in PRICES if name in numbers]
    values = numbers[names].to_numpy(dtype=np.float64)
    values = np.where(values >= _UNDEFINED, np.nan, values)
    there = values[np.isfinite(values) & (values > 0)]
    if len(there) < _ENOUGH or not (there == np.trunc(there)).all():
        return
    usual = float(np.median(there))
    known = {plain(name) for name in columns}
    if (known >= _DATABENTO or "tsevent" in known) and usual >= 1.0 / np.sqrt(_NANO):
        unit, source = _NANO, "Databento"
    elif _is_lean(times, ledger) and usual >= _LEAN_LEAST:
        unit, source = _LEAN, "LEAN"
    elif usual >= _LARGE and (there % _GRAIN == 0).all():
        raise DataError(
            f"{ledger.name}: {names[-1]} is like {there[0]:.0f}, and every price is a multiple of {_GRAIN:,}: no market quotes so",
            hint="divide prices by the unit that they count (Databento's by 1,000,000,000)",
        )
    else:
        return
    numbers[names] = np.where(np.isfinite(values), values / round(1.0 / unit), np.nan)
    ledger.note(f"prices are whole numbers, as {source} writes them, and are divided by {round(1.0 / unit):,}")


def _is_lean(times: pd.Series, ledger: Ledger) -> bool:
    """Return whether a file has no header and times as LEAN writes them (20131007 00:00)."""
    if not ledger.facts.get("header", "").startswith("none") or pd.api.types.is_numeric_dtype(times):
        return False
    return bool(times.astype("string").str.fullmatch(_LEAN_TIMES).all())
