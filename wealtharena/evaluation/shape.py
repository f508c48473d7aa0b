"""The shape of a record: how its returns are distributed, how they move with a benchmark, and its worst drawdowns.

Beside the measures by which agents are ranked and judged: nothing here enters a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena.evaluation import active, significance
from wealtharena.evaluation.labels import check_alike
from wealtharena.evaluation.metrics import NAN, TAIL, excess

FloatArray = npt.NDArray[np.float64]
WORST: Final = 5  # drawdowns that are told
STILL: Final = 1e-12  # deviation below which a series does not move


@dataclass(frozen=True)
class Drawdown:
    """One fall from a highest equity, to its lowest and back."""

    depth: float  # a negative share
    began: str  # date of the highest equity before it
    bottom: str
    recovered: str | None  # date on which that equity was reached again; None: not within the record
    bars: int  # from the highest equity to the recovery, or to the end of the record

    def to_json(self) -> dict[str, Any]:
        """Return the fields as run.json has them."""
        return dict(vars(self))


def distribution(returns: npt.ArrayLike) -> dict[str, float]:
    """Return `skew`, `kurtosis` (3 for a normal distribution), `tail_ratio`, `best` and `worst` of returns a bar.

    `tail_ratio` is the 95 % quantile over the size of the 5 % quantile: below 1 the losses are the larger ones. What is not
    defined, such as the skew of a series that never moves, is NaN.
    """
    values = np.asarray(returns, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return dict.fromkeys(("skew", "kurtosis", "tail_ratio", "best", "worst"), NAN)
    found = significance.moments(values)
    low, high = (float(value) for value in np.quantile(values, [TAIL, 1.0 - TAIL]))
    return {
        "skew": found.skewness,
        "kurtosis": found.kurtosis,
        "tail_ratio": high / abs(low) if low != 0.0 else NAN,
        "best": float(values.max()),
        "worst": float(values.min()),
    }


def relative(
    returns: npt.ArrayLike, benchmark: npt.ArrayLike, *, bars_per_year: float, risk_free: float | FloatArray = 0.0
) -> dict[str, float]:
    """Return `alpha` and `tracking_error` (a year), `beta`, `correlation` and `information_ratio` (a year) to a benchmark.

    Both series are returns a bar over the same bars. `beta` is the slope of the excess returns on the benchmark's and
    `alpha` their intercept times the bars of a year (Jensen 1968); the information ratio is the mean over the deviation of
    the difference (Grinold and Kahn 2000). NaN where the benchmark never moves, or the two differ by the rounding of single
    precision alone. Raises ValueError for series of other lengths or days.
    """
    check_alike(returns, benchmark, "returns and benchmark")
    ours, theirs = (np.asarray(values, dtype=np.float64) for values in (returns, benchmark))
    if ours.shape != theirs.shape:
        raise ValueError(f"{ours.shape} returns against {theirs.shape} of the benchmark")
    names = ("alpha", "beta", "correlation", "tracking_error", "information_ratio")
    if ours.size < 2:
        return dict.fromkeys(names, NAN)
    own, other, apart = excess(ours, risk_free), excess(theirs, risk_free), ours - theirs
    deviations = [float(values.std(ddof=1)) for values in (own, other, apart)]
    spread_own, spread_other, spread_apart = deviations
    together = float(np.cov(own, other)[0, 1])
    beta = together / spread_other**2 if spread_other > STILL else NAN
    year = math.sqrt(bars_per_year)
    return {
        "alpha": float(own.mean() - beta * other.mean()) * bars_per_year,
        "beta": beta,
        "correlation": together / (spread_own * spread_other) if min(spread_own, spread_other) > STILL else NAN,
        "tracking_error": spread_apart * year,
        "information_ratio": float(apart.mean()) / spread_apart * year if spread_apart > active.ROUNDING else NAN,
    }


def worst_drawdowns(
    equity: FloatArray, timestamps: npt.NDArray[np.datetime64], *, count: int = WORST
) -> tuple[Drawdown, ...]:
    """Return the deepest falls of equity [n + 1], each from one highest equity to the next, the deepest first."""
    highest = np.maximum.accumulate(equity)
    below = np.concatenate([[False], (equity < highest)[1:], [False]])
    edges = np.diff(below.astype(np.int8))
    first, after = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)  # the peak, and the last bar below it
    found = []
    for peak, last in zip(first.tolist(), after.tolist(), strict=True):
        bottom = peak + 1 + int(np.argmin(equity[peak + 1 : last + 1]))
        back = last + 1 if last + 1 < len(equity) else None
        found.append(
            Drawdown(
                depth=float(equity[bottom] / highest[peak] - 1.0),
                began=_day(timestamps[peak]),
                bottom=_day(timestamps[bottom]),
                recovered=_day(timestamps[back]) if back is not None else None,
                bars=(back if back is not None else len(equity) - 1) - peak,
            )
        )
    return tuple(sorted(found, key=lambda one: one.depth)[:count])


def to_json(
    returns: FloatArray,
    equity: FloatArray,
    timestamps: npt.NDArray[np.datetime64],
    *,
    benchmark: tuple[str, FloatArray] | None,
    bars_per_year: float,
    risk_free: float | FloatArray,
) -> dict[str, Any]:
    """Return run.json's block `shape`; `benchmark` is a name and its returns over the same bars."""
    beside: dict[str, Any] | None = None
    if benchmark is not None:
        name, theirs = benchmark
        beside = {"to": name, **relative(returns, theirs, bars_per_year=bars_per_year, risk_free=risk_free)}
    return {
        "distribution": distribution(returns),
        "relative": beside,
        "drawdowns": [one.to_json() for one in worst_drawdowns(equity, timestamps)],
    }


def benchmark_of(names: Sequence[str], beats: Sequence[str]) -> str | None:
    """Return the baseline that a record is set against: the class's benchmark, else the first to be beaten, else any."""
    wanted = ("benchmark", *beats, "buy_and_hold", *names)
    return next((name for name in wanted if name in names), None)


def _day(moment: np.datetime64) -> str:
    text = str(moment.astype("datetime64[m]"))
    return text.removesuffix("T00:00")
