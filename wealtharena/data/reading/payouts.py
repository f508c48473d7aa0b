"""The money that dividends are in, where their cells or a column beside them name it: that of the prices, or they are refused."""

from __future__ import annotations

from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.reading.columns import plain
from wealtharena.data.reading.hundredths import UNLIKE, factor_between
from wealtharena.data.reading.numbers import BEFORE
from wealtharena.data.reading.stamps import IntArray
from wealtharena.data.reading.venues import Quote
from wealtharena.data.reading.words import HUNDREDTHS, SMALL, agreed, money_of, shown
from wealtharena.errors import DataError

_BESIDE: Final = frozenset(
    f"{payout}{money}"
    for payout in ("dividend", "dividends", "div", "dvd", "distribution", "payout", "exdividend")
    for money in ("currency", "currencycode", "ccy", "crncy")
)
_HINT: Final = "write dividends in the money of the prices"


def stated(
    frame: pd.DataFrame,
    keep: npt.NDArray[np.bool_],
    dividends: list[tuple[str, pd.Series]],
    numbers: pd.DataFrame,
    groups: dict[str, IntArray],
    where: str,
) -> dict[str, str]:
    """Return by symbol the money that its dividends are said to be in: by a column of `frame`, else by signs in their cells.

    `numbers` has the rows `keep` of the frame, and `groups` the places in it.

    Raises:
        DataError: a symbol's are in several.
    """
    paid = np.flatnonzero(numbers["dividend"].fillna(0)) if "dividend" in numbers else np.zeros(0, dtype=np.int64)
    beside = [place for place, name in enumerate(frame.columns) if plain(name) in _BESIDE]
    if not len(paid) or not (beside or dividends):  # an adjusted close alone may show payouts
        return {}
    cells = frame.iloc[:, beside[0]] if beside else dividends[0][1]
    text = cells[keep].iloc[paid].astype("string").fillna("").str.strip()
    words = text if beside else text.str.extract(BEFORE)[1].fillna("")
    codes = np.array([money_of(str(word)) for word in words], dtype=object)
    made: dict[str, str] = {}
    for name, rows in groups.items():
        told = sorted({str(code) for code in codes[np.isin(paid, rows)]} - {""})
        common = reduce(agreed, told) if told else ""
        if told and not common:
            raise DataError(f"{where}: dividends of {name} are in {' and in '.join(map(shown, told))}", hint=_HINT)
        if common:
            made[name] = common
    return made


def brought(table: pd.DataFrame, name: str, *, paid: str, quote: Quote) -> tuple[pd.DataFrame, str]:
    """Return a symbol's table with the dividends, said to be `paid` in a money, in that of its prices; and what was done, in words.

    Raises:
        DataError: they are in another money, and not in the same one's hundredths or wholes.
    """
    small = next((code for code, whole in SMALL.items() if whole == quote.currency), HUNDREDTHS)
    prices = quote.currency if quote.scale == 1.0 else small
    factor = factor_between(paid, prices)
    if factor == UNLIKE:
        raise DataError(f"{name}: dividends are in {shown(paid)}, and prices in {shown(prices)}", hint=_HINT)
    if factor == 1.0:
        return table, ""
    done = "divided by 100" if factor < 1.0 else "multiplied by 100"
    words = f"{name}: dividends are in {shown(paid)}, and prices in {shown(prices)}: they are {done}"
    return table.assign(dividend=table["dividend"] * factor), words
