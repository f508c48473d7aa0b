"""Checks on the four prices of a bar together: open and close lie between low and high, and follow the bar before.

One bar that breaks this is repaired. A stretch of them is no accident of a feed: columns were exchanged, or one of them
stands a row too early or too late, and then the prices are honest ones of another time or another name, which nothing
after this room would object to. What is taken for a break goes by the series' own bars and figures: the bar of a pair
of currencies in an hour is a tenth of a percent high.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.bars import PRICE_COLUMNS
from wealtharena.data.quality.report import Context, Detection, prices_of

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_AUCTION: Final = 0.01  # open or close outside the range by less is how auctions are reported, where bars are higher
_OF_A_BAR: Final = (0.05, 1.0)  # of the typical bar's range: a break beyond rounding; one that is repaired
_ROUNDED: Final = 1e-6  # share of the price that single precision and adjustment factors leave uncertain
_MOST_DECIMALS: Final = 6
_SAMPLED: Final = 2000  # bars that show how many decimals a column has
_SAID: Final = 0.01  # share of bars with breaks too small to repair from which they are named

_LOOK: Final = 60  # bars of the shortest stretch that is judged; the looks begin every half of it
_LEAST: Final = 5  # breaks below which no stretch is judged
# Of recorded bars (tests/data/quality/test_real_data.py) at most 32 % of 60 neighbours and 8 % of a quarter of a
# history break, and no other arrangement of their columns mends more than 27 % of a stretch of breaks.
_MOST_BREAKS: Final = ((250, 0.25), (1, 0.5))  # share of a stretch of at least so many bars that is no accident
_MENDED: Final = 0.8  # of a stretch's breaks: an arrangement of the columns that mends so many is the true one
_SHIFTED_BREAKS: Final = 0.05  # least share of breaks of a stretch that is judged by other arrangements
# Real bars open farther from the close before than they close from the open before in at most 59 % of 60 bars, 52 % of
# 125 and 44 % of a quarter of a history; leaking ones of Yahoo's currencies in 71, 65 and 54 %.
_TURNED: Final = 2.0  # over the root of the bars, above a half: four standard deviations of a coin
_FLAT: Final = 0.1  # of the range, from open to close in the typical bar: real bars have 0.4


class _Stretch(NamedTuple):
    start: int
    stop: int


class _Bars(NamedTuple):
    """Whole bars, which are neighbours here: their rows in the table [n], prices [n, 4], bounds of a break [n], breaks [n], stretches."""

    rows: npt.NDArray[np.intp]
    prices: Float64
    bounds: Float64
    broken: Bool
    looks: list[_Stretch]

    def placed(self, found: tuple[_Stretch, str] | None) -> tuple[_Stretch, str] | None:
        """Return a finding with its stretch in rows of the table."""
        if found is None:
            return None
        where, said = found
        return _Stretch(int(self.rows[where.start]), int(self.rows[where.stop - 1]) + 1), said


def ohlc_breaks(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find bars whose open or close lies outside low to high (repair: the range of the four prices received).

    Where a clear share of all bars or of a stretch breaks, or where columns exchanged or shifted by a row would break
    nothing, no repair is right, and the series is refused; opens that lie on their own bar's close are named. An open or
    close outside by less than 1 %, and less than the range of a typical bar, is how auctions are reported, and stays as
    it is; many of them are named.
    """
    prices = prices_of(table)
    height = _typical_height(prices)
    excess = outside(prices)
    scale = np.abs(prices[:, 3])
    rounding = max(_OF_A_BAR[0] * height, _ROUNDED) * scale + _half_step(prices)
    broken = excess > rounding
    mask = excess > np.maximum(min(_AUCTION, _OF_A_BAR[1] * height or _AUCTION) * scale, rounding)
    bars = _whole(prices, rounding, broken)
    if bars and (wrong := _misplaced(bars)):
        return replace(_at(*wrong, table, broken), repaired=_widened(table, prices, mask))
    small = int((broken & ~mask).sum())
    if not mask.any():
        if bars and (early := bars.placed(_opens_of_the_next(bars.prices, bars.bounds, bars.looks))):
            found = _at(*early, table, broken)
            note = f"{context.raw.symbol}: {found.detail}: does the column open stand a row too early?"
            return replace(found, named=True, beyond_repair=False, note=note)
        if small <= _SAID * len(table):
            return None
        return Detection(
            broken, "open or close outside low to high by less than a typical bar, and less than 1 %", named=True
        )
    smaller = f", and in {small} bars by less, which stay" if small > _SAID * len(table) else ""
    return Detection(mask, f"open or close outside low to high{smaller}", _widened(table, prices, mask))


def _widened(table: pd.DataFrame, prices: Float64, mask: Bool) -> pd.DataFrame:
    """Return the table with the range of the four prices received as low and high of the rows of `mask`."""
    repaired = table.copy()
    if mask.any():
        repaired.loc[mask, "high"] = np.nanmax(prices[mask], axis=1)
        repaired.loc[mask, "low"] = np.nanmin(prices[mask], axis=1)
    return repaired


def _at(where: _Stretch, said: str, table: pd.DataFrame, broken: Bool) -> Detection:
    mask = np.zeros(len(table), dtype=bool)
    mask[where.start : where.stop] = broken[where.start : where.stop]
    first, last = (f"{table['timestamp'].iloc[row]:%Y-%m-%d}" for row in (where.start, where.stop - 1))
    return Detection(mask if mask.any() else ~mask, f"{said} ({first} to {last})", beyond_repair=True)


def outside(prices: Float64) -> Float64:
    """Return by how much, in the quote, open or close of bars [n, 4] leave low to high; inf where high is below low."""
    open_, high, low, close = prices.T
    with np.errstate(invalid="ignore"):
        excess = np.fmax(np.fmax(np.fmax(open_, close) - high, low - np.fmin(open_, close)), 0.0)
        excess = np.where(high < low - np.abs(low) * 1e-9, np.inf, excess)
    return np.nan_to_num(excess, nan=0.0, posinf=np.inf)


def _typical_height(prices: Float64) -> float:
    """Return the median range of the bars that have one, as a share of the close; 0 where none has."""
    with np.errstate(invalid="ignore", divide="ignore"):
        heights = np.abs(prices[:, 1] - prices[:, 2]) / np.abs(prices[:, 3])
    heights = heights[np.isfinite(heights) & (heights > 0)]
    return float(np.median(heights)) if len(heights) else 0.0


def _half_step(prices: Float64) -> float:
    """Return half of the last decimal of the coarsest column where the columns have different decimals, else 0."""
    some = prices[:: max(1, len(prices) // _SAMPLED)]
    shown = [_decimals(column[np.isfinite(column)]) for column in some.T]
    known = [digits for digits in shown if digits is not None]
    return 0.5 * 10.0 ** -min(known) if known and min(known) < max(known) else 0.0


def _decimals(values: Float64) -> int | None:
    """Return how many decimals nearly all values need; more than are counted for figures that were computed."""
    if not len(values):
        return None
    for digits in range(_MOST_DECIMALS):
        if (np.abs(values - np.round(values, digits)) <= 1e-9 * np.abs(values)).mean() >= 0.99:
            return digits
    return _MOST_DECIMALS


def _whole(prices: Float64, rounding: Float64, broken: Bool) -> _Bars | None:
    """Return the bars of which all four prices are known, with the stretches that they are judged by; None where there are none."""
    rows = np.flatnonzero(np.isfinite(prices).all(axis=1) & (prices > 0).all(axis=1))
    return _Bars(rows, prices[rows], rounding[rows], broken[rows], _looks(len(rows))) if len(rows) else None


def _misplaced(bars: _Bars) -> tuple[_Stretch, str] | None:
    """Return the longest stretch whose columns cannot be what they are called, and why; None where there is none."""
    found = (
        _turned(bars.prices, bars.looks)
        or _rearranged(bars.prices, bars.bounds, bars.broken, bars.looks)
        or _often(bars.broken, bars.looks)
    )
    return bars.placed(found)


def _looks(bars: int) -> list[_Stretch]:
    """Return the whole, its halves and quarters, and short stretches that overlap; the longest first."""
    parts = [_Stretch(0, bars)]
    for count in (2, 4):
        edges = [int(edge) for edge in np.linspace(0, bars, count + 1)]
        parts += [_Stretch(a, b) for a, b in itertools.pairwise(edges) if b - a > _LOOK]
    parts += [_Stretch(a, a + _LOOK) for a in range(0, bars - _LOOK + 1, _LOOK // 2)]
    return parts


def _counts(mask: npt.NDArray[Any], looks: list[_Stretch]) -> Float64:
    total = np.r_[0.0, np.cumsum(mask, dtype=np.float64)]
    return np.array([total[look.stop] - total[look.start] for look in looks])


def _lengths(looks: list[_Stretch]) -> Float64:
    return np.array([look.stop - look.start for look in looks], dtype=np.float64)


def _turned(bars: Float64, looks: list[_Stretch]) -> tuple[_Stretch, str] | None:
    """Find opens that lie farther from the close before than closes from the open before: the two are exchanged."""
    if len(bars) < _LOOK:
        return None
    logs = np.log(bars)
    gap, two = np.abs(logs[1:, 0] - logs[:-1, 3]), np.abs(logs[1:, 3] - logs[:-1, 0])
    votes = np.r_[0.5, np.where(np.isclose(gap, two, rtol=1e-9, atol=1e-12), 0.5, gap > two)]
    lengths = _lengths(looks)
    places = np.flatnonzero(_counts(votes, looks) > 0.5 * lengths + _TURNED * np.sqrt(lengths))
    if not len(places):
        return None
    look, share = looks[places[0]], votes[looks[places[0]].start : looks[places[0]].stop].mean()
    return look, (
        f"{share:.0%} of {look.stop - look.start} bars open farther from the close before than they close from the open"
        " before, as only bars whose opens and closes are exchanged do"
    )


def _rearranged(bars: Float64, bounds: Float64, broken: Bool, looks: list[_Stretch]) -> tuple[_Stretch, str] | None:
    """Find stretches of breaks that another arrangement of the columns would mend."""
    own, lengths = _counts(broken, looks), _lengths(looks)
    suspect = (own >= _LEAST) & (own >= _SHIFTED_BREAKS * lengths)
    if not suspect.any():
        return None
    best: tuple[int, float, str] | None = None
    for name, other in _arrangements(bars):
        left = _counts(outside(other) > bounds, looks)
        for place in np.flatnonzero(suspect & (left <= (1 - _MENDED) * own)):
            if best is None or (int(place), float(left[place])) < best[:2]:
                best = (int(place), float(left[place]), name)
    if best is None:
        return None
    look = looks[best[0]]
    return look, (
        f"open or close outside low to high in {own[best[0]]:.0f} of {look.stop - look.start} bars, and in"
        f" {best[1]:.0f} with {best[2]}: columns are exchanged, or stand a row too early or too late"
    )


def _often(broken: Bool, looks: list[_Stretch]) -> tuple[_Stretch, str] | None:
    """Find stretches most of whose bars break, whatever would mend them."""
    own, lengths = _counts(broken, looks), _lengths(looks)
    most = np.select([lengths >= bars for bars, _ in _MOST_BREAKS], [share for _, share in _MOST_BREAKS])
    places = np.flatnonzero((own >= _LEAST) & (own > most * lengths))
    if not len(places):
        return None
    look = looks[places[0]]
    return look, (
        f"open or close outside low to high in {own[places[0]]:.0f} of {look.stop - look.start} bars: the columns are"
        " not of one series of bars, or are not what they are called"
    )


def _opens_of_the_next(bars: Float64, bounds: Float64, looks: list[_Stretch]) -> tuple[_Stretch, str] | None:
    """Find opens that may be those of the next bar, in a market without gaps: each lies on its own bar's close.

    So do opens that somebody made up.
    """
    height = bars[:, 1] - bars[:, 2]
    moved = height > 0
    share = np.abs(bars[:, 0] - bars[:, 3]) / np.where(moved, height, 1.0)
    back = bars.copy()
    back[1:, 0], back[0, 0] = bars[:-1, 0], bars[0, 3]
    odd = _counts(outside(back) > bounds, looks)
    for place, look in enumerate(looks):
        inside = moved[look.start : look.stop]
        if inside.sum() < _LOOK // 2 or odd[place] > 0.01 * (look.stop - look.start):
            continue
        if float(np.median(share[look.start : look.stop][inside])) < _FLAT:
            return look, (
                f"the opens of {look.stop - look.start} bars lie on their own bar's close, and between the next bar's"
                " low and high"
            )
    return None


def _arrangements(bars: Float64) -> Iterator[tuple[str, Float64]]:
    """Yield other orders and places of the columns, in words that follow `with`."""
    names = {name: place for place, name in enumerate(PRICE_COLUMNS)}
    for a, b in (("open", "high"), ("open", "low"), ("high", "close"), ("low", "close"), ("high", "low")):
        other = bars.copy()
        other[:, [names[a], names[b]]] = bars[:, [names[b], names[a]]]
        yield f"{a} and {b} exchanged", other
    for moved in (("open",), ("high",), ("low",), ("close",), ("high", "low")):
        for rows, word in ((1, "later"), (-1, "earlier")):
            other = bars.copy()
            for name in moved:
                other[:, names[name]] = np.roll(bars[:, names[name]], rows)
            other[0 if rows > 0 else -1] = np.nan
            yield f"{' and '.join(moved)} a row {word}", other
