"""From wishes to fills: weights made allowed, orders sized at the close of bar t and filled at bar t + 1."""

from __future__ import annotations

import math

import numpy as np

from wealtharena.envs.compiled import compiled
from wealtharena.envs.kernel.lanes import lay
from wealtharena.envs.kernel.rows import CELL, CELL_SIZE, DESK, FEE, FILLED, GOAL, MOST, WORK, Float64, Int64
from wealtharena.envs.vector import RULE


@compiled
def project(rules: Float64, cells: Float64, desk: Float64, assets: int, width: int) -> None:
    """Make the wished weights allowed, and count in DESK.rejected those that were not finite (they become 0).

    Each is clipped to +-max_weight (to [0, max_weight] when long only); if their absolute sum is above `max_gross`,
    all are scaled down to it. WORK.least is set: none for an account that was closed by force.
    """
    limit = rules[RULE.max_gross]
    high = rules[RULE.max_weight]
    low = 0.0 if rules[RULE.long_only] > 0.0 else -high
    least = rules[RULE.min_trade]
    for a in range(assets):
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        for e in range(width):
            w = c[CELL.wish + e]
            finite = abs(w) < math.inf
            w = min(max(w, low), high) if finite else 0.0
            c[CELL.wish + e] = w
            desk[WORK.asked + e] += abs(w)
            desk[DESK.rejected + e] += 0.0 if finite else 1.0
    for e in range(width):
        gross = desk[WORK.asked + e]
        desk[WORK.shrink + e] = limit / gross if gross > limit else 1.0
        desk[WORK.least + e] = (0.0 if desk[WORK.over + e] > 0.0 else least) * desk[DESK.equity + e]
    for a in range(assets):
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        for e in range(width):
            c[CELL.wish + e] *= desk[WORK.shrink + e]


@compiled
def size(
    records: Float64, places: Int64, rules: Float64, cells: Float64, desk: Float64, assets: int, count: int, width: int
) -> None:
    """Size orders at the close of bar t: find the WORK.scale of what trades and the WORK.keep of what does not.

    A symbol trades where it has a positive price and its change of weight reaches WORK.least, `min_trade_weight`
    of equity; its target is `scale * w V / p` units. Others keep `keep` times their units, usually all.

    With G = sum |w V| of the symbols that trade, K the gross value of the others and c(s) the estimated cost of
    reaching s w V, the largest s with f(s) = K + s G + L (c(s) - V) <= 0 is sought. c is convex, so the chord of f
    between 0 and 1 lies above it and its root is on the safe side. c(0) is bounded from above by taking every impact
    at the whole gross. Where K alone, or what closing costs, leaves no room, `_fold` scales the symbols below
    `min_trade_weight` too.

    A symbol's records are laid just before they are read, while they are near.
    """
    limit = rules[RULE.max_gross]
    rate = rules[RULE.rate]
    impact = rules[RULE.impact]
    for a in range(assets):
        lay(records, places, a, count, cells)
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        for e in range(width):
            value = c[CELL.units + e] * c[CELL.mark_now + e]
            x = c[CELL.wish + e] * desk[DESK.equity + e]
            d = abs(x - value)
            k = impact * desk[DESK.cost_factor + e] * c[CELL.impact_now + e]
            held = abs(value)
            trades = (c[CELL.inverse_now + e] > 0.0) & (d >= desk[WORK.least + e])
            desk[WORK.target + e] += abs(x) if trades else 0.0
            desk[WORK.estimate + e] += d * (rate * desk[DESK.cost_factor + e] + k * math.sqrt(d)) if trades else 0.0
            desk[WORK.held + e] += held if trades else 0.0
            desk[WORK.pressure + e] += k * held if trades else 0.0
            desk[WORK.kept + e] += 0.0 if trades else held
    for e in range(width):
        closing = rate * desk[DESK.cost_factor + e] * desk[WORK.held + e] + desk[WORK.pressure + e] * math.sqrt(
            desk[WORK.held + e]
        )
        room = limit * (desk[DESK.equity + e] - closing) - desk[WORK.kept + e]
        whole = desk[WORK.target + e] + limit * (desk[WORK.estimate + e] - closing)
        fits = whole <= room
        desk[WORK.scale + e] = 1.0 if fits else room / whole if room > 0.0 else 0.0
        desk[WORK.keep + e] = 1.0
    for e in range(count):
        if desk[WORK.hold + e] == 0.0 and not desk[WORK.scale + e] > 0.0:
            _fold(rules, cells, desk, assets, e)


@compiled
def _fold(rules: Float64, cells: Float64, desk: Float64, assets: int, e: int) -> None:
    """Scale lane e as one: what is kept leaves no room for what trades. Only what has no price stays as it is."""
    limit = rules[RULE.max_gross]
    fixed = 0.0
    held = 0.0
    pressure = 0.0
    for a in range(assets):
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        value = abs(c[CELL.units + e] * c[CELL.mark_now + e])
        if c[CELL.inverse_now + e] > 0.0:
            held += value
            pressure += rules[RULE.impact] * desk[DESK.cost_factor + e] * c[CELL.impact_now + e] * value
        else:
            fixed += value
    closing = rules[RULE.rate] * desk[DESK.cost_factor + e] * held + pressure * math.sqrt(held)
    room = max(0.0, limit * (desk[DESK.equity + e] - closing) - fixed)
    whole = desk[WORK.target + e] + desk[WORK.kept + e] - fixed + limit * (desk[WORK.estimate + e] - closing)
    scale = min(1.0, room / whole) if whole > 0.0 else 0.0
    desk[WORK.scale + e] = scale
    desk[WORK.keep + e] = scale


@compiled
def fill(rules: Float64, lots: Float64, cells: Float64, desk: Float64, assets: int, width: int) -> None:
    """Fill the orders within bar t + 1, move the units and add up what that cost.

    An order that bar t + 1 cannot fill lapses; none takes more than `participation` of the bar's volume; targets are
    rounded toward zero to whole lots where the symbol has them.
    """
    rate = rules[RULE.rate]
    impact = rules[RULE.impact]
    share = rules[RULE.participation]
    for a in range(assets):
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        lot = lots[a]
        for e in range(width):
            before = c[CELL.units + e]
            x = c[CELL.wish + e] * desk[DESK.equity + e]
            moves = (abs(x - before * c[CELL.mark_now + e]) >= desk[WORK.least + e]) & (desk[WORK.hold + e] == 0.0)
            inverse = c[CELL.inverse_now + e]
            goal = desk[WORK.scale + e] * x * inverse if moves else desk[WORK.keep + e] * before
            c[GOAL + e] = goal if (inverse > 0.0) & (c[CELL.price + e] > 0.0) else before
            c[MOST + e] = share * c[CELL.volume_then + e]
        if lot > 0.0:
            for e in range(width):
                goal = c[GOAL + e]
                c[GOAL + e] = goal if goal == c[CELL.units + e] else _whole(goal, lot)
                c[MOST + e] = _whole(c[MOST + e], lot)
        for e in range(width):
            before = c[CELL.units + e]
            price = c[CELL.price + e]
            du = min(max(c[GOAL + e] - before, -c[MOST + e]), c[MOST + e])
            value = du * price
            order = abs(value)
            after = before + du
            mark = after * c[CELL.mark_then + e]
            cost = order * (rate + impact * c[CELL.impact_then + e] * math.sqrt(order)) * desk[DESK.cost_factor + e]
            c[CELL.units + e] = after
            c[FILLED + e] = du
            c[FEE + e] = cost
            desk[DESK.earned + e] += before * c[CELL.income_then + e]
            desk[WORK.paid + e] += value
            desk[DESK.costs + e] += cost
            desk[DESK.traded + e] += order
            desk[WORK.value + e] += mark
            desk[WORK.marked + e] += abs(mark)


@compiled
def _whole(units: float, lot: float) -> float:
    """Return the units rounded toward zero to whole lots; a billionth of a lot short counts as a whole one."""
    count = units / lot
    return float(np.trunc(count + math.copysign(1e-9, count)) * lot)
