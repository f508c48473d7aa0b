"""The two loops over all rules: `step_batch` (many environments, one bar) and `walk` (many paths, many bars)."""

from __future__ import annotations

import math

from wealtharena.envs import tiles
from wealtharena.envs.compiled import compiled
from wealtharena.envs.kernel.episodes import forget_step, restart
from wealtharena.envs.kernel.lanes import ask, load, store
from wealtharena.envs.kernel.night import evaluate, force, settle
from wealtharena.envs.kernel.observe import observe, padded, picture, recall, show
from wealtharena.envs.kernel.orders import fill, project, size
from wealtharena.envs.kernel.rows import (
    ACCOUNT,
    CELL,
    CELL_SIZE,
    CLOCK,
    DESK,
    FEE,
    FILLED,
    LANES,
    NEXT_STEP,
    SAME_STEP,
    WORK,
    Flags,
    Float32,
    Float64,
    Int64,
    UInt64,
)
from wealtharena.envs.observation import SHARED


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
def reset_batch(
    bars: Float64, features: Float32, copies: Int64, rules: Float64, starts: Int64, length: int, anywhere: bool,
    units: Float64, state: Float64, clock: Int64, rng: UInt64, mask: Flags, obs: Float32,
) -> None:  # fmt: skip
    """Restart every environment whose mask is set and write its first observation."""
    for i in range(clock.shape[1]):
        if mask[i]:
            restart(rules, starts, length, anywhere, units, state, clock, rng, i)
            forget_step(state, i)
            observe(bars, features, copies, units, state, clock[CLOCK.bar, i], i, obs, i)


@compiled
def step_batch(
    bars: Float64, records: Float64, features: Float32, years: Float64, rates: Float64, lots: Float64, rules: Float64,
    copies: Int64, starts: Int64, length: int, anywhere: bool, mode: int, units: Float64, state: Float64, clock: Int64,
    rng: UInt64,
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
    rates = tiles.bare(rates)
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
    row = padded(assets + SHARED)
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
            resting += clock[CLOCK.done, base + e]
        for e in range(count):
            when[e] = clock[CLOCK.bar, base + e]
            idle[e] = False
        if resting > 0:
            for e in range(count):
                n = base + e
                if clock[CLOCK.done, n] > 0:
                    idle[e] = True
                    when[e] = max(clock[CLOCK.bar, n] - 1, 0)  # no step begins at the last bar; this one is not kept
                    reward[n] = 0.0
                    if mode == NEXT_STEP:
                        restart(rules, starts, length, anywhere, units, state, clock, rng, n)
                        forget_step(state, n)
                        observe(bars, features, copies, units, state, clock[CLOCK.bar, n], n, obs, n)
                        terminated[n] = False
                        truncated[n] = False
        if resting == count:
            continue
        load(years, rates, units, state, base, count, when, places, cells, desk)
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
            dead = desk[WORK.dead + e] > 0.0
            ended = t >= clock[CLOCK.last, n]
            reward[n] = desk[DESK.reward_core + e] - desk[DESK.reward_penalty + e]
            clock[CLOCK.bar, n] = t
            terminated[n] = dead
            truncated[n] = ended and not dead
            begins = False
            if dead or ended:
                clock[CLOCK.done, n] = 1
                begins = mode == SAME_STEP
            if begins:
                if final_obs.shape[0] > 0:
                    at = show(features, copies, t, final_obs, n)
                    recall(seen, e * row, final_obs, n * final_obs.shape[1] + at, assets + SHARED)
                restart(rules, starts, length, anywhere, units, state, clock, rng, n)
                observe(bars, features, copies, units, state, clock[CLOCK.bar, n], n, obs, n)
            else:
                at = show(features, copies, t, obs, n)
                recall(seen, e * row, obs, n * obs.shape[1] + at, assets + SHARED)
    return -1


@compiled
def walk(
    bars: Float64, records: Float64, years: Float64, rates: Float64, lots: Float64, rules: Float64, units: Float64,
    state: Float64, cells: Float64, desk: Float64, pad: Float64, seen: Float64, closed: Float64, when: Int64, places: Int64,
    idle: Flags, alive: Flags, equity: Float64, weights: Float64, projected: Float64, ledger: Float64, fills: Float64,
    targets: Float64, hold: Flags, offset: int, start: int, first: int, last: int,
) -> None:  # fmt: skip
    """Walk every path from the close of bar `first` to the close of bar `last`, following `targets`.

    `targets[P or 1, rows, A]`, `hold[P or 1, rows]`: row t - offset is the decision at the close of bar t; one entry
    serves all paths. Bar `start` is the window's first, whose equity is written at index 0. Written:
    `equity[P, n + 1]`, and, unless their first length is 0, `weights[P, n + 1, A]`, `projected[P, n, A]`,
    `ledger[P, n, 4]` (traded, costs, financing, income) and `fills[P, n, 4, A]` (units filled, cost, units closed by
    force, cost). A path that was liquidated asks for nothing but zero from then on, however small what is left. One whose
    equity is not positive has ended: it keeps what it lost, without interest on it, and all else that is written for it
    is zero.
    """
    assets = units.shape[0]
    paths = equity.shape[0]
    kept = ledger.shape[0] > 0
    for base in range(0, paths, LANES):
        count = min(LANES, paths - base)
        for e in range(count):
            equity[base + e, first - start] = state[ACCOUNT.equity, base + e]
        for t in range(first, last):
            n = t - start
            for e in range(count):
                when[e] = t
                idle[e] = not alive[base + e] and state[ACCOUNT.equity, base + e] <= 0.0
            load(years, rates, units, state, base, count, when, places, cells, desk)
            for e in range(count):
                p = base + e
                source = p if targets.shape[0] > 1 else 0
                still = alive[p] and hold[p if hold.shape[0] > 1 else 0, t - offset]
                desk[WORK.hold + e] = 1.0 if still else 0.0
                desk[WORK.over + e] = 0.0 if alive[p] else 1.0
                for a in range(assets):
                    cells[a * CELL_SIZE + CELL.wish + e] = (
                        targets[source, t - offset, a] if alive[p] and not still else 0.0
                    )
            if kept:
                for a in range(assets):
                    for e in range(count):
                        closed[0, a, e] = 0.0
                        closed[1, a, e] = 0.0
            trade(bars, records, rules, lots, when, places, count, cells, desk, closed)
            for e in range(count):
                p = base + e
                value = desk[DESK.equity + e]
                ended = idle[e]
                if ended:
                    value = state[ACCOUNT.equity, p]
                if desk[WORK.dead + e] > 0.0:
                    alive[p] = False
                desk[DESK.peak + e] = max(desk[DESK.peak + e], value)
                equity[p, n + 1] = value
                if kept:
                    ledger[p, n, 0] = 0.0 if ended else desk[DESK.traded + e]
                    ledger[p, n, 1] = 0.0 if ended else desk[DESK.costs + e]
                    ledger[p, n, 2] = 0.0 if ended else desk[DESK.financing + e]
                    ledger[p, n, 3] = 0.0 if ended else desk[DESK.earned + e]
                    inverse = 1.0 / value if value > 0.0 else 0.0
                    held = desk[WORK.hold + e] > 0.0
                    for a in range(assets):
                        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
                        fills[p, n, 0, a] = 0.0 if ended else c[FILLED + e]
                        fills[p, n, 1, a] = 0.0 if ended else c[FEE + e]
                        fills[p, n, 2, a] = 0.0 if ended else closed[0, a, e]
                        fills[p, n, 3, a] = 0.0 if ended else closed[1, a, e]
                        weights[p, n + 1, a] = c[CELL.units + e] * c[CELL.mark_then + e] * inverse
                        projected[p, n, a] = weights[p, n, a] if held else c[CELL.wish + e]
            store(units, state, base, count, idle, cells, desk)
