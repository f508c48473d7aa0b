"""Leaking bars: a bar whose own shape tells the next return contains prices from after its close."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from wealtharena.data.quality.report import Context, Detection

Array = np.ndarray[Any, np.dtype[np.float64]]

LEAST_BARS: Final = 60
WINDOW: Final = 250


def leaking_bars(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find series whose bars tell the next return (repair: the next open becomes the close, opens go).

    After the repair no open is left, since it would be the close that was just observed: orders fill at the next
    close. The last bar, whose next open is not known, is removed.
    """
    strength, shape = leak(table)
    if not strength > context.spec.leak_correlation:
        return None
    detail = (
        f"a bar's own {shape} correlates {strength:.2f} with the next close-to-close return;"
        f" markets stay below {context.spec.leak_correlation:g}, so the bar holds prices from after its close"
    )
    repaired = table.assign(close=table["open"].shift(-1), open=np.nan).iloc[:-1]
    repaired = repaired.assign(
        high=np.fmax(repaired["high"], repaired["close"]), low=np.fmin(repaired["low"], repaired["close"])
    )
    if leak(repaired)[0] > context.spec.leak_correlation:
        return Detection(np.ones(len(table), dtype=bool), detail)
    note = "leaking bars repaired: each close is the next bar's open, and orders fill at the next close"
    return Detection(np.ones(len(table), dtype=bool), detail, repaired, note=note)


def leak(table: pd.DataFrame) -> tuple[float, str]:
    """Return the largest |correlation| of a bar's shape with the next return, and the shape's name.

    The largest over the whole series and over each full window of 250 bars, since a feed may begin to leak at any
    time. Both sides are clipped at their 1 % and 99 % quantiles. 0 for fewer than 60 bars or closes only.
    """
    high, low, close = (table[name].to_numpy(dtype=np.float64) for name in ("high", "low", "close"))
    best = (0.0, "range")
    if len(close) < LEAST_BARS:
        return best
    with np.errstate(invalid="ignore", divide="ignore"):
        following = np.r_[close[1:] / close[:-1] - 1, np.nan]
        shapes = {
            "middle of high and low against close": (high + low) / 2 / close - 1,
            "place of the close between low and high": (close - low) / np.where(high > low, high - low, np.nan),
            "high against close": high / close - 1,
            "low against close": low / close - 1,
        }
    windows = [slice(None)] + [slice(i, i + WINDOW) for i in range(0, len(close) - WINDOW + 1, WINDOW)]
    for name, shape in shapes.items():
        for window in windows:
            strength = abs(_correlation(shape[window], following[window]))
            if strength > best[0]:
                best = (strength, name)
    return best


def _correlation(a: Array, b: Array) -> float:
    usable = np.isfinite(a) & np.isfinite(b) & (b != 0)
    a, b = a[usable], b[usable]
    if len(a) < LEAST_BARS // 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a, b = (np.clip(x, *np.quantile(x, [0.01, 0.99])) for x in (a, b))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
