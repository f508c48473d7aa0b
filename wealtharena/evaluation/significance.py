"""How much of a result is luck: Sharpe ratios with their uncertainty, selection bias, paired comparison, seeds.

Sharpe ratios here are a bar, not annualised, unless a name says otherwise; kurtosis is not in excess (normal: 3).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri  # scipy.stats has the same behind half a second of imports

from wealtharena.evaluation.blocks import optimal_block_bars
from wealtharena.evaluation.bootstrap import (
    GroupDifference,
    Interval,
    PairedDifference,
    group_bootstrap,
    interquartile_mean,
    paired_bootstrap,
    stratified_interval,
)
from wealtharena.evaluation.labels import numbers

__all__ = [
    "GroupDifference",
    "Interval",
    "Moments",
    "OverfittingProbability",
    "PairedDifference",
    "deflated_difference",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "group_bootstrap",
    "interquartile_mean",
    "min_track_record_length",
    "moments",
    "optimal_block_bars",
    "overfitting",
    "paired_bootstrap",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "stratified_interval",
]

FloatArray = npt.NDArray[np.float64]
NAN = float("nan")
EULER_GAMMA = 0.5772156649015329
FLAT = 1e-14  # a spread of returns in their last bits
MIN_BLOCK_BARS, MIN_BLOCKS = 4, 4  # of CSCV
_FLAT = 1e-15  # a deviation of returns that is rounding


@dataclass(frozen=True)
class Moments:
    """What the sampling error of a Sharpe ratio depends on; NaN where the series never moves."""

    bars: int
    sharpe: float  # a bar
    skewness: float
    kurtosis: float  # 3 for the normal


def moments(returns: npt.ArrayLike) -> Moments:
    """Return the moments of the finite returns; Sharpe with ddof=1, skewness and kurtosis with the population's."""
    values = numbers(returns)
    values = values[np.isfinite(values)]
    n = values.size
    if n < 2 or np.ptp(values) < FLAT:  # returns of an equity are rounded
        return Moments(n, NAN, NAN, NAN)
    centred = values - values.mean()
    variance = float((centred**2).mean())
    if variance <= 0.0:
        return Moments(n, NAN, NAN, NAN)
    sharpe = float(values.mean()) / math.sqrt(variance * n / (n - 1))
    return Moments(n, sharpe, float((centred**3).mean()) / variance**1.5, float((centred**4).mean()) / variance**2)


def sharpe_variance(sharpe: float, *, skewness: float, kurtosis: float) -> float:
    """Return `1 - g3 SR + (g4 - 1) / 4 SR^2`, the variance of sqrt(n) times an estimated Sharpe ratio (Mertens 2002)."""
    return 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2


def probabilistic_sharpe_ratio(
    sharpe: float, *, bars: int, skewness: float, kurtosis: float, benchmark: float = 0.0
) -> float:
    """Return the probability that the true Sharpe ratio exceeds `benchmark` (Bailey and Lopez de Prado 2012).

    `PSR = Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2))`; NaN where the moments are not defined.
    """
    variance = sharpe_variance(sharpe, skewness=skewness, kurtosis=kurtosis)
    if bars < 2 or not variance > 0.0:
        return NAN
    return float(ndtr((sharpe - benchmark) * math.sqrt(bars - 1) / math.sqrt(variance)))


def min_track_record_length(
    sharpe: float, *, benchmark: float = 0.0, skewness: float = 0.0, kurtosis: float = 3.0, confidence: float = 0.95
) -> float:
    """Return the bars after which `sharpe` is above `benchmark` at `confidence`; infinite if it is not above it at all.

    `1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2` (Bailey and Lopez de Prado 2012).
    """
    if math.isnan(sharpe):
        return NAN
    if sharpe <= benchmark:
        return math.inf
    variance = sharpe_variance(sharpe, skewness=skewness, kurtosis=kurtosis)
    return 1.0 + variance * (float(ndtri(confidence)) / (sharpe - benchmark)) ** 2


def expected_maximum_sharpe(trials: int, *, variance: float = 1.0) -> float:
    """Return the Sharpe ratio that the best of `trials` worthless strategies is expected to show.

    `sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)))`, g Euler's constant (Bailey and Lopez de Prado 2014); 0 for one trial.
    Raises ValueError for fewer than one.
    """
    if trials < 1:
        raise ValueError(f"trials={trials} must be at least 1")
    if trials == 1:
        return 0.0
    tail = float(ndtri(1.0 - 1.0 / trials)), float(ndtri(1.0 - 1.0 / (trials * math.e)))
    return math.sqrt(variance) * ((1.0 - EULER_GAMMA) * tail[0] + EULER_GAMMA * tail[1])


def deflated_sharpe_ratio(
    sharpe: float, *, bars: int, skewness: float, kurtosis: float, trials: int, trials_variance: float
) -> float:
    """Return the PSR against what the best of `trials` worthless strategies would show (Bailey and Lopez de Prado 2014).

    `trials_variance` is the variance of the trials' Sharpe ratios a bar; it does not matter for one trial.
    """
    benchmark = expected_maximum_sharpe(trials, variance=trials_variance)
    return probabilistic_sharpe_ratio(sharpe, bars=bars, skewness=skewness, kurtosis=kurtosis, benchmark=benchmark)


def deflated_difference(difference: float, low: float, *, confidence: float, trials: int) -> float:
    """Return the probability that a difference is more than the best of `trials` without any would show.

    As the deflated Sharpe ratio, with the standard error that the lower bound at `confidence` tells in the place of moments:
    `Phi(d / error - E[max of N])`. 1 where the bound is not below the difference.
    """
    error = (difference - low) / float(ndtri(0.5 + confidence / 2.0))
    return 1.0 if error <= 0.0 else float(ndtr(difference / error - expected_maximum_sharpe(max(trials, 1))))


@dataclass(frozen=True, eq=False)
class OverfittingProbability:
    """Result of CSCV; `probability` is the share of splits in which the best in sample fell into the lower half."""

    probability: float
    logits: FloatArray  # [C(S, S/2)] of the in-sample winner's out-of-sample rank
    degradation: float  # slope of out-of-sample on in-sample Sharpe of the winners
    loss_probability: float  # share of splits in which the winner lost out of sample


def overfitting(strategies: npt.ArrayLike | None, *, blocks: int) -> OverfittingProbability | None:
    """Return CSCV over `blocks` blocks, fewer where the record is short; None where it would say nothing.

    A block holds at least four bars and there are at least four blocks: a Sharpe ratio of fewer bars, or six halves to
    average over, is no figure. None too for fewer than two strategies, for those that are one and the same, as trials that
    all are their anchor, and for a record with a gap.
    """
    matrix = None if strategies is None else np.asarray(strategies, dtype=np.float64)
    if matrix is None or matrix.ndim != 2 or matrix.shape[1] < 2 or not np.isfinite(matrix).all():
        return None
    if np.ptp(matrix, axis=1).max(initial=0.0) <= _FLAT:
        return None
    usable = min(blocks, matrix.shape[0] // MIN_BLOCK_BARS // 2 * 2)
    return probability_of_backtest_overfitting(matrix, blocks=usable) if usable >= MIN_BLOCKS else None


def probability_of_backtest_overfitting(performance: npt.ArrayLike, *, blocks: int) -> OverfittingProbability:
    """Return PBO by combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu 2017).

    `performance` [T, N] holds the returns of N >= 2 strategies; T is cut to `blocks` (S, even) equal blocks. For each of
    the C(S, S/2) halves the strategy with the best Sharpe ratio is ranked among all in the other half: relative rank
    `w = rank / (N + 1)`, `lambda = log(w / (1 - w))`, and PBO is the share of `lambda <= 0`. A flat strategy has Sharpe 0.
    Raises ValueError for other shapes, an odd number of blocks, fewer than two returns a block, and NaN or infinity.
    """
    matrix = np.asarray(performance, dtype=np.float64)
    _check_performance(matrix, blocks)
    size = matrix.shape[0] // blocks
    cut = matrix[matrix.shape[0] - size * blocks :].reshape(blocks, size, matrix.shape[1])
    chosen = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    member = np.zeros((len(chosen), blocks))
    np.put_along_axis(member, chosen, 1.0, axis=1)
    inside = _half_sharpe(member, cut)
    outside = _half_sharpe(1.0 - member, cut)
    winners = inside.argmax(axis=1)
    rows = np.arange(len(chosen))
    won = outside[rows, winners]
    below = (outside < won[:, None]).sum(axis=1)
    ties = (outside == won[:, None]).sum(axis=1)  # the winner among them
    relative = (below + (ties + 1) / 2.0) / (matrix.shape[1] + 1.0)
    logits = np.log(relative / (1.0 - relative))
    best = inside[rows, winners]
    spread = float(((best - best.mean()) ** 2).sum())
    slope = float(((best - best.mean()) * (won - won.mean())).sum()) / spread if spread > 0.0 else NAN
    return OverfittingProbability(float((logits <= 1e-12).mean()), logits, slope, float((won < 0.0).mean()))


def _check_performance(matrix: FloatArray, blocks: int) -> None:
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise ValueError(f"performance has shape {matrix.shape}, expected [T, N] with N >= 2")
    if blocks < 2 or blocks % 2:
        raise ValueError(f"blocks={blocks} must be even and at least 2")
    if matrix.shape[0] < 2 * blocks:
        raise ValueError(f"{matrix.shape[0]} returns are too few for {blocks} blocks")
    if not np.isfinite(matrix).all():
        raise ValueError("performance holds NaN or infinity")


def _half_sharpe(member: FloatArray, cut: FloatArray) -> FloatArray:
    """Return Sharpe ratios a bar, shape [combinations, N], of the blocks that `member` selects."""
    size = cut.shape[1]
    centre = cut.mean(axis=(0, 1))  # shifting keeps the sums of squares accurate
    shifted = cut - centre
    count = member.sum(axis=1)[:, None] * size
    mean = member @ shifted.sum(axis=1) / count
    variance = (member @ (shifted**2).sum(axis=1) / count - mean**2) * count / (count - 1.0)
    scale = np.sqrt(np.maximum(variance, 0.0))
    flat = scale <= _FLAT
    return np.where(flat, 0.0, (mean + centre) / np.where(flat, 1.0, scale))
