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
_MOST: Final = 1e3  # that a volume is counted in where it has large numbers
_MANY: Final = 1e4
_TUSHARE_MONEY: Final = 1e3  # its `amount` is in thousands, and its `vol` in hands of a hundred


def scale_volume(
    numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], keep: npt.NDArray[np.bool_], ledger: Ledger
) -> None:
    """Count the volume in ones where what was paid for it, at prices between low and high, shows hundreds or thousands.

    Money divided by volume is an average price; where it is a power of ten away from the prices in nearly every bar, one
    of the two columns is not counted in ones. It is the volume where the money is, by its name or since no exporter
    counts less than one; else that is said.
    """
    _take_quantity(numbers, found, keep, ledger)
    role = next((role for role in ("turnover", "quote_volume") if role in found), None)
    if role is None or "volume" not in numbers:
        return
    name, cells = found[role][0]
    money = numbers[role] if role in numbers else _numbers(cells[keep], ledger)
    ratio = _power(numbers, money)
    if ratio is None or ratio == 1.0:
        return
    stated = parts_of(name)[1].scale if role == "turnover" else 1.0
    if "symbol" in found and plain(found["symbol"][0][0]) == "tscode" and plain(name) == "amount":
        stated = _TUSHARE_MONEY
    size = ratio * stated
    volume = found["volume"][0][0]
    whole = size > _MOST and float(numbers["volume"].median()) >= _MANY  # nsepy's turnover is in 0.00001 rupees
    if size >= 10.0 and not whole:
        numbers["volume"] = numbers["volume"] * size
        unit = f", counted in {stated:,.0f}s," if stated != 1.0 else ""
        ledger.note(
            f"{volume} is multiplied by {size:,.0f}: {name}{unit} is {ratio:,.15g} times {volume} times the price"
        )
    elif whole or (size < 1.0 and role == "turnover"):
        ledger.note(
            f"{name} is {size:,.15g} times {volume} times the price: one of the two is not counted in ones; {volume} is left as it is"
        )


def agree(numbers: pd.DataFrame, money: pd.Series, units: pd.Series) -> bool:
    """Return whether a volume in money is the one in units at the price, or nothing tells."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (money / (units * numbers["close"])).replace([np.inf, -np.inf], np.nan).median()
    return bool(0.5 < ratio < 2.0 or np.isnan(ratio))


def _power(numbers: pd.DataFrame, money: pd.Series) -> float | None:
    """Return the power of ten between money, and volume times a price of the bar; None where it is none."""
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
    return float(ratio) if float(fits.mean()) >= _WITHIN else None


def _take_quantity(
    numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], keep: npt.NDArray[np.bool_], ledger: Ledger
) -> None:
    """Let a quantity be the volume where the column called so is that quantity times prices of the bars, as in Brazil."""
    role = next((role for role in ("volume", "base_volume", "quote_volume") if role in numbers), None)
    if role == "volume" and not {"quantity", "turnover"} & set(found) and plain(found["close"][0][0]) == "fechamento":
        ledger.note(
            f"{found[role][0][0]} is taken as shares; in Brazil it is often money: if it is, set data.volume_unit=account"
        )
    if role is None or "quantity" not in found:
        return
    name, cells = found["quantity"][0]
    units = _numbers(cells[keep], ledger)
    if _power(numbers.assign(volume=units), numbers[role]) == 1.0:
        ledger.note(f"{found[role][0][0]} is {name} times the price, which is money: {name} counts as the volume")
        if role == "quote_volume":  # Volume (R$) says so itself
            role, found["volume"] = "volume", found["quantity"]
        numbers[role] = units


def _numbers(cells: pd.Series, ledger: Ledger) -> pd.Series:
    """Return what cells hold, NaN where it is no number: no bar depends on them."""
    if not pd.api.types.is_numeric_dtype(cells):
        cells = cells.astype("string").str.strip()
        whole = ledger.facts.get("decimal mark") == "comma"  # then marks are not told apart here
        cells = cells.where(cells.str.fullmatch("[0-9]+")) if whole else cells.str.replace(",", "", regex=False)
    return pd.Series(pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
