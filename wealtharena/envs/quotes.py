"""What quotes say at each bar: prices carried over holes, what a unit is paid beside its mark, and how much it moves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.data.panel import Panel

SIGMA_BARS = 20
CARRY_BARS = 10  # how far back the price at the begin of a lookback may lie where that bar is missing
SIGMA_UNKNOWN = 0.02  # volatility a bar before two returns are known


def unit_income(panel: Panel, mark: npt.NDArray[np.float64], *, margined: bool) -> npt.NDArray[np.float64]:
    """Return what a unit held at the close before is paid at each bar beside the move of its mark, [T, A]."""
    income = cash_dividends(panel)
    if margined:
        income[1:] -= mark[:-1] * (panel.to_account[1:] / panel.to_account[:-1] - 1.0)
    return income


def cash_dividends(panel: Panel) -> npt.NDArray[np.float64]:
    """Return the dividend a unit, [T, A] account currency, on its ex-date."""
    return np.asarray(np.nan_to_num(panel.dividends) * panel.multipliers * panel.to_account, dtype=np.float64)


def carry_forward(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values [T, A] with each NaN replaced by the last number before it; NaN before the first."""
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(values), rows, -1), axis=0)
    carried: npt.NDArray[np.float64] = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return np.where(last >= 0, carried, np.nan)


def trailing_sigma(quote: npt.NDArray[np.float64], window: int = SIGMA_BARS) -> npt.NDArray[np.float64]:
    """Return the root mean square simple return of the last `window` bars, [T, A]; fewer at the start.

    Returns across a price that is not positive are left out; 0.02 stands where fewer than two are known.
    """
    before, after = quote[:-1], quote[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        known = (before > 0) & (after > 0)
        squares = np.where(known, after / np.where(known, before, 1.0) - 1.0, 0.0) ** 2
    zero = np.zeros((1, quote.shape[1]))
    total = np.concatenate([zero, _window_sum(squares, window)])
    count = np.concatenate([zero, _window_sum(known.astype(np.float64), window)])
    return np.where(count >= 2, np.sqrt(np.maximum(total, 0.0) / np.maximum(count, 1.0)), SIGMA_UNKNOWN)


def _window_sum(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Return sums over the last `window` rows, each added up anew: a running sum would carry rounding from far back."""
    if not len(values):
        return values.copy()
    padded = np.concatenate([np.zeros((window - 1, values.shape[1])), values])
    view = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)
    total: npt.NDArray[np.float64] = view.sum(axis=-1)
    return total
