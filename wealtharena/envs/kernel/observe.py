"""What is seen at a close: the features, and the account beside them."""

from __future__ import annotations

from wealtharena.envs import tiles
from wealtharena.envs.compiled import compiled
from wealtharena.envs.kernel.rows import (
    ACCOUNT,
    ACCOUNT_CLIP,
    BAR,
    CELL,
    CELL_SIZE,
    DESK,
    LANES,
    WORK,
    Float32,
    Float64,
    Int64,
)
from wealtharena.envs.observation import SHARED


@compiled
def picture(cells: Float64, desk: Float64, assets: int, width: int, pad: Float64, seen: Float64) -> None:
    """Write the account part of the lanes' observations at the close of t + 1: lane e from `seen[e * row]` on.

    `row` is A + 3, rounded up to whole tiles.
    """
    row = padded(assets + SHARED)
    for e in range(width):
        equity = desk[DESK.equity + e]
        desk[WORK.inverse + e] = 1.0 / equity if equity > 0.0 else 0.0
    for a in range(assets):
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        p = pad[a * LANES : (a + 1) * LANES]
        for e in range(width):
            p[e] = _bound(c[CELL.units + e] * c[CELL.mark_then + e] * desk[WORK.inverse + e])
    p = pad[assets * LANES : (assets + SHARED) * LANES]
    for e in range(width):
        p[e] = _bound(desk[DESK.cash + e] * desk[WORK.inverse + e])
        p[LANES + e] = _bound(min(desk[DESK.equity + e] / desk[DESK.peak + e] - 1.0, 0.0))
        p[2 * LANES + e] = _bound(desk[DESK.gross + e] * desk[WORK.inverse + e])
    if width == 1:
        for j in range(assets + SHARED):
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
    account = out[row, at : at + assets + SHARED]
    equity = state[ACCOUNT.equity, i]
    inverse = 1.0 / equity if equity > 0.0 else 0.0
    for a in range(assets):
        account[a] = _bound(units[a, i] * bars[t, BAR.mark, a] * inverse)
    account[assets] = _bound(state[ACCOUNT.cash, i] * inverse)
    account[assets + 1] = _bound(min(equity / state[ACCOUNT.peak, i] - 1.0, 0.0))
    account[assets + 2] = _bound(state[ACCOUNT.gross, i] * inverse)


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
