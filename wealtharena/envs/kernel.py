"""The market kernel: every trading rule, once, compiled. Training, backtest and paper trading all step through it.

Read it from top to bottom: `project` (actions to allowed weights), `trade` (sizing at the close of bar t, fill at bar
t + 1, holding costs of the night between, liquidation), `evaluate` (the reward), `observe`, `restart`, and the two
loops over them, `step_batch` (many environments, one bar) and `walk` (many paths, many bars).

Symbols: V equity, u units, p mark price in account currency, L `max_gross`, k cost rate a unit of traded value.
Arrays: T bars, A symbols, N environments, D floats an observation. Money is float64, observations are float32.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.envs.compiled import compiled, compiled_sums
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
REJECTED: Final = 13  # weights that were not finite
CLOSING: Final = 14  # equity at the end of the last step, kept over a restart
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

DISABLED: Final = 0  # autoreset modes, as in gymnasium.vector.AutoresetMode
NEXT_STEP: Final = 1
SAME_STEP: Final = 2

ACCOUNT_CLIP: Final = 100.0  # bound of the account part of an observation
RATIO_FLOOR: Final = 1e-6  # least V' / V that a reward sees: ruin costs log(1e-6), not minus infinity


@compiled_sums
def project(rules: Float64, wish: Float64) -> int:
    """Make the weights `wish` [A] allowed, in place, and return how many were not finite (they become 0).

    Each is clipped to +-max_weight (to [0, max_weight] when long only); if their absolute sum is above `max_gross`,
    all are scaled down to it.
    """
    high = rules[MAX_WEIGHT]
    low = 0.0 if rules[LONG_ONLY] > 0.0 else -high
    gross = 0.0
    rejected = 0
    for a in range(wish.shape[0]):
        w = wish[a]
        finite = abs(w) < math.inf
        w = min(max(w, low), high) if finite else 0.0
        rejected += 0 if finite else 1
        wish[a] = w
        gross += abs(w)
    if gross > rules[MAX_GROSS]:
        scale = rules[MAX_GROSS] / gross
        for a in range(wish.shape[0]):
            wish[a] *= scale
    return rejected


@compiled_sums
def size(
    bars: Float64, rules: Float64, units: Float64, t: int, i: int, equity: float, factor: float, wish: Float64,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Size orders at the close of bar t and return (scale, keep, short, net).

    A symbol trades where it has a positive price and its change of weight reaches `min_trade_weight`; its target is
    `scale * w V / p` units. Others keep `keep` times their units. `short` and `net` are the value of the short
    positions and of all positions at the close of t.

    With G = sum |w V| of the symbols that trade, K the gross value of the others and c(s) the estimated cost of
    reaching s w V, the largest s with f(s) = K + s G + L (c(s) - V) <= 0 is sought. c is convex, so the chord of f
    between 0 and 1 lies above it and its root is on the safe side. c(0) is bounded from above by taking every impact
    at the whole gross. Where K alone leaves no room, the symbols below `min_trade_weight` are scaled too.
    """
    rate = rules[RATE] * factor
    impact = rules[IMPACT] * factor
    limit = rules[MAX_GROSS]
    least = rules[MIN_TRADE] * equity
    kept_gross = 0.0
    target_gross = 0.0
    cost = 0.0
    gross = 0.0
    pressure = 0.0
    short = 0.0
    net = 0.0
    for a in range(units.shape[1]):
        value = units[i, a] * bars[t, MARK, a]
        x = wish[a] * equity
        d = abs(x - value)
        k = impact * bars[t, SIZING_IMPACT, a]
        size_now = abs(value)
        trades = (bars[t, INVERSE, a] > 0.0) & (d >= least)
        net += value
        short += max(-value, 0.0)
        target_gross += abs(x) if trades else 0.0
        cost += d * (rate + k * math.sqrt(d)) if trades else 0.0
        gross += size_now if trades else 0.0
        pressure += k * size_now if trades else 0.0
        kept_gross += 0.0 if trades else size_now
    if target_gross + kept_gross + limit * (cost - equity) <= 0.0:
        return 1.0, 1.0, short, net
    closing = rate * gross + pressure * math.sqrt(gross)
    room = limit * (equity - closing) - kept_gross
    if room > 0.0:
        return room / (target_gross + limit * (cost - closing)), 1.0, short, net
    fixed = 0.0  # without a price: no order can change it
    gross = 0.0
    pressure = 0.0
    for a in range(units.shape[1]):
        value = abs(units[i, a] * bars[t, MARK, a])
        trades = bars[t, INVERSE, a] > 0.0
        fixed += 0.0 if trades else value
        gross += value if trades else 0.0
        pressure += impact * bars[t, SIZING_IMPACT, a] * value if trades else 0.0
    closing = rate * gross + pressure * math.sqrt(gross)
    room = max(0.0, limit * (equity - closing) - fixed)
    whole = target_gross + kept_gross - fixed + limit * (cost - closing)
    scale = min(1.0, room / whole) if whole > 0.0 else 0.0
    return scale, scale, short, net


@compiled_sums
def fill(
    bars: Float64, rules: Float64, lots: Float64, units: Float64, t: int, i: int, equity: float, factor: float,
    wish: Float64, scale: float, keep: float,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """Fill the orders sized at the close of t within bar t + 1 and move the units.

    Return (paid, costs, traded, income, value, gross): what the units cost, what trading them cost, their absolute
    value, income of the units held before, and the net and gross value of the new units at the close of t + 1.
    An order that bar t + 1 cannot fill lapses; none takes more than `participation` of the bar's volume.
    """
    rate = rules[RATE] * factor
    impact = rules[IMPACT] * factor
    share = rules[PARTICIPATION]
    least = rules[MIN_TRADE] * equity
    whole_lots = rules[HAS_LOTS] > 0.0
    paid = 0.0
    costs = 0.0
    traded = 0.0
    income = 0.0
    value_after = 0.0
    gross_after = 0.0
    for a in range(units.shape[1]):
        before = units[i, a]
        inverse = bars[t, INVERSE, a]
        x = wish[a] * equity
        trades = abs(x - before * bars[t, MARK, a]) >= least
        target = scale * x * inverse if trades else keep * before
        if whole_lots and (trades or keep < 1.0):
            target = _whole(target, lots[a])
        price = bars[t + 1, FILL, a]
        most = share * bars[t + 1, VOLUME, a]
        du = min(max(target - before, -most), most)
        if whole_lots and abs(du) == most:
            du = _whole(du, lots[a])
        du = du if (price > 0.0) & (inverse > 0.0) else 0.0
        value = du * price
        order = abs(value)
        after = before + du
        mark = after * bars[t + 1, MARK, a]
        income += before * bars[t + 1, INCOME, a]
        paid += value
        costs += order * (rate + impact * bars[t + 1, FILL_IMPACT, a] * math.sqrt(order))
        traded += order
        value_after += mark
        gross_after += abs(mark)
        units[i, a] = after
    return paid, costs, traded, income, value_after, gross_after


@compiled_sums
def keep_all(bars: Float64, units: Float64, t: int, i: int) -> tuple[float, float, float, float, float]:
    """Return (short, net, income, value, gross) of an account that gives no order at bar t."""
    short = 0.0
    net = 0.0
    income = 0.0
    value_after = 0.0
    gross_after = 0.0
    for a in range(units.shape[1]):
        u = units[i, a]
        value = u * bars[t, MARK, a]
        mark = u * bars[t + 1, MARK, a]
        net += value
        short += max(-value, 0.0)
        income += u * bars[t + 1, INCOME, a]
        value_after += mark
        gross_after += abs(mark)
    return short, net, income, value_after, gross_after


@compiled
def trade(
    bars: Float64, years: Float64, rules: Float64, lots: Float64, units: Float64, state: Float64, t: int, i: int,
    hold: bool, wish: Float64, closed: Float64,
) -> bool:  # fmt: skip
    """Carry account i from the close of bar t to the close of bar t + 1 and return whether it was liquidated.

    `wish` [A] are target weights, projected already; with `hold` no order is given. `closed` [2, A] receives units that
    were closed by force and what that cost, and is not touched where there were none. The account satisfies
    V' - V = sum(u dp) + income - costs - financing, where dp runs from mark to fill to mark.
    """
    equity = state[i, EQUITY]
    factor = state[i, COST_FACTOR]
    if hold:
        paid, costs, traded = 0.0, 0.0, 0.0
        short, net, income, value_after, gross_after = keep_all(bars, units, t, i)
    else:
        scale, keep, short, net = size(bars, rules, units, t, i, equity, factor, wish)
        paid, costs, traded, income, value_after, gross_after = fill(
            bars, rules, lots, units, t, i, equity, factor, wish, scale, keep
        )
    financing = _financing(rules, years[t + 1], state[i, CASH], equity, short, net, factor)
    cash = state[i, CASH] - financing - paid + income - costs
    if rules[HAS_DELISTING] > 0.0:
        cash, costs, value_after, gross_after = _strike_off(
            bars, rules, units, t + 1, i, closed, cash, costs, value_after, gross_after
        )
    value = cash + value_after
    dead = value < rules[MAINTENANCE] * gross_after or value <= 0.0
    if dead:
        cash, costs, traded, value_after, gross_after = _liquidate(
            bars, rules, units, t + 1, i, closed, factor, cash, costs, traded
        )
        value = cash + value_after
    state[i, CASH] = cash
    state[i, EQUITY] = value
    state[i, GROSS] = gross_after
    state[i, TRADED] = traded
    state[i, COSTS] = costs
    state[i, FINANCING] = financing
    state[i, EARNED] = income
    return dead


@compiled
def _whole(target: float, lot: float) -> float:
    """Return the target rounded toward zero to whole lots; a billionth of a lot short counts as a whole one."""
    if lot <= 0.0:
        return target
    count = target / lot
    return math.trunc(count + math.copysign(1e-9, count)) * lot


@compiled
def _financing(
    rules: Float64, years: float, cash: float, equity: float, short: float, net: float, factor: float
) -> float:
    """Return what the night after bar t costs: carry, and either interest on a margin account's equity or
    borrow, margin interest and cash interest of a cash account. Negative where interest earned is larger.
    """
    cost = rules[CARRY] * net
    if rules[MARGINED] > 0.0:
        cost -= rules[CASH_RATE] * max(equity, 0.0)
    else:
        cost += rules[BORROW] * factor * short
        cost += rules[MARGIN] * factor * max(-cash, 0.0) - rules[CASH_RATE] * max(cash, 0.0)
    return float(cost * years)


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
    length: int, anywhere: bool, mode: int, units: Float64, state: Float64, clock: Int64, rng: UInt64,
    wish: Float64, closed: Float64, actions: Float32, obs: Float32, reward: Float32, terminated: Flags, truncated: Flags,
    final_obs: Float32, strict: bool,
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
    for i in range(clock.shape[0]):
        if clock[i, DONE] == 1:
            reward[i] = 0.0
            if mode == NEXT_STEP:
                restart(rules, starts, length, anywhere, units, state, clock, rng, i)
                forget_step(state, i)
                observe(bars, features, copies, units, state, clock[i, BAR], i, obs, i)
                terminated[i] = False
                truncated[i] = False
            continue
        t = clock[i, BAR]
        for a in range(assets):
            wish[a] = actions[i, a]
        state[i, REJECTED] = project(rules, wish)
        before = state[i, EQUITY]
        dead = trade(bars, years, rules, lots, units, state, t, i, False, wish, closed)
        reward[i] = evaluate(rules, state, i, before)
        state[i, CLOSING] = state[i, EQUITY]
        t += 1
        clock[i, BAR] = t
        ended = t >= clock[i, LAST]
        terminated[i] = dead
        truncated[i] = ended and not dead
        if dead or ended:
            clock[i, DONE] = 1
            if mode == SAME_STEP:
                if final_obs.shape[0] > 0:
                    observe(bars, features, copies, units, state, t, i, final_obs, i)
                restart(rules, starts, length, anywhere, units, state, clock, rng, i)
                t = clock[i, BAR]
        observe(bars, features, copies, units, state, t, i, obs, i)
    return -1


@compiled
def walk(
    bars: Float64, years: Float64, lots: Float64, rules: Float64, targets: Float64, hold: Flags, offset: int,
    start: int, first: int, last: int, units: Float64, state: Float64, wish: Float64, closed: Float64,
    before: Float64, alive: Flags, equity: Float64, weights: Float64, projected: Float64, ledger: Float64,
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
    for p in range(units.shape[0]):
        source = p if targets.shape[0] > 1 else 0
        held = p if hold.shape[0] > 1 else 0
        equity[p, first - start] = state[p, EQUITY]
        for t in range(first, last):
            n = t - start
            for a in range(assets):
                wish[a] = targets[source, t - offset, a] if alive[p] else 0.0
                closed[0, a] = 0.0
                closed[1, a] = 0.0
                if kept:
                    before[a] = units[p, a]
            still = hold[held, t - offset] and alive[p]
            if not still:
                state[p, REJECTED] += project(rules, wish)
            if trade(bars, years, rules, lots, units, state, t, p, still, wish, closed):
                alive[p] = False
            state[p, PEAK] = max(state[p, PEAK], state[p, EQUITY])
            equity[p, n + 1] = state[p, EQUITY]
            if kept:
                ledger[p, n, 0] = state[p, TRADED]
                ledger[p, n, 1] = state[p, COSTS]
                ledger[p, n, 2] = state[p, FINANCING]
                ledger[p, n, 3] = state[p, EARNED]
                rate = rules[RATE] * state[p, COST_FACTOR]
                impact = rules[IMPACT] * state[p, COST_FACTOR]
                inverse = 1.0 / state[p, EQUITY] if state[p, EQUITY] > 0.0 else 0.0
                for a in range(assets):
                    filled = units[p, a] - before[a] - closed[0, a]
                    order = abs(filled * bars[t + 1, FILL, a])
                    fills[p, n, 0, a] = filled
                    fills[p, n, 1, a] = order * (rate + impact * bars[t + 1, FILL_IMPACT, a] * math.sqrt(order))
                    fills[p, n, 2, a] = closed[0, a]
                    fills[p, n, 3, a] = closed[1, a]
                    weights[p, n + 1, a] = units[p, a] * bars[t + 1, MARK, a] * inverse
                    projected[p, n, a] = weights[p, n, a] if still else wish[a]
