"""The market kernel: every trading rule, once, compiled. Training, backtest and paper trading all step through it.

Read it from top to bottom: `load` (accounts side by side), `ask` and `project` (actions to allowed weights), `size`
(orders at the close of bar t), `fill` (at bar t + 1), `settle` (the night between), `force` (delisting, liquidation),
`evaluate` (the reward), `store`, `picture` and `observe` (what is seen next), `restart`, and the two loops over them:
`step_batch` (many environments, one bar) and `walk` (many paths, many bars).

Symbols: V equity, u units, p mark price in account currency, L `max_gross`, k cost rate a unit of traded value.
Arrays: T bars, A symbols, N environments, D floats an observation. Money is float64, observations are float32.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import literal_unroll

from wealtharena.envs import tiles
from wealtharena.envs.compiled import compiled
from wealtharena.envs.rewards import CHOICES as REWARDS
from wealtharena.envs.vector import (
    BORROW,
    CARRY,
    CASH_RATE,
    HAIRCUT,
    HAS_DELISTING,
    IMPACT,
    INITIAL_CASH,
    LIQUIDATION_FEE,
    LOG_FACTOR_HIGH,
    LOG_FACTOR_LOW,
    LONG_ONLY,
    MAINTENANCE,
    MARGIN,
    MARGINED,
    MAX_GROSS,
    MAX_WEIGHT,
    MIN_TRADE,
    PARTICIPATION,
    RATE,
    REWARD,
    REWARD_SCALE,
    TURNOVER_PENALTY,
)

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

# Rows of `bars[T, ROWS, A]`: what the market is at one bar. Everything is in account currency.
MARK: Final = 0  # p: last close, carried; 0 before listing
INVERSE: Final = 1  # 1 / p where p > 0, else 0: no order can be sized
SIZING_IMPACT: Final = 2  # sigma_t / sqrt(dollar volume of bar t): impact as it is estimated at the close of t
FILL: Final = 3  # price at which this bar fills an order; 0 where it must not
FILL_IMPACT: Final = 4  # sigma_{t-1} / sqrt(dollar volume of bar t)
INCOME: Final = 5  # paid a unit held at the close before: dividend, and conversion of a margined contract
VOLUME: Final = 6  # dollar volume over the fill price: what an order could buy at most; infinite where unknown
DELISTED: Final = 7  # 1 at the bar on which the symbol is struck off, else 0
ROWS: Final = 8

# Rows of `state[STATE, N]`.
CASH: Final = 0
EQUITY: Final = 1
PEAK: Final = 2
GROSS: Final = 3
FIRST_MOMENT: Final = 4  # A and B of the differential Sharpe ratio
SECOND_MOMENT: Final = 5
COST_FACTOR: Final = 6
TRADED: Final = 7  # of the last step, as is all that follows
COSTS: Final = 8
FINANCING: Final = 9
EARNED: Final = 10
REWARD_CORE: Final = 11
REWARD_PENALTY: Final = 12
CLOSING: Final = 13  # equity at the end of the last step, kept over a restart
REJECTED: Final = 14  # weights that were not finite
STATE: Final = 15

# Rows of `clock[CLOCK, N]`.
BAR: Final = 0  # the observed bar
LAST: Final = 1  # bar whose close ends the episode
DONE: Final = 2  # 1 after the last step of an episode
EPISODE: Final = 3  # episodes begun
CLOCK: Final = 4

# Columns of `starts[S, STARTS]`, one row a segment.
FIRST: Final = 0  # first bar that can be observed first
CHOICES: Final = 1  # number of bars, from FIRST on, at which an episode may begin
STOP: Final = 2  # last bar that may be reached
STARTS: Final = 3

# Numbers of `records[(T - 1) * A * FIELDS]`: what the step from bar t to t + 1 needs of a symbol, side by side.
FIELDS: Final = tiles.TILE
RECORD: Final = (  # (row of `bars`, 0 at bar t or 1 at t + 1), in the order of the rows of `cells` from MARK_NOW on
    (MARK, 0), (INVERSE, 0), (SIZING_IMPACT, 0), (FILL, 1), (FILL_IMPACT, 1), (INCOME, 1), (VOLUME, 1), (MARK, 1),
)  # fmt: skip

# Accounts are traded LANES at a time, side by side, so that one instruction serves several of them; each lane is
# computed in the same order whatever stands in the others. Rows of `cells` [A * CELL], a block a symbol:
LANES: Final = 64
UNITS: Final = 0 * LANES
WISH: Final = 1 * LANES  # target weight
MARK_NOW: Final = 2 * LANES  # of bar t, where the order is sized; from here on a record
INVERSE_NOW: Final = 3 * LANES
IMPACT_NOW: Final = 4 * LANES
PRICE: Final = 5 * LANES  # of bar t + 1, where it is filled
IMPACT_THEN: Final = 6 * LANES
INCOME_THEN: Final = 7 * LANES
VOLUME_THEN: Final = 8 * LANES
MARK_THEN: Final = 9 * LANES
CELL: Final = 10 * LANES
GOAL: Final = INVERSE_NOW  # target units; this and the next three take the place of what is no longer needed
MOST: Final = VOLUME_THEN  # most units that the bar's volume lets trade
FILLED: Final = MARK_NOW  # units traded, signed
FEE: Final = IMPACT_NOW  # what that cost

# Rows of `desk` [DESK], one for all symbols of an account. The first are the rows of `state`, under their names there.
D_CASH: Final = CASH * LANES
D_EQUITY: Final = EQUITY * LANES  # V at bar t until `settle`, then at t + 1
D_PEAK: Final = PEAK * LANES
D_GROSS: Final = GROSS * LANES  # likewise
D_FIRST: Final = FIRST_MOMENT * LANES
D_SECOND: Final = SECOND_MOMENT * LANES
D_FACTOR: Final = COST_FACTOR * LANES
D_TRADED: Final = TRADED * LANES
D_COSTS: Final = COSTS * LANES
D_FINANCING: Final = FINANCING * LANES
D_EARNED: Final = EARNED * LANES
D_CORE: Final = REWARD_CORE * LANES
D_PENALTY: Final = REWARD_PENALTY * LANES
D_CLOSING: Final = CLOSING * LANES
D_REJECTED: Final = REJECTED * LANES
D_YEARS: Final = (STATE + 0) * LANES
D_HOLD: Final = (STATE + 1) * LANES  # 1: no order
D_SHRINK: Final = (STATE + 2) * LANES
D_SCALE: Final = (STATE + 3) * LANES
D_KEEP: Final = (STATE + 4) * LANES
D_BEFORE: Final = (STATE + 5) * LANES  # V at bar t
D_DEAD: Final = (STATE + 6) * LANES  # 1: to be liquidated
D_RATIO: Final = (STATE + 7) * LANES  # V' / V as a reward sees it
D_INVERSE: Final = (STATE + 8) * LANES  # 1 / V at bar t + 1
D_DEPTH: Final = (STATE + 9) * LANES  # V / peak - 1 at bar t
D_DEEPER: Final = (STATE + 10) * LANES  # V' over the same peak, less 1, never positive
D_SUMS: Final = (STATE + 11) * LANES  # all below are sums over symbols
D_ASKED: Final = (STATE + 11) * LANES
D_TARGET: Final = (STATE + 12) * LANES
D_ESTIMATE: Final = (STATE + 13) * LANES
D_HELD: Final = (STATE + 14) * LANES
D_PRESSURE: Final = (STATE + 15) * LANES
D_KEPT: Final = (STATE + 16) * LANES
D_PAID: Final = (STATE + 17) * LANES
D_VALUE: Final = (STATE + 18) * LANES
D_MARKED: Final = (STATE + 19) * LANES  # gross value at bar t + 1
DESK: Final = (STATE + 20) * LANES

DISABLED: Final = 0  # autoreset modes, as in gymnasium.vector.AutoresetMode
NEXT_STEP: Final = 1
SAME_STEP: Final = 2

ACCOUNT_CLIP: Final = 100.0  # bound of the account part of an observation
RATIO_FLOOR: Final = 1e-6  # least V' / V that a reward sees: ruin costs log(1e-6), not minus infinity


@compiled
def load(
    years: Float64, units: Float64, state: Float64, first: int, count: int, when: Int64, places: Int64,
    cells: Float64, desk: Float64,
) -> None:  # fmt: skip
    """Lay `count` accounts side by side: account `first + e`, deciding at the close of bar `when[e]`, in lane e.

    `places[e]` receives where the lane's records of that bar begin.
    """
    assets = units.shape[0]
    for e in range(count):
        places[e] = when[e] * assets * FIELDS
        desk[D_YEARS + e] = years[when[e] + 1]
        desk[D_HOLD + e] = 0.0
    for n in range(D_TRADED, D_YEARS):
        desk[n] = 0.0
    for n in range(D_SUMS, DESK):
        desk[n] = 0.0
    row_length = units.shape[1]
    if count == LANES:
        for row in range(COST_FACTOR + 1):
            tiles.move(state, row * row_length + first, desk, row * LANES, LANES)
        for a in range(assets):
            tiles.move(units, a * row_length + first, cells, a * CELL + UNITS, LANES)
    else:
        for e in range(count):
            i = first + e
            for row in range(COST_FACTOR + 1):
                desk[row * LANES + e] = state[row, i]
            for a in range(assets):
                cells[a * CELL + UNITS + e] = units[a, i]


@compiled
def ask(actions: Float32, first: int, count: int, cells: Float64, pad: Float64) -> None:
    """Lay the target weights `actions[first + e]` into lane e."""
    assets = actions.shape[1]
    if count == LANES:
        for e in range(LANES):
            wish = actions[first + e]
            for a in range(assets):
                pad[e * assets + a] = wish[a]
        for a in range(0, assets, tiles.TILE):
            for e in range(0, LANES, tiles.TILE):
                tiles.turn(pad, e * assets + a, assets, cells, a * CELL + WISH + e, CELL)
    else:
        for e in range(count):
            wish = actions[first + e]
            for a in range(assets):
                cells[a * CELL + WISH + e] = wish[a]


@compiled
def project(rules: Float64, cells: Float64, desk: Float64, assets: int, width: int) -> None:
    """Make the weights in WISH allowed, and count in D_REJECTED those that were not finite (they become 0).

    Each is clipped to +-max_weight (to [0, max_weight] when long only); if their absolute sum is above `max_gross`,
    all are scaled down to it.
    """
    limit = rules[MAX_GROSS]
    high = rules[MAX_WEIGHT]
    low = 0.0 if rules[LONG_ONLY] > 0.0 else -high
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        for e in range(width):
            w = c[WISH + e]
            finite = abs(w) < math.inf
            w = min(max(w, low), high) if finite else 0.0
            c[WISH + e] = w
            desk[D_ASKED + e] += abs(w)
            desk[D_REJECTED + e] += 0.0 if finite else 1.0
    for e in range(width):
        gross = desk[D_ASKED + e]
        desk[D_SHRINK + e] = limit / gross if gross > limit else 1.0
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        for e in range(width):
            c[WISH + e] *= desk[D_SHRINK + e]


@compiled
def lay(records: Float64, places: Int64, a: int, count: int, cells: Float64) -> None:
    """Lay what the step needs of symbol a into the lanes."""
    if count == LANES:
        for e in range(0, LANES, tiles.TILE):
            tiles.gather(records, places, e, a * FIELDS, cells, a * CELL + MARK_NOW + e, LANES)
    else:
        for e in range(count):
            record = records[places[e] + a * FIELDS : places[e] + (a + 1) * FIELDS]
            for n in range(FIELDS):
                cells[a * CELL + MARK_NOW + n * LANES + e] = record[n]


@compiled
def size(
    records: Float64, places: Int64, rules: Float64, cells: Float64, desk: Float64, assets: int, count: int, width: int
) -> None:
    """Size orders at the close of bar t: find the D_SCALE of what trades and the D_KEEP of what does not.

    A symbol trades where it has a positive price and its change of weight reaches `min_trade_weight`; its target is
    `scale * w V / p` units. Others keep `keep` times their units, usually all.

    With G = sum |w V| of the symbols that trade, K the gross value of the others and c(s) the estimated cost of
    reaching s w V, the largest s with f(s) = K + s G + L (c(s) - V) <= 0 is sought. c is convex, so the chord of f
    between 0 and 1 lies above it and its root is on the safe side. c(0) is bounded from above by taking every impact
    at the whole gross. Where K alone leaves no room, `_fold` scales the symbols below `min_trade_weight` too.

    A symbol's records are laid just before they are read, while they are near.
    """
    limit = rules[MAX_GROSS]
    rate = rules[RATE]
    impact = rules[IMPACT]
    least = rules[MIN_TRADE]
    for a in range(assets):
        lay(records, places, a, count, cells)
        c = cells[a * CELL : (a + 1) * CELL]
        for e in range(width):
            value = c[UNITS + e] * c[MARK_NOW + e]
            x = c[WISH + e] * desk[D_EQUITY + e]
            d = abs(x - value)
            k = impact * desk[D_FACTOR + e] * c[IMPACT_NOW + e]
            held = abs(value)
            trades = (c[INVERSE_NOW + e] > 0.0) & (d >= least * desk[D_EQUITY + e])
            desk[D_TARGET + e] += abs(x) if trades else 0.0
            desk[D_ESTIMATE + e] += d * (rate * desk[D_FACTOR + e] + k * math.sqrt(d)) if trades else 0.0
            desk[D_HELD + e] += held if trades else 0.0
            desk[D_PRESSURE + e] += k * held if trades else 0.0
            desk[D_KEPT + e] += 0.0 if trades else held
    for e in range(width):
        closing = rate * desk[D_FACTOR + e] * desk[D_HELD + e] + desk[D_PRESSURE + e] * math.sqrt(desk[D_HELD + e])
        room = limit * (desk[D_EQUITY + e] - closing) - desk[D_KEPT + e]
        whole = desk[D_TARGET + e] + limit * (desk[D_ESTIMATE + e] - closing)
        fits = whole <= room
        desk[D_SCALE + e] = 1.0 if fits else room / whole
        desk[D_KEEP + e] = 1.0
    for e in range(count):
        if desk[D_HOLD + e] == 0.0 and not desk[D_SCALE + e] > 0.0:
            _fold(rules, cells, desk, assets, e)


@compiled
def _fold(rules: Float64, cells: Float64, desk: Float64, assets: int, e: int) -> None:
    """Scale lane e as one: what is kept leaves no room for what trades. Only what has no price stays as it is."""
    limit = rules[MAX_GROSS]
    fixed = 0.0
    held = 0.0
    pressure = 0.0
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        value = abs(c[UNITS + e] * c[MARK_NOW + e])
        if c[INVERSE_NOW + e] > 0.0:
            held += value
            pressure += rules[IMPACT] * desk[D_FACTOR + e] * c[IMPACT_NOW + e] * value
        else:
            fixed += value
    closing = rules[RATE] * desk[D_FACTOR + e] * held + pressure * math.sqrt(held)
    room = max(0.0, limit * (desk[D_EQUITY + e] - closing) - fixed)
    whole = desk[D_TARGET + e] + desk[D_KEPT + e] - fixed + limit * (desk[D_ESTIMATE + e] - closing)
    scale = min(1.0, room / whole) if whole > 0.0 else 0.0
    desk[D_SCALE + e] = scale
    desk[D_KEEP + e] = scale


@compiled
def fill(rules: Float64, lots: Float64, cells: Float64, desk: Float64, assets: int, width: int) -> None:
    """Fill the orders within bar t + 1, move the units and add up what that cost.

    An order that bar t + 1 cannot fill lapses; none takes more than `participation` of the bar's volume; targets are
    rounded toward zero to whole lots where the symbol has them.
    """
    rate = rules[RATE]
    impact = rules[IMPACT]
    share = rules[PARTICIPATION]
    least = rules[MIN_TRADE]
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        lot = lots[a]
        for e in range(width):
            before = c[UNITS + e]
            x = c[WISH + e] * desk[D_EQUITY + e]
            moves = (abs(x - before * c[MARK_NOW + e]) >= least * desk[D_EQUITY + e]) & (desk[D_HOLD + e] == 0.0)
            inverse = c[INVERSE_NOW + e]
            goal = desk[D_SCALE + e] * x * inverse if moves else desk[D_KEEP + e] * before
            c[GOAL + e] = goal if (inverse > 0.0) & (c[PRICE + e] > 0.0) else before
            c[MOST + e] = share * c[VOLUME_THEN + e]
        if lot > 0.0:
            for e in range(width):
                goal = c[GOAL + e]
                c[GOAL + e] = goal if goal == c[UNITS + e] else _whole(goal, lot)
                c[MOST + e] = _whole(c[MOST + e], lot)
        for e in range(width):
            before = c[UNITS + e]
            price = c[PRICE + e]
            du = min(max(c[GOAL + e] - before, -c[MOST + e]), c[MOST + e])
            value = du * price
            order = abs(value)
            after = before + du
            mark = after * c[MARK_THEN + e]
            cost = order * (rate + impact * c[IMPACT_THEN + e] * math.sqrt(order)) * desk[D_FACTOR + e]
            c[UNITS + e] = after
            c[FILLED + e] = du
            c[FEE + e] = cost
            desk[D_EARNED + e] += before * c[INCOME_THEN + e]
            desk[D_PAID + e] += value
            desk[D_COSTS + e] += cost
            desk[D_TRADED + e] += order
            desk[D_VALUE + e] += mark
            desk[D_MARKED + e] += abs(mark)


@compiled
def _whole(units: float, lot: float) -> float:
    """Return the units rounded toward zero to whole lots; a billionth of a lot short counts as a whole one."""
    count = units / lot
    return float(np.trunc(count + math.copysign(1e-9, count)) * lot)


@compiled
def settle(rules: Float64, desk: Float64, width: int) -> None:
    """Charge the night after bar t and bring cash, equity and gross value to the close of t + 1.

    The night costs carry on the net value, and either borrow, margin interest and cash interest, or, for a margined
    account, nothing but the interest that its whole equity earns.
    """
    margined = rules[MARGINED] > 0.0
    for e in range(width):
        cash = desk[D_CASH + e]
        equity = desk[D_EQUITY + e]
        factor = desk[D_FACTOR + e]
        net = equity - cash
        short = max(0.5 * (desk[D_GROSS + e] - net), 0.0)
        interest = rules[MARGIN] * factor * max(-cash, 0.0) - rules[CASH_RATE] * max(cash, 0.0)
        own = rules[BORROW] * factor * short + interest
        posted = -rules[CASH_RATE] * max(equity, 0.0)
        night = (rules[CARRY] * net + (posted if margined else own)) * desk[D_YEARS + e]
        cash = cash - night - desk[D_PAID + e] + desk[D_EARNED + e] - desk[D_COSTS + e]
        desk[D_BEFORE + e] = equity
        desk[D_FINANCING + e] = night
        desk[D_CASH + e] = cash
        desk[D_EQUITY + e] = desk[D_VALUE + e] + cash
        desk[D_GROSS + e] = desk[D_MARKED + e]


@compiled
def trade(
    bars: Float64, records: Float64, rules: Float64, lots: Float64, when: Int64, places: Int64, count: int,
    cells: Float64, desk: Float64, closed: Float64,
) -> None:  # fmt: skip
    """Carry the accounts in the first `count` lanes from the close of bar t to the close of bar t + 1.

    Every account satisfies V' - V = sum(u dp) + income - costs - financing, with dp from mark to fill to mark. A
    constant width lets the compiler handle eight lanes in one instruction, and one account alone pay for one.
    """
    if count == 1:
        _trade(bars, records, rules, lots, when, places, count, 1, cells, desk, closed)
    else:
        _trade(bars, records, rules, lots, when, places, count, LANES, cells, desk, closed)


@compiled
def _trade(
    bars: Float64, records: Float64, rules: Float64, lots: Float64, when: Int64, places: Int64, count: int, width: int,
    cells: Float64, desk: Float64, closed: Float64,
) -> None:  # fmt: skip
    assets = lots.shape[0]
    project(rules, cells, desk, assets, width)
    size(records, places, rules, cells, desk, assets, count, width)
    fill(rules, lots, cells, desk, assets, width)
    settle(rules, desk, width)
    force(bars, rules, when, cells, desk, assets, count, width, closed)


@compiled
def force(
    bars: Float64, rules: Float64, when: Int64, cells: Float64, desk: Float64, assets: int, count: int, width: int,
    closed: Float64,
) -> None:  # fmt: skip
    """Close what the rules close by force at the close of t + 1, and mark in D_DEAD the accounts that it ends.

    Symbols that are struck off; then every position of an account below its maintenance margin. `closed` [2, A, LANES]
    receives the units and what closing them cost, and is not touched where there were none.
    """
    if rules[HAS_DELISTING] > 0.0:
        for e in range(count):
            _strike_off(bars, rules, when[e] + 1, e, cells, desk, assets, closed)
    for e in range(width):
        equity = desk[D_EQUITY + e]
        ends = (equity < rules[MAINTENANCE] * desk[D_GROSS + e]) | (equity <= 0.0)
        desk[D_DEAD + e] = 1.0 if ends else 0.0
    for e in range(count):
        if desk[D_DEAD + e] > 0.0:
            _liquidate(rules, e, cells, desk, assets, closed)


@compiled
def _strike_off(
    bars: Float64, rules: Float64, t: int, e: int, cells: Float64, desk: Float64, assets: int, closed: Float64
) -> None:
    """Close the positions of lane e in symbols that are struck off at bar t, at the last price less the haircut."""
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        if bars[t, DELISTED, a] > 0.0 and c[UNITS + e] != 0.0:
            mark = c[UNITS + e] * c[MARK_THEN + e]
            loss = abs(mark) * rules[HAIRCUT]
            closed[0, a, e] = -c[UNITS + e]
            closed[1, a, e] = loss
            desk[D_CASH + e] += mark - loss
            desk[D_COSTS + e] += loss
            desk[D_EQUITY + e] -= loss
            desk[D_GROSS + e] = max(desk[D_GROSS + e] - abs(mark), 0.0)
            c[UNITS + e] = 0.0


@compiled
def _liquidate(rules: Float64, e: int, cells: Float64, desk: Float64, assets: int, closed: Float64) -> None:
    """Close every position of lane e that bar t + 1 lets trade, at its close, for the usual rate and the penalty."""
    value = 0.0
    gross = 0.0
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        mark = c[UNITS + e] * c[MARK_THEN + e]
        if c[PRICE + e] > 0.0 and c[MARK_THEN + e] > 0.0:
            fee = abs(mark) * (rules[RATE] * desk[D_FACTOR + e] + rules[LIQUIDATION_FEE])
            closed[0, a, e] = -c[UNITS + e]
            closed[1, a, e] = fee
            desk[D_CASH + e] += mark - fee
            desk[D_COSTS + e] += fee
            desk[D_TRADED + e] += abs(mark)
            c[UNITS + e] = 0.0
        else:
            value += mark
            gross += abs(mark)
    desk[D_EQUITY + e] = desk[D_CASH + e] + value
    desk[D_GROSS + e] = gross


@compiled
def evaluate(rules: Float64, desk: Float64, width: int) -> None:
    """Reward the step from D_BEFORE to D_EQUITY: write D_CORE and D_PENALTY, their difference is the reward."""
    for e in range(width):
        peak = desk[D_PEAK + e]
        desk[D_RATIO + e] = max(desk[D_EQUITY + e] / max(desk[D_BEFORE + e], 1e-300), RATIO_FLOOR)
        desk[D_DEPTH + e] = desk[D_BEFORE + e] / peak - 1.0
        desk[D_DEEPER + e] = min(desk[D_EQUITY + e] / peak - 1.0, 0.0)
    for choice in literal_unroll(REWARDS):
        place, reward = choice
        if place == rules[REWARD]:
            for e in range(width):
                desk[D_CORE + e], desk[D_FIRST + e], desk[D_SECOND + e] = reward(
                    desk[D_RATIO + e], desk[D_DEPTH + e], desk[D_DEEPER + e], desk[D_FIRST + e], desk[D_SECOND + e], rules
                )  # fmt: skip
    for e in range(width):
        equity = desk[D_EQUITY + e]
        penalty = rules[TURNOVER_PENALTY] * desk[D_TRADED + e] / max(desk[D_BEFORE + e], 1e-300)
        desk[D_CORE + e] *= rules[REWARD_SCALE]
        desk[D_PENALTY + e] = penalty * rules[REWARD_SCALE]
        desk[D_PEAK + e] = max(desk[D_PEAK + e], equity)
        desk[D_CLOSING + e] = equity


@compiled
def store(units: Float64, state: Float64, first: int, count: int, idle: Flags, cells: Float64, desk: Float64) -> None:
    """Take the accounts out of their lanes, but for those that are idle: the other way of `load`."""
    assets, row_length = units.shape
    whole = count == LANES
    for e in range(count):
        whole = whole and not idle[e]
    if whole:
        for row in range(STATE):
            tiles.move(desk, row * LANES, state, row * row_length + first, LANES)
        for a in range(assets):
            tiles.move(cells, a * CELL + UNITS, units, a * row_length + first, LANES)
    else:
        for e in range(count):
            if not idle[e]:
                for row in range(STATE):
                    state[row, first + e] = desk[row * LANES + e]
                for a in range(assets):
                    units[a, first + e] = cells[a * CELL + UNITS + e]


@compiled
def picture(cells: Float64, desk: Float64, assets: int, width: int, pad: Float64, seen: Float64) -> None:
    """Write the account part of the lanes' observations at the close of t + 1: lane e from `seen[e * row]` on.

    `row` is A + 3, rounded up to whole tiles.
    """
    row = padded(assets + 3)
    for e in range(width):
        equity = desk[D_EQUITY + e]
        desk[D_INVERSE + e] = 1.0 / equity if equity > 0.0 else 0.0
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        p = pad[a * LANES : (a + 1) * LANES]
        for e in range(width):
            p[e] = _bound(c[UNITS + e] * c[MARK_THEN + e] * desk[D_INVERSE + e])
    p = pad[assets * LANES : (assets + 3) * LANES]
    for e in range(width):
        p[e] = _bound(desk[D_CASH + e] * desk[D_INVERSE + e])
        p[LANES + e] = _bound(min(desk[D_EQUITY + e] / desk[D_PEAK + e] - 1.0, 0.0))
        p[2 * LANES + e] = _bound(desk[D_GROSS + e] * desk[D_INVERSE + e])
    if width == 1:
        for j in range(assets + 3):
            seen[j] = pad[j * LANES]
    else:
        for j in range(0, row, tiles.TILE):
            for e in range(0, LANES, tiles.TILE):
                tiles.turn(pad, j * LANES + e, LANES, seen, e * row + j, row)


@compiled
def recall(seen: Float64, first: int, obs: Float32, at: int, count: int) -> None:
    """Copy the account part of one observation into its place, the last tile over the end of the one before it."""
    if count < tiles.TILE:
        for j in range(count):
            obs[at // obs.shape[1], at % obs.shape[1] + j] = seen[first + j]
    else:
        for j in range(0, count - tiles.TILE, tiles.TILE):
            tiles.narrow(seen, first + j, obs, at + j)
        last = count - tiles.TILE
        tiles.narrow(seen, first + last, obs, at + last)


@compiled
def padded(count: int) -> int:
    """Return the count rounded up to whole tiles."""
    return (count + tiles.TILE - 1) // tiles.TILE * tiles.TILE


@compiled
def observe(
    bars: Float64, features: Float32, copies: Int64, units: Float64, state: Float64, t: int, i: int, out: Float32,
    row: int,
) -> None:  # fmt: skip
    """Write the observation at the close of bar t: features, then weights, cash share, drawdown, leverage."""
    at = show(features, copies, t, out, row)
    assets = units.shape[0]
    account = out[row, at : at + assets + 3]
    equity = state[EQUITY, i]
    inverse = 1.0 / equity if equity > 0.0 else 0.0
    for a in range(assets):
        account[a] = _bound(units[a, i] * bars[t, MARK, a] * inverse)
    account[assets] = _bound(state[CASH, i] * inverse)
    account[assets + 1] = _bound(min(equity / state[PEAK, i] - 1.0, 0.0))
    account[assets + 2] = _bound(state[GROSS, i] * inverse)


@compiled
def show(features: Float32, copies: Int64, t: int, out: Float32, row: int) -> int:
    """Write the features that are seen at bar t and return how many.

    `features` is flat; `copies` = (blocks, block length, distance between blocks, distance between bars, window).
    """
    blocks, length, apart, stride, window = copies[0], copies[1], copies[2], copies[3], copies[4]
    source = (t - window + 1) * stride
    at = 0
    begin = row * out.shape[1]
    for _ in range(blocks):
        tiles.move(features, source, out, begin + at, length)
        at += length
        source += apart
    return at


@compiled
def _bound(value: float) -> float:
    return min(max(value, -ACCOUNT_CLIP), ACCOUNT_CLIP)


@compiled
def uniform(rng: UInt64, i: int) -> float:
    """Return the next number of stream i in [0, 1): SplitMix64 (Steele, Lea and Flood 2014), 53 bits."""
    rng[i] = rng[i] + np.uint64(0x9E3779B97F4A7C15)
    z = rng[i]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def restart(
    rules: Float64, starts: Int64, length: int, anywhere: bool, units: Float64, state: Float64, clock: Int64,
    rng: UInt64, i: int,
) -> None:  # fmt: skip
    """Begin an episode in environment i: where and at what cost factor is drawn from its own stream.

    With `anywhere`, every possible first bar of every segment is equally likely; otherwise the segments take turns,
    each from its first bar. `length` bars are played, or to the end of the segment, whichever comes first; 0 means
    to the end.
    """
    row = 0
    if anywhere:
        total = 0
        for s in range(starts.shape[0]):
            total += starts[s, CHOICES]
        pick = min(int(uniform(rng, i) * total), total - 1)
        while pick >= starts[row, CHOICES]:
            pick -= starts[row, CHOICES]
            row += 1
        first = starts[row, FIRST] + pick
    else:
        row = clock[EPISODE, i] % starts.shape[0]
        first = starts[row, FIRST]
    last = starts[row, STOP]
    if length > 0:
        last = min(last, first + length)
    factor = 1.0
    if rules[LOG_FACTOR_HIGH] > rules[LOG_FACTOR_LOW]:
        span = rules[LOG_FACTOR_HIGH] - rules[LOG_FACTOR_LOW]
        factor = math.exp(rules[LOG_FACTOR_LOW] + span * uniform(rng, i))
    elif rules[LOG_FACTOR_LOW] != 0.0:
        factor = math.exp(rules[LOG_FACTOR_LOW])
    clock[BAR, i] = first
    clock[LAST, i] = last
    clock[DONE, i] = 0
    clock[EPISODE, i] += 1
    open_account(rules, units, state, i, factor)


@compiled
def open_account(rules: Float64, units: Float64, state: Float64, i: int, factor: float) -> None:
    """Put account i in its first state: the initial cash and nothing else."""
    for a in range(units.shape[0]):
        units[a, i] = 0.0
    state[GROSS, i] = 0.0
    state[FIRST_MOMENT, i] = 0.0
    state[SECOND_MOMENT, i] = 0.0
    state[CASH, i] = rules[INITIAL_CASH]
    state[EQUITY, i] = rules[INITIAL_CASH]
    state[PEAK, i] = rules[INITIAL_CASH]
    state[COST_FACTOR, i] = factor


@compiled
def forget_step(state: Float64, i: int) -> None:
    """Clear what the last step left in the report of environment i."""
    for row in range(TRADED, STATE):
        state[row, i] = 0.0
    state[CLOSING, i] = state[EQUITY, i]


@compiled
def reset_batch(
    bars: Float64, features: Float32, copies: Int64, rules: Float64, starts: Int64, length: int, anywhere: bool,
    units: Float64, state: Float64, clock: Int64, rng: UInt64, mask: Flags, obs: Float32,
) -> None:  # fmt: skip
    """Restart every environment whose mask is set and write its first observation."""
    for i in range(clock.shape[1]):
        if mask[i]:
            restart(rules, starts, length, anywhere, units, state, clock, rng, i)
            forget_step(state, i)
            observe(bars, features, copies, units, state, clock[BAR, i], i, obs, i)


@compiled
def step_batch(
    bars: Float64, records: Float64, features: Float32, years: Float64, lots: Float64, rules: Float64, copies: Int64,
    starts: Int64, length: int, anywhere: bool, mode: int, units: Float64, state: Float64, clock: Int64, rng: UInt64,
    cells: Float64, desk: Float64, pad: Float64, seen: Float64, closed: Float64, when: Int64, places: Int64, idle: Flags,
    actions: Float32, obs: Float32, reward: Float32, terminated: Flags, truncated: Flags, final_obs: Float32,
    strict: bool,
) -> int:  # fmt: skip
    """Step every environment by one bar, in place; see `PortfolioVectorEnv.step_into` for what is written where.

    With `strict`, return the index of the first environment whose action is not finite, having changed nothing;
    otherwise return -1.
    """
    bars = tiles.bare(bars)
    records = tiles.bare(records)
    features = tiles.bare(features)
    years = tiles.bare(years)
    lots = tiles.bare(lots)
    rules = tiles.bare(rules)
    copies = tiles.bare(copies)
    starts = tiles.bare(starts)
    units = tiles.bare(units)
    state = tiles.bare(state)
    clock = tiles.bare(clock)
    rng = tiles.bare(rng)
    cells = tiles.bare(cells)
    desk = tiles.bare(desk)
    pad = tiles.bare(pad)
    seen = tiles.bare(seen)
    closed = tiles.bare(closed)
    idle = tiles.bare(idle)
    when = tiles.bare(when)
    places = tiles.bare(places)
    actions = tiles.bare(actions)
    obs = tiles.bare(obs)
    reward = tiles.bare(reward)
    terminated = tiles.bare(terminated)
    truncated = tiles.bare(truncated)
    final_obs = tiles.bare(final_obs)
    assets = units.shape[0]
    row = padded(assets + 3)
    envs = clock.shape[1]
    if strict:
        for i in range(envs):
            for a in range(assets):
                if not abs(actions[i, a]) < math.inf:
                    return i
    for base in range(0, envs, LANES):
        count = min(LANES, envs - base)
        resting = 0
        for e in range(count):
            resting += clock[DONE, base + e]
        for e in range(count):
            when[e] = clock[BAR, base + e]
            idle[e] = False
        if resting > 0:
            for e in range(count):
                n = base + e
                if clock[DONE, n] > 0:
                    idle[e] = True
                    when[e] = max(clock[BAR, n] - 1, 0)  # no step begins at the last bar; this one is not kept
                    reward[n] = 0.0
                    if mode == NEXT_STEP:
                        restart(rules, starts, length, anywhere, units, state, clock, rng, n)
                        forget_step(state, n)
                        observe(bars, features, copies, units, state, clock[BAR, n], n, obs, n)
                        terminated[n] = False
                        truncated[n] = False
        if resting == count:
            continue
        load(years, units, state, base, count, when, places, cells, desk)
        ask(actions, base, count, cells, pad)
        trade(bars, records, rules, lots, when, places, count, cells, desk, closed)
        if count == 1:
            evaluate(rules, desk, 1)
            picture(cells, desk, assets, 1, pad, seen)
        else:
            evaluate(rules, desk, LANES)
            picture(cells, desk, assets, LANES, pad, seen)
        store(units, state, base, count, idle, cells, desk)
        for e in range(count):
            if idle[e]:
                continue
            n = base + e
            t = when[e] + 1
            dead = desk[D_DEAD + e] > 0.0
            ended = t >= clock[LAST, n]
            reward[n] = desk[D_CORE + e] - desk[D_PENALTY + e]
            clock[BAR, n] = t
            terminated[n] = dead
            truncated[n] = ended and not dead
            begins = False
            if dead or ended:
                clock[DONE, n] = 1
                begins = mode == SAME_STEP
            if begins:
                if final_obs.shape[0] > 0:
                    at = show(features, copies, t, final_obs, n)
                    recall(seen, e * row, final_obs, n * final_obs.shape[1] + at, assets + 3)
                restart(rules, starts, length, anywhere, units, state, clock, rng, n)
                observe(bars, features, copies, units, state, clock[BAR, n], n, obs, n)
            else:
                at = show(features, copies, t, obs, n)
                recall(seen, e * row, obs, n * obs.shape[1] + at, assets + 3)
    return -1


@compiled
def walk(
    bars: Float64, records: Float64, years: Float64, lots: Float64, rules: Float64, targets: Float64, hold: Flags,
    offset: int, start: int, first: int, last: int, units: Float64, state: Float64, cells: Float64, desk: Float64,
    pad: Float64, seen: Float64, closed: Float64, when: Int64, places: Int64, idle: Flags, alive: Flags, equity: Float64,
    weights: Float64, projected: Float64, ledger: Float64, fills: Float64,
) -> None:  # fmt: skip
    """Walk every path from the close of bar `first` to the close of bar `last`, following `targets`.

    `targets[P or 1, rows, A]`, `hold[P or 1, rows]`: row t - offset is the decision at the close of bar t; one entry
    serves all paths. Bar `start` is the window's first, whose equity is written at index 0. Written:
    `equity[P, n + 1]`, and, unless their first length is 0, `weights[P, n + 1, A]`, `projected[P, n, A]`,
    `ledger[P, n, 4]` (traded, costs, financing, income) and `fills[P, n, 4, A]` (units filled, cost, units closed by
    force, cost). A path that was liquidated asks for nothing but zero from then on.
    """
    assets = units.shape[0]
    paths = equity.shape[0]
    kept = ledger.shape[0] > 0
    for base in range(0, paths, LANES):
        count = min(LANES, paths - base)
        for e in range(count):
            idle[e] = False
            equity[base + e, first - start] = state[EQUITY, base + e]
        for t in range(first, last):
            n = t - start
            for e in range(count):
                when[e] = t
            load(years, units, state, base, count, when, places, cells, desk)
            for e in range(count):
                p = base + e
                source = p if targets.shape[0] > 1 else 0
                still = alive[p] and hold[p if hold.shape[0] > 1 else 0, t - offset]
                desk[D_HOLD + e] = 1.0 if still else 0.0
                for a in range(assets):
                    cells[a * CELL + WISH + e] = targets[source, t - offset, a] if alive[p] and not still else 0.0
            if kept:
                for a in range(assets):
                    for e in range(count):
                        closed[0, a, e] = 0.0
                        closed[1, a, e] = 0.0
            trade(bars, records, rules, lots, when, places, count, cells, desk, closed)
            for e in range(count):
                p = base + e
                value = desk[D_EQUITY + e]
                if desk[D_DEAD + e] > 0.0:
                    alive[p] = False
                desk[D_PEAK + e] = max(desk[D_PEAK + e], value)
                equity[p, n + 1] = value
                if kept:
                    ledger[p, n, 0] = desk[D_TRADED + e]
                    ledger[p, n, 1] = desk[D_COSTS + e]
                    ledger[p, n, 2] = desk[D_FINANCING + e]
                    ledger[p, n, 3] = desk[D_EARNED + e]
                    inverse = 1.0 / value if value > 0.0 else 0.0
                    held = desk[D_HOLD + e] > 0.0
                    for a in range(assets):
                        c = cells[a * CELL : (a + 1) * CELL]
                        fills[p, n, 0, a] = c[FILLED + e]
                        fills[p, n, 1, a] = c[FEE + e]
                        fills[p, n, 2, a] = closed[0, a, e]
                        fills[p, n, 3, a] = closed[1, a, e]
                        weights[p, n + 1, a] = c[UNITS + e] * c[MARK_THEN + e] * inverse
                        projected[p, n, a] = weights[p, n, a] if held else c[WISH + e]
            store(units, state, base, count, idle, cells, desk)
