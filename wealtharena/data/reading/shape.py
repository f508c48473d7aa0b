"""Prices under the wrong name: what no market does to the shape of every bar of a file."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

_ENOUGH: Final = 20  # bars: by chance all of them lie on one side once in a million files
_PRICES: Final = ("open", "high", "low", "close")


def check_shape(numbers: pd.DataFrame, ledger: Ledger) -> None:
    """Refuse a file in which one price is a copy of another in every bar, or opens are what highs or lows are.

    Bars of one price tell nothing. An open that no high or low of its own holds is judged by its side of the close: with
    all three columns, the quality room sees a high below its open.

    Raises:
        DataError: naming the columns.
    """
    names = [name for name in _PRICES if name in numbers]
    prices = numbers[names].to_numpy(dtype=np.float64)
    prices = prices[(np.isfinite(prices) & (prices > 0)).all(axis=1)]
    prices = prices[prices.max(axis=1) > prices.min(axis=1)] if len(prices) else prices
    if len(prices) < _ENOUGH:
        return
    for one, other in combinations(range(len(names)), 2):
        if (prices[:, one] == prices[:, other]).all():
            raise DataError(
                f"{ledger.name}: {names[one]} and {names[other]} are the same number in every bar, and other prices are not",
                hint=f"one of the two is a copy: name the right column {names[one]} or {names[other]}, and remove the other",
            )
    if {"open", "close"} <= set(names) and not {"high", "low"} <= set(names):
        above = prices[:, names.index("open")] - prices[:, names.index("close")]
        for side, extreme in ((above, "high"), (-above, "low")):
            if extreme not in names and (side >= 0).all() and (side > 0).sum() >= _ENOUGH:
                word = "below" if extreme == "high" else "above"
                raise DataError(
                    f"{ledger.name}: open is never {word} the close, as a {extreme} is and no open",
                    hint=f"name that column {extreme}, or remove it",
                )
