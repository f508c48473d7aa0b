"""The kernel's account once more, in torch: what trading a path of weights earns, with its gradient.

The rules are those of envs/kernel/{orders,night}.py in their order, over any batch of accounts at once. What has no
gradient is left out: whole lots, liquidation, delisting. So figures that anybody reads come from `simulate`, and this
account says only in which direction better ones lie. Costs keep their kink: at no trade their slope is 0.

Symbols: V equity, u units, p mark price in account currency. `B...` is any shape of accounts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wealtharena.agents.networks.heads import TiltHead
from wealtharena.envs.kernel.rows import BAR, ROUNDING
from wealtharena.envs.market import Market
from wealtharena.envs.rules import Rules
from wealtharena.envs.vector import RULE


class Terms(NamedTuple):
    """The rules of an account that a gradient sees, as plain numbers; see `envs/vector.py`."""

    rate: float
    impact: float
    borrow: float
    margin: float
    cash_rate: float | Tensor  # a tensor of accounts where it is dated
    carry: float
    max_gross: float
    max_weight: float
    long_only: bool
    participation: float
    min_trade: float
    margined: bool
    initial_cash: float

    @property
    def charges(self) -> bool:
        """Whether a night costs or earns anything."""
        return isinstance(self.cash_rate, Tensor) or any((self.borrow, self.margin, self.cash_rate, self.carry))

    @classmethod
    def of(cls, rules: Rules) -> Terms:
        """Return the terms of the kernel's own rules."""
        vector = rules.vector
        found: dict[str, Any] = {name: float(vector[getattr(RULE, name)]) for name in cls._fields}
        return cls(**{**found, "long_only": found["long_only"] > 0.0, "margined": found["margined"] > 0.0})


@dataclass(frozen=True, eq=False)
class Tape:
    """A market's bars [T, ROWS, A], the years [T] since the bar before and what cash earned in them, on one device.

    The flags say what need not be looked at, since it is so on every bar.
    """

    bars: Tensor
    years: Tensor
    rates: Tensor | None  # [T] a year; None where cash earns `Terms.cash_rate` alone
    open: bool  # every symbol has a price and can be traded
    deep: bool  # no volume limits an order

    @classmethod
    def of(cls, market: Market, device: torch.device | str = "cpu") -> Tape:
        """Return the tape of all bars of a market."""
        bars = market.bars
        always = bool((bars[:, [BAR.inverse, BAR.fill]] > 0.0).all())
        deep = bool((bars[:, BAR.volume] == math.inf).all())
        dated = torch.tensor(market.rates, device=device) if market.rates.any() else None
        return cls(torch.tensor(bars, device=device), torch.tensor(market.years, device=device), dated, always, deep)

    def idle(self, rows: Tensor, terms: Terms) -> Tensor:
        """Return what cash would have earned in the steps to the bars `rows`, as shares."""
        rate = terms.cash_rate if self.rates is None else terms.cash_rate + self.rates[rows]
        return rate * self.years[rows]

    def cut(self, first: Tensor, count: int) -> Tape:
        """Return `count` bars from each of `first` [B...] on: bars [count, B..., ROWS, A], years and rates [count, B...]."""
        rows = first + torch.arange(count, device=first.device).reshape(-1, *[1] * first.dim())
        rates = None if self.rates is None else self.rates[rows]
        return replace(self, bars=self.bars[rows], years=self.years[rows], rates=rates)


class Bar(NamedTuple):
    """The rows of one bar [B..., A] under the names that they have in the kernel, in its order."""

    mark: Tensor
    inverse: Tensor
    sizing_impact: Tensor
    fill: Tensor
    fill_impact: Tensor
    income: Tensor
    volume: Tensor
    delisted: Tensor


class State(NamedTuple):
    """Accounts at the close of a bar."""

    units: Tensor  # [B..., A]
    cash: Tensor  # [B...]
    equity: Tensor  # [B...]
    gross: Tensor  # [B...] absolute value of all positions


class Path(NamedTuple):
    """What happened over n steps."""

    equity: Tensor  # [n + 1, B...] the opening one first
    traded: Tensor  # [n, B...] value
    costs: Tensor  # [n, B...]


def opened(terms: Terms, shape: tuple[int, ...], assets: int, *, device: torch.device | str = "cpu") -> State:
    """Return accounts [*shape] that hold the initial cash and nothing else."""
    none = torch.zeros(shape, dtype=torch.float64, device=device)
    cash = none + terms.initial_cash
    return State(none.unsqueeze(-1).expand(*shape, assets), cash, cash, none)


def entered(state: State, held: Tensor, bar: Bar) -> State:
    """Return accounts in cash as accounts that hold these weights [B..., A] at the marks of a bar, and paid nothing for it."""
    units = held * state.equity.unsqueeze(-1) * bar.inverse
    values = units * bar.mark
    return State(units, state.cash - values.sum(dim=-1), state.equity, values.abs().sum(dim=-1))


Ordered = Callable[[int, Tensor], Tensor]  # (n, weights held [B..., A]) -> weights that the n-th order asks for


def scan(tape: Tape, wishes: Tensor | Ordered, terms: Terms, *, state: State, factor: Tensor | float = 1.0) -> Path:
    """Return the path of accounts that wish weights [n, B..., A], decided at the first n closes of a tape of n + 1 bars.

    Wishes that depend on what is held are a function, asked at every close. The tape's accounts are broadcast against
    those of `wishes`: one cut serves many policies. `factor` [B...] multiplies trading, borrow and margin costs.
    """
    known = allowed(wishes.to(torch.float64), terms) if isinstance(wishes, Tensor) else None
    equity, traded, costs = [state.equity], [], []
    bars, years = [Bar(*bar.unbind(-2)) for bar in tape.bars.unbind(0)], tape.years.unbind(0)
    if tape.deep:
        terms = terms._replace(participation=math.inf, impact=0.0)  # impact is 0 where the volume is unknown
    simple = tape.open and terms.min_trade == 0.0
    size = _whole_goal if simple else _goal
    for n in range(len(bars) - 1):
        wish = allowed(_asked(wishes, n, state, bars[n]), terms) if known is None else known[n]
        goal = size(state, wish, bars[n], terms, factor)
        if not tape.open:
            goal = torch.where(bars[n + 1].fill > 0.0, goal, state.units)
        then = terms if tape.rates is None else terms._replace(cash_rate=terms.cash_rate + tape.rates[n + 1])
        state, value, fees = step(state, goal, bars[n + 1], years[n + 1], then, factor)
        equity.append(state.equity)
        traded.append(value)
        costs.append(fees)
    return Path(torch.stack(equity), torch.stack(traded), torch.stack(costs))


def _asked(wishes: Tensor | Ordered, n: int, state: State, now: Bar) -> Tensor:
    assert not isinstance(wishes, Tensor)
    return wishes(n, state.units * now.mark / state.equity.unsqueeze(-1))


def tilted(head: TiltHead, tilts: Tensor, anchor: Tensor, sigma: Tensor, *, through: bool = False) -> Ordered:
    """Return the weights that tilts [n, B..., A] order, given what is held; `through` as in `TiltHead.ordered`."""
    # where everything trades what is wanted does not depend on what is held, and is computed for all bars at once
    whole = bool((sigma > 0.0).all())
    ready = head.wanted(tilts, anchor, sigma=sigma, held=torch.zeros_like(anchor)) if whole else None

    def ordered(n: int, held: Tensor) -> Tensor:
        wanted = head.wanted(tilts[n], anchor[n], sigma=sigma[n], held=held) if ready is None else ready[n]
        return head.ordered(wanted, anchor[n], held=held, through=through)

    return ordered


def allowed(wishes: Tensor, terms: Terms) -> Tensor:
    """Return weights [..., A] clipped to the limits, then scaled down where their absolute sum is above `max_gross`."""
    wishes = wishes.clamp(0.0 if terms.long_only else -terms.max_weight, terms.max_weight)
    gross = wishes.abs().sum(dim=-1, keepdim=True)
    return wishes * (terms.max_gross / gross.clamp(min=terms.max_gross))


def step(
    state: State, goal: Tensor, then: Bar, years: Tensor, terms: Terms, factor: Tensor | float
) -> tuple[State, Tensor, Tensor]:
    """Carry accounts to the close of the next bar, where they want `goal` units [B..., A].

    Return them, the value traded [B...] and the costs [B...].
    """
    change = goal - state.units
    units = goal
    if terms.participation < math.inf:
        most = terms.participation * then.volume
        change = torch.minimum(torch.maximum(change, -most), most)
        units = state.units + change
    value = change * then.fill
    order = beyond(value, state)
    traded = order.sum(dim=-1)
    fees = traded * terms.rate
    if terms.impact:
        fees = fees + terms.impact * (then.fill_impact * order.pow(1.5)).sum(dim=-1)
    fees = fees * factor
    earned = (state.units * then.income).sum(dim=-1)
    cash = state.cash - value.sum(dim=-1) + earned - fees
    if terms.charges:
        cash = cash - night(state, years, terms, factor)
    marks = units * then.mark
    return State(units, cash, cash + marks.sum(dim=-1), marks.abs().sum(dim=-1)), traded, fees


def _whole_goal(state: State, wish: Tensor, now: Bar, terms: Terms, factor: Tensor | float) -> Tensor:
    """Return what `_goal` returns where every symbol trades: then nothing is kept, and what has no room is closed."""
    wanted = wish * state.equity.unsqueeze(-1)
    whole, room = wanted.abs().sum(dim=-1), terms.max_gross * state.equity
    if terms.rate or terms.impact:
        order = beyond(wanted - state.units * now.mark, state)
        estimate, closing = order.sum(dim=-1) * terms.rate, state.gross * terms.rate
        if terms.impact:
            slope = terms.impact * now.sizing_impact
            estimate = estimate + (slope * order.pow(1.5)).sum(dim=-1)
            pressure = (slope * (state.units * now.mark).abs()).sum(dim=-1)
            closing = closing + pressure * state.gross.clamp(min=torch.finfo(torch.float64).tiny).sqrt()
        room = room - terms.max_gross * factor * closing
        whole = whole + terms.max_gross * factor * (estimate - closing)
    return _scale(whole, room).unsqueeze(-1) * wanted * now.inverse


def _goal(state: State, wish: Tensor, now: Bar, terms: Terms, factor: Tensor | float) -> Tensor:
    """Return the units [B..., A] that orders ask for, scaled by the root of the chord (`kernel.size`, decision 031)."""
    mark, inverse = now.mark, now.inverse
    equity = state.equity.unsqueeze(-1)
    value, wanted = state.units * mark, wish * equity
    held, order = value.abs(), beyond(wanted - value, state)
    trades = (inverse > 0.0) & (order >= terms.min_trade * equity)
    slope = terms.impact * factor_of(factor) * now.sizing_impact if terms.impact else None
    target, kept = _sum(wanted.abs(), trades), _sum(held, ~trades)
    estimate = _cost(order, trades, terms, slope, factor)
    closing = _closing(held, trades, terms, slope, factor)
    room = terms.max_gross * (state.equity - closing) - kept
    whole = target + terms.max_gross * (estimate - closing)
    scale = _scale(whole, room)
    keep = torch.ones_like(scale)
    blocked = ~(scale > 0.0)
    if bool(blocked.any()):
        fixed = _sum(held, inverse <= 0.0)
        closing = _closing(held, inverse > 0.0, terms, slope, factor)
        room = (terms.max_gross * (state.equity - closing) - fixed).clamp(min=0.0)
        whole = target + kept - fixed + terms.max_gross * (estimate - closing)
        some = whole > 0.0
        folded = torch.where(some, (room / torch.where(some, whole, 1.0)).clamp(max=1.0), 0.0)
        scale, keep = torch.where(blocked, folded, scale), torch.where(blocked, folded, keep)
    goal = torch.where(trades, scale.unsqueeze(-1) * wanted * inverse, keep.unsqueeze(-1) * state.units)
    return torch.where(inverse > 0.0, goal, state.units)


def _scale(whole: Tensor, room: Tensor) -> Tensor:
    """Return the root of the chord: 1 where the whole fits, 0 where there is no room at all."""
    divided = (whole > room) & (room > 0.0)  # elsewhere the quotient would have no gradient
    root = torch.where(divided, room, 0.0) / torch.where(divided, whole, 1.0)
    return torch.where(whole <= room, 1.0, root)


def beyond(value: Tensor, state: State) -> Tensor:
    """Return how much is traded [B..., A]: nothing where it is rounding, so that the slope of the costs is 0 there."""
    return torch.where(value.abs() > ROUNDING * state.equity.unsqueeze(-1), value.abs(), 0.0)


def factor_of(factor: Tensor | float) -> Tensor | float:
    """Return a cost factor [B...] as one that goes with numbers a symbol [B..., A]."""
    return factor.unsqueeze(-1) if isinstance(factor, Tensor) else factor


def _sum(values: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, values, 0.0).sum(dim=-1)


def _cost(order: Tensor, trades: Tensor, terms: Terms, slope: Tensor | None, factor: Tensor | float) -> Tensor:
    """Return the estimated cost [B...] of the whole orders."""
    total = _sum(order, trades) * terms.rate * factor
    return total if slope is None else total + _sum(slope * order.pow(1.5), trades)


def _closing(held: Tensor, where: Tensor, terms: Terms, slope: Tensor | None, factor: Tensor | float) -> Tensor:
    """Return a bound from above of the cost [B...] of closing all that is held, every impact taken at the whole gross."""
    gross = _sum(held, where)
    total = gross * terms.rate * factor
    if slope is None:
        return total
    return total + _sum(slope * held, where) * gross.clamp(min=torch.finfo(gross.dtype).tiny).sqrt()


def night(state: State, years: Tensor, terms: Terms, factor: Tensor | float) -> Tensor:
    """Return what the night costs [B...]: see `kernel.settle`."""
    net = state.equity - state.cash
    total = terms.carry * net
    if terms.margined:
        return (total - terms.cash_rate * state.equity.clamp(min=0.0)) * years
    if terms.borrow:
        short = 0.5 * (state.gross - net)
        total = total + terms.borrow * factor * torch.where(short > ROUNDING * state.equity, short, 0.0)
    owed, lent = (-state.cash).clamp(min=0.0), state.cash.clamp(min=0.0)
    return (total + terms.margin * factor * owed - terms.cash_rate * lent) * years
