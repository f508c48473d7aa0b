"""What the agent's own returns might have given in another order: the band around its equity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.envs.trajectory import FloatArray, Trajectory
from wealtharena.reporting.data import Band

POINTS = 800  # bars at which a long band is computed; between them it is a straight line


def equity_band(
    trajectory: Trajectory,
    *,
    rng: np.random.Generator,
    draws: int = 1000,
    confidence: float = 0.95,
    block_bars: float | None = None,
) -> Band | None:
    """Return the pointwise range of `draws` paths resampled from the returns in blocks; None below 20 bars.

    Stationary bootstrap (Politis and Romano 1994): blocks of geometric length with mean `block_bars`, which is the cube
    root of the number of bars unless given. The band shows how much of the result is the luck of these bars; it holds
    neither the luck of the seed nor a change of the market.
    """
    returns = trajectory.returns
    n = returns.size
    if n < 20 or not np.isfinite(returns).all():
        return None
    mean = block_bars if block_bars is not None else max(round(n ** (1 / 3)), 1)
    at = np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(np.int64))
    paths = np.empty((draws, at.size))
    for a in range(0, draws, 100):  # a hundred at a time keeps the index arrays small
        drawn = returns[_indices(rng, min(100, draws - a), n, 1.0 / mean)]
        paths[a : a + 100] = _wealth(drawn)[:, at]
    tail = (1 - confidence) / 2
    edges = np.quantile(paths, [tail, 1 - tail], axis=0)
    lower, upper = (np.concatenate([[1.0], np.interp(np.arange(n), at, edge)]) for edge in edges)
    start = trajectory.equity[0]
    return Band(
        lower=start * lower,
        upper=start * upper,
        meaning=f"{100 * confidence:.0f} % of {draws:,} paths that the same returns give when blocks of about "
        f"{mean:.0f} bars are drawn again",
    )


def _wealth(returns: FloatArray) -> FloatArray:
    """Return what 1 has become after each of `returns` [draws, n]; a path that lost all or more ends with that loss."""
    growth = np.cumprod(1.0 + returns, axis=1)
    over = np.logical_or.accumulate(returns <= -1.0, axis=1)
    last = np.where(over.any(axis=1), over.argmax(axis=1), returns.shape[1] - 1)
    end = np.take_along_axis(growth, last[:, None], axis=1)
    result: FloatArray = np.where(over, end, growth)
    return result


def _indices(rng: np.random.Generator, draws: int, n: int, probability: float) -> npt.NDArray[np.int64]:
    """Return bars to take, shape [draws, n]: blocks that begin anywhere and wrap around the end."""
    begins = rng.random((draws, n)) < probability
    begins[:, 0] = True
    position = np.broadcast_to(np.arange(n), (draws, n))
    block = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    first = rng.integers(0, n, size=(draws, n))
    result: npt.NDArray[np.int64] = (np.take_along_axis(first, block, axis=1) + position - block) % n
    return result
