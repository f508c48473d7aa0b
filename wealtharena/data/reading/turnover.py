"""What a column of money beside the volume proves: that the volume counts hundreds or thousands, not ones."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.reading.columns import parts_of, plain
from wealtharena.data.reading.settled import Ledger

_ENOUGH: Final = 10  # bars
_WITHIN: Final = 0.95  # share of bars whose average price must lie between low and high
_ROUNDED: Final = 0.005  # of a price, by how much turnovers are rounded
_AWAY: Final = 0.05  # log distance of the average price from the close where there is no high and low
_TUSHARE_MONEY: Final = 1e3  # its `amount` is in thousands, and its `vol` in hands of a hundred


def scale_volume(
    numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], keep: npt.NDArray[np.bool_], ledger: Ledger
) -> None:
    """Count the volume in ones where what was paid for it, at prices between low and high, shows hundreds or thousands.

    Money divided by volume is an average price; where it is a power of ten away from the prices in nearly every bar, one
    of the two columns is not counted in ones. It is the volume where the money is, by its name or since no exporter
    counts less than one; else that is said.
    """
    role = next((role for role in ("turnover", "quote_volume") if role in found), None)
    if role is None or "volume" not in numbers:
        return
    name, cells = found[role][0]
    money = numbers[role] if role in numbers else _numbers(cells[keep], ledger)
    ratio = _power(numbers, money)
    if ratio is None:
        return
    stated = parts_of(name)[1].scale if role == "turnover" else 1.0
    if "symbol" in found and plain(found["symbol"][0][0]) == "tscode" and plain(name) == "amount":
        stated = _TUSHARE_MONEY
    size = ratio * stated
    volume = found["volume"][0][0]
    if size >= 10.0:
        numbers["volume"] = numbers["volume"] * size
        unit = f", counted in {stated:,.0f}s," if stated != 1.0 else ""
        ledger.note(
            f"{volume} is multiplied by {size:,.0f}: {name}{unit} is {ratio:,.15g} times {volume} times the price"
        )
    elif size < 1.0 and role == "turnover":
        ledger.note(
            f"{name} is {size:g} times {volume} times the price: one of the two is not counted in ones; {volume} is left as it is"
        )


def _power(numbers: pd.DataFrame, money: pd.Series) -> float | None:
    """Return the power of ten between money, and volume times a price of the bar; None where it is none, or 1."""
    volume, close = numbers["volume"].to_numpy(dtype=np.float64), numbers["close"].to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        paid = money.to_numpy(dtype=np.float64) / volume
        usable = np.isfinite(paid) & (paid > 0) & (close > 0) & (volume > 0)
        if usable.sum() < _ENOUGH:
            return None
        ratio = 10.0 ** np.round(np.median(np.log10(paid[usable] / close[usable])))
        average = paid[usable] / ratio
    if {"high", "low"} <= set(numbers.columns):
        high, low = (numbers[side].to_numpy(dtype=np.float64)[usable] for side in ("high", "low"))
        fits = (average <= high * (1 + _ROUNDED)) & (average >= low * (1 - _ROUNDED))
    else:
        fits = np.abs(np.log(average / close[usable])) < _AWAY
    return float(ratio) if ratio != 1.0 and float(fits.mean()) >= _WITHIN else None


def _numbers(cells: pd.Series, ledger: Ledger) -> pd.Series:
    """Return what cells hold, NaN where it is no number: no bar depends on them."""
    if not pd.api.types.is_numeric_dtype(cells):
        if ledger.facts.get("decimal mark") == "comma":
            return pd.Series(np.nan, index=range(len(cells)))
        cells = cells.astype("string").str.replace(",", "", regex=False)
    return pd.Series(pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
