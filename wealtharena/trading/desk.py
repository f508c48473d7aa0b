"""One close at the desk: what is held, what the agent sees and wants, the orders that follow, and what risk lets pass.

The loop and the backtest under risk rules both sit here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market, bars_without_price
from wealtharena.envs.quotes import CARRY_BARS, SIGMA_BARS
from wealtharena.envs.walker import Walker
from wealtharena.features.panel import FeaturePanel
from wealtharena.trading.guard import Ruling, State, check
from wealtharena.trading.minds import Seen
from wealtharena.trading.situation import Situation


@dataclass(frozen=True, eq=False)
class Close:
    """A final bar with as many before it as anyone looks at, and the market that they make."""

    features: FeaturePanel
    market: Market

    @cached_property
    def bar(self) -> str:
        """Return the time of the bar, as every file of the account names it."""
        return str(self.market.timestamps[-1].astype("datetime64[ns]"))

    @property
    def bar_before(self) -> str:
        """Return the time of the bar before it, whether that was decided on or not."""
        return str(self.market.timestamps[-2].astype("datetime64[ns]"))

    @cached_property
    def marks(self) -> dict[str, float]:
        """Return what a unit of each symbol is worth."""
        return dict(zip(self.market.symbols, self.market.prices[-1].tolist(), strict=True))


def depth_of(env: EnvSpec, risk: RiskSpec) -> int:
    """Return how many bars up to a close are looked at: by the agent, volatility, delisting and the age of prices."""
    stale = 0 if risk.stale_data is None else risk.stale_data.max_bars
    return max(env.window, SIGMA_BARS + 2 + CARRY_BARS, env.limits.delisting_bars + 2, stale + 2) + 2


def seen_at(close: Close, row: int, walker: Walker) -> Seen:
    """Return what there is to decide on at `row` of the close's bars, with the account that stands there."""
    layout = close.market.layout
    observation = walker.observe()
    window = close.features.values[row - layout.window + 1 : row + 1]
    features = np.ascontiguousarray(window.transpose(1, 0, 2))[None]
    return Seen(observation, features, observation[:, layout.features.stop :], str(walker.timestamp))


@dataclass(frozen=True, eq=False)
class Day:
    """What the rules of a day have to know: equity at the last close before it, and orders since."""

    opening: float
    sent: int
    peak: float | None = None  # since a person released the account; None: the account's own


def rule(
    walker: Walker,
    market: Market,
    age: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    day: Day,
    *,
    risk: RiskSpec,
    state: State,
) -> Ruling:
    """Return what is sent where the agent wants `weights`: as the kernel sizes it, less what a rule takes away.

    `age` [A] are the bars since each symbol's last price. What is less than a million millionth of equity is no order.
    """
    row = walker.bar
    orders = walker.orders(weights)
    marks = market.prices[row]
    before = market.prices[row - 1] if row else np.zeros_like(marks)
    known = (before > 0.0) & (marks > 0.0)
    moves = np.where(known, marks / np.where(known, before, 1.0) - 1.0, 0.0)
    orders = np.where(np.abs(orders * marks) > 1e-12 * walker.equity, orders, 0.0)
    now = Situation(
        symbols=market.symbols,
        units=walker.units,
        orders=orders,
        lots=walker.lots,
        marks=marks,
        moves=moves,
        age=age,
        volume=market.bars[row, BAR.volume],
        equity=walker.equity,
        peak=walker.peak if day.peak is None else day.peak,
        opening=day.opening,
        sent=day.sent,
    )
    return check(now, risk, state)


def ages(close: Close) -> npt.NDArray[np.int64]:
    """Return the bars since each symbol's last price at the close, [A]."""
    return np.asarray(bars_without_price(np.isfinite(close.features.panel.close))[-1])


def standing(close: Close, env: EnvSpec, *, held: Mapping[str, float], cash: float, peak: float) -> Walker:
    """Return a kernel's account that holds what the broker says, to size orders by and to be looked at."""
    bar = close.market.length - 1
    return Walker.open(close.market, env, bar=bar, units=held, cash=cash, peak=peak, carried=True)
