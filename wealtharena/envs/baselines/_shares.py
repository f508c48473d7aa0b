"""Shares of a portfolio."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec

FloatArray = npt.NDArray[np.float64]


def invested(shares: FloatArray, spec: BaselineSpec) -> FloatArray:
    """Return long weights [A] in proportion to `shares` that sum to `gross`, none above `max_weight`.

    What a symbol may not hold is spread over the others in proportion; the sum falls short only where all are at their
    limit, and is 0 where there are no shares.
    """
    weights = np.zeros_like(shares, dtype=np.float64)
    free = shares > 0.0
    left = spec.gross
    while free.any() and left > 0.0:
        wanted = left * shares / shares[free].sum()
        full = free & (wanted > spec.max_weight)
        if not full.any():
            weights[free] = wanted[free]
            break
        weights[full] = spec.max_weight
        left -= spec.max_weight * int(full.sum())
        free &= ~full
    return weights
