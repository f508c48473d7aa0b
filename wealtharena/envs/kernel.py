"""The market kernel: every trading rule, once, compiled. Training, backtest and paper trading all step through it.

Read it from top to bottom: `load` (accounts side by side), `project` (actions to allowed weights), `size` (orders at
the close of bar t), `fill` (at bar t + 1), `settle` (the night between), `store` (delisting, liquidation), `evaluate`
(the reward), `observe`, `restart`, and the two loops over them: `step_batch` (many environments, one bar) and `walk`
(many paths, many bars).

Symbols: V equity, u units, p mark price in account currency, L `max_gross`, k cost rate a unit of traded value.
Arrays: T bars, A symbols, N environments, D floats an observation. Money is float64, observations are float32.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.envs.compiled import compiled
from wealtharena.envs.rewards.differential_sharpe import differential_sharpe
from wealtharena.envs.rewards.drawdown import drawdown
from wealtharena.envs.rewards.log_return import log_return
from wealtharena.envs.rewards.mean_variance import mean_variance

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

# `rules`: the EnvSpec as one vector of float64.
RATE: Final = 0  # commission and half spread, a unit of traded value
IMPACT: Final = 1
BORROW: Final = 2  # a year, as are the next three
MARGIN: Final = 3
CASH_RATE: Final = 4
CARRY: Final = 5
MAX_GROSS: Final = 6
MAX_WEIGHT: Final = 7
LONG_ONLY: Final = 8
MAINTENANCE: Final = 9
LIQUIDATION_FEE: Final = 10
PARTICIPATION: Final = 11  # infinite: no limit
HAIRCUT: Final = 12
MIN_TRADE: Final = 13
MARGINED: Final = 14
HAS_LOTS: Final = 15
HAS_DELISTING: Final = 16
REWARD: Final = 17  # code of envs/rewards
REWARD_SCALE: Final = 18
TURNOVER_PENALTY: Final = 19
ETA: Final = 20
RISK_AVERSION: Final = 21
DRAWDOWN_PENALTY: Final = 22
INITIAL_CASH: Final = 23
LOG_FACTOR_LOW: Final = 24  # range of the logarithm of the cost factor
LOG_FACTOR_HIGH: Final = 25
RULES: Final = 26

# Columns of `state[N, STATE]`.
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

# Columns of `clock[N, CLOCK]`.
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

# Accounts are traded LANES at a time, side by side, so that one instruction serves several of them; each lane is
# computed in the same order whatever stands in the others. Rows of `cells` [A * CELL], a block a symbol; `symbols`
# [A, CELL / LANES, LANES] is the same memory:
LANES: Final = 16
UNITS: Final = 0 * LANES
WISH: Final = 1 * LANES  # target weight
MARK_NOW: Final = 2 * LANES  # of bar t, where the order is sized
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

# Rows of `desk` [DESK], one for all symbols of an account.
D_EQUITY: Final = 0 * LANES
D_CASH: Final = 1 * LANES
D_FACTOR: Final = 2 * LANES
D_YEARS: Final = 3 * LANES
D_HOLD: Final = 4 * LANES  # 1: no order
D_SHRINK: Final = 5 * LANES
D_SCALE: Final = 6 * LANES
D_KEEP: Final = 7 * LANES
D_FINANCING: Final = 8 * LANES
D_SUMS: Final = 9 * LANES  # all below are sums over symbols
D_ASKED: Final = 9 * LANES
D_REJECTED: Final = 10 * LANES
D_NET: Final = 11 * LANES
D_SHORT: Final = 12 * LANES
D_TARGET: Final = 13 * LANES
D_ESTIMATE: Final = 14 * LANES
D_HELD: Final = 15 * LANES
D_PRESSURE: Final = 16 * LANES
D_KEPT: Final = 17 * LANES
D_EARNED: Final = 18 * LANES
D_PAID: Final = 19 * LANES
D_COSTS: Final = 20 * LANES
D_TRADED: Final = 21 * LANES
D_VALUE: Final = 22 * LANES
D_GROSS: Final = 23 * LANES
DESK: Final = 24 * LANES

DISABLED: Final = 0  # autoreset modes, as in gymnasium.vector.AutoresetMode
NEXT_STEP: Final = 1
SAME_STEP: Final = 2

ACCOUNT_CLIP: Final = 100.0  # bound of the account part of an observation
RATIO_FLOOR: Final = 1e-6  # least V' / V that a reward sees: ruin costs log(1e-6), not minus infinity


@compiled
def load(
    bars: Float64, years: Float64, units: Float64, state: Float64, who: Int64, when: Int64, count: int,
    symbols: Float64, desk: Float64,
) -> None:  # fmt: skip
    """Lay `count` accounts side by side: account `who[e]`, deciding at the close of bar `when[e]`, in lane e."""
    for e in range(count):
        i = who[e]
        t = when[e]
        for a in range(units.shape[1]):
            symbols[a, UNITS // LANES, e] = units[i, a]
            symbols[a, MARK_NOW // LANES, e] = bars[t, MARK, a]
            symbols[a, INVERSE_NOW // LANES, e] = bars[t, INVERSE, a]
            symbols[a, IMPACT_NOW // LANES, e] = bars[t, SIZING_IMPACT, a]
            symbols[a, PRICE // LANES, e] = bars[t + 1, FILL, a]
            symbols[a, IMPACT_THEN // LANES, e] = bars[t + 1, FILL_IMPACT, a]
            symbols[a, INCOME_THEN // LANES, e] = bars[t + 1, INCOME, a]
            symbols[a, VOLUME_THEN // LANES, e] = bars[t + 1, VOLUME, a]
            symbols[a, MARK_THEN // LANES, e] = bars[t + 1, MARK, a]
        desk[D_EQUITY + e] = state[i, EQUITY]
        desk[D_CASH + e] = state[i, CASH]
        desk[D_FACTOR + e] = state[i, COST_FACTOR]
        desk[D_YEARS + e] = years[t + 1]
        desk[D_HOLD + e] = 0.0
    for n in range(D_SUMS, DESK):
        desk[n] = 0.0


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
def size(rules: Float64, cells: Float64, desk: Float64, assets: int, count: int, width: int) -> None:
    """Size orders at the close of bar t: find the D_SCALE of what trades and the D_KEEP of what does not.

    A symbol trades where it has a positive price and its change of weight reaches `min_trade_weight`; its target is
    `scale * w V / p` units. Others keep `keep` times their units, usually all.

    With G = sum |w V| of the symbols that trade, K the gross value of the others and c(s) the estimated cost of
    reaching s w V, the largest s with f(s) = K + s G + L (c(s) - V) <= 0 is sought. c is convex, so the chord of f
    between 0 and 1 lies above it and its root is on the safe side. c(0) is bounded from above by taking every impact
    at the whole gross. Where K alone leaves no room, `_fold` scales the symbols below `min_trade_weight` too.
    """
    limit = rules[MAX_GROSS]
    rate = rules[RATE]
    impact = rules[IMPACT]
    least = rules[MIN_TRADE]
    for a in range(assets):
        c = cells[a * CELL : (a + 1) * CELL]
        for e in range(width):
            value = c[UNITS + e] * c[MARK_NOW + e]
            x = c[WISH + e] * desk[D_EQUITY + e]
            d = abs(x - value)
            k = impact * desk[D_FACTOR + e] * c[IMPACT_NOW + e]
            held = abs(value)
            trades = (c[INVERSE_NOW + e] > 0.0) & (d >= least * desk[D_EQUITY + e])
            desk[D_NET + e] += value
            desk[D_SHORT + e] += max(-value, 0.0)
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
            desk[D_GROSS + e] += abs(mark)


@compiled
def _whole(units: float, lot: float) -> float:
    """Return the units rounded toward zero to whole lots; a billionth of a lot short counts as a whole one."""
    count = units / lot
    return float(np.trunc(count + math.copysign(1e-9, count)) * lot)


@compiled
def settle(rules: Float64, desk: Float64, width: int) -> None:
    """Charge the night after bar t and bring cash and equity to the close of t + 1.

    The night costs carry on the net value, and either borrow, margin interest and cash interest, or, for a margined
    account, nothing but the interest that its whole equity earns.
    """
    margined = rules[MARGINED] > 0.0
    for e in range(width):
        cash = desk[D_CASH + e]
        factor = desk[D_FACTOR + e]
        interest = rules[MARGIN] * factor * max(-cash, 0.0) - rules[CASH_RATE] * max(cash, 0.0)
        own = rules[BORROW] * factor * desk[D_SHORT + e] + interest
        posted = -rules[CASH_RATE] * max(desk[D_EQUITY + e], 0.0)
        night = (rules[CARRY] * desk[D_NET + e] + (posted if margined else own)) * desk[D_YEARS + e]
        cash = cash - night - desk[D_PAID + e] + desk[D_EARNED + e] - desk[D_COSTS + e]
        desk[D_FINANCING + e] = night
        desk[D_CASH + e] = cash
        desk[D_VALUE + e] += cash


@compiled
def trade(rules: Float64, lots: Float64, cells: Float64, desk: Float64, assets: int, count: int) -> None:
    """Carry the accounts in the first `count` lanes from the close of bar t to the close of bar t + 1.

    Every account satisfies V' - V = sum(u dp) + income - costs - financing, with dp from mark to fill to mark. A
    constant width lets the compiler handle eight lanes in one instruction, and one account alone pay for one.
    """
    if count == 1:
        _trade(rules, lots, cells, desk, assets, count, 1)
    else:
        _trade(rules, lots, cells, desk, assets, count, LANES)


@compiled
def _trade(rules: Float64, lots: Float64, cells: Float64, desk: Float64, assets: int, count: int, width: int) -> None:
    project(rules, cells, desk, assets, width)
    size(rules, cells, desk, assets, count, width)
    fill(rules, lots, cells, desk, assets, width)
    settle(rules, desk, width)


@compiled
def store(
    bars: Float64, rules: Float64, units: Float64, state: Float64, t: int, i: int, e: int, symbols: Float64,
    desk: Float64, closed: Float64,
) -> bool:  # fmt: skip
    """Take account i out of lane e at the close of bar t + 1 and return whether it was liquidated.

    `closed` [2, A] receives units that were closed by force and what that cost, and is not touched where there were
    none: symbols that were struck off, and every position of an account below its maintenance margin.
    """
    for a in range(units.shape[1]):
        units[i, a] = symbols[a, UNITS // LANES, e]
    cash = desk[D_CASH + e]
    value = desk[D_VALUE + e]
    gross = desk[D_GROSS + e]
    costs = desk[D_COSTS + e]
    traded = desk[D_TRADED + e]
    if rules[HAS_DELISTING] > 0.0:
        held = value - cash
        cash, costs, held, gross = _strike_off(bars, rules, units, t + 1, i, closed, cash, costs, held, gross)
        value = cash + held
    dead = value < rules[MAINTENANCE] * gross or value <= 0.0
    if dead:
        cash, costs, traded, held, gross = _liquidate(
            bars, rules, units, t + 1, i, closed, desk[D_FACTOR + e], cash, costs, traded
        )
        value = cash + held
    state[i, CASH] = cash
    state[i, EQUITY] = value
    state[i, GROSS] = gross
    state[i, TRADED] = traded
    state[i, COSTS] = costs
    state[i, FINANCING] = desk[D_FINANCING + e]
    state[i, EARNED] = desk[D_EARNED + e]
    return bool(dead)


@compiled
def _strike_off(
    bars: Float64, rules: Float64, units: Float64, t: int, i: int, closed: Float64, cash: float, costs: float,
    value: float, gross: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Close positions in symbols that are struck off at bar t, at the last price less the haircut."""
    for a in range(units.shape[1]):
        if bars[t, DELISTED, a] > 0.0 and units[i, a] != 0.0:
            mark = units[i, a] * bars[t, MARK, a]
            loss = abs(mark) * rules[HAIRCUT]
            closed[0, a] = -units[i, a]
            closed[1, a] = loss
            cash += mark - loss
            costs += loss
            value -= mark
            gross -= abs(mark)
            units[i, a] = 0.0
    return cash, costs, value, max(gross, 0.0)


@compiled
def _liquidate(
    bars: Float64, rules: Float64, units: Float64, t: int, i: int, closed: Float64, factor: float, cash: float,
    costs: float, traded: float,
) -> tuple[float, float, float, float, float]:  # fmt: skip
    """Close every position that bar t lets trade, at its close, for the usual rate and the liquidation fee."""
    value = 0.0
    gross = 0.0
    for a in range(units.shape[1]):
        mark = units[i, a] * bars[t, MARK, a]
        if bars[t, FILL, a] > 0.0 and bars[t, MARK, a] > 0.0:
            fee = abs(mark) * (rules[RATE] * factor + rules[LIQUIDATION_FEE])
            closed[0, a] = -units[i, a]
            closed[1, a] = fee
            cash += mark - fee
            costs += fee
            traded += abs(mark)
            units[i, a] = 0.0
        else:
            value += mark
            gross += abs(mark)
    return cash, costs, traded, value, gross


@compiled
def evaluate(rules: Float64, state: Float64, i: int, before: float) -> float:
    """Return the reward of the step that took equity from `before` to the state's, and note its components."""
    after = state[i, EQUITY]
    safe = max(before, 1e-300)
    ratio = max(after / safe, RATIO_FLOOR)
    peak = state[i, PEAK]
    code = rules[REWARD]
    if code == 0.0:
        core = log_return(ratio)
    elif code == 1.0:
        core, first, second = differential_sharpe(ratio, state[i, FIRST_MOMENT], state[i, SECOND_MOMENT], rules[ETA])
        state[i, FIRST_MOMENT] = first
        state[i, SECOND_MOMENT] = second
    elif code == 2.0:
        core = mean_variance(ratio, rules[RISK_AVERSION])
    else:
        core = drawdown(ratio, before / peak - 1.0, min(after / peak - 1.0, 0.0), rules[DRAWDOWN_PENALTY])
    state[i, PEAK] = max(peak, after)
    penalty = rules[TURNOVER_PENALTY] * state[i, TRADED] / safe
    state[i, REWARD_CORE] = core * rules[REWARD_SCALE]
    state[i, REWARD_PENALTY] = penalty * rules[REWARD_SCALE]
    return float(state[i, REWARD_CORE] - state[i, REWARD_PENALTY])


@compiled
def observe(
    bars: Float64,
    features: Float32,
    copies: Int64,
    units: Float64,
    state: Float64,
    t: int,
    i: int,
    out: Float32,
    row: int,
) -> None:
    """Write the observation at the close of bar t: features, then weights, cash share, drawdown, leverage.

    `features` is flat; `copies` = (blocks, block length, distance between blocks, distance between bars, window).
    """
    blocks, length, apart, stride, window = copies[0], copies[1], copies[2], copies[3], copies[4]
    source = (t - window + 1) * stride
    at = 0
    for _ in range(blocks):
        # Slices, because an index that may be negative costs a test for every number copied.
        seen = features[source : source + length]
        written = out[row, at : at + length]
        for j in range(length):
            written[j] = seen[j]
        at += length
        source += apart
    assets = units.shape[1]
    account = out[row, at : at + assets + 3]
    equity = state[i, EQUITY]
    inverse = 1.0 / equity if equity > 0.0 else 0.0
    for a in range(assets):
        account[a] = _bound(units[i, a] * bars[t, MARK, a] * inverse)
    account[assets] = _bound(state[i, CASH] * inverse)
    account[assets + 1] = _bound(min(equity / state[i, PEAK] - 1.0, 0.0))
    account[assets + 2] = _bound(state[i, GROSS] * inverse)


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
        row = clock[i, EPISODE] % starts.shape[0]
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
    clock[i, BAR] = first
    clock[i, LAST] = last
    clock[i, DONE] = 0
    clock[i, EPISODE] += 1
    open_account(rules, units, state, i, factor)


@compiled
def open_account(rules: Float64, units: Float64, state: Float64, i: int, factor: float) -> None:
    """Put account i in its first state: the initial cash and nothing else."""
    for a in range(units.shape[1]):
        units[i, a] = 0.0
    state[i, GROSS] = 0.0
    state[i, FIRST_MOMENT] = 0.0
    state[i, SECOND_MOMENT] = 0.0
    state[i, CASH] = rules[INITIAL_CASH]
    state[i, EQUITY] = rules[INITIAL_CASH]
    state[i, PEAK] = rules[INITIAL_CASH]
    state[i, COST_FACTOR] = factor


@compiled
def forget_step(state: Float64, i: int) -> None:
    """Clear what the last step left in the report of environment i."""
    for c in range(TRADED, STATE):
        state[i, c] = 0.0
    state[i, CLOSING] = state[i, EQUITY]


@compiled
def reset_batch(
    bars: Float64, features: Float32, copies: Int64, rules: Float64, starts: Int64, length: int, anywhere: bool,
    units: Float64, state: Float64, clock: Int64, rng: UInt64, mask: Flags, obs: Float32,
) -> None:  # fmt: skip
    """Restart every environment whose mask is set and write its first observation."""
    for i in range(clock.shape[0]):
        if mask[i]:
            restart(rules, starts, length, anywhere, units, state, clock, rng, i)
            forget_step(state, i)
            observe(bars, features, copies, units, state, clock[i, BAR], i, obs, i)


@compiled
def step_batch(
    bars: Float64, features: Float32, years: Float64, lots: Float64, rules: Float64, copies: Int64, starts: Int64,
    length: int, anywhere: bool, mode: int, units: Float64, state: Float64, clock: Int64, rng: UInt64, cells: Float64,
    symbols: Float64, desk: Float64, closed: Float64, who: Int64, when: Int64, actions: Float32, obs: Float32, reward: Float32,
    terminated: Flags, truncated: Flags, final_obs: Float32, strict: bool,
) -> int:  # fmt: skip
    """Step every environment by one bar, in place; see `PortfolioVectorEnv.step_into` for what is written where.

    With `strict`, return the index of the first environment whose action is not finite, having changed nothing;
    otherwise return -1.
    """
    assets = units.shape[1]
    if strict:
        for i in range(clock.shape[0]):
            for a in range(assets):
                if not abs(actions[i, a]) < math.inf:
                    return i
    i = 0
    while i < clock.shape[0]:
        count = 0
        while count < LANES and i < clock.shape[0]:
            if clock[i, DONE] == 0:
                who[count] = i
                when[count] = clock[i, BAR]
                count += 1
            else:
                reward[i] = 0.0
                if mode == NEXT_STEP:
                    restart(rules, starts, length, anywhere, units, state, clock, rng, i)
                    forget_step(state, i)
                    observe(bars, features, copies, units, state, clock[i, BAR], i, obs, i)
                    terminated[i] = False
                    truncated[i] = False
            i += 1
        load(bars, years, units, state, who, when, count, symbols, desk)
        for e in range(count):
            for a in range(assets):
                symbols[a, WISH // LANES, e] = actions[who[e], a]
        trade(rules, lots, cells, desk, assets, count)
        for e in range(count):
            n = who[e]
            t = when[e] + 1
            before = state[n, EQUITY]
            dead = store(bars, rules, units, state, t - 1, n, e, symbols, desk, closed)
            state[n, REJECTED] = desk[D_REJECTED + e]
            state[n, CLOSING] = state[n, EQUITY]
            reward[n] = evaluate(rules, state, n, before)
            ended = t >= clock[n, LAST]
            clock[n, BAR] = t
            terminated[n] = dead
            truncated[n] = ended and not dead
            if dead or ended:
                clock[n, DONE] = 1
                if mode == SAME_STEP:
                    if final_obs.shape[0] > 0:
                        observe(bars, features, copies, units, state, t, n, final_obs, n)
                    restart(rules, starts, length, anywhere, units, state, clock, rng, n)
            observe(bars, features, copies, units, state, clock[n, BAR], n, obs, n)
    return -1


@compiled
def walk(
    bars: Float64, years: Float64, lots: Float64, rules: Float64, targets: Float64, hold: Flags, offset: int,
    start: int, first: int, last: int, units: Float64, state: Float64, cells: Float64, symbols: Float64, desk: Float64,
    closed: Float64, who: Int64, when: Int64, alive: Flags, equity: Float64, weights: Float64, projected: Float64, ledger: Float64,
    fills: Float64,
) -> None:  # fmt: skip
    """Walk every path from the close of bar `first` to the close of bar `last`, following `targets`.

    `targets[P or 1, rows, A]`, `hold[P or 1, rows]`: row t - offset is the decision at the close of bar t; one entry
    serves all paths. Bar `start` is the window's first, whose equity is written at index 0. Written:
    `equity[P, n + 1]`, and, unless their first length is 0, `weights[P, n + 1, A]`, `projected[P, n, A]`,
    `ledger[P, n, 4]` (traded, costs, financing, income) and `fills[P, n, 4, A]` (units filled, cost, units closed by
    force, cost). A path that was liquidated asks for nothing but zero from then on.
    """
    assets = units.shape[1]
    kept = ledger.shape[0] > 0
    for base in range(0, units.shape[0], LANES):
        count = min(LANES, units.shape[0] - base)
        for e in range(count):
            equity[base + e, first - start] = state[base + e, EQUITY]
        for t in range(first, last):
            n = t - start
            for e in range(count):
                who[e] = base + e
                when[e] = t
            load(bars, years, units, state, who, when, count, symbols, desk)
            for e in range(count):
                p = base + e
                source = p if targets.shape[0] > 1 else 0
                still = alive[p] and hold[p if hold.shape[0] > 1 else 0, t - offset]
                desk[D_HOLD + e] = 1.0 if still else 0.0
                for a in range(assets):
                    symbols[a, WISH // LANES, e] = targets[source, t - offset, a] if alive[p] and not still else 0.0
            trade(rules, lots, cells, desk, assets, count)
            for e in range(count):
                p = base + e
                for a in range(assets):
                    closed[0, a] = 0.0
                    closed[1, a] = 0.0
                if store(bars, rules, units, state, t, p, e, symbols, desk, closed):
                    alive[p] = False
                state[p, REJECTED] = desk[D_REJECTED + e]
                state[p, PEAK] = max(state[p, PEAK], state[p, EQUITY])
                equity[p, n + 1] = state[p, EQUITY]
                if kept:
                    ledger[p, n, 0] = state[p, TRADED]
                    ledger[p, n, 1] = state[p, COSTS]
                    ledger[p, n, 2] = state[p, FINANCING]
                    ledger[p, n, 3] = state[p, EARNED]
                    inverse = 1.0 / state[p, EQUITY] if state[p, EQUITY] > 0.0 else 0.0
                    for a in range(assets):
                        fills[p, n, 0, a] = symbols[a, FILLED // LANES, e]
                        fills[p, n, 1, a] = symbols[a, FEE // LANES, e]
                        fills[p, n, 2, a] = closed[0, a]
                        fills[p, n, 3, a] = closed[1, a]
                        weights[p, n + 1, a] = units[p, a] * bars[t + 1, MARK, a] * inverse
                        held = desk[D_HOLD + e] > 0.0
                        projected[p, n, a] = weights[p, n, a] if held else symbols[a, WISH // LANES, e]
