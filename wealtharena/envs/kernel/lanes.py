"""Accounts laid side by side, LANES at a time, and taken out again."""

from __future__ import annotations

from wealtharena.envs import tiles
from wealtharena.envs.compiled import compiled
from wealtharena.envs.kernel.rows import (
    ACCOUNT,
    ACCOUNT_ROWS,
    CELL,
    CELL_SIZE,
    DESK,
    DESK_SIZE,
    FIELDS,
    LANES,
    SUMS,
    WORK,
    Flags,
    Float32,
    Float64,
    Int64,
)


@compiled
def load(
    years: Float64, rates: Float64, units: Float64, state: Float64, first: int, count: int, when: Int64,
    places: Int64, cells: Float64, desk: Float64,
) -> None:  # fmt: skip
    """Lay `count` accounts side by side: account `first + e`, deciding at the close of bar `when[e]`, in lane e.

    `places[e]` receives where the lane's records of that bar begin.
    """
    assets = units.shape[0]
    for e in range(count):
        places[e] = when[e] * assets * FIELDS
        desk[WORK.years + e] = years[when[e] + 1]
        desk[WORK.rate + e] = rates[when[e] + 1]
        desk[WORK.hold + e] = 0.0
        desk[WORK.over + e] = 0.0
    for n in range(DESK.traded, WORK.years):
        desk[n] = 0.0
    for n in range(SUMS, DESK_SIZE):
        desk[n] = 0.0
    row_length = units.shape[1]
    if count == LANES:
        for row in range(ACCOUNT.cost_factor + 1):
            tiles.move(state, row * row_length + first, desk, row * LANES, LANES)
        for a in range(assets):
            tiles.move(units, a * row_length + first, cells, a * CELL_SIZE + CELL.units, LANES)
    else:
        for e in range(count):
            i = first + e
            for row in range(ACCOUNT.cost_factor + 1):
                desk[row * LANES + e] = state[row, i]
            for a in range(assets):
                cells[a * CELL_SIZE + CELL.units + e] = units[a, i]


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
                tiles.turn(pad, e * assets + a, assets, cells, a * CELL_SIZE + CELL.wish + e, CELL_SIZE)
    else:
        for e in range(count):
            wish = actions[first + e]
            for a in range(assets):
                cells[a * CELL_SIZE + CELL.wish + e] = wish[a]


@compiled
def lay(records: Float64, places: Int64, a: int, count: int, cells: Float64) -> None:
    """Lay what the step needs of symbol a into the lanes."""
    if count == LANES:
        for e in range(0, LANES, tiles.TILE):
            tiles.gather(records, places, e, a * FIELDS, cells, a * CELL_SIZE + CELL.mark_now + e, LANES)
    else:
        for e in range(count):
            record = records[places[e] + a * FIELDS : places[e] + (a + 1) * FIELDS]
            for n in range(FIELDS):
                cells[a * CELL_SIZE + CELL.mark_now + n * LANES + e] = record[n]


@compiled
def store(units: Float64, state: Float64, first: int, count: int, idle: Flags, cells: Float64, desk: Float64) -> None:
    """Take the accounts out of their lanes, but for those that are idle: the other way of `load`."""
    assets, row_length = units.shape
    whole = count == LANES
    for e in range(count):
        whole = whole and not idle[e]
    if whole:
        for row in range(ACCOUNT_ROWS):
            tiles.move(desk, row * LANES, state, row * row_length + first, LANES)
        for a in range(assets):
            tiles.move(cells, a * CELL_SIZE + CELL.units, units, a * row_length + first, LANES)
    else:
        for e in range(count):
            if not idle[e]:
                for row in range(ACCOUNT_ROWS):
                    state[row, first + e] = desk[row * LANES + e]
                for a in range(assets):
                    units[a, first + e] = cells[a * CELL_SIZE + CELL.units + e]
