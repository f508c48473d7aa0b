"""A backtest under risk rules: the desk of the loop, with the kernel in place of a broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wealtharena.agents.playable import reader_of
from wealtharena.agents.policy import Policy, Trained
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.envs.market import Market, bars_without_price
from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.envs.walker import Step, Walker
from wealtharena.evaluation.backtest import Backtest, Delayed
from wealtharena.evaluation.splits import Segment
from wealtharena.trading.desk import Day, rule
from wealtharena.trading.guard import Intervention, State
from wealtharena.trading.situation import counted


@dataclass(frozen=True, eq=False)
class GuardedBacktest(Backtest):
    """A backtest whose orders pass the risk rules; `interventions` are those of the last path that was simulated."""

    risk: RiskSpec
    interventions: list[tuple[str, Intervention]] = field(default_factory=list)

    def _piece(self, index: int, segment: Segment, cost_factor: float, delay_bars: int) -> Trajectory:
        policy, market = self.pieces[index].policy, self.markets[index]
        policy.reset()
        if isinstance(policy, Trained):
            policy = reader_of(policy, market.layout)
        told: list[tuple[str, Intervention]] = []
        steps, targets = _walk(
            policy, market, self.env, segment, self.risk, told=told, cost_factor=cost_factor, delay_bars=delay_bars,
            age=bars_without_price(np.isfinite(self.features.panel.close)),
        )  # fmt: skip
        self.interventions[:] = told
        window = slice(segment.start, segment.stop)
        return path_of(self.name, window, market, steps, targets, cash=self.env.initial_cash)


def _walk(
    policy: Policy,
    market: Market,
    env: EnvSpec,
    segment: Segment,
    risk: RiskSpec,
    *,
    told: list[tuple[str, Intervention]],
    cost_factor: float,
    delay_bars: int,
    age: Any,
) -> tuple[list[Step], list[Any]]:
    """Return the steps through the segment and what was asked for at each, in weight."""
    walker = Walker.open(market, env, bar=segment.start, cost_factor=cost_factor)
    decide = policy.act if delay_bars == 0 else Delayed(policy.act, bars=delay_bars)
    state: State = "trading"
    steps: list[Step] = []
    asked: list[Any] = []
    day, opening, sent, last = "", walker.equity, 0, walker.equity
    while walker.bar < segment.stop - 1:
        bar = str(walker.timestamp)
        if bar[:10] != day:
            day, opening, sent = bar[:10], last, 0
        last = walker.equity
        weights = np.asarray(decide(walker.observe())[0], dtype=np.float64)
        orders = np.zeros_like(weights)
        if not walker.liquidated:
            known = Day(opening, sent)
            ruling = rule(walker, market, age[walker.bar], weights, known, risk=risk, state=state)
            orders, state = ruling.orders, ruling.state
            told += [(bar, one) for one in ruling.interventions]
        sent += int(counted(orders, market.prices[walker.bar], walker.equity).sum())
        steps.append(walker.deal(orders))
        asked.append(steps[-1].targets)
    return steps, asked


def path_of(
    name: str, window: slice, market: Market, steps: list[Step], targets: list[Any], *, cash: float
) -> Trajectory:
    """Return steps that follow each other through the bars `window` as one path."""
    columns = {
        column: np.concatenate([getattr(step.trades, column) for step in steps])
        for column in ("symbol", "units", "price", "value", "cost", "quote", "forced")
    }
    bars = np.concatenate([np.full(len(step.trades.bar), n + 1, dtype=np.int64) for n, step in enumerate(steps)])

    def each(column: str) -> Any:
        return np.array([getattr(step, column) for step in steps])

    return Trajectory(
        name=name,
        timestamps=market.timestamps[window],
        symbols=market.symbols,
        equity=np.concatenate([[cash], each("equity")]),
        weights=np.concatenate([np.zeros((1, len(market.symbols))), each("weights")]),
        targets=np.array(targets),
        traded_value=each("traded_value"),
        costs=each("costs"),
        financing=each("financing"),
        dividends=each("dividends"),
        trades=Trades(bar=bars, **columns),
        fill=market.fill,
        bars_per_year=market.bars_a_year(window),
        liquidated=any(step.liquidated for step in steps),
        cash_rates=market.cash_rates(window),
    )
