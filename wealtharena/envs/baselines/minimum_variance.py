"""The long-only portfolio of least variance (Markowitz 1952) under a shrunk covariance (Ledoit and Wolf 2004)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines import equal_weight
from wealtharena.envs.baselines._history import known_returns
from wealtharena.envs.baselines._shares import invested

FloatArray = npt.NDArray[np.float64]


def weights(panel: Panel, row: int, spec: BaselineSpec) -> FloatArray:
    """Return long weights, together `gross`, of least variance of what a unit earned over `lookback_bars`.

    Symbols without a whole lookback have weight 0; where that is all of them, the weights are equal.
    """
    returns, known = known_returns(panel, row, spec)
    if not known.any():
        return equal_weight.weights(panel, row, spec)
    shares = np.zeros(len(panel.symbols))
    shares[known] = least_variance(shrunk_covariance(returns[:, known]))
    return invested(shares, spec)


def shrunk_covariance(returns: FloatArray) -> FloatArray:
    """Return the covariance of `returns` [n, A] shrunk to a multiple of the identity (Ledoit and Wolf 2004)."""
    n, assets = returns.shape
    centred = returns - returns.mean(axis=0)
    sample = centred.T @ centred / n
    mean = float(np.trace(sample)) / assets
    target = mean * np.eye(assets)
    distance = float(((sample - target) ** 2).sum()) / assets
    noise = float(((centred**2).T @ (centred**2) / n - sample**2).sum()) / assets / n
    intensity = min(noise, distance) / distance if distance > 0.0 else 0.0
    shrunk: FloatArray = intensity * target + (1.0 - intensity) * sample
    return shrunk


def least_variance(covariance: FloatArray) -> FloatArray:
    """Return weights [A], none negative and with sum 1, that minimise `w' C w`."""
    assets = covariance.shape[0]
    scale = float(np.trace(covariance)) / assets
    if scale <= 0.0:
        return np.full(assets, 1.0 / assets)
    root = np.linalg.cholesky(covariance / scale + 1e-10 * np.eye(assets)).T
    # With the sum as one more equation the optimum has the right direction for any weight of it; its length is fixed after.
    weights, _ = nnls(np.vstack([root, np.ones(assets)]), np.append(np.zeros(assets), 1.0))
    total: FloatArray = weights / weights.sum()
    return total
