"""The test backtest again, made harder: dearer, later, in a crisis, without its best days."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.runs import EvaluationSpec
from wealtharena.data.panel import trade_dates
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import backtest, metrics
from wealtharena.evaluation.bootstrap import interquartile_mean
from wealtharena.evaluation.splits import Segment

FloatArray = npt.NDArray[np.float64]
SHOWN = ("total_return", "annual_return", "annual_volatility", "sharpe", "max_drawdown")
MIN_BARS = 5


@dataclass(frozen=True)
class StressResult:
    """One worse condition: the agent's measures (interquartile mean over seeds) and the baseline's under the same."""

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline: Mapping[str, float] = field(default_factory=dict)
    in_sample: bool = False  # training or selection saw these bars
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; figures that are not defined are left to the writer to turn into null."""
        return {
            "name": self.name,
            "metrics": dict(self.metrics),
            "baseline": dict(self.baseline),
            "in_sample": self.in_sample,
            "note": self.note,
        }


def table(
    backtests: Sequence[backtest.Backtest],
    agents: Sequence[Trajectory],
    *,
    evaluation: EvaluationSpec,
    baseline: str,
    rng: np.random.Generator,
    benchmark: str | None = None,
    risk_free_per_year: float = 0.0,
    saw: Callable[[Segment], bool] | None = None,
) -> tuple[StressResult, ...]:
    """Return the stress table of `backtests`, whose plain backtests are `agents`.

    `saw` says whether training or selection saw a bar of a window; by default they saw what lies before the one that was played.
    """
    spec = evaluation.stress
    scene = _Scene(
        backtests, evaluation, baseline, rng, benchmark, risk_free_per_year, saw or _before(backtests[0].window)
    )
    found = [scene.harder(f"{factor:g} times the costs", cost_factor=factor) for factor in spec.cost_factors]
    if spec.delay_bars:
        bars = "bar" if spec.delay_bars == 1 else "bars"
        found.append(scene.harder(f"{spec.delay_bars} {bars} later", delay_bars=spec.delay_bars))
    found += [scene.crisis(name, first, last) for name, (first, last) in spec.windows.items()]
    if spec.drop_best_days:
        found.append(scene.without_best(agents, spec.drop_best_days))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Scene:
    backtests: Sequence[backtest.Backtest]
    evaluation: EvaluationSpec
    baseline: str
    rng: np.random.Generator
    benchmark: str | None
    risk_free_per_year: float
    saw: Callable[[Segment], bool]

    def harder(self, name: str, *, cost_factor: float = 1.0, delay_bars: int = 0) -> StressResult:
        played = [one.simulate(cost_factor=cost_factor, delay_bars=delay_bars) for one in self.backtests]
        beside = self._beside(self.backtests[0].window, cost_factor=cost_factor, delay_bars=delay_bars)
        return StressResult(name, self._middle(played), self._measures(beside))

    def crisis(self, name: str, first: str, last: str) -> StressResult:
        """Play the bars of these dates; the first decision is made at the close before them, where there is one."""
        label = name.replace("_", " ")
        base = self.backtests[0]
        days = trade_dates(base.features.panel.timestamps)
        rows = np.flatnonzero((days >= np.datetime64(first)) & (days <= np.datetime64(last)))
        earliest = base.env.window - 1
        rows = rows[rows > earliest]
        if rows.size < MIN_BARS:
            return StressResult(label, note="the data has no bars there")
        window = Segment(int(rows[0]) - 1, int(rows[-1]) + 1)
        played = [one.simulate(window=window) for one in self.backtests]
        seen = self.saw(Segment(int(rows[0]), window.stop))
        note = "training or selection saw these bars" if seen else ""
        return StressResult(label, self._middle(played), self._measures(self._beside(window)), seen, note)

    def without_best(self, agents: Sequence[Trajectory], days: int) -> StressResult:
        name = f"without the {days} best days"
        beside = self._beside(self.backtests[0].window)
        own = [self._measures(agent, not_best_days(agent, days)) for agent in agents]
        return StressResult(name, _middle(own), self._measures(beside, not_best_days(beside, days)))

    def _beside(self, window: Segment, *, cost_factor: float = 1.0, delay_bars: int = 0) -> Trajectory:
        base = self.backtests[0]
        played = backtest.of_baselines(
            base.features,
            base.env,
            window,
            evaluation=self.evaluation,
            rng=self.rng,
            benchmark=self.benchmark,
            names=(self.baseline,),
            market=base.markets[0],
            cost_factor=cost_factor,
            delay_bars=delay_bars,
            risk_free_per_year=self.risk_free_per_year,
        )
        return played[self.baseline]

    def _middle(self, played: Sequence[Trajectory]) -> dict[str, float]:
        return _middle([self._measures(trajectory) for trajectory in played])

    def _measures(self, played: Trajectory, kept: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
        rows = np.ones(played.returns.size, dtype=np.bool_) if kept is None else kept
        cash = metrics.risk_free(played, self.risk_free_per_year)[rows]
        found = metrics.of_returns(played.returns[rows], bars_per_year=played.bars_per_year, risk_free=cash)
        return {name: found[name] for name in SHOWN}


def _before(played: Segment) -> Callable[[Segment], bool]:
    return lambda bars: bars.start < played.start


def not_best_days(played: Trajectory, days: int) -> npt.NDArray[np.bool_]:
    """Return which of the returns, [n], are outside the `days` days that gained most, by their sessions' dates; fewer where there are fewer."""
    stamps = trade_dates(played.timestamps)[1:]
    returns = played.returns
    unique, inverse = np.unique(stamps, return_inverse=True)
    gains = np.ones(unique.size)
    np.multiply.at(gains, inverse, 1.0 + np.nan_to_num(returns))  # a loss of more than all stays one
    best = np.argsort(-gains, kind="stable")[: min(days, unique.size)]
    return ~np.isin(inverse, best)


def _middle(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the interquartile mean of each measure over seeds, and of drawdowns the worst."""
    found = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        found[name] = float(values.min()) if name == "max_drawdown" else float(interquartile_mean(values))
    return found
