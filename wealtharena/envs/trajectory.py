"""What a backtest leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena.data.panel import ReadOnly

FloatArray = npt.NDArray[np.float64]
LEAST_ORDER: Final = 1e-6  # of equity; a smaller change of weight is rounding


def to_read(array: Any) -> Any:
    """Return a view that nobody writes through."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False)
class Trades(ReadOnly):
    """Executed orders as columns of equal length, in time order."""

    bar: npt.NDArray[np.int64]  # index into Trajectory.timestamps of the fill
    symbol: npt.NDArray[np.int64]  # index into Trajectory.symbols
    units: FloatArray  # signed
    price: FloatArray  # in account currency, multiplier included
    value: FloatArray  # signed, account currency
    cost: FloatArray  # commission, spread and impact, or what a forced close took; never negative
    quote: FloatArray | None = None  # the price as the market quotes it; None in what was written before it was kept
    # which the rules closed, whatever was asked for; None in what was read
    forced: npt.NDArray[np.bool_] | None = field(default=None, kw_only=True)

    @property
    def asked(self) -> npt.NDArray[np.bool_]:
        """Return which of them filled an order, shape [k]; all where that is not known."""
        return np.ones(len(self.bar), dtype=np.bool_) if self.forced is None else ~self.forced

    def __repr__(self) -> str:
        """Return how many there are."""
        return f"Trades({len(self.bar)})"


@dataclass(frozen=True, eq=False)
class Trajectory(ReadOnly):
    """One policy's path through one window of bars, after every cost; its arrays are read-only.

    Index 0 is the bar at whose close the first decision was made; equity[0] is the starting cash.
    """

    name: str
    timestamps: npt.NDArray[np.datetime64]  # [n + 1]
    symbols: tuple[str, ...]
    equity: FloatArray  # [n + 1] account currency, at each close
    weights: FloatArray  # [n + 1, A] held after the bar's fills, marked at its close
    targets: FloatArray  # [n, A] asked for at each decision, after projection
    traded_value: (
        FloatArray  # [n] sum of absolute traded value in the interval after each decision, forced closes included
    )
    costs: FloatArray  # [n] commission, spread, impact, and what delistings and liquidations took
    financing: FloatArray  # [n] borrow, margin interest, carry less cash interest
    dividends: FloatArray  # [n]
    trades: Trades
    fill: str  # next_open or next_close
    bars_per_year: float
    liquidated: bool = False
    cash_rates: FloatArray | None = (
        None  # [n] a year, a share: what cash earned; None where it is one number of the spec
    )

    def __post_init__(self) -> None:
        """Make the arrays, and those of the trades, read-only: figures and charts are of one and the same path."""
        for record in (self, self.trades):
            arrays = {name: value for name, value in vars(record).items() if isinstance(value, np.ndarray)}
            for name, value in arrays.items():
                object.__setattr__(record, name, to_read(value))

    def __repr__(self) -> str:
        """Return what it is in one line; the arrays themselves would fill screens."""
        first, last = (str(self.timestamps[at])[:10] for at in (0, -1))
        symbols = f"{len(self.symbols)} symbol{'s' if len(self.symbols) != 1 else ''}"
        grown = self.equity[-1] / self.equity[0] - 1
        return (
            f"Trajectory({self.name}: {len(self.timestamps) - 1} bars of {symbols}, {first} to {last}, "
            f"{grown:+.1%}, {len(self.orders)} trades)"
        )

    @property
    def orders(self) -> npt.NDArray[np.int64]:
        """Return which of `trades` count as orders, shape [k]: those of at least `LEAST_ORDER` of the equity before them."""
        equity = np.maximum(self.equity[self.trades.bar - 1], 0.0)
        return np.flatnonzero(np.abs(self.trades.value) >= LEAST_ORDER * equity)

    @property
    def returns(self) -> FloatArray:
        """Return net simple returns a bar, shape [n]: below -1 where a gap took more than all, and 0 ever after."""
        before = self.equity[:-1]
        return np.divide(np.diff(self.equity), before, out=np.zeros(len(before)), where=before > 0)


def joint_rate(paths: Sequence[Trajectory]) -> float:
    """Return the bars a year of paths that follow each other: all their bars over all their years."""
    rates = [path.bars_per_year for path in paths]
    if len(set(rates)) == 1:
        return rates[0]
    bars = np.array([len(path.costs) for path in paths], dtype=np.float64)
    return float(bars.sum() / (bars / rates).sum())
