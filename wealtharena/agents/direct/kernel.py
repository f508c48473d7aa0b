"""The account of account.py and its slope, compiled: what paths of weights earn, and what moving each weight would change.

`forward` trades every account through its bars and keeps what it held; `backward` goes through the same bars from the
last to the first, computes each step again and carries derivatives through it by the chain rule. Both take the orders of
a tilt inside, which depend on what is held. The torch account is the reference for both.

Arrays: N accounts, n steps, A symbols, T bars. d_x stands for the derivative of the whole by x, in cells and desk too.
An account whose equity is no longer positive stays as it is.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from wealtharena.envs.actions import TINY
from wealtharena.envs.compiled import compiled
from wealtharena.envs.kernel.rows import BAR, ROUNDING, Float64, Int64
from wealtharena.envs.vector import RULE

LEAST: Final = float(np.finfo(np.float64).tiny)


class CellRows(NamedTuple):
    """Rows of `cells[CELLS, A]`: one account at one bar."""

    units: int
    value: int
    apart: int  # what a tilt is led to, less what is held, in weight
    raw: int  # weight that is asked for
    clipped: int  # the same within the limits of one symbol
    wish: int  # and within those of the whole
    wanted: int  # in money
    trades: int  # 1 where an order can be sized and is large enough, else 0
    goal: int  # units
    change: int  # units that the next bar fills
    d_units: int
    d_goal: int
    d_wish: int


class DeskRows(NamedTuple):
    """Places in `desk[DESK]`: one account at one bar."""

    cash: int
    equity: int
    gross: int
    factor: int  # of the costs
    years: int  # to the next bar
    lent: int  # rate a year that cash earns until then
    share: int  # room over what a tilt asks for
    sought: int  # gross weight that a tilt asks for, what trades only
    room_weight: int
    asked: int  # gross weight before it is scaled down
    scale: int
    keep: int
    whole: int  # gross value that the whole order would lead to
    room: int  # gross value that there is room for
    held: int  # gross value of what trades
    pressure: int
    folded: int  # 1 where what is kept leaves no room for what trades
    d_cash: int
    d_equity: int
    d_gross: int


C: Final = CellRows(*range(len(CellRows._fields)))
D: Final = DeskRows(*range(len(DeskRows._fields)))
CELLS: Final = len(C)
DESK: Final = len(D)


@compiled
def forward(
    bars: Float64, years: Float64, rates: Float64, rules: Float64, idle: Float64, free: Float64, rate: float,
    firsts: Int64, factors: Float64, asked: Float64, units: Float64, cash: Float64, equity: Float64, gross: Float64,
    traded: Float64, costs: Float64,
) -> None:  # fmt: skip
    """Trade N accounts, the one in row b from the close of bar `firsts[b]` on, and write what happened to them.

    `asked` [N, n, A] are weights, or, with a `rate` above 0, what a tilt asks for: `idle` and `free` [T, A] say what it
    leaves alone and what trades. `units` [N, n + 1, A], `cash`, `equity` and `gross` [N, n + 1] hold the first state and
    receive the others, `traded` and `costs` [N, n] what each step did.
    """
    accounts, steps, assets = asked.shape
    c, d = np.zeros((CELLS, assets)), np.zeros(DESK)
    for b in range(accounts):
        for n in range(steps):
            t = firsts[b] + n
            _enter(units[b, n], cash[b, n], equity[b, n], gross[b, n], factors[b], years[t + 1], rates[t + 1], c, d)
            if equity[b, n] > 0.0:
                _decide(bars[t], rules, idle, free, rate, t, asked[b, n], c, d)
                _size(bars[t], rules, c, d)
                _aim(bars[t], bars[t + 1], rules, c, d)
                traded[b, n], costs[b, n] = _settle(bars[t + 1], rules, c, d)
            for a in range(assets):
                units[b, n + 1, a] = c[C.units, a]
            cash[b, n + 1], equity[b, n + 1], gross[b, n + 1] = d[D.cash], d[D.equity], d[D.gross]


@compiled
def backward(
    bars: Float64, years: Float64, rates: Float64, rules: Float64, idle: Float64, free: Float64, rate: float,
    firsts: Int64, factors: Float64, asked: Float64, units: Float64, cash: Float64, equity: Float64, gross: Float64,
    through: bool, d_equity: Float64, d_traded: Float64, d_costs: Float64, d_asked: Float64,
) -> None:  # fmt: skip
    """Write the derivative by `asked` [N, n, A] of a number whose derivatives by equity, traded value and costs are given.

    With `through`, a tilt's band is passed over here: see `TiltHead.ordered`.
    """
    accounts, steps, assets = asked.shape
    c, d = np.zeros((CELLS, assets)), np.zeros(DESK)
    for b in range(accounts):
        c[C.d_units] = 0.0
        d[D.d_cash], d[D.d_equity], d[D.d_gross] = 0.0, d_equity[b, steps], 0.0
        for m in range(steps):
            n = steps - 1 - m
            t = firsts[b] + n
            _enter(units[b, n], cash[b, n], equity[b, n], gross[b, n], factors[b], years[t + 1], rates[t + 1], c, d)
            if equity[b, n] > 0.0:
                _decide(bars[t], rules, idle, free, rate, t, asked[b, n], c, d)
                _size(bars[t], rules, c, d)
                _aim(bars[t], bars[t + 1], rules, c, d)
                _settle_back(bars[t + 1], rules, d_traded[b, n], d_costs[b, n], c, d)
                _aim_back(bars[t], bars[t + 1], rules, c, d)
                _decide_back(bars[t], rules, idle, free, rate, through, t, asked[b, n], c, d, d_asked[b, n])
            d[D.d_equity] += d_equity[b, n]


@compiled
def _enter(
    units: Float64, cash: float, equity: float, gross: float, factor: float, years: float, lent: float, c: Float64,
    d: Float64,
) -> None:  # fmt: skip
    """Lay an account on the desk."""
    for a in range(len(units)):
        c[C.units, a] = units[a]
    d[D.cash], d[D.equity], d[D.gross], d[D.factor], d[D.years], d[D.lent] = cash, equity, gross, factor, years, lent


@compiled
def _decide(
    now: Float64, rules: Float64, idle: Float64, free: Float64, rate: float, t: int, asked: Float64, c: Float64,
    d: Float64,
) -> None:  # fmt: skip
    """Make the weights that an order wishes (`account.allowed`); those of a tilt as `TiltHead.wanted` and `ordered` do."""
    limit, high = rules[RULE.max_gross], rules[RULE.max_weight]
    low = 0.0 if rules[RULE.long_only] > 0.0 else -high
    for a in range(len(asked)):
        c[C.value, a] = c[C.units, a] * now[BAR.mark, a]
        c[C.raw, a] = asked[a]
    if rate > 0.0:
        sought, kept = 0.0, 0.0
        for a in range(len(asked)):
            if free[t, a] > 0.0:
                sought += abs(asked[a])
            else:
                kept += abs(c[C.value, a] / d[D.equity])
        d[D.sought], d[D.room_weight] = sought, max(limit - kept, 0.0)
        d[D.share] = d[D.room_weight] / max(sought, d[D.room_weight], TINY)
        for a in range(len(asked)):
            held = c[C.value, a] / d[D.equity]
            apart = asked[a] * d[D.share] - held if free[t, a] > 0.0 else 0.0
            beyond = abs(apart) - idle[t, a]
            c[C.apart, a] = apart
            c[C.raw, a] = held + rate * math.copysign(beyond, apart) if beyond > 0.0 else held
    total = 0.0
    for a in range(len(asked)):
        c[C.clipped, a] = min(max(c[C.raw, a], low), high)
        total += abs(c[C.clipped, a])
    d[D.asked] = total
    for a in range(len(asked)):
        c[C.wish, a] = c[C.clipped, a] * (limit / max(total, limit))


@compiled
def _beyond(worth: float, d: Float64) -> float:
    """Return how much is traded: nothing where it is rounding, so that the slope of the costs is 0 there."""
    return abs(worth) if abs(worth) > ROUNDING * d[D.equity] else 0.0


@compiled
def _size(now: Float64, rules: Float64, c: Float64, d: Float64) -> None:
    """Find the scale of what trades and of what does not, as `kernel.size` does."""
    limit, rate, factor = rules[RULE.max_gross], rules[RULE.rate], d[D.factor]
    target, kept, held, pressure, estimate = 0.0, 0.0, 0.0, 0.0, 0.0
    for a in range(c.shape[1]):
        wanted = c[C.wish, a] * d[D.equity]
        order = _beyond(wanted - c[C.value, a], d)
        trades = now[BAR.inverse, a] > 0.0 and order >= rules[RULE.min_trade] * d[D.equity]
        c[C.wanted, a], c[C.trades, a] = wanted, 1.0 if trades else 0.0
        if trades:
            slope = rules[RULE.impact] * factor * now[BAR.sizing_impact, a]
            target += abs(wanted)
            estimate += order * rate * factor
            if slope > 0.0:
                estimate += slope * order * math.sqrt(order)
            held += abs(c[C.value, a])
            pressure += slope * abs(c[C.value, a])
        else:
            kept += abs(c[C.value, a])
    closing = held * rate * factor + pressure * math.sqrt(max(held, LEAST))
    room = limit * (d[D.equity] - closing) - kept
    whole = target + limit * (estimate - closing)
    d[D.held], d[D.pressure], d[D.room], d[D.whole] = held, pressure, room, whole
    d[D.scale], d[D.keep], d[D.folded] = 1.0 if whole <= room else room / whole if room > 0.0 else 0.0, 1.0, 0.0
    if not d[D.scale] > 0.0:
        _fold(now, rules, target + kept, estimate, c, d)


@compiled
def _fold(now: Float64, rules: Float64, total: float, estimate: float, c: Float64, d: Float64) -> None:
    """Scale all that has a price as one: what is kept leaves no room for what trades."""
    limit, rate = rules[RULE.max_gross], rules[RULE.rate] * d[D.factor]
    fixed, held, pressure = 0.0, 0.0, 0.0
    for a in range(c.shape[1]):
        if now[BAR.inverse, a] > 0.0:
            held += abs(c[C.value, a])
            pressure += rules[RULE.impact] * d[D.factor] * now[BAR.sizing_impact, a] * abs(c[C.value, a])
        else:
            fixed += abs(c[C.value, a])
    closing = held * rate + pressure * math.sqrt(max(held, LEAST))
    room = max(limit * (d[D.equity] - closing) - fixed, 0.0)
    whole = total - fixed + limit * (estimate - closing)
    d[D.held], d[D.pressure], d[D.room], d[D.whole], d[D.folded] = held, pressure, room, whole, 1.0
    d[D.scale] = min(room / whole, 1.0) if whole > 0.0 else 0.0
    d[D.keep] = d[D.scale]


@compiled
def _aim(now: Float64, then: Float64, rules: Float64, c: Float64, d: Float64) -> None:
    """Set the units that are asked for, and the change of units that bar t + 1 lets fill."""
    for a in range(c.shape[1]):
        before = c[C.units, a]
        goal = before
        if now[BAR.inverse, a] > 0.0 and then[BAR.fill, a] > 0.0:
            goal = d[D.scale] * c[C.wanted, a] * now[BAR.inverse, a] if c[C.trades, a] > 0.0 else d[D.keep] * before
        most = rules[RULE.participation] * then[BAR.volume, a]
        c[C.goal, a] = goal
        c[C.change, a] = min(max(goal - before, -most), most)


@compiled
def _settle(then: Float64, rules: Float64, c: Float64, d: Float64) -> tuple[float, float]:
    """Fill, charge the night and bring the desk to the close of t + 1; return value traded and costs."""
    traded, bent, paid, earned, value, marked = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for a in range(c.shape[1]):
        worth = c[C.change, a] * then[BAR.fill, a]
        order = _beyond(worth, d)
        traded += order
        paid += worth
        if rules[RULE.impact] > 0.0:
            bent += then[BAR.fill_impact, a] * order * math.sqrt(order)
        earned += c[C.units, a] * then[BAR.income, a]
        c[C.units, a] += c[C.change, a]
        mark = c[C.units, a] * then[BAR.mark, a]
        value += mark
        marked += abs(mark)
    costs = (traded * rules[RULE.rate] + rules[RULE.impact] * bent) * d[D.factor]
    cash = d[D.cash] - paid + earned - costs - _night(rules, d)
    d[D.cash], d[D.equity], d[D.gross] = cash, cash + value, marked
    return traded, costs


@compiled
def _short(d: Float64) -> float:
    """Return the value that is short: nothing where it is rounding, so that its slope is 0 there."""
    short = 0.5 * (d[D.gross] - d[D.equity] + d[D.cash])
    return float(short) if short > ROUNDING * d[D.equity] else 0.0


@compiled
def _night(rules: Float64, d: Float64) -> float:
    """Return what the night costs: see `kernel.settle`."""
    net = d[D.equity] - d[D.cash]
    total = rules[RULE.carry] * net
    if rules[RULE.margined] > 0.0:
        return float((total - d[D.lent] * max(d[D.equity], 0.0)) * d[D.years])
    total += rules[RULE.borrow] * d[D.factor] * _short(d)
    total += rules[RULE.margin] * d[D.factor] * max(-d[D.cash], 0.0)
    return float((total - d[D.lent] * max(d[D.cash], 0.0)) * d[D.years])


@compiled
def _settle_back(then: Float64, rules: Float64, d_traded: float, d_costs: float, c: Float64, d: Float64) -> None:
    """Carry derivatives from the close of t + 1 to the units that were asked for, and to the account at t."""
    d_cash = d[D.d_cash] + d[D.d_equity]
    d_fees = (d_costs - d_cash) * d[D.factor]
    for a in range(c.shape[1]):
        mark, fill = then[BAR.mark, a], then[BAR.fill, a]
        before, change = c[C.units, a], c[C.change, a]
        d_after = c[C.d_units, a] + d[D.d_equity] * mark + d[D.d_gross] * mark * np.sign((before + change) * mark)
        worth = change * fill
        order = _beyond(worth, d)
        d_order = d_traded + d_fees * rules[RULE.rate]
        if rules[RULE.impact] > 0.0:
            d_order += 1.5 * d_fees * rules[RULE.impact] * then[BAR.fill_impact, a] * math.sqrt(order)
        d_worth = d_order * np.sign(worth) - d_cash if order > 0.0 else -d_cash
        d_change = d_worth * fill + d_after
        d_goal = d_change if change == c[C.goal, a] - before else 0.0  # else the bar's volume was the limit
        c[C.d_goal, a] = d_goal
        c[C.d_units, a] = d_after - d_goal + d_cash * then[BAR.income, a]
    _night_back(rules, d_cash, d)


@compiled
def _night_back(rules: Float64, d_cash: float, d: Float64) -> None:
    """Carry the derivative by cash at the close of t + 1 through the night to cash, equity and gross value at t."""
    d_total = -d_cash * d[D.years]
    d_net, d_equity, d_gross = d_total * rules[RULE.carry], 0.0, 0.0
    if rules[RULE.margined] > 0.0:
        d_equity = -d_total * d[D.lent] if d[D.equity] > 0.0 else 0.0
    else:
        if _short(d) > 0.0:
            d_gross = 0.5 * d_total * rules[RULE.borrow] * d[D.factor]
            d_net -= d_gross
        d_cash -= d_total * (d[D.lent] if d[D.cash] > 0.0 else rules[RULE.margin] * d[D.factor])
    d[D.d_cash], d[D.d_equity], d[D.d_gross] = d_cash - d_net, d_equity + d_net, d_gross


@compiled
def _aim_back(now: Float64, then: Float64, rules: Float64, c: Float64, d: Float64) -> None:
    """Carry derivatives from the units that were asked for to wishes, units and equity: `_aim`, `_size` and `_fold`."""
    limit, rate, factor = rules[RULE.max_gross], rules[RULE.rate], d[D.factor]
    d_scale, d_keep = 0.0, 0.0
    for a in range(c.shape[1]):
        d_goal, c[C.d_wish, a] = c[C.d_goal, a], 0.0
        if not (now[BAR.inverse, a] > 0.0 and then[BAR.fill, a] > 0.0):
            c[C.d_units, a] += d_goal
        elif c[C.trades, a] > 0.0:
            d_scale += d_goal * c[C.wanted, a] * now[BAR.inverse, a]
            c[C.d_wish, a] = d_goal * d[D.scale] * now[BAR.inverse, a]  # by the money wanted, until the loop below
        else:
            d_keep += d_goal * c[C.units, a]
            c[C.d_units, a] += d_goal * d[D.keep]
    folded = d[D.folded] > 0.0
    bound = (d[D.whole] > 0.0 and d[D.room] < d[D.whole]) if folded else d[D.whole] > d[D.room]
    d_scale = (d_scale + d_keep if folded else d_scale) / d[D.whole] if bound else 0.0
    d_whole = -d_scale * d[D.scale]
    d_room = d_scale if not folded or d[D.room] > 0.0 else 0.0
    d_closing, root = -limit * (d_whole + d_room), math.sqrt(max(d[D.held], LEAST))
    d_held = d_closing * (rate * factor + (0.5 * d[D.pressure] / root if d[D.held] >= LEAST else 0.0))
    d[D.d_equity] += limit * d_room
    for a in range(c.shape[1]):
        value, wanted, trades = c[C.value, a], c[C.wanted, a], c[C.trades, a] > 0.0
        slope = rules[RULE.impact] * factor * now[BAR.sizing_impact, a]
        d_value, d_wanted = 0.0, c[C.d_wish, a]
        if trades:
            order = _beyond(wanted - value, d)
            d_order = limit * d_whole * (rate * factor + 1.5 * slope * math.sqrt(order))
            d_order = d_order * np.sign(wanted - value) if order > 0.0 else 0.0
            d_wanted += d_order + d_whole * np.sign(wanted)
            d_value -= d_order
        priced = now[BAR.inverse, a] > 0.0
        if (folded and priced) or (not folded and trades):
            d_value += (d_held + d_closing * slope * root) * np.sign(value)
        if not trades:
            d_value += (d_whole if folded and priced else -d_room) * np.sign(value)
        c[C.d_units, a] += d_value * now[BAR.mark, a]
        c[C.d_wish, a] = d_wanted * d[D.equity]
        d[D.d_equity] += d_wanted * c[C.wish, a]


@compiled
def _decide_back(
    now: Float64, rules: Float64, idle: Float64, free: Float64, rate: float, through: bool, t: int, asked: Float64,
    c: Float64, d: Float64, d_asked: Float64,
) -> None:  # fmt: skip
    """Carry derivatives from wishes to what was asked, and through a tilt to what is held."""
    limit, high = rules[RULE.max_gross], rules[RULE.max_weight]
    low = 0.0 if rules[RULE.long_only] > 0.0 else -high
    shrink, d_total = limit / max(d[D.asked], limit), 0.0
    if d[D.asked] > limit:
        for a in range(len(asked)):
            d_total -= c[C.d_wish, a] * c[C.clipped, a] * shrink / d[D.asked]
    for a in range(len(asked)):
        d_raw = c[C.d_wish, a] * shrink + d_total * np.sign(c[C.clipped, a])
        d_asked[a] = d_raw if low <= c[C.raw, a] <= high else 0.0
    if not rate > 0.0:
        return
    d_share, most = 0.0, max(d[D.room_weight], TINY)
    for a in range(len(asked)):
        if free[t, a] > 0.0 and (through or abs(c[C.apart, a]) > idle[t, a]):
            d_share += rate * d_asked[a] * asked[a]
    d_sought = -d_share * d[D.share] / d[D.sought] if d[D.sought] > most else 0.0
    d_kept = -d_share / d[D.sought] if d[D.sought] > most and d[D.room_weight] > 0.0 else 0.0
    for a in range(len(asked)):
        held, d_raw, d_held = c[C.value, a] / d[D.equity], d_asked[a], d_asked[a]
        if free[t, a] > 0.0:
            moves = through or abs(c[C.apart, a]) > idle[t, a]
            d_held = (1.0 - rate) * d_raw if moves else d_raw
            d_asked[a] = (rate * d_raw * d[D.share] if moves else 0.0) + d_sought * np.sign(asked[a])
        else:
            d_asked[a] = 0.0
            d_held += d_kept * np.sign(held)
        c[C.d_units, a] += d_held * now[BAR.mark, a] / d[D.equity]
        d[D.d_equity] -= d_held * held / d[D.equity]
