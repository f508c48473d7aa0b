"""Whether the cash that a share is said to pay can have been paid."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.quality.report import Context, Detection

_LARGE: Final = 0.2  # of the price before, from which on the price must be seen to fall by a part of the dividend
_FALL: Final = 0.5  # that part
_NEAR: Final = 3  # bars before and after the ex-date in which it may fall


def closes_before(closes: npt.NDArray[np.float64], paid: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the close before each bar, [n], less what the bar pays where that explains most of its move; NaN for the first."""
    before = np.concatenate([[np.nan], closes[:-1]])[: len(closes)]
    less = before - paid
    with np.errstate(invalid="ignore", divide="ignore"):
        fell = (paid > 0) & (less > 0) & (np.abs(np.log(closes / less)) < 0.5 * np.abs(np.log(closes / before)))
    return np.where(fell, less, before)


def bad_dividends(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find dividends below zero, and large ones for which no price fell, as pence for pounds (repair: not paid).

    Large is more than a fifth of the price; that must then lie lower by half of the dividend on the ex-date or near it.
    The first bar's tells nothing: no price is known before it.
    """
    paid, close = (table[name].to_numpy(dtype=np.float64) for name in ("dividend", "close"))
    if context.raw.adjusted == "all":
        return None
    mask = np.zeros(len(paid), dtype=bool)
    said = []
    for row in np.flatnonzero(paid != 0):
        before = close[max(row - _NEAR, 0) : row].max(initial=0.0)
        lowest = close[row : row + 1 + _NEAR].min()
        fell = not before or lowest <= before - _FALL * paid[row]
        if paid[row] < 0 or (paid[row] > _LARGE * before and not fell):
            mask[row] = True
            said.append(f"{paid[row]:g} on {table['timestamp'].iloc[row]:%Y-%m-%d}, at a price of {lowest:g}")
    if not mask.any():
        return None
    detail = f"{len(said)} dividends for which no price fell ({'; '.join(said[:3])}{'; ...' if len(said) > 3 else ''})"
    note = f"{context.raw.symbol}: {detail}: not paid"
    return Detection(mask, detail, table.assign(dividend=np.where(mask, 0.0, paid)), note=note)
