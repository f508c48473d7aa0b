"""Volume that changes its unit inside one file: in coins until a day, in money from then on, or the other way round.

Such a change multiplies every figure by the price from one bar to the next and leaves the price alone. Only changes
that cannot be anything else are seen: days before and after are wholly apart, and as far as the price is high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from wealtharena.data.reading import units
from wealtharena.errors import DataError

Array = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

_SIDE: Final = 5  # days, or longer bars, that must agree on each side of a change
_LEAST: Final = float(np.log(50.0))  # a smaller factor may be the market's own
_BAND: Final = 1.2  # log distance between the factor and the price; volumes of neighbouring weeks differ by as much
_SWITCHES: Final = 2  # of unit in one file; what changes more often is the market's
_STEADY: Final = 0.3  # log distance that the price may go in the two days: a rush moves both


@dataclass(frozen=True)
class Brought:
    """A table whose volume is money throughout, and the words that say where it had changed."""

    table: pd.DataFrame
    words: str


def in_one_unit(tables: Mapping[str, pd.DataFrame]) -> dict[str, Brought]:
    """Return each coin whose volume changes its unit, brought to money."""
    made = {name: to_money(table, name) for name, table in tables.items()}
    return {name: one for name, one in made.items() if one is not None}


def dates(table: pd.DataFrame) -> str:
    """Return the days on which the volume changes its unit, in words; nothing where it does not."""
    table = _in_order(table)
    places = changes(table)
    return _dates(table, places) if places else ""


def to_money(table: pd.DataFrame, symbol: str) -> Brought | None:
    """Return the table in order of time with one unit of volume, None where its unit does not change.

    Raises:
        DataError: it changes, and either order of units gives a turnover that a market can have, or none does.
    """
    table = _in_order(table)
    places = changes(table)
    if not places:
        return None
    rows = np.arange(len(table))
    second = np.searchsorted(places, rows, side="right") % 2 == 1  # rows of the unit that the file does not begin with
    volume, close = table["volume"].to_numpy(dtype=np.float64), table["close"].to_numpy(dtype=np.float64)
    day = units.bars_a_day(table)
    fits = []
    for coins in (second, ~second):
        money = np.where(coins, volume * close, volume)
        usual = [float(np.median(part[part > 0])) * day for part in np.split(money, places)]
        fits.append(all(units.plausible(value) for value in usual))
    told = f"{symbol}: volume changes its unit on {_dates(table, places)}, by as much as the price is high"
    if fits[0] == fits[1]:
        raise DataError(
            f"{told}, and the figures do not show which unit is which",
            hint="split the file there, or set data.volume_unit=none to limit no order by volume",
        )
    coins = second if fits[0] else ~second
    return Brought(
        table.assign(volume=np.where(coins, volume * close, volume)),
        f"{told}: it begins in {'coins' if coins[0] else 'money'}, and is brought to money throughout",
    )


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("timestamp", kind="stable", ignore_index=True)


def changes(table: pd.DataFrame) -> list[int]:
    """Return the rows from which a table in order of time counts its volume in another unit than before."""
    if not {"volume", "close"} <= set(table.columns):
        return []
    used, logs, starts, usual, price = _by_day(table)
    if len(starts) < 2 * _SIDE + 1:
        return []
    found: list[int] = []
    bounds = np.r_[starts, len(used)]
    for at in _between(usual, price):
        first, last = bounds[at - 2], bounds[min(at + 3, len(starts))]  # the change is somewhere in these days
        near = logs[first:last]
        before, after = np.median(usual[at - _SIDE : at]), np.median(usual[at + 1 : at + 1 + _SIDE])
        cost = np.r_[0.0, np.cumsum(np.abs(near - before) - np.abs(near - after))]
        found.append(int(used[min(first + int(np.argmin(cost)), len(used) - 1)]))
    return found


def steps(table: pd.DataFrame) -> str:
    """Return in words by how much a volume is larger or smaller from a day on, as where its unit changes; nothing where it never is.

    Whatever the factor, if it is 50 and more, nearly all days before and after are apart, and the price stays. A future's
    volume goes up a hundred times at each roll, and down again.
    """
    if not {"volume", "close"} <= set(table.columns):
        return ""
    table = _in_order(table)
    used, _, starts, usual, price = _by_day(table)
    places = _between(usual, price, whatever=True) if len(starts) >= 2 * _SIDE + 1 else []
    if len(places) > _SWITCHES:
        return ""
    said = []
    for at, (before, after) in zip(places, pairwise(np.split(usual, places)), strict=True):
        low, high = sorted((before, after), key=np.median)
        factor = np.exp(np.median(after) - np.median(before))
        if abs(np.log(factor)) < _LEAST or np.quantile(high, 0.1) < np.quantile(low, 0.9):
            continue
        size = f"{factor:,.0f} times as large" if factor > 1 else f"{1 / factor:,.0f} times smaller"
        said.append(f"{size} from {table['timestamp'].iloc[used[starts[at]]]:%Y-%m-%d} on")
    return " and ".join(said)


def _by_day(table: pd.DataFrame) -> tuple[IntArray, Array, IntArray, Array, Array]:
    """Return the rows with a volume, its logs, where each day begins among them, and each day's usual logs of volume and price."""
    volume, close = table["volume"].to_numpy(dtype=np.float64), table["close"].to_numpy(dtype=np.float64)
    used = np.flatnonzero((volume > 0) & (close > 0))
    days = table["timestamp"].to_numpy(dtype="datetime64[D]")[used]
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]) if len(used) else np.zeros(0, dtype=np.int64)
    logs, prices = np.log(volume[used]), np.log(close[used])
    return used, logs, starts, _medians(logs, starts), _medians(prices, starts)


def _medians(of: Array, starts: IntArray) -> Array:
    """Return the median of each part of [values], given where the parts begin."""
    ends = np.r_[starts[1:], len(of)]
    part = np.repeat(np.arange(len(starts)), ends - starts)
    of = of[np.lexsort((of, part))]  # parts stay where they are, each in order of size
    size = ends - starts
    return np.asarray((of[starts + (size - 1) // 2] + of[starts + size // 2]) / 2)


def _between(usual: Array, price: Array, *, whatever: bool = False) -> list[int]:
    """Return the days at which the level changes by the price, or by `whatever`, and the price stays: the sharpest of each run."""
    windows = np.lib.stride_tricks.sliding_window_view(usual, _SIDE)
    before, after = windows[: -_SIDE - 1], windows[_SIDE + 1 :]  # the day between may hold both units
    jump = np.median(after, axis=1) - np.median(before, axis=1)
    apart = np.where(jump > 0, after.min(axis=1) - before.max(axis=1), before.min(axis=1) - after.max(axis=1)) > 0
    count = len(jump)
    moved = np.abs(price[_SIDE + 1 : _SIDE + 1 + count] - price[_SIDE - 1 : _SIDE - 1 + count])
    level = np.abs(price[_SIDE : _SIDE + count])
    fits = apart & (np.abs(jump) > _LEAST) & (moved < _STEADY)
    if not whatever:
        fits &= (level > _LEAST) & (np.abs(np.abs(jump) - level) < _BAND)
    places, held = [], np.flatnonzero(fits)
    for run in np.split(held, np.flatnonzero(np.diff(held) > _SIDE) + 1):
        if len(run):
            places.append(int(run[np.argmax(np.abs(jump[run]))]) + _SIDE)
    return places


def _dates(table: pd.DataFrame, places: list[int]) -> str:
    days = [f"{table['timestamp'].iloc[place]:%Y-%m-%d}" for place in places]
    return " and ".join(filter(None, (", ".join(days[:-1]), days[-1])))
