"""Where an episode begins, and the account at its begin."""

from __future__ import annotations

import math

import numpy as np

from wealtharena.envs.compiled import compiled
from wealtharena.envs.kernel.rows import ACCOUNT, ACCOUNT_ROWS, CLOCK, START, Float64, Int64, UInt64
from wealtharena.envs.vector import RULE


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
            total += starts[s, START.choices]
        pick = min(int(uniform(rng, i) * total), total - 1)
        while pick >= starts[row, START.choices]:
            pick -= starts[row, START.choices]
            row += 1
        first = starts[row, START.first] + pick
    else:
        row = clock[CLOCK.episode, i] % starts.shape[0]
        first = starts[row, START.first]
    last = starts[row, START.stop]
    if length > 0:
        last = min(last, first + length)
    factor = 1.0
    if rules[RULE.log_factor_high] > rules[RULE.log_factor_low]:
        span = rules[RULE.log_factor_high] - rules[RULE.log_factor_low]
        factor = math.exp(rules[RULE.log_factor_low] + span * uniform(rng, i))
    elif rules[RULE.log_factor_low] != 0.0:
        factor = math.exp(rules[RULE.log_factor_low])
    clock[CLOCK.bar, i] = first
    clock[CLOCK.last, i] = last
    clock[CLOCK.done, i] = 0
    clock[CLOCK.episode, i] += 1
    open_account(rules, units, state, i, factor)


@compiled
def open_account(rules: Float64, units: Float64, state: Float64, i: int, factor: float) -> None:
    """Put account i in its first state: the initial cash and nothing else."""
    for a in range(units.shape[0]):
        units[a, i] = 0.0
    state[ACCOUNT.gross, i] = 0.0
    state[ACCOUNT.first_moment, i] = 0.0
    state[ACCOUNT.second_moment, i] = 0.0
    state[ACCOUNT.cash, i] = rules[RULE.initial_cash]
    state[ACCOUNT.equity, i] = rules[RULE.initial_cash]
    state[ACCOUNT.peak, i] = rules[RULE.initial_cash]
    state[ACCOUNT.cost_factor, i] = factor


@compiled
def forget_step(state: Float64, i: int) -> None:
    """Clear what the last step left in the report of environment i."""
    for row in range(ACCOUNT.traded, ACCOUNT_ROWS):
        state[row, i] = 0.0
    state[ACCOUNT.closing, i] = state[ACCOUNT.equity, i]
