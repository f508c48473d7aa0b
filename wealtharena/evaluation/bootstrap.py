"""Stationary block bootstrap (Politis and Romano 1994) of paired return series, in compiled code.

The same resampled bars are used for every series of a draw, so what the series share cancels in their difference.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from wealtharena.config.threads import usable_cores
from wealtharena.envs.compiled import kept
from wealtharena.errors import require_kind
from wealtharena.evaluation.blocks import optimal_block_bars
from wealtharena.evaluation.labels import check_alike, numbers

FloatArray = npt.NDArray[np.float64]
UIntArray = npt.NDArray[np.uint64]
NAN = float("nan")
MAX_THREADS = 4
MAX_LAGS = 64


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """Agent less baseline, a year; `p_value` is two-sided for the difference in Sharpe being 0."""

    sharpe: Interval
    sharpe_p_value: float
    annual_return: Interval  # arithmetic: mean return a bar times bars a year
    return_p_value: float
    block_bars: float
    draws: int
    studentised: bool
    confidence: float


@dataclass(frozen=True)
class GroupDifference:
    """Interquartile mean of several seeds less a baseline: annual Sharpe; both bars and seeds are resampled."""

    sharpe: Interval
    p_value: float
    block_bars: float
    draws: int
    lasting_share: float  # of the interval's squared half width: what seeds differ by, however long the record is


def paired_bootstrap(
    returns: npt.ArrayLike,
    baseline: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    bars_per_year: float,
    draws: int = 10_000,
    confidence: float = 0.95,
    block_bars: float | None = None,
    studentised: bool = True,
) -> PairedDifference:
    """Return how far `returns` [n] beat `baseline` [n], with intervals and p-values; never NaN for n >= 8 finite pairs.

    `studentised` divides each draw's deviation by that draw's own standard error (Ledoit and Wolf 2008, with a Bartlett
    kernel as wide as the mean block) and takes a symmetric interval; otherwise the percentile interval. The block length
    is automatic unless given. A series that never moves has Sharpe 0. Raises ValueError for series of other lengths or
    days, fewer than 8 bars, and NaN or infinity.
    """
    require_kind("rng", rng, np.random.Generator, hint="pass np.random.default_rng(0)")
    pair = _pair(returns, baseline)
    if block_bars is None:
        block_bars = optimal_block_bars(influence(pair[0], pair[1]))
    lags = min(math.ceil(block_bars), MAX_LAGS, pair.shape[1] // 4)
    observed = _statistics(np.ascontiguousarray(pair.T), np.arange(pair.shape[1]), lags)
    drawn = _draw(pair, rng=rng, draws=draws, block_bars=block_bars, lags=lags)
    rules = _studentised if studentised else _percentile
    sharpe, sharpe_p = rules(observed[0], observed[1], drawn[:, 0], drawn[:, 1], confidence)
    mean, mean_p = rules(observed[2], observed[3], drawn[:, 2], drawn[:, 3], confidence)
    return PairedDifference(
        sharpe=_scaled(sharpe, math.sqrt(bars_per_year)),
        sharpe_p_value=sharpe_p,
        annual_return=_scaled(mean, bars_per_year),
        return_p_value=mean_p,
        block_bars=block_bars,
        draws=draws,
        studentised=studentised,
        confidence=confidence,
    )


def group_bootstrap(
    returns: npt.ArrayLike,
    baseline: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    bars_per_year: float,
    draws: int = 10_000,
    confidence: float = 0.95,
) -> GroupDifference:
    """Return the interquartile mean Sharpe of seeds `returns` [S, n] less that of `baseline` [n], a year.

    Each draw resamples bars in blocks, the same for all series, and seeds with replacement: the percentile interval
    covers the luck of the window and the luck of the seed. Raises ValueError for NaN or infinity.
    """
    seeds = np.atleast_2d(np.asarray(returns, dtype=np.float64))
    rows = np.ascontiguousarray(np.vstack([seeds, np.asarray(baseline, dtype=np.float64)[None, :]]))
    if not np.isfinite(rows).all():
        raise ValueError("returns hold NaN or infinity")
    block = optimal_block_bars(influence(seeds.mean(axis=0), rows[-1]))
    picks = rng.integers(0, len(seeds), size=(draws, len(seeds)))
    sharpes = _draw_sharpes(rows, rng=rng, draws=draws, block_bars=block)
    drawn = interquartile_mean(np.take_along_axis(sharpes[:, :-1], picks, axis=1), axis=1) - sharpes[:, -1]
    own = _sharpes(rows, np.arange(rows.shape[1]))
    value = float(interquartile_mean(own[:-1])) - own[-1]
    interval, p_value = _percentile(value, 1.0, drawn, np.ones(draws), confidence)
    share = _lasting_share(own[:-1], sharpes[:, :-1], picks, float(drawn.var()))
    return GroupDifference(_scaled(interval, math.sqrt(bars_per_year)), p_value, block, draws, share)


def _lasting_share(own: FloatArray, drawn: FloatArray, picks: npt.NDArray[np.int64], total: float) -> float:
    """Return the share of the variance `total` that stays however long the record is: that of the seeds' true ratios.

    Seeds differ by what they are and by the luck of each with these bars. The second, their spread about their mean when
    bars are `drawn` again, shrinks with the record; what is left of the spread of their `own` ratios does not (one-way
    analysis of variance, never below 0).
    """
    count = own.size
    spread = float(own.var(ddof=1)) if count > 1 else 0.0
    if spread <= 0.0 or total <= 0.0:
        return 0.0
    luck = float((drawn - drawn.mean(axis=1, keepdims=True)).var(axis=0).mean()) * count / (count - 1)
    of_seeds = float(np.asarray(interquartile_mean(own[picks], axis=1)).var())
    return min(of_seeds * max(1.0 - luck / spread, 0.0) / total, 1.0)


def interquartile_mean(scores: npt.ArrayLike, *, axis: int | None = None) -> FloatArray:
    """Return the mean of the middle half, of all scores or along `axis`: a quarter is cut from each end (Agarwal et al. 2021)."""
    values = np.sort(np.asarray(scores, dtype=np.float64), axis=axis)
    if axis is None:
        values, axis = values.ravel(), 0
    n = values.shape[axis]
    cut = int(0.25 * n)
    middle: FloatArray = np.asarray(np.take(values, np.arange(cut, n - cut), axis=axis).mean(axis=axis))
    return middle


def stratified_interval(
    scores: npt.ArrayLike, *, rng: np.random.Generator, draws: int = 10_000, confidence: float = 0.95
) -> Interval:
    """Return the interquartile mean of `scores` [seeds, strata] with a percentile bootstrap interval.

    Seeds are drawn with replacement inside each stratum (asset class, fold), so every stratum keeps its weight
    (Agarwal et al. 2021). A single seed has no interval: its bounds are NaN.
    """
    values = np.asarray(scores, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    value = float(interquartile_mean(values))
    if values.shape[0] < 2:
        return Interval(value, NAN, NAN)
    picks = rng.integers(0, values.shape[0], size=(draws, *values.shape))
    drawn = interquartile_mean(np.take_along_axis(values[None], picks, axis=1).reshape(draws, -1), axis=1)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def influence(returns: FloatArray, baseline: FloatArray) -> FloatArray:
    """Return each bar's first-order effect on the Sharpe difference, shape [n]: what dependence must be judged on."""
    return _influence_of(returns) - _influence_of(baseline)


def _influence_of(returns: FloatArray) -> FloatArray:
    scale = returns.std()
    if scale <= 1e-15:
        return np.zeros_like(returns)
    z = (returns - returns.mean()) / scale
    effect: FloatArray = z - 0.5 * (returns.mean() / scale) * (z**2 - 1.0)
    return effect


def _pair(returns: npt.ArrayLike, baseline: npt.ArrayLike) -> FloatArray:
    check_alike(returns, baseline, "returns and baseline")
    a, b = numbers(returns), numbers(baseline, "the baseline's returns")
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"returns {a.shape} and baseline {b.shape} must be two series of one length")
    if a.size < 8:
        raise ValueError(f"{a.size} bars are too few to resample, at least 8 are needed")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("returns hold NaN or infinity")
    return np.vstack([a, b])


def _scaled(interval: Interval, factor: float) -> Interval:
    return Interval(float(interval.value * factor), float(interval.low * factor), float(interval.high * factor))


def _studentised(
    value: float, error: float, drawn: FloatArray, errors: FloatArray, confidence: float
) -> tuple[Interval, float]:
    if error <= 0.0:
        return Interval(value, value, value), float(value == 0.0)
    ratio = np.divide(np.abs(drawn - value), errors, out=np.zeros_like(drawn), where=errors > 0.0)
    width = float(np.quantile(ratio, confidence)) * error
    return Interval(value, value - width, value + width), float(
        ((ratio >= abs(value) / error).sum() + 1) / (drawn.size + 1)
    )


def _percentile(
    value: float, error: float, drawn: FloatArray, errors: FloatArray, confidence: float
) -> tuple[Interval, float]:
    """Return the percentile interval, and the p-value that it has by inversion: 0 lies outside wherever that is below 1 - `confidence`."""
    del error, errors
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    beyond = 2 * min((drawn <= 0.0).sum(), (drawn >= 0.0).sum())
    return Interval(value, float(low), float(high)), min(float((beyond + 1) / (drawn.size + 1)), 1.0)


def _draw(pair: FloatArray, *, rng: np.random.Generator, draws: int, block_bars: float, lags: int) -> FloatArray:
    """Return [draws, 4]: Sharpe difference, its standard error, mean difference, its standard error; a bar."""
    seeds = rng.integers(0, 2**63, size=draws, dtype=np.uint64)
    out = np.empty((draws, 4))
    columns = np.ascontiguousarray(pair.T)
    _parallel(draws, lambda part: _draw_pairs(columns, seeds[part], 1.0 / block_bars, lags, out[part]))
    return out


def _draw_sharpes(rows: FloatArray, *, rng: np.random.Generator, draws: int, block_bars: float) -> FloatArray:
    seeds = rng.integers(0, 2**63, size=draws, dtype=np.uint64)
    out = np.empty((draws, rows.shape[0]))
    _parallel(draws, lambda part: _draw_rows(rows, seeds[part], 1.0 / block_bars, out[part]))
    return out


def _parallel(draws: int, work: Callable[[slice], None]) -> None:
    """Run `work(slice)` over the draws on the cores of this process; each draw has its own seed, so the order is free."""
    threads = min(MAX_THREADS, usable_cores(), max(draws // 256, 1))
    edges = np.linspace(0, draws, threads + 1).astype(int)
    parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


@partial(kept, inline="always")
def _next(state: np.uint64) -> tuple[np.uint64, np.uint64]:  # pragma: no cover  (compiled)
    """Return the next state and output of SplitMix64 (Steele, Lea and Flood 2014)."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, z ^ (z >> np.uint64(31))


@kept
def resample(seed: np.uint64, probability: float, index: npt.NDArray[np.int64]) -> None:  # pragma: no cover  (compiled)
    """Fill `index` [n] with one draw of the stationary bootstrap; a new block begins with `probability`."""
    n = index.shape[0]
    scale = 1.0 / 9007199254740992.0
    state = seed
    position = 0
    for i in range(n):
        state, word = _next(state)
        if i == 0 or (word >> np.uint64(11)) * scale < probability:
            state, word = _next(state)
            position = int((word >> np.uint64(11)) * scale * n)
        else:
            position += 1
            if position == n:
                position = 0
        index[i] = position


@kept
def _statistics(
    pair: FloatArray, index: npt.NDArray[np.int64], lags: int
) -> tuple[float, float, float, float]:  # pragma: no cover
    """Return Sharpe difference, its error, mean difference, its error of `pair` [n, 2] at `index`, a bar."""
    n = index.shape[0]
    a = 0.0
    b = 0.0
    for i in range(n):
        a += pair[index[i], 0]
        b += pair[index[i], 1]
    a /= n
    b /= n
    aa = 0.0
    bb = 0.0
    for i in range(n):
        aa += (pair[index[i], 0] - a) ** 2
        bb += (pair[index[i], 1] - b) ** 2
    sa = math.sqrt(aa / (n - 1))
    sb = math.sqrt(bb / (n - 1))
    ka = 1.0 / sa if sa > 1e-15 else 0.0
    kb = 1.0 / sb if sb > 1e-15 else 0.0
    ratio_a = a * ka
    ratio_b = b * kb
    effect = np.empty(n)
    gap = np.empty(n)
    for i in range(n):
        da = pair[index[i], 0] - a
        db = pair[index[i], 1] - b
        za = da * ka
        zb = db * kb
        effect[i] = za - zb - 0.5 * (ratio_a * (za * za - 1.0) * (ka > 0.0) - ratio_b * (zb * zb - 1.0) * (kb > 0.0))
        gap[i] = da - db
    return ratio_a - ratio_b, _standard_error(effect, lags), a - b, _standard_error(gap, lags)


@partial(kept, fastmath=True)
def _standard_error(effect: FloatArray, lags: int) -> float:  # pragma: no cover  (compiled)
    """Return the standard error of the mean of `effect`, Bartlett kernel over `lags` (Newey and West 1987)."""
    n = effect.shape[0]
    total = 0.0
    for i in range(n):
        total += effect[i] * effect[i]
    for lag in range(1, lags):
        part = 0.0
        for i in range(lag, n):
            part += effect[i] * effect[i - lag]
        total += 2.0 * (1.0 - lag / lags) * part
    error: float = math.sqrt(max(total, 0.0)) / n
    return error


@kept
def _draw_pairs(
    pair: FloatArray, seeds: UIntArray, probability: float, lags: int, out: FloatArray
) -> None:  # pragma: no cover
    index = np.empty(pair.shape[0], np.int64)
    for d in range(seeds.shape[0]):
        resample(seeds[d], probability, index)
        out[d, 0], out[d, 1], out[d, 2], out[d, 3] = _statistics(pair, index, lags)


@kept
def _sharpes(rows: FloatArray, index: npt.NDArray[np.int64]) -> FloatArray:  # pragma: no cover  (compiled)
    """Return the Sharpe ratio a bar of each of `rows` [S, n] at `index`; 0 where a row never moves."""
    out = np.zeros(rows.shape[0])
    n = index.shape[0]
    for s in range(rows.shape[0]):
        total = 0.0
        for i in range(n):
            total += rows[s, index[i]]
        mean = total / n
        square = 0.0
        for i in range(n):
            square += (rows[s, index[i]] - mean) ** 2
        scale = math.sqrt(square / (n - 1))
        if scale > 1e-15:
            out[s] = mean / scale
    return out


@kept
def _draw_rows(rows: FloatArray, seeds: UIntArray, probability: float, out: FloatArray) -> None:  # pragma: no cover
    index = np.empty(rows.shape[1], np.int64)
    for d in range(seeds.shape[0]):
        resample(seeds[d], probability, index)
        out[d] = _sharpes(rows, index)
