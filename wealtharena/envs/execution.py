"""Who executes a baseline: when it is rebalanced, what waits for a bar that trades, and what is made up.

A rule knows its weights at a row and nothing else. Here a rebalancing makes every symbol due; a symbol is due until an
order for it went through at the kernel's limits. What does not trade keeps its position and stays due: its order is
given again at the first bar on which it trades, for the weight that the rule wants then. What the bar's volume cut goes
on at the next bar. A rule that is bought once keeps the weights of its first day and is done with a symbol when it is
held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wealtharena.config import plugins
from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel
from wealtharena.envs import kernel
from wealtharena.envs.baselines import Baseline
from wealtharena.envs.compiled import compile_status
from wealtharena.envs.kernel.rows import BAR, FIELDS, RECORD
from wealtharena.envs.market import Market
from wealtharena.envs.paths import Paths, check_window
from wealtharena.envs.rules import Rules, rules_of
from wealtharena.envs.tiles import line_up
from wealtharena.envs.trajectory import Trajectory
from wealtharena.envs.vector import RULE
from wealtharena.errors import MarketError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
_RECENT = 512  # bars
_SIZING_PRICE = RECORD.index((BAR.inverse, 0))


@dataclass(frozen=True, eq=False)
class Order:
    """What is asked for at one close: weights of the symbols in `ready`; all others are left as they are."""

    targets: FloatArray  # [A]
    ready: BoolArray  # [A]


class Schedule:
    """The symbols of one baseline that are due, from the first rebalancing at `start` on, every `every` bars.

    Bars before the first of `panel`, its `lead`, the rule knows too.
    """

    def __init__(
        self,
        baseline: Baseline,
        panel: Panel,
        *,
        start: int,
        every: int,
        delay_bars: int = 0,
        lead: Panel | None = None,
    ) -> None:
        self.baseline, self.panel, self.every, self.delay = baseline, panel, every, delay_bars
        self.known, self.earlier = (panel, 0) if lead is None else (lead.joined(panel), lead.bars)
        self.first = start + delay_bars
        close = np.where(np.isfinite(panel.close), panel.close, 0.0)
        self.trades = panel.tradable & (close > 0.0)
        self.due = np.zeros(len(panel.symbols), dtype=np.bool_)
        self.kept: FloatArray | None = None  # weights of a rule that is bought once
        self.asked = 0

    def order(self, row: int, held: BoolArray) -> Order | None:
        """Return what to ask for at the close of `row`, where `held` [A] says which symbols have a position; None for nothing."""
        if self._rebalances(row):
            self.due[:] = True
        ready = self.due & self.trades[row]
        if not ready.any():
            return None
        at = self.earlier + row - self.delay
        targets = self.kept if self.kept is not None else self._weights(at)
        if self.baseline.holds:
            self.kept = targets
        self.due &= held | (targets != 0.0)  # nothing is held and nothing is wanted: nothing to wait for
        ready &= self.due
        return Order(targets, ready) if ready.any() else None

    def _weights(self, at: int) -> FloatArray:
        """Return what the rule wants at `at`; MarketError where that hangs on later bars, looked for at its 1st, 2nd, 4th, ... decision."""
        targets = self.baseline.weights(self.known, at)
        self.asked += 1
        if self.asked & (self.asked - 1):
            return targets
        recent = max(at + 1 - _RECENT, 0)  # most rules look back on few bars, and a whole past is much to copy
        for first in (recent, 0):
            if _alike(targets, self.baseline.weights(self.known.slice(first, at + 1), at - first)):
                return targets
        raise MarketError(
            f"baseline {self.baseline.name} wants other weights at {str(self.known.timestamps[at])[:16]} once later bars are known:"
            " it looks ahead",
            hint=f"see {plugins.title('envs.baselines', self.baseline.name)}; its weights are to hang on bars up to `row`, and on no chance",
        )

    def done(self, symbols: BoolArray) -> None:
        """Note the symbols [A] whose orders went through."""
        self.due &= ~symbols

    def next_row(self, row: int) -> int:
        """Return the next row after `row` at which there may be something to do; the panel's length for none."""
        waiting = self.trades[row + 1 :, self.due].any(axis=1)
        soonest = row + 1 + int(waiting.argmax()) if waiting.any() else self.panel.bars
        if row < self.first:
            return min(soonest, self.first)
        if self.baseline.holds:
            return soonest
        return min(soonest, row + self.every - (row - self.first) % self.every)

    def _rebalances(self, row: int) -> bool:
        if self.baseline.holds:
            return row == self.first
        return row >= self.first and (row - self.first) % self.every == 0


def execute(
    baseline: Baseline,
    market: Market,
    panel: Panel,
    *,
    spec: EnvSpec,
    start: int,
    stop: int,
    every: int,
    delay_bars: int = 0,
    cost_factor: float = 1.0,
    lead: Panel | None = None,
) -> Trajectory:
    """Return the baseline's path over bars [start, stop) of `market`, whose bars are those of `panel`.

    It is rebalanced every `every` bars from `start` on, each decision carried out `delay_bars` later. The rule knows the
    bars of `lead` too, which come before these.
    Raises MarketError on a window that cannot be played and on weights that are not finite.
    """
    check_window(market, spec, start, stop)
    desk = _Desk(market, rules_of(spec, market.symbols, delisting=market.delisting), cost_factor, start, stop)
    schedule = Schedule(baseline, panel, start=start, every=every, delay_bars=delay_bars, lead=lead)
    row, last = start, stop - 1
    with compile_status(kernel.walk):
        while row < last:
            alive = desk.paths.alive[0]  # a liquidated account closes what is left by itself
            order = schedule.order(row, desk.held) if alive else None
            if order is None:
                reached = min(schedule.next_row(row), last) if alive else last
                desk.rest(row, reached)
            else:
                reached = row + 1
                _check(baseline.name, row, order)
                schedule.done(desk.ask(order, row))
            row = reached
    return desk.paths.trajectory(baseline.name)


class _Desk:
    """One account, of which some symbols may be given an order while others are left as they are."""

    def __init__(self, market: Market, rules: Rules, cost_factor: float, start: int, stop: int) -> None:
        self.market, self.rules, self.start = market, rules, start
        self.paths = Paths(market, rules, np.array([cost_factor]), start=start, steps=stop - 1 - start, keep=True)
        self.records: FloatArray | None = None  # of its own from the first symbol on that is left as it is

    @property
    def held(self) -> BoolArray:
        """Return which symbols have a position, shape [A]."""
        return np.asarray(self.paths.units[:, 0] != 0.0)

    def rest(self, first: int, last: int) -> None:
        """Give no order from the close of `first` to the close of `last`."""
        still = np.ones((1, last - first), dtype=np.bool_)
        self.paths.walk(np.zeros((1, last - first, len(self.market.symbols))), still, first, last, offset=first)

    def ask(self, order: Order, row: int) -> BoolArray:
        """Give the order at the close of `row`; return the symbols [A] whose order neither lapsed nor was cut by volume."""
        asleep = ~order.ready
        if asleep.any():
            self._leave(asleep, row)
        wanted = np.where(order.ready, order.targets, 0.0)[None, None]
        self.paths.walk(wanted, np.zeros((1, 1), dtype=np.bool_), row, row + 1, offset=row)
        step, after = row - self.start, self.market.bars[row + 1]
        self.paths.projected[0, step, asleep] = self.paths.weights[0, step, asleep]
        most = self.rules.vector[RULE.participation] * after[BAR.volume]
        cut = np.abs(self.paths.fills[0, step, 0]) + self.rules.lots >= most * (1.0 - 1e-9)
        return np.asarray(order.ready & (after[BAR.fill] > 0.0) & ~cut)

    def _leave(self, symbols: BoolArray, row: int) -> None:
        """Let no order of `symbols` [A] be sized at the close of `row`: for the kernel they have no price to size by."""
        if self.records is None:
            self.records = line_up(self.market.records.copy())
            self.paths.enter(self.market, self.rules, records=self.records)
        size = len(symbols) * FIELDS
        self.records[row * size : (row + 1) * size].reshape(-1, FIELDS)[symbols, _SIZING_PRICE] = 0.0


def _alike(one: FloatArray, other: FloatArray) -> bool:
    return bool(np.allclose(one, other, rtol=0.0, atol=1e-6, equal_nan=True))


def _check(name: str, row: int, order: Order) -> None:
    if not np.isfinite(order.targets).all():
        raise MarketError(
            f"baseline {name} wants weights that are not finite at bar {row}",
            hint=f"see {plugins.title('envs.baselines', name)}",
        )
