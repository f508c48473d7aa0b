"""What a rule may see of the past: which symbols there are, and what a unit of each has earned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.quotes import CARRY_BARS, carry_forward, unit_income

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
MIN_RETURNS = 10  # fewer returns than this estimate no volatility: equal weights instead


def history_bars(spec: BaselineSpec) -> int:
    """Return the most bars that any rule looks at."""
    return max(max(spec.lookback_bars, spec.momentum_bars) + 1 + CARRY_BARS, spec.listed_bars)


def listed(panel: Panel, row: int, spec: BaselineSpec) -> BoolArray:
    """Return which symbols traded within the last `listed_bars` up to `row`, shape [A]: a halt does not unlist."""
    rows = slice(max(row + 1 - spec.listed_bars, 0), row + 1)
    close = panel.close[rows]
    return np.asarray((panel.tradable[rows] & np.isfinite(close) & (close > 0.0)).any(axis=0))


def unit_profits(panel: Panel, row: int, bars: int, *, margined: bool) -> tuple[FloatArray, FloatArray]:
    """Return what a unit held at the close before earned at each of the last `bars` bars up to `row`, and its mark then.

    Both [n, A] in account currency; n is less than `bars` where the panel begins later. This is the profit that the
    kernel books: move of the mark, dividends, and, of a margined contract, no more of the conversion than its profit
    is converted at. A missing bar earns nothing, the next one the whole move; NaN before the first price.
    """
    recent = panel.slice(max(row - bars - CARRY_BARS, 0), row + 1)
    quote = carry_forward(np.where(recent.close > 0.0, recent.close, np.nan))
    mark = quote * recent.multipliers * recent.to_account
    profit = np.diff(mark, axis=0) + unit_income(recent, mark, margined=margined)[1:]
    return profit[-bars:], mark[:-1][-bars:]


def unit_gain(panel: Panel, row: int, bars: int, *, margined: bool) -> FloatArray:
    """Return what a unit bought `bars` bars before `row` and sold at `row` earned, [A]; NaN without a price then.

    Of a margined contract the move of the quote, settled at the rate of `row`.
    """
    profit, before = unit_profits(panel, row, bars, margined=margined)
    if margined:
        rate = panel.to_account[row] / panel.to_account[row + 1 - len(profit) : row + 1]
        return np.asarray((profit * rate).sum(axis=0))
    return np.asarray(np.where(np.isfinite(before[0]), profit.sum(axis=0), np.nan))


def known_returns(panel: Panel, row: int, spec: BaselineSpec) -> tuple[FloatArray, BoolArray]:
    """Return a unit's returns [n, A] over the lookback, and the listed symbols [A] for which all of them are known."""
    profit, before = unit_profits(panel, row, spec.lookback_bars, margined=spec.margined)
    returns = profit / before
    known = np.isfinite(returns).all(axis=0) & listed(panel, row, spec)
    return returns, known if len(returns) >= MIN_RETURNS else np.zeros_like(known)
