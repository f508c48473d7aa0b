"""What stands where in the kernel's arrays: every row is named here, once, and numbered by its place in the list.

Compiled code reads `ACCOUNT.cash` as a constant: the lists are named tuples of integers that never change. To add a row,
add its name.

Symbols: V equity, u units, p mark price in account currency. Arrays: T bars, A symbols, N environments. Money is float64.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wealtharena.envs import tiles

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


class BarRows(NamedTuple):
    """Rows of `bars[T, BAR_ROWS, A]`: what the market is at one bar. Everything is in account currency."""

    mark: int  # p: last close, carried; 0 before listing
    inverse: int  # 1 / p where p > 0, else 0: no order can be sized
    sizing_impact: int  # sigma_t / sqrt(dollar volume of bar t): impact as it is estimated at the close of t
    fill: int  # price at which this bar fills an order; 0 where it must not
    fill_impact: int  # sigma_{t-1} / sqrt(dollar volume of bar t)
    income: int  # paid a unit held at the close before: dividend, and conversion of a margined contract
    volume: int  # dollar volume over the fill price: what an order could buy at most; infinite where unknown
    delisted: int  # 1 at the bar on which the symbol is struck off, else 0


class AccountRows(NamedTuple):
    """Rows of `state[ACCOUNT_ROWS, N]`, and, LANES apart, the first rows of `desk`."""

    cash: int
    equity: int  # on the desk V at bar t until `settle`, then at t + 1
    peak: int
    gross: int  # likewise
    first_moment: int  # A and B of the differential Sharpe ratio
    second_moment: int
    cost_factor: int
    traded: int  # of the last step, as is all that follows
    costs: int
    financing: int
    earned: int
    reward_core: int
    reward_penalty: int
    closing: int  # equity at the end of the last step, kept over a restart
    rejected: int  # weights that were not finite


class ClockRows(NamedTuple):
    """Rows of `clock[CLOCK_ROWS, N]`."""

    bar: int  # the observed bar
    last: int  # bar whose close ends the episode
    done: int  # 1 after the last step of an episode
    episode: int  # episodes begun


class StartColumns(NamedTuple):
    """Columns of `starts[S, len(START)]`, one row a segment."""

    first: int  # first bar that can be observed first
    choices: int  # number of bars, from `first` on, at which an episode may begin
    stop: int  # last bar that may be reached


class CellRows(NamedTuple):
    """Rows of `cells[A * CELL_SIZE]`, a block a symbol."""

    units: int
    wish: int  # target weight
    mark_now: int  # of bar t, where the order is sized; from here on a record
    inverse_now: int
    impact_now: int
    price: int  # of bar t + 1, where it is filled
    impact_then: int
    income_then: int
    volume_then: int
    mark_then: int


class WorkRows(NamedTuple):
    """Rows of `desk[DESK_SIZE]` behind those of the account: one number for all symbols of it."""

    years: int
    rate: int  # a year, that cash earns in these years beside RULE.cash_rate
    hold: int  # 1: no order
    over: int  # 1: closed by force before; what could not be traded then goes whatever its size
    least: int  # change of value that is worth an order
    shrink: int
    scale: int
    keep: int
    before: int  # V at bar t
    dead: int  # 1: to be liquidated
    ratio: int  # V' / V as a reward sees it
    inverse: int  # 1 / V at bar t + 1
    depth: int  # V / peak - 1 at bar t
    deeper: int  # V' over the same peak, less 1, never positive
    asked: int  # this and all below are sums over symbols
    target: int
    estimate: int
    held: int
    pressure: int
    kept: int
    paid: int
    value: int
    marked: int  # gross value at bar t + 1


BAR: Final = BarRows(*range(len(BarRows._fields)))
BAR_ROWS: Final = len(BAR)
ACCOUNT: Final = AccountRows(*range(len(AccountRows._fields)))
ACCOUNT_ROWS: Final = len(ACCOUNT)
CLOCK: Final = ClockRows(*range(len(ClockRows._fields)))
CLOCK_ROWS: Final = len(CLOCK)
START: Final = StartColumns(*range(len(StartColumns._fields)))

# Numbers of `records[(T - 1) * A * FIELDS]`: what the step from bar t to t + 1 needs of a symbol, side by side.
FIELDS: Final = tiles.TILE
RECORD: Final = (  # (row of `bars`, 0 at bar t or 1 at t + 1), in the order of the rows of `cells` from mark_now on
    (BAR.mark, 0), (BAR.inverse, 0), (BAR.sizing_impact, 0), (BAR.fill, 1), (BAR.fill_impact, 1), (BAR.income, 1),
    (BAR.volume, 1), (BAR.mark, 1),
)  # fmt: skip

# Accounts are traded LANES at a time, side by side, so that one instruction serves several of them; each lane is
# computed in the same order whatever stands in the others. A row of `cells` or `desk` is LANES numbers.
LANES: Final = 64
CELL_SIZE: Final = len(CellRows._fields) * LANES
CELL: Final = CellRows(*range(0, CELL_SIZE, LANES))
GOAL: Final = CELL.inverse_now  # target units; this and the next three take the place of what is no longer needed
MOST: Final = CELL.volume_then  # most units that the bar's volume lets trade
FILLED: Final = CELL.mark_now  # units traded, signed
FEE: Final = CELL.impact_now  # what that cost

DESK: Final = AccountRows(*range(0, ACCOUNT_ROWS * LANES, LANES))
DESK_SIZE: Final = (ACCOUNT_ROWS + len(WorkRows._fields)) * LANES
WORK: Final = WorkRows(*range(ACCOUNT_ROWS * LANES, DESK_SIZE, LANES))
SUMS: Final = WORK.asked

DISABLED: Final = 0  # autoreset modes, as in gymnasium.vector.AutoresetMode
NEXT_STEP: Final = 1
SAME_STEP: Final = 2

ACCOUNT_CLIP: Final = 100.0  # bound of the account part of an observation
RATIO_FLOOR: Final = 1e-6  # least V' / V that a reward sees: ruin costs log(1e-6), not minus infinity
ROUNDING: Final = 1e-12  # of equity: an order or a short that is no larger is none
