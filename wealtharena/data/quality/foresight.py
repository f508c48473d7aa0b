"""Which numbers know a return that can still be traded: rank correlations against a null of circular shifts.

A number seen at the close of bar t is traded on at the fill of bar t + 1 at the earliest, so what it must not tell is
the return from that fill to the next. Everything here is arrays: who owns a number and what is done about one that
knows too much is said elsewhere.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

LAGS: Final = (1, 2, 3)  # bars from the number to the first fill
STEPS: Final = (1, 5, 20, 60)  # bars of a return: what tells a month hardly tells any one day of it
GOES_ON: Final = 0.3  # rank correlation of a return with the one before it above which it is no news
LEAST: Final = 60  # pairs below which a window is not looked at
ROLLING: Final = 250  # bars of a rolling window, more where there would be over `MOST_WINDOWS`
MOST_WINDOWS: Final = 20
FALSE_ALARMS: Final = 1e-4  # chance that a number of a panel without any dependence stands above the null
SILENT: Final = 0.9  # a limit above this is that of numbers which move too smoothly to say anything about
_NARROWEST: Final = 0.999  # of the limit without any dependence, below which no limit is; the rest is for rounding
SHIFTS: Final = 6  # circular shifts that the null is measured with
SAMPLED: Final = 400  # numbers and
SAMPLED_RETURNS: Final = 40  # returns of the null


@dataclass(frozen=True)
class Number:
    """What a number is called, and whose it is; a macro series is nobody's."""

    name: str
    symbol: str = ""

    def __str__(self) -> str:
        return f"{self.name} of {self.symbol}" if self.symbol else self.name


@dataclass(frozen=True)
class Sighting:
    """A number that tells a tradable return: the strongest look of its kind."""

    number: Number
    symbol: str  # whose return
    fill: str  # open or close
    lag: int  # bars from the number to the fill that the return begins with
    correlation: float
    limit: float  # what chance does not reach in a window of this length, over all looks
    pairs: int  # numbers and returns behind it
    start: int  # rows [start, stop) of the window
    stop: int
    step: int = 1  # bars of a return, and from a number to the next

    @property
    def sure(self) -> float:
        """Return the strength that is left after two standard errors."""
        return abs(self.correlation) - 2 / math.sqrt(max(self.pairs, 1))

    def text(self, timestamps: npt.NDArray[np.datetime64]) -> str:
        """Return number, symbol, lag and bars in words; `timestamps` [T] are those of the rows searched."""
        whose = "its own" if self.symbol == self.number.symbol else f"{self.symbol}'s"
        first, last = (str(timestamps[row])[:10] for row in (self.start, self.stop - 1))
        later = (self.lag - 1) * self.step + 1
        bars = f"{later} bar{'s' if later > 1 else ''}"
        end = "to the next" if self.step == 1 else f"over {self.step} bars"
        return (
            f"{self.number} correlates {self.correlation:+.2f} with {whose} return from the {self.fill} {bars} later {end}, bars"
            f" {self.start} to {self.stop - 1} ({first} to {last}; chance stays below {self.limit:.2f})"
        )


def change(values: Float64) -> Float64:
    """Return the relative change from bar to bar of positive numbers [T, ...]; NaN for the first and beside gaps."""
    result = np.full(values.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.where(values > 0, values, np.nan)
        result[1:] = known[1:] / known[:-1] - 1
    return result


def surprise(values: npt.NDArray[Any]) -> Float32:
    """Return what is new in each number [T, N]: the residual of an autoregression of order one, NaN where unknown."""
    x = values.astype(np.float32)
    known = np.isfinite(x)
    x = x - np.where(known, x, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1).astype(np.float32)
    before, now = x[:-1], x[1:]
    both = known[:-1] & known[1:]
    a, b = np.where(both, before, 0), np.where(both, now, 0)
    power = np.einsum("tn,tn->n", a, a)
    slope = np.einsum("tn,tn->n", a, b) / np.where(power > 0, power, 1)
    result = np.full(x.shape, np.nan, dtype=np.float32)
    result[1:] = now - np.clip(slope, -1, 1) * before
    return result


def surprising(prices: Float64) -> Float64:
    """Return prices [T, A] without the columns whose returns go on as they went: what is told by the last return is no news."""
    ranks = Ranked.of(change(prices).astype(np.float32)).ranks
    before, now = ranks[:-1], ranks[1:]
    both = (before != 0) & (now != 0)
    a, b = np.where(both, before, 0), np.where(both, now, 0)
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    own = np.abs((a * b).sum(axis=0)) / np.where(scale > 0, scale, 1)
    return np.where(own > GOES_ON, np.nan, prices)


def search(
    numbers: Sequence[Number],
    values: Float32,
    fills: Mapping[str, Float64],
    *,
    symbols: Sequence[str],
    floor: float,
    rng: np.random.Generator,
    step: int = 1,
) -> tuple[Sighting, ...]:
    """Return the numbers that tell a tradable return by more than `floor` and more than chance, strongest first.

    `values` [T, N] are surprises (NaN where unknown), `fills` the prices [T, A] that orders fill at. Looked at are the
    whole record, its last quarter and rolling windows, each number against each return at each of `LAGS`. The limit of
    a look is the quantile of the normal null of a rank correlation that all looks together exceed with a chance of
    `FALSE_ALARMS`, widened by what circular shifts by 11 bars and more show of the number's own and of its window's
    dependence. One sighting a number. Of every `step`-th bar only, the rows of a sighting are those of all bars.
    """
    bars, count = values.shape
    if bars < LEAST or not count:
        return ()
    windows = Windows.over(bars)
    x = Ranked.of(values)
    returns = {name: Ranked.of(change(prices).astype(np.float32)) for name, prices in fills.items()}
    looks = count * len(symbols) * len(fills) * len(LAGS) * len(windows.spans)
    quantile = NormalDist().inv_cdf(1 - FALSE_ALARMS / (2 * max(looks, 1)))
    wide = functools.cache(lambda: _dependence(numbers, x, returns, windows, rng))  # most records need none of it
    best: dict[int, tuple[float, Sighting]] = {}
    for fill, ranked in returns.items():
        for lag in LAGS:
            for span, found, pairs in correlations(x, ranked.ahead(lag + 1), windows):
                rows, columns = np.nonzero(np.abs(found) > floor)
                strength, spread = np.abs(found[rows, columns]), np.sqrt(np.maximum(pairs[rows, columns] - 3, 1))
                if not (strength > _NARROWEST * np.tanh(quantile / spread)).any():
                    continue
                limits = np.tanh(quantile * wide()[span][rows] / spread)
                for i in np.flatnonzero((strength > limits) & (limits < SILENT)):
                    row, excess = int(rows[i]), float(strength[i] / max(limits[i], floor))
                    if row not in best or excess > best[row][0]:
                        first, end = windows.spans[span]
                        sighting = Sighting(
                            numbers[row], symbols[columns[i]], fill, lag, float(found[row, columns[i]]), float(limits[i]),
                            int(pairs[row, columns[i]]), first * step, (end - 1) * step + 1, step,
                        )  # fmt: skip
                        best[row] = (excess, sighting)
    return tuple(sighting for _, sighting in sorted(best.values(), key=lambda item: -abs(item[1].correlation)))


@dataclass(frozen=True)
class Windows:
    """Blocks of consecutive bars and the windows that are sums of them."""

    edges: tuple[int, ...]
    members: tuple[slice, ...]  # blocks of each window: the whole record, its last quarter, rolling ones

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Return first and one past last row of each window."""
        return tuple((self.edges[item.start], self.edges[item.stop]) for item in self.members)

    @classmethod
    def over(cls, bars: int) -> Windows:
        """Return the windows of a record: blocks are half a rolling window, or quarters of a record too short for two."""
        blocks = min(bars // (ROLLING // 2), MOST_WINDOWS + 1) if bars >= 2 * ROLLING else 4
        edges = tuple(int(edge) for edge in np.linspace(0, bars, blocks + 1))
        rolling = [slice(i, i + 2) for i in range(blocks - 1)] if blocks > 4 or bars >= 2 * ROLLING else []
        return cls(edges, (slice(0, blocks), slice(blocks - max(1, round(blocks / 4)), blocks), *rolling))


@dataclass(frozen=True)
class Ranked:
    """Centred ranks [T, N] in -0.5 to 0.5, 0 where there is no value; and where there is one, a pattern of gaps each."""

    ranks: Float32
    patterns: Float32  # [T, K] 1 where there is a value
    pattern_of: npt.NDArray[np.int64]  # [N]

    @classmethod
    def of(cls, values: Float32) -> Ranked:
        """Return the ranks of each column over the whole record; equal values share their mean rank."""
        columns = np.ascontiguousarray(values.T)
        known = np.isfinite(columns)
        columns = np.where(known, columns, np.float32(np.inf))
        order = np.argsort(columns, axis=1)
        ordered = np.take_along_axis(columns, order, axis=1)
        places = np.broadcast_to(np.arange(columns.shape[1], dtype=np.float32), columns.shape).copy()
        tied = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        places[tied] = _mean_places(ordered[tied])
        ranks = np.empty_like(columns)
        np.put_along_axis(ranks, order, places, axis=1)
        total = np.maximum(known.sum(axis=1, keepdims=True), 1).astype(np.float32)
        ranks = np.where(known, (ranks + np.float32(0.5)) / total - np.float32(0.5), np.float32(0))
        seen: dict[bytes, int] = {}
        pattern_of = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in np.packbits(known, axis=1)])
        first = np.unique(pattern_of, return_index=True)[1]
        return cls(np.ascontiguousarray(ranks.T), known[first].T.astype(np.float32), pattern_of)

    def ahead(self, bars: int) -> Ranked:
        """Return what stands `bars` rows later, at each row; nothing at the end."""
        ranks, patterns = np.zeros_like(self.ranks), np.zeros_like(self.patterns)
        ranks[:-bars], patterns[:-bars] = self.ranks[bars:], self.patterns[bars:]
        return Ranked(ranks, patterns, self.pattern_of)

    def rolled(self, bars: int) -> Ranked:
        """Return the columns shifted in a circle."""
        return Ranked(np.roll(self.ranks, bars, axis=0), np.roll(self.patterns, bars, axis=0), self.pattern_of)

    def some(self, columns: npt.NDArray[np.int64]) -> Ranked:
        """Return a choice of columns."""
        return Ranked(np.ascontiguousarray(self.ranks[:, columns]), self.patterns, self.pattern_of[columns])


def _mean_places(ordered: Float32) -> Float32:
    """Return for each row of sorted values the places, equal values sharing the mean of theirs."""
    rows, length = ordered.shape
    first = np.ones((rows, length), dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    last = np.ones((rows, length), dtype=bool)
    last[:, :-1] = first[:, 1:]
    index = np.arange(length, dtype=np.int32)
    begins = np.maximum.accumulate(np.where(first, index, 0), axis=1)
    ends = np.minimum.accumulate(np.where(last, index, length)[:, ::-1], axis=1)[:, ::-1]
    return ((begins + ends) / 2).astype(np.float32)


def correlations(x: Ranked, y: Ranked, windows: Windows) -> Iterator[tuple[int, Float32, Float32]]:
    """Yield, a window, its position, the correlations [N, A] and the pairs behind each [N, A]; 0 for too few pairs."""
    edges = windows.edges
    blocks = [slice(a, b) for a, b in itertools.pairwise(edges)]
    products = np.stack([x.ranks[block].T @ y.ranks[block] for block in blocks])
    joint = np.stack([x.patterns[block].T @ y.patterns[block] for block in blocks])  # counted once a pair of patterns
    of_x = _joint(x.ranks, y.patterns, blocks)
    of_y = tuple(item.transpose(0, 2, 1) for item in _joint(y.ranks, x.patterns, blocks))
    for position, member in enumerate(windows.members):
        pairs = joint[member].sum(axis=0)[x.pattern_of][:, y.pattern_of]
        count = np.maximum(pairs, 1)
        sum_x, square_x = (item[member].sum(axis=0)[:, y.pattern_of] for item in of_x)
        sum_y, square_y = (item[member].sum(axis=0)[x.pattern_of] for item in of_y)
        together = products[member].sum(axis=0) - sum_x * sum_y / count
        scale = (square_x - sum_x**2 / count) * (square_y - sum_y**2 / count)
        usable = (pairs >= LEAST) & (scale > 1e-6)
        yield position, np.where(usable, together / np.sqrt(np.where(usable, scale, 1)), 0).astype(np.float32), pairs


def _joint(ranks: Float32, patterns: Float32, blocks: Sequence[slice]) -> tuple[Float32, Float32]:
    """Return sums and sums of squares of ranks a block over the rows that each pattern has: [blocks, N, K] each.

    A series with few values must be compared with what the other did on those days alone.
    """
    sums = np.stack([ranks[block].T @ patterns[block] for block in blocks])
    squares = np.stack([(ranks[block] ** 2).T @ patterns[block] for block in blocks])
    return sums, squares


def _dependence(
    numbers: Sequence[Number],
    x: Ranked,
    returns: Mapping[str, Ranked],
    windows: Windows,
    rng: np.random.Generator,
) -> list[Float32]:
    """Return for each window how much wider than of independent pairs each number's null is, [N], never below 1.

    Shifts are short against the record, so that turbulent times stay beside turbulent times.
    """
    count, assets = x.ranks.shape[1], next(iter(returns.values())).ranks.shape[1]
    names = sorted({number.name for number in numbers})
    kind = np.array([names.index(number.name) for number in numbers])
    chosen = np.sort(rng.choice(count, size=min(count, SAMPLED), replace=False))
    some = x.some(chosen)
    farthest = max(13, min(len(x.ranks) // 3, ROLLING))
    by_kind, kinds = np.zeros(len(names)), np.zeros(len(names))
    by_length: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for shift in rng.integers(11, farthest, SHIFTS) * rng.choice([-1, 1], SHIFTS):
        for ranked in returns.values():
            columns = np.sort(rng.choice(assets, size=min(assets, SAMPLED_RETURNS), replace=False))
            for position, found, pairs in correlations(some, ranked.some(columns).rolled(int(shift)), windows):
                squares, usable = found**2 * pairs, pairs >= LEAST
                total, seen = squares.sum(axis=1), usable.sum(axis=1)
                by_length[min(position, 2)].append(float(total.sum() / max(seen.sum(), 1)))
                np.add.at(by_kind, kind[chosen], total)
                np.add.at(kinds, kind[chosen], seen)
    of_kind = np.sqrt(np.maximum(by_kind / np.maximum(kinds, 1), 1))[kind]
    lengths = [np.sqrt(max(float(np.mean(by_length[n] or [1.0])), 1.0)) for n in range(3)]
    return [np.maximum(of_kind, lengths[min(i, 2)]).astype(np.float32) for i in range(len(windows.members))]
