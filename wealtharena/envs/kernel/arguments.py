"""What the compiled loops are called with, by name: the part that is prepared once and goes before what changes a call.

A compiled function takes its arguments by position. The fields of each tuple here are the first parameters of its loop, in
their order, and the tests compare the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from wealtharena.envs.kernel.rows import (
    ACCOUNT_ROWS,
    CELL_SIZE,
    DESK_SIZE,
    FIELDS,
    LANES,
    Flags,
    Float32,
    Float64,
    Int64,
    UInt64,
)
from wealtharena.envs.observation import SHARED
from wealtharena.envs.tiles import aligned


class Scratch(NamedTuple):
    """The arrays that the loops work in; nothing in them outlives a call."""

    cells: Float64
    desk: Float64
    pad: Float64
    seen: Float64
    closed: Float64  # [2, A, LANES] units closed by force and what that cost
    when: Int64
    places: Int64
    idle: Flags

    @classmethod
    def of(cls, assets: int) -> Scratch:
        """Return the scratch for this many symbols."""
        rows = -(-(assets + SHARED) // FIELDS) * FIELDS  # whole tiles
        pad, seen = aligned((2, rows * LANES + FIELDS), np.float64)
        when, places = aligned((2, LANES), np.int64)
        return cls(
            cells=aligned((rows * CELL_SIZE,), np.float64),
            desk=aligned((DESK_SIZE,), np.float64),
            pad=pad,
            seen=seen,
            closed=np.zeros((2, assets, LANES)),
            when=when,
            places=places,
            idle=np.zeros(LANES, dtype=np.bool_),
        )


class ResetArguments(NamedTuple):
    """The prepared arguments of `reset_batch`."""

    bars: Float64
    features: Float32
    copies: Int64
    rules: Float64
    starts: Int64
    length: int
    anywhere: bool
    units: Float64
    state: Float64
    clock: Int64
    rng: UInt64


class StepArguments(NamedTuple):
    """The prepared arguments of `step_batch`."""

    bars: Float64
    records: Float64
    features: Float32
    years: Float64
    rates: Float64
    lots: Float64
    rules: Float64
    copies: Int64
    starts: Int64
    length: int
    anywhere: bool
    mode: int
    units: Float64
    state: Float64
    clock: Int64
    rng: UInt64
    cells: Float64
    desk: Float64
    pad: Float64
    seen: Float64
    closed: Float64
    when: Int64
    places: Int64
    idle: Flags


class WalkArguments(NamedTuple):
    """The prepared arguments of `walk`."""

    bars: Float64
    records: Float64
    years: Float64
    rates: Float64
    lots: Float64
    rules: Float64
    units: Float64
    state: Float64
    cells: Float64
    desk: Float64
    pad: Float64
    seen: Float64
    closed: Float64
    when: Int64
    places: Int64
    idle: Flags
    alive: Flags
    equity: Float64
    weights: Float64
    projected: Float64
    ledger: Float64
    fills: Float64


def accounts(assets: int, count: int) -> tuple[Float64, Float64]:
    """Return units [A, M] and state [ACCOUNT_ROWS, M] of `count` accounts, M >= count.

    M makes a row an odd number of cache lines: rows a power of two apart would fight for the same few lines of the cache.
    """
    line = 8  # numbers
    length = (-(-count // line) | 1) * line
    return aligned((assets, length), np.float64), aligned((ACCOUNT_ROWS, length), np.float64)
