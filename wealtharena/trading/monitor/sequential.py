"""A running test of live returns against what the judge promised: Page's cumulative sum, its limit found by block bootstrap.

Page 1954, Biometrika 41: S = max(0, S + (expected - step / 2) - return), in standard deviations of a bar; it alarms where S
passes the limit. The limit is such that an agent that keeps its promise alarms in a stated share of years.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.evaluation.blocks import optimal_block_bars

Floats = npt.NDArray[np.float64]
YEARS: Final = 4  # over which false alarms are counted, so that a sum that has run for a while counts too
LONGEST_YEARS: Final = 40  # within which a loss is found, or said not to be
DRAWS: Final = 1000
LOSS: Final = 1.0  # of the annual Sharpe ratio, what is to be found


@dataclass(frozen=True)
class Promise:
    """What a verdict said of an agent: a Sharpe ratio a year that it should reach, and how its returns scatter."""

    sharpe: float
    deviation: float  # of a bar's return, in excess of cash
    bars_per_year: float

    @property
    def expected(self) -> float:
        """Return the promised mean of a bar, in standard deviations."""
        return self.sharpe / math.sqrt(self.bars_per_year)

    @property
    def step(self) -> float:
        """Return the loss that is to be found, in standard deviations of a bar."""
        return LOSS / math.sqrt(self.bars_per_year)


@dataclass(frozen=True)
class Limit:
    """Where a cumulative sum alarms, and how soon it does where the Sharpe ratio is lower by one."""

    height: float
    false_alarms: float  # share of years, at most
    median_years: float | None  # to find the loss; None where half the paths do not show it in forty years


@dataclass
class Sum:
    """A cumulative sum that is told return after return."""

    promise: Promise
    limit: Limit
    height: float = 0.0

    def tell(self, excess: float) -> bool:
        """Take in a bar's return in excess of cash; return whether the sum stands above its limit."""
        short = self.promise.expected - self.promise.step / 2.0 - excess / self.promise.deviation
        self.height = max(0.0, self.height + short)
        return self.height > self.limit.height


def promised(excess: Floats, *, sharpe: float, bars_per_year: float) -> Promise | None:
    """Return the promise of a backtest whose returns, less cash, are given; None where they do not scatter."""
    deviation = float(np.std(excess, ddof=1)) if len(excess) > 2 else 0.0
    return Promise(sharpe, deviation, bars_per_year) if deviation > 0.0 else None


def limit_of(excess: Floats, promise: Promise, *, false_alarms: float, rng: np.random.Generator) -> Limit:
    """Return the limit that a kept promise passes in at most `false_alarms` of years.

    Years are drawn from the backtest's own returns in blocks, so that what follows each other goes on doing so. How soon a
    loss is found is the median over paths whose mean is lower by one Sharpe unit.
    """
    standard = (excess - excess.mean()) / promise.deviation
    block = _block_bars(standard, promise)
    bars = max(2, round(promise.bars_per_year))
    kept = _heights(standard, -promise.step / 2.0, bars=YEARS * bars, block=block, rng=rng)
    height = float(np.quantile(kept.max(axis=0), (1.0 - false_alarms) ** YEARS))
    lost = _heights(standard, promise.step / 2.0, bars=LONGEST_YEARS * bars, block=block, rng=rng, draws=DRAWS // 4)
    found = lost > height
    first = np.where(found.any(axis=0), found.argmax(axis=0) + 1, 10**9)
    median = float(np.median(first))
    return Limit(height, false_alarms, median / bars if median <= LONGEST_YEARS * bars else None)


def _block_bars(standard: Floats, promise: Promise) -> int:
    """Return how many bars go together: as many as returns, or their size, depend on each other, and a month at least.

    Calm and stormy times last; in shorter blocks a sum would never meet a whole storm.
    """
    lasting = max(optimal_block_bars(standard), optimal_block_bars(standard**2))
    month = promise.bars_per_year / 12.0
    return min(max(1, round(max(lasting, month))), len(standard))


def resampled(
    rows: npt.NDArray[np.int64], *, bars: int, block: int, rng: np.random.Generator, draws: int
) -> npt.NDArray[np.int64]:
    """Return `draws` paths [bars, draws] of row numbers, in blocks that wrap around (Politis and Romano 1992)."""
    count = -(-bars // block)
    starts = rng.integers(0, len(rows), size=(count, draws))
    steps = np.arange(block)[:, None, None]
    return np.asarray(rows[(starts[None] + steps) % len(rows)].transpose(1, 0, 2).reshape(-1, draws)[:bars])


def _heights(
    standard: Floats, drift: float, *, bars: int, block: int, rng: np.random.Generator, draws: int = DRAWS
) -> Floats:
    """Return cumulative sums [bars, draws] over paths drawn from standard returns, each bar with `drift` added."""
    paths = standard[resampled(np.arange(len(standard)), bars=bars, block=block, rng=rng, draws=draws)]
    heights = np.empty_like(paths)
    height = np.zeros(draws)
    for bar in range(bars):
        height = np.maximum(0.0, height + drift - paths[bar])
        heights[bar] = height
    return heights
