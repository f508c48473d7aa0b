"""Measures of a return series and of a backtest, by the names and definitions of the design.

Every function takes net simple returns a bar, shape [n]. `risk_free` is a rate a bar, or one for each bar. NaN returns are left out of
moments and count as bars without a return in compounding, as in empyrical-reloaded, whose numbers these are to the last digit
where it defines the same thing (its import costs every run a second, for seven formulas). An answer that is not defined (an empty series, a Sharpe ratio without dispersion) is NaN or
infinite as the limit says, never a warning. ValueError where a return is infinite, or where there are eight and more and every
one is above 50 %: they are prices, an equity or factors of growth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import bottleneck
import numpy as np
import numpy.typing as npt

from wealtharena.evaluation import significance
from wealtharena.evaluation.labels import check_alike, numbers

if TYPE_CHECKING:
    from wealtharena.envs.trajectory import Trajectory

FloatArray = npt.NDArray[np.float64]
NAN = float("nan")
TAIL = 0.05
START = 100.0  # what a drawdown is measured from
ROUNDING = 1e-13  # of a return: money is kept in doubles
LEVEL, LEVELS = 0.5, 8  # so many numbers that are all above it are no returns
EMPTY = 5e-4  # share of the money at the begin below which an account is emptied: it prints as -100.0 %


def total_return(returns: npt.ArrayLike) -> float:
    """Return `V_n / V_0 - 1`; NaN for an empty series."""
    values = _series(returns)
    with np.errstate(over="ignore"):  # beyond all numbers is infinite
        return float(np.nanprod(values + 1.0) - 1.0) if values.size else NAN


def annual_return(returns: npt.ArrayLike, *, bars_per_year: float = 252.0) -> float:
    """Return `(V_n / V_0)^(B / n) - 1`, the compound annual growth rate; -1 once all is lost."""
    values = _series(returns)
    if values.size == 0:
        return NAN
    return growth_rate(1.0 + total_return(values), years=values.size / bars_per_year)


def growth_rate(growth: float, *, years: float) -> float:
    """Return the yearly rate that compounds to the factor `growth` over `years`; -1 where growth is not positive."""
    if growth <= 0.0:
        return -1.0
    exponent = math.log(growth) / years
    return math.expm1(exponent) if exponent < 700.0 else math.inf


def emptied(played: Trajectory) -> bool:
    """Return whether next to nothing was left of an account at some bar: shares of what is left, or of less, say nothing."""
    return bool((played.equity < EMPTY * played.equity[0]).any())


def annual_volatility(returns: npt.ArrayLike, *, bars_per_year: float = 252.0) -> float:
    """Return `std(r, ddof=1) sqrt(B)`; NaN below two returns."""
    values = _series(returns)
    return float(bottleneck.nanstd(values, ddof=1) * bars_per_year**0.5) if _known(values) > 1 else NAN


def cash_returns(timestamps: npt.NDArray[np.datetime64], rate_per_year: float | FloatArray) -> FloatArray:
    """Return what an all-cash account earns a bar, shape [n], for timestamps [n + 1]: the kernel's calendar accrual.

    A year has 365.25 days and a weekend three nights (decision 035); `rate_per_year` is a share, or one for each bar.
    """
    days: FloatArray = np.diff(timestamps) / np.timedelta64(1, "D")
    return rate_per_year * days / 365.25


def risk_free(played: Trajectory, rate_per_year: float) -> FloatArray:
    """Return the risk-free return of each bar of a backtest, [n]: what its market paid an all-cash account; see `hurdle`."""
    return cash_returns(played.timestamps, hurdle(played.cash_rates, rate_per_year))


def hurdle(dated: FloatArray | None, rate_per_year: float) -> float | FloatArray:
    """Return what cash earns a year, a share: `rate_per_year` or, where the rates are dated, those of each bar, [n].

    Beside dated rates `rate_per_year` is the least that a bar counts with, unless it is 0.
    """
    if dated is None:
        return rate_per_year
    return np.maximum(dated, rate_per_year) if rate_per_year else dated


def excess(returns: npt.ArrayLike, risk_free: float | FloatArray) -> FloatArray:
    """Return what `returns` earned above `risk_free`, [n], a rate a bar or one for each bar; rounding of cash itself is 0."""
    values = _series(returns)
    if not np.any(risk_free):
        return values
    check_alike(returns, risk_free, "returns and risk_free")
    above = values - risk_free
    return np.where(np.abs(above) < ROUNDING, 0.0, above)


def sharpe(returns: npt.ArrayLike, *, bars_per_year: float = 252.0, risk_free: float | FloatArray = 0.0) -> float:
    """Return `mean(r - rf) / std(r - rf, ddof=1) sqrt(B)`; NaN for what earned nothing, infinite for what earned the same in every bar."""
    values = excess(returns, risk_free)
    if _known(values) < 2:
        return NAN
    flat = bottleneck.nanmax(values) - bottleneck.nanmin(values) < significance.FLAT  # returns of an equity are rounded
    deviation = 0.0 if flat else bottleneck.nanstd(values, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(bottleneck.nanmean(values), deviation) * np.sqrt(bars_per_year))


def sortino(returns: npt.ArrayLike, *, bars_per_year: float = 252.0, risk_free: float | FloatArray = 0.0) -> float:
    """Return `mean(r - rf) / sqrt(mean(min(r - rf, 0)^2)) sqrt(B)`; infinite without a losing bar."""
    values = excess(returns, risk_free)
    if _known(values) < 2:
        return NAN
    downside = np.sqrt(bottleneck.nanmean(np.square(np.clip(values, -np.inf, 0.0)))) * np.sqrt(bars_per_year)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(bottleneck.nanmean(values) * bars_per_year, downside))


def max_drawdown(returns: npt.ArrayLike) -> float:
    """Return `min(V / cummax(V)) - 1`, never positive; NaN where V grows beyond all numbers."""
    values = _series(returns)
    if not values.size:
        return NAN
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.concatenate([[START], np.cumprod(np.where(np.isnan(values), 0.0, values) + 1.0) * START])
    if not np.isfinite(value).all():
        return NAN
    peak = np.fmax.accumulate(value)
    return float(bottleneck.nanmin((value - peak) / peak))


def calmar(returns: npt.ArrayLike, *, bars_per_year: float = 252.0) -> float:
    """Return `annual_return / |max_drawdown|`; NaN without a drawdown."""
    drawdown = max_drawdown(returns)
    return annual_return(returns, bars_per_year=bars_per_year) / abs(drawdown) if drawdown < 0.0 else NAN


def win_rate(returns: npt.ArrayLike) -> float:
    """Return the share of bars with a gain among those with a gain or a loss."""
    values = _series(returns)
    moved = values[np.isfinite(values) & (values != 0.0)]
    return float((moved > 0.0).mean()) if moved.size else NAN


def profit_factor(returns: npt.ArrayLike) -> float:
    """Return the sum of gains over the sum of losses; infinite without a loss, NaN without either."""
    values = _series(returns)
    gains, losses = float(values[values > 0.0].sum()), float(-values[values < 0.0].sum())
    if losses == 0.0:
        return math.inf if gains > 0.0 else NAN
    return gains / losses


def var_95(returns: npt.ArrayLike) -> float:
    """Return the 5 % quantile of the returns, linear between order statistics."""
    values = _series(returns)
    values = values[~np.isnan(values)]
    return float(np.percentile(values, 100 * TAIL)) if values.size else NAN


def cvar_95(returns: npt.ArrayLike) -> float:
    """Return the mean of the lowest 5 % of the returns: those up to their quantile, of equal ones no more than it takes."""
    values = _series(returns)
    values = values[~np.isnan(values)]
    if not values.size:
        return NAN
    worst = int((values.size - 1) * TAIL)
    return float(np.mean(np.partition(values, worst)[: worst + 1]))


def psr(returns: npt.ArrayLike, *, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds `benchmark` (both a bar), given this series' moments."""
    moments = significance.moments(_series(returns))
    return significance.probabilistic_sharpe_ratio(
        moments.sharpe, bars=moments.bars, skewness=moments.skewness, kurtosis=moments.kurtosis, benchmark=benchmark
    )


def min_track_record_length(returns: npt.ArrayLike, *, bars_per_year: float = 252.0, confidence: float = 0.95) -> float:
    """Return the years of record after which a Sharpe ratio such as this one is above 0 at `confidence`; infinite if it is not positive."""
    moments = significance.moments(_series(returns))
    bars = significance.min_track_record_length(
        moments.sharpe, benchmark=0.0, skewness=moments.skewness, kurtosis=moments.kurtosis, confidence=confidence
    )
    return bars / bars_per_year


def turnover(trajectory: Trajectory) -> float:
    """Return traded value over equity, a year."""
    if trajectory.traded_value.size == 0:
        return NAN
    equity = trajectory.equity[:-1]
    share = np.divide(trajectory.traded_value, equity, out=np.zeros_like(equity), where=equity > 0.0)
    return float(share.mean() * trajectory.bars_per_year)


def exposure(trajectory: Trajectory) -> float:
    """Return the mean gross weight held over the intervals of the backtest."""
    held = trajectory.weights[1:]
    return float(np.abs(held).sum(axis=1).mean()) if held.size else NAN


def trades(trajectory: Trajectory) -> int:
    """Return the number of executed orders that are more than rounding, positions that were closed by force among them."""
    return int(trajectory.orders.size)


def costs_paid(trajectory: Trajectory) -> float:
    """Return commission, spread and impact paid, and what delistings and liquidations took, in account currency."""
    return float(trajectory.costs.sum())


def of_returns(
    returns: npt.ArrayLike, *, bars_per_year: float, risk_free: float | FloatArray = 0.0
) -> dict[str, float]:
    """Return every measure that needs returns only, by name."""
    values = _series(returns)
    return {
        "total_return": total_return(values),
        "annual_return": annual_return(values, bars_per_year=bars_per_year),
        "annual_volatility": annual_volatility(values, bars_per_year=bars_per_year),
        "sharpe": sharpe(values, bars_per_year=bars_per_year, risk_free=risk_free),
        "sortino": sortino(values, bars_per_year=bars_per_year, risk_free=risk_free),
        "max_drawdown": max_drawdown(values),
        "calmar": calmar(values, bars_per_year=bars_per_year),
        "win_rate": win_rate(values),
        "profit_factor": profit_factor(values),
        "var_95": var_95(values),
        "cvar_95": cvar_95(values),
        "psr": psr(excess(values, risk_free)),
        "min_track_record_length": min_track_record_length(excess(values, risk_free), bars_per_year=bars_per_year),
    }


def summary(trajectory: Trajectory, *, risk_free: float | FloatArray = 0.0) -> dict[str, float]:
    """Return every measure of a backtest by name; `risk_free` is a rate a bar.

    Units: shares, except `sharpe`, `sortino`, `calmar` (a year), `min_track_record_length` (years), `turnover`
    (times equity a year), `exposure` (times equity), `trades` (count), `costs_paid` (account currency).
    """
    measures = of_returns(trajectory.returns, bars_per_year=trajectory.bars_per_year, risk_free=risk_free)
    return measures | {name: of(trajectory) for name, of in _OF_PATHS.items()}


_OF_PATHS: Final[dict[str, Callable[[Trajectory], float]]] = {
    "turnover": turnover,
    "exposure": exposure,
    "trades": trades,
    "costs_paid": costs_paid,
}


def names() -> tuple[str, ...]:
    """Return the names of what `summary` measures."""
    return (*of_returns((0.0, 0.0), bars_per_year=1.0), *_OF_PATHS)


def _series(returns: npt.ArrayLike) -> FloatArray:
    values = numbers(returns)
    if values.ndim != 1:
        raise ValueError(f"returns have {values.ndim} axes, expected one")
    if (infinite := np.isinf(values)).any():
        raise ValueError(f"the return at {infinite.argmax()} is infinite, which no account earns")
    if values.size >= LEVELS and (least := np.fmin.reduce(values)) > LEVEL:
        told = f"{values.size} bars that all earned more than {LEVEL:.0%}, the least {least:.6g}, are no returns"
        raise ValueError(
            f"{told}: of prices or an equity take `values[1:] / values[:-1] - 1`, of factors of growth `values - 1`"
        )
    return values


def _known(values: FloatArray) -> int:
    return int(np.isfinite(values).sum())
