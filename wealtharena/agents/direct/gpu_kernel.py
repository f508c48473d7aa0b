"""The account of kernel.py and its slope once more, for a GPU: one program an account, its symbols side by side.

Bar by bar in torch an update is fifteen thousand launches that each do next to nothing; here it is two. The rules are
those of `kernel.forward` and `kernel.backward`, function by function under the same names, and a test holds both to the
same money and gradient. Triton comes with torch's CUDA builds for Linux; elsewhere torch's account serves.

Symbols are lanes: an array [A] of kernel.py is a block of a power of two here, and lanes beyond A have neither a price
nor units. What is not a block is one number of the account. Money is float64.
"""

from __future__ import annotations

import triton
import triton.language as tl

from wealtharena.agents.direct import kernel
from wealtharena.envs import actions
from wealtharena.envs.kernel import rows
from wealtharena.envs.kernel.rows import BAR, BAR_ROWS
from wealtharena.envs.vector import RULE

ROUNDING = tl.constexpr(rows.ROUNDING)
TINY = tl.constexpr(actions.TINY)
LEAST = tl.constexpr(kernel.LEAST)
ROWS = tl.constexpr(BAR_ROWS)
MARK, INVERSE, SIZING_IMPACT = tl.constexpr(BAR.mark), tl.constexpr(BAR.inverse), tl.constexpr(BAR.sizing_impact)
FILL, FILL_IMPACT = tl.constexpr(BAR.fill), tl.constexpr(BAR.fill_impact)
INCOME, VOLUME = tl.constexpr(BAR.income), tl.constexpr(BAR.volume)
RATE, IMPACT, MIN_TRADE = tl.constexpr(RULE.rate), tl.constexpr(RULE.impact), tl.constexpr(RULE.min_trade)
MAX_GROSS, MAX_WEIGHT = tl.constexpr(RULE.max_gross), tl.constexpr(RULE.max_weight)
LONG_ONLY, PARTICIPATION = tl.constexpr(RULE.long_only), tl.constexpr(RULE.participation)
BORROW, MARGIN = tl.constexpr(RULE.borrow), tl.constexpr(RULE.margin)
CARRY, MARGINED = tl.constexpr(RULE.carry), tl.constexpr(RULE.margined)


@triton.jit
def _sign(x):
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, 0.0)).to(tl.float64)


@triton.jit
def _beyond(worth, equity):
    return tl.where(tl.abs(worth) > equity * ROUNDING, tl.abs(worth), 0.0)


@triton.jit
def _row(array, row, assets, a):
    """Return a row of an array [..., A]: nothing in the lanes beyond A."""
    return tl.load(array + row * assets + a, mask=a < assets, other=0.0)


@triton.jit
def _limits(rules):
    """Return the limit on gross weight, and the lowest and highest weight of a symbol."""
    high = tl.load(rules + MAX_WEIGHT)
    return tl.load(rules + MAX_GROSS), tl.where(tl.load(rules + LONG_ONLY) > 0.0, 0.0, -high), high


@triton.jit
def _decide(rules, value, equity, asked, idle, free, TRADE_RATE: tl.constexpr):
    """Return the weights that an order wishes, and what `_decide_back` needs to know of how they came about."""
    limit, low, high = _limits(rules)
    held = value / equity
    raw, apart, share, sought, room_weight = asked, held, equity, equity, equity
    if TRADE_RATE > 0.0:
        sought = tl.sum(tl.where(free > 0.0, tl.abs(asked), 0.0))
        room_weight = tl.maximum(limit - tl.sum(tl.where(free > 0.0, 0.0, tl.abs(held))), 0.0)
        share = room_weight / tl.maximum(tl.maximum(sought, room_weight), TINY)
        apart = tl.where(free > 0.0, asked * share - held, 0.0)
        beyond = tl.abs(apart) - idle
        raw = tl.where(beyond > 0.0, held + _sign(apart) * beyond * TRADE_RATE, held)
    clipped = tl.minimum(tl.maximum(raw, low), high)
    total = tl.sum(tl.abs(clipped))
    return clipped * (limit / tl.maximum(total, limit)), clipped, raw, total, apart, share, sought, room_weight


@triton.jit
def _size(rules, wish, value, equity, factor, inverse, sizing_impact):
    """Return what is wanted in money, what trades, the scales of both kinds, and what `_aim_back` needs to know of it."""
    limit, rate = tl.load(rules + MAX_GROSS), tl.load(rules + RATE) * factor
    slope = tl.load(rules + IMPACT) * factor * sizing_impact
    wanted = wish * equity
    order = _beyond(wanted - value, equity)
    trades = (inverse > 0.0) & (order >= tl.load(rules + MIN_TRADE) * equity)
    target = tl.sum(tl.where(trades, tl.abs(wanted), 0.0))
    estimate = tl.sum(tl.where(trades, order * rate + slope * order * tl.sqrt(order), 0.0))
    held = tl.sum(tl.where(trades, tl.abs(value), 0.0))
    kept = tl.sum(tl.where(trades, 0.0, tl.abs(value)))
    pressure = tl.sum(tl.where(trades, slope * tl.abs(value), 0.0))
    closing = held * rate + pressure * tl.sqrt(tl.maximum(held, LEAST))
    room = limit * (equity - closing) - kept
    whole = target + limit * (estimate - closing)
    scale = tl.where(whole <= room, 1.0, tl.where(room > 0.0, room / whole, 0.0))
    keep, folded = scale * 0.0 + 1.0, scale < 0.0
    if scale <= 0.0:  # what is kept leaves no room for what trades: `kernel._fold`
        priced = inverse > 0.0
        fixed = tl.sum(tl.where(priced, 0.0, tl.abs(value)))
        held = tl.sum(tl.where(priced, tl.abs(value), 0.0))
        pressure = tl.sum(tl.where(priced, slope * tl.abs(value), 0.0))
        closing = held * rate + pressure * tl.sqrt(tl.maximum(held, LEAST))
        room = tl.maximum(limit * (equity - closing) - fixed, 0.0)
        whole = target + kept - fixed + limit * (estimate - closing)
        scale = tl.where(whole > 0.0, tl.minimum(room / whole, 1.0), 0.0)
        keep, folded = scale, scale >= 0.0
    return wanted, trades, slope, scale, keep, folded, held, pressure, room, whole


@triton.jit
def _aim(rules, units, wanted, trades, scale, keep, inverse, fill, volume):
    """Return which symbols can be traded, the units that are asked for, and the change that the next bar lets fill."""
    can = (inverse > 0.0) & (fill > 0.0)
    goal = tl.where(can, tl.where(trades, scale * wanted * inverse, keep * units), units)
    most = tl.load(rules + PARTICIPATION) * volume
    return can, goal, tl.minimum(tl.maximum(goal - units, -most), most)


@triton.jit
def _short(cash, equity, gross):
    short = 0.5 * (gross - equity + cash)
    return tl.where(short > equity * ROUNDING, short, 0.0)


@triton.jit
def _night(rules, cash, equity, gross, factor, years, lent):
    total = tl.load(rules + CARRY) * (equity - cash)
    if tl.load(rules + MARGINED) > 0.0:
        total -= lent * tl.maximum(equity, 0.0)
    else:
        total += tl.load(rules + BORROW) * factor * _short(cash, equity, gross)
        total += tl.load(rules + MARGIN) * factor * tl.maximum(-cash, 0.0) - lent * tl.maximum(cash, 0.0)
    return total * years


@triton.jit
def forward(
    bars, years, rates, rules, idle, free, firsts, factors, asked,
    units, cash, equity, gross, traded, costs, steps, assets,
    TRADE_RATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Trade an account as `kernel.forward` does; pointers to the same arrays."""
    b, a = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    there, day, night = a < assets, b * steps, b * (steps + 1)
    first, factor = tl.load(firsts + b), tl.load(factors + b)
    u = _row(units, night, assets, a)
    c, v, g = tl.load(cash + night), tl.load(equity + night), tl.load(gross + night)
    for n in range(steps):
        t = first + n
        inverse = _row(bars, t * ROWS + INVERSE, assets, a)
        sizing = _row(bars, t * ROWS + SIZING_IMPACT, assets, a)
        fill = _row(bars, (t + 1) * ROWS + FILL, assets, a)
        volume = _row(bars, (t + 1) * ROWS + VOLUME, assets, a)
        wants = _row(asked, day + n, assets, a)
        band, moves = wants, wants
        if TRADE_RATE > 0.0:
            band = _row(idle, t, assets, a)
            moves = _row(free, t, assets, a)
        value = u * _row(bars, t * ROWS + MARK, assets, a)
        wish, _, _, _, _, _, _, _ = _decide(rules, value, v, wants, band, moves, TRADE_RATE)
        wanted, trades, _, scale, keep, _, _, _, _, _ = _size(rules, wish, value, v, factor, inverse, sizing)
        _, _, change = _aim(rules, u, wanted, trades, scale, keep, inverse, fill, volume)
        worth = change * fill
        order = _beyond(worth, v)
        bent = order * tl.sqrt(order) * _row(bars, (t + 1) * ROWS + FILL_IMPACT, assets, a)
        value_traded = tl.sum(order)
        fees = (value_traded * tl.load(rules + RATE) + tl.load(rules + IMPACT) * tl.sum(bent)) * factor
        earned = tl.sum(u * _row(bars, (t + 1) * ROWS + INCOME, assets, a))
        left = c - tl.sum(worth) + earned - fees
        left -= _night(rules, c, v, g, factor, tl.load(years + t + 1), tl.load(rates + t + 1))
        marks = (u + change) * _row(bars, (t + 1) * ROWS + MARK, assets, a)
        alive = v > 0.0  # else it stays as it is
        u, c = tl.where(alive, u + change, u), tl.where(alive, left, c)
        v, g = tl.where(alive, left + tl.sum(marks), v), tl.where(alive, tl.sum(tl.abs(marks)), g)
        tl.store(traded + day + n, tl.where(alive, value_traded, 0.0))
        tl.store(costs + day + n, tl.where(alive, fees, 0.0))
        tl.store(units + (night + n + 1) * assets + a, u, mask=there)
        tl.store(cash + night + n + 1, c)
        tl.store(equity + night + n + 1, v)
        tl.store(gross + night + n + 1, g)


@triton.jit
def _settle_back(
    rules, units, change, goal, equity, factor, mark, fill, fill_impact,
    income, d_traded, d_costs, d_units, d_cash, d_equity, d_gross,
):  # fmt: skip
    """Return the derivatives by the units that were asked for, by units at t, and by cash at the close of t + 1."""
    d_cash += d_equity
    d_fees = (d_costs - d_cash) * factor
    d_after = d_units + d_equity * mark + d_gross * mark * _sign((units + change) * mark)
    worth = change * fill
    order = _beyond(worth, equity)
    d_order = d_traded + d_fees * tl.load(rules + RATE)
    d_order += 1.5 * d_fees * tl.load(rules + IMPACT) * fill_impact * tl.sqrt(order)
    d_worth = tl.where(order > 0.0, d_order * _sign(worth), 0.0) - d_cash
    d_goal = tl.where(change == goal - units, d_worth * fill + d_after, 0.0)  # else the bar's volume was the limit
    return d_goal, d_after - d_goal + d_cash * income, d_cash


@triton.jit
def _night_back(rules, cash, equity, gross, factor, years, lent, d_cash):
    """Return the derivatives by cash, equity and gross value at t."""
    d_total = -d_cash * years
    d_net, d_equity, d_gross = d_total * tl.load(rules + CARRY), d_total * 0.0, d_total * 0.0
    if tl.load(rules + MARGINED) > 0.0:
        d_equity = tl.where(equity > 0.0, -d_total * lent, 0.0)
    else:
        d_gross = 0.5 * d_total * tl.load(rules + BORROW) * factor
        d_gross = tl.where(_short(cash, equity, gross) > 0.0, d_gross, 0.0)
        d_net -= d_gross
        d_cash -= d_total * tl.where(cash > 0.0, lent, tl.load(rules + MARGIN) * factor)
    return d_cash - d_net, d_equity + d_net, d_gross


@triton.jit
def _aim_back(
    rules, units, value, equity, factor, mark, inverse, wish, wanted,
    trades, slope, scale, keep, folded, held, pressure, room, whole,
    can, d_goal, d_units, d_equity,
):  # fmt: skip
    """Return the derivatives by wishes, units and equity: `_aim` and `_size`."""
    limit, rate = tl.load(rules + MAX_GROSS), tl.load(rules + RATE) * factor
    d_scale = tl.sum(tl.where(can & trades, d_goal * wanted * inverse, 0.0))
    d_keep = tl.sum(tl.where(can, tl.where(trades, 0.0, d_goal * units), 0.0))
    d_wanted = tl.where(can & trades, d_goal * scale * inverse, 0.0)
    d_units += tl.where(can, tl.where(trades, 0.0, d_goal * keep), d_goal)
    bound = tl.where(folded, (whole > 0.0) & (room < whole), whole > room)
    d_scale = tl.where(bound, tl.where(folded, d_scale + d_keep, d_scale) / whole, 0.0)
    d_whole = -d_scale * scale
    d_room = tl.where(folded & (room <= 0.0), 0.0, d_scale)
    d_closing, root = -limit * (d_whole + d_room), tl.sqrt(tl.maximum(held, LEAST))
    d_held = d_closing * (rate + tl.where(held >= LEAST, 0.5 * pressure / root, 0.0))
    apart = wanted - value
    order = _beyond(apart, equity)
    d_order = limit * d_whole * (rate + 1.5 * slope * tl.sqrt(order)) * _sign(apart)
    d_order = tl.where(trades & (order > 0.0), d_order, 0.0)
    d_wanted += tl.where(trades, d_order + d_whole * _sign(wanted), 0.0)
    priced = inverse > 0.0
    closed = tl.where(folded, priced, trades)
    d_value = tl.where(closed, (d_held + d_closing * slope * root) * _sign(value), 0.0) - d_order
    d_value += tl.where(trades, 0.0, tl.where(priced, tl.where(folded, d_whole, -d_room), -d_room) * _sign(value))
    return d_wanted * equity, d_units + d_value * mark, d_equity + limit * d_room + tl.sum(d_wanted * wish)


@triton.jit
def _decide_back(
    rules, value, equity, mark, asked, idle, free, clipped, raw, total,
    apart, share, sought, room_weight, d_wish, d_units, d_equity,
    TRADE_RATE: tl.constexpr, THROUGH: tl.constexpr,
):  # fmt: skip
    """Return the derivatives by what was asked for, and through a tilt by units and equity."""
    limit, low, high = _limits(rules)
    shrink = limit / tl.maximum(total, limit)
    d_total = tl.where(total > limit, -tl.sum(d_wish * clipped) * shrink / total, 0.0)
    d_asked = tl.where((low <= raw) & (raw <= high), d_wish * shrink + d_total * _sign(clipped), 0.0)
    if TRADE_RATE > 0.0:
        held, d_raw, trades = value / equity, d_asked, free > 0.0
        moves = trades
        if not THROUGH:
            moves = trades & (tl.abs(apart) > idle)
        d_share = tl.sum(tl.where(moves, d_raw * asked * TRADE_RATE, 0.0))
        over = sought > tl.maximum(room_weight, TINY)
        d_sought = tl.where(over, -d_share * share / sought, 0.0)
        d_kept = tl.where(over & (room_weight > 0.0), -d_share / sought, 0.0)
        d_asked = tl.where(moves, d_raw * share * TRADE_RATE, 0.0) + tl.where(trades, d_sought * _sign(asked), 0.0)
        d_held = tl.where(moves, d_raw * (1.0 - TRADE_RATE), d_raw) + tl.where(trades, 0.0, d_kept * _sign(held))
        d_units += d_held * mark / equity
        d_equity -= tl.sum(d_held * held) / equity
    return d_asked, d_units, d_equity


@triton.jit
def backward(
    bars, years, rates, rules, idle, free, firsts, factors, asked,
    units, cash, equity, gross, d_equities, d_traded, d_costs, d_asked,
    steps, assets, TRADE_RATE: tl.constexpr, THROUGH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the derivative by what an account asked for, as `kernel.backward` does; pointers to the same arrays."""
    b, a = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    there, day, night = a < assets, b * steps, b * (steps + 1)
    first, factor = tl.load(firsts + b), tl.load(factors + b)
    d_v = tl.load(d_equities + night + steps)
    d_u, d_c, d_g = tl.zeros([BLOCK], tl.float64), d_v * 0.0, d_v * 0.0
    for m in range(steps):
        n = steps - 1 - m
        t = first + n
        mark = _row(bars, t * ROWS + MARK, assets, a)
        inverse = _row(bars, t * ROWS + INVERSE, assets, a)
        sizing = _row(bars, t * ROWS + SIZING_IMPACT, assets, a)
        mark_then = _row(bars, (t + 1) * ROWS + MARK, assets, a)
        fill = _row(bars, (t + 1) * ROWS + FILL, assets, a)
        fill_impact = _row(bars, (t + 1) * ROWS + FILL_IMPACT, assets, a)
        income = _row(bars, (t + 1) * ROWS + INCOME, assets, a)
        volume = _row(bars, (t + 1) * ROWS + VOLUME, assets, a)
        wants = _row(asked, day + n, assets, a)
        band, free_now = wants, wants
        if TRADE_RATE > 0.0:
            band = _row(idle, t, assets, a)
            free_now = _row(free, t, assets, a)
        u = _row(units, night + n, assets, a)
        c, v, g = tl.load(cash + night + n), tl.load(equity + night + n), tl.load(gross + night + n)
        value = u * mark
        wish, clipped, raw, total, apart, share, sought, room_weight = _decide(
            rules, value, v, wants, band, free_now, TRADE_RATE
        )
        wanted, trades, slope, scale, keep, folded, held, pressure, room, whole = _size(
            rules, wish, value, v, factor, inverse, sizing
        )
        can, goal, change = _aim(rules, u, wanted, trades, scale, keep, inverse, fill, volume)
        d_goal, d_units, d_cash = _settle_back(
            rules, u, change, goal, v, factor, mark_then, fill, fill_impact, income, tl.load(d_traded + day + n),
            tl.load(d_costs + day + n), d_u, d_c, d_v, d_g,
        )  # fmt: skip
        d_cash, d_equity, d_gross = _night_back(
            rules, c, v, g, factor, tl.load(years + t + 1), tl.load(rates + t + 1), d_cash
        )
        d_wish, d_units, d_equity = _aim_back(
            rules, u, value, v, factor, mark, inverse, wish, wanted, trades, slope, scale, keep, folded, held, pressure,
            room, whole, can, d_goal, d_units, d_equity,
        )  # fmt: skip
        d_wants, d_units, d_equity = _decide_back(
            rules, value, v, mark, wants, band, free_now, clipped, raw, total, apart, share, sought, room_weight,
            d_wish, d_units, d_equity, TRADE_RATE, THROUGH,
        )  # fmt: skip
        alive = v > 0.0
        tl.store(d_asked + (day + n) * assets + a, tl.where(alive, d_wants, 0.0), mask=there)
        d_u, d_c = tl.where(alive, d_units, d_u), tl.where(alive, d_cash, d_c)
        d_v, d_g = tl.where(alive, d_equity, d_v), tl.where(alive, d_gross, d_g)
        d_v += tl.load(d_equities + night + n)
