"""The agent against each baseline, bar by bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import metrics
from wealtharena.evaluation.bootstrap import Interval, PairedDifference, group_bootstrap, paired_bootstrap
from wealtharena.evaluation.streams import named

MIN_BARS = 8
CONFIDENCE = 0.95  # of the intervals in run.json


@dataclass(frozen=True)
class Comparison:
    """Agent less one baseline, a year; None where the two could not be compared and `why_not` says so."""

    baseline: str
    difference: PairedDifference | None
    years: float
    why_not: str = ""
    lasting_share: float = 0.0  # of the squared half width: the spread of seeds, which no longer record narrows
    emptied: bool = False  # an account of the two was: a mean of its returns a year says nothing

    @property
    def years_needed(self) -> float:
        """Return the years of record after which a difference of this size would leave 0 outside the interval.

        The half width of an interval shrinks with the root of the record, but for the part that seeds differ by.
        Infinite where the agent is not ahead, or by less than that part.
        """
        if self.difference is None:
            return math.nan
        ahead, low = self.difference.sharpe.value, self.difference.sharpe.low
        half_width = (self.difference.sharpe.high - low) / 2.0
        lasting = self.lasting_share * half_width**2
        if ahead <= 0.0 or ahead**2 <= lasting:
            return math.inf
        if low <= 0.0 and half_width < ahead:  # an interval that is longer below holds 0: this record is not enough
            half_width = ahead - low
        return self.years * (half_width**2 - lasting) / (ahead**2 - lasting)

    def to_json(self) -> dict[str, Any]:
        """Return the block of run.json; null where a figure is not defined."""
        if self.difference is None:
            return {"sharpe_difference": None, "ci95": None, "p_value": None, "why_not": self.why_not}
        found = self.difference
        return {
            "sharpe_difference": found.sharpe.value,
            "ci95": [found.sharpe.low, found.sharpe.high],
            "p_value": found.sharpe_p_value,
            "return_difference": None if self.emptied else found.annual_return.value,
            "return_ci95": None if self.emptied else [found.annual_return.low, found.annual_return.high],
            "return_p_value": None if self.emptied else found.return_p_value,
            "block_bars": found.block_bars,
            "years_needed": self.years_needed if math.isfinite(self.years_needed) else None,
        }


def compare(
    agent: Trajectory,
    baseline: Trajectory,
    *,
    rng: np.random.Generator,
    draws: int,
    risk_free: float | npt.NDArray[np.float64] = 0.0,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Return the paired difference of two backtests over the same bars, with intervals at `confidence`.

    Raises ValueError where the two do not share their timestamps: a comparison of different dates means nothing.
    """
    _check_dates(agent, baseline)
    left, right = aligned(metrics.excess(agent.returns, risk_free), metrics.excess(baseline.returns, risk_free))
    years = left.size / agent.bars_per_year
    if left.size < MIN_BARS:
        return Comparison(baseline.name, None, years, f"{left.size} bars are too few to compare")
    found = paired_bootstrap(
        left,
        right,
        rng=rng,
        bars_per_year=agent.bars_per_year,
        draws=draws,
        confidence=confidence,
    )
    return Comparison(baseline.name, found, years, emptied=any(map(metrics.emptied, (agent, baseline))))


def compare_group(
    agents: Sequence[Trajectory],
    baselines: Mapping[str, Trajectory],
    *,
    rng: np.random.Generator,
    draws: int,
    risk_free: float | npt.NDArray[np.float64] = 0.0,
    confidence: float = CONFIDENCE,
) -> dict[str, Comparison]:
    """Return the comparison of one agent, or of several seeds of it, with each baseline.

    Of several seeds the interquartile mean Sharpe ratio is compared, bars and seeds both resampled, and the mean of
    their returns. Each baseline has its own stream of `rng`, so that a further one changes no other's figures.
    """
    found = {}
    for name, played in baselines.items():
        stream = named(rng, name)
        if len(agents) == 1:
            found[name] = compare(
                agents[0], played, rng=stream, draws=draws, risk_free=risk_free, confidence=confidence
            )
        else:
            found[name] = _of_group(agents, played, rng=stream, draws=draws, risk_free=risk_free, confidence=confidence)
    return found


def hardest(names: Sequence[str], compared: Mapping[str, Comparison]) -> Comparison:
    """Return the comparison with that baseline of `names` that speaks most against the agent.

    First one that it lost to (its upper bound below 0), then one it could not be compared with, then the one with the
    least lower bound: where that lies above 0, so do all.
    """

    def ease(found: Comparison) -> tuple[int, float]:
        if found.difference is None:
            return 1, 0.0
        low, high = found.difference.sharpe.low, found.difference.sharpe.high
        return (0, high) if high < 0.0 else (2, low)

    missing = {name: Comparison(name, None, 0.0, f"{name} was not played") for name in names}
    return min((compared.get(name, missing[name]) for name in names), key=ease)


def _of_group(
    agents: Sequence[Trajectory],
    baseline: Trajectory,
    *,
    rng: np.random.Generator,
    draws: int,
    risk_free: float | npt.NDArray[np.float64],
    confidence: float,
) -> Comparison:
    for agent in agents:
        _check_dates(agent, baseline)
    rows = np.stack([metrics.excess(path.returns, risk_free) for path in (*agents, baseline)])
    rows = rows[:, np.isfinite(rows).all(axis=0)]
    years = rows.shape[1] / baseline.bars_per_year
    if rows.shape[1] < MIN_BARS:
        return Comparison(baseline.name, None, years, f"{rows.shape[1]} bars are too few to compare")
    agents_rows, beside, per_year = rows[:-1], rows[-1], baseline.bars_per_year
    sharpe = group_bootstrap(agents_rows, beside, rng=rng, bars_per_year=per_year, draws=draws, confidence=confidence)
    mean = paired_bootstrap(
        agents_rows.mean(axis=0), beside, rng=rng, bars_per_year=per_year, draws=draws, confidence=confidence
    )
    found = replace(mean, sharpe=sharpe.sharpe, sharpe_p_value=sharpe.p_value, block_bars=sharpe.block_bars)
    emptied = any(map(metrics.emptied, (*agents, baseline)))
    return Comparison(baseline.name, found, years, lasting_share=sharpe.lasting_share, emptied=emptied)


def sharpe_interval(
    agents: Sequence[Trajectory],
    *,
    rng: np.random.Generator,
    draws: int,
    risk_free: float | npt.NDArray[np.float64] = 0.0,
) -> Interval:
    """Return the annual Sharpe ratio (of several seeds the interquartile mean) with its 95 % interval.

    NaN bounds where the record is too short, or none of the agents ever moved: they have no ratio.
    """
    rows = np.stack([metrics.excess(agent.returns, risk_free) for agent in agents])
    rows = rows[:, np.isfinite(rows).all(axis=0)]
    per_year = agents[0].bars_per_year
    if rows.shape[1] < MIN_BARS or not np.ptp(rows, axis=1).any():
        return Interval(math.nan, math.nan, math.nan)
    nothing = np.zeros(rows.shape[1])
    if len(agents) > 1:
        return group_bootstrap(rows, nothing, rng=rng, bars_per_year=per_year, draws=draws).sharpe
    return paired_bootstrap(rows[0], nothing, rng=rng, bars_per_year=per_year, draws=draws).sharpe


def _check_dates(agent: Trajectory, baseline: Trajectory) -> None:
    if not np.array_equal(agent.timestamps, baseline.timestamps):
        raise ValueError(f"{agent.name} and {baseline.name} were not played over the same bars")


def aligned(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return two series of returns [n] without the bars at which one of them is not finite."""
    both = np.isfinite(left) & np.isfinite(right)
    return left[both], right[both]
