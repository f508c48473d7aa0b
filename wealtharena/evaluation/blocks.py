"""How long the blocks of a bootstrap are, by what a series itself shows of its dependence.

Politis and White (2004) with the correction of Patton, Politis and White (2009), digit for digit as `arch` has it: importing that costs
every run a second, for this one formula.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
MIN_ESTIMATED_BARS = 11  # fewer hold too few autocorrelations to find a block length in


def optimal_block_bars(series: npt.ArrayLike) -> float:
    """Return the automatic mean block length of the stationary bootstrap (Politis and White 2004, Patton et al. 2009).

    Never below 1 nor above a third of the series; 1 for a series that never moves, and the cube root of the number of
    bars where these are too few to estimate it from.
    """
    values = np.asarray(series, dtype=np.float64)
    if values.size < 8 or np.ptp(values) == 0.0:
        return 1.0
    if values.size < MIN_ESTIMATED_BARS:
        return float(values.size ** (1.0 / 3.0))
    # the autocorrelation of a tail that never moves is not defined
    with np.errstate(divide="ignore", invalid="ignore"):
        best = _stationary(values)
    return min(max(best, 1.0), values.size / 3.0) if math.isfinite(best) else 1.0


def _stationary(x: FloatArray) -> float:
    """Return `(2 G^2 / D)^(1/3) n^(1/3)`, not above `3 sqrt(n)` nor `n / 3`, each rounded up."""
    n = x.shape[0]
    covariance, cutoff = _autocovariance(x)
    g, long_run = 0.0, covariance[0]
    for k in range(1, cutoff + 1):
        flat_top = 1 if k / cutoff <= 1 / 2 else 2 * (1 - k / cutoff)
        g += 2 * flat_top * k * covariance[k]
        long_run += 2 * flat_top * covariance[k]
    length = ((2 * g**2) / (2 * long_run**2)) ** (1 / 3) * n ** (1 / 3)
    return float(min(length, np.ceil(min(3 * np.sqrt(n), n / 3))))


def _autocovariance(x: FloatArray) -> tuple[FloatArray, int]:
    """Return the autocovariances, and the lag behind which they are left out: twice the first that is followed by `run` insignificant ones."""
    n = x.shape[0]
    centred = x - x.mean(0)
    run = max(5, int(np.log10(n)))
    last = int(np.ceil(np.sqrt(n))) + run
    band = 2 * np.sqrt(np.log10(n) / n)
    covariance, correlation = np.zeros(last + 1), np.zeros(last + 1)
    first: int | None = None
    for lag in range(last + 1):
        ahead, behind = centred[lag + 1 :], centred[: -(lag + 1)]
        product = centred[lag:] @ centred[: n - lag]
        covariance[lag] = product / n
        correlation[lag] = np.abs(product) / np.sqrt((ahead @ ahead) * (behind @ behind))
        if first is None and lag >= run and np.all(correlation[lag - run : lag] < band):
            first = lag - run
    return covariance, last if first is None else min(2 * max(first, 1), last)
