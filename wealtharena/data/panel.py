"""The panel: market data as frozen arrays, aligned over symbols, with its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
LAST_BARS: Final = 20  # without a close in so many, a symbol no longer trades
DAY: Final = np.timedelta64(1, "D")
WEEK: Final = np.timedelta64(7, "D")
YEAR_WEEKS: Final = 365.25 / 7
NIGHT: Final = np.timedelta64(20, "h")  # steps below it are within the day
REST: Final = 2.0  # usual steps: a longer one is a night, a weekend or a hole
RESTING: Final = 0.1  # least share of its time in which a market that closes is closed
NIGHTS: Final = 2  # that a record of less than a week shows at least
Rows = npt.NDArray[np.int64] | slice

# Every array of a panel by its axes: T bars, A symbols, M macro series. `take` cuts what has a T; the order is that of
# the fingerprint. An array that is missing here is refused, so that none can hand later bars to training.
COLUMNS: Mapping[str, str] = {
    "timestamps": "T",
    "open": "TA",
    "high": "TA",
    "low": "TA",
    "close": "TA",
    "volume": "TA",
    "dividends": "TA",
    "to_account": "TA",
    "tradable": "TA",
    "multipliers": "A",
    "macro": "TM",
    "cash": "T",
}


class ReadOnly:
    """What nobody writes into, pickled and copied as well: numpy makes arrays then that could be written."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes, with the arrays among them, [...] each, closed for writing."""
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        self.__dict__.update(state)


def closing_rate(timestamps: npt.NDArray[np.datetime64]) -> float | None:
    """Return the bars a year of bars within the day, [n] sorted, of a market that closes; None for all others.

    They are counted over whole weeks, the last ones: from the first bar to the last one night or weekend is missing, which is
    half of a record of three sessions. What is shorter than a week, and shows nights, is taken for one.
    """
    steps = np.diff(timestamps)
    if len(steps) < 2 or np.median(steps) >= NIGHT:
        return None
    span, rests = timestamps[-1] - timestamps[0], steps[steps > REST * np.median(steps)]
    weeks = int(span // WEEK)
    if rests.sum() < RESTING * span or (not weeks and len(rests) < NIGHTS):
        return None
    weeks = max(weeks, 1)
    return float((timestamps > timestamps[-1] - weeks * WEEK).sum() / weeks * YEAR_WEEKS)


def rate_of(timestamps: npt.NDArray[np.datetime64], seams: Sequence[int] = ()) -> float:
    """Return the bars a year that timestamps, [n] sorted, give, the time before the rows `seams` left out; NaN below two.

    Where a market closes within the day, whole weeks are counted (`closing_rate`).
    """
    if len(timestamps) < 2:
        return float("nan")
    if not seams and (closing := closing_rate(timestamps)) is not None:
        return closing
    span = timestamps[-1] - timestamps[0]
    for row in seams:
        span = span - (timestamps[row] - timestamps[row - 1])
    years = span / DAY / 365.25
    return float((len(timestamps) - 1 - len(seams)) / years) if years > 0 else float("nan")


def trade_dates(timestamps: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    """Return the date that each bar belongs to, [n], of timestamps [n], sorted.

    Of bars within the day of a market that closes it is the one on which the middle of their session lies: Sydney's first
    hour, 23:00 UTC of the day before, stands with the others of its day. All other bars have UTC's.
    """
    dates = timestamps.astype("datetime64[D]")
    if closing_rate(timestamps) is None:
        return dates
    steps = np.diff(timestamps)
    begins = np.concatenate([[True], steps > REST * np.median(steps)])
    first = np.flatnonzero(begins)
    length = timestamps[np.append(first[1:], len(timestamps)) - 1] - timestamps[first]
    middle = (timestamps[first] + length // 2).astype("datetime64[D]")
    session = np.cumsum(begins) - 1
    within = (length < DAY)[session]  # currencies rest on weekends alone, and have no sessions of a day
    return np.where(within, middle[session], dates)


def mid_price(opens: FloatArray | None, close: FloatArray) -> FloatArray:
    """Return the middle of a bar's open and close, the close where there is no open: about what a unit cost in it."""
    if opens is None:
        return close
    return np.where(opens > 0, (opens + close) / 2.0, close)


@dataclass(frozen=True, eq=False)
class Panel(ReadOnly):
    """Bars of several symbols on one time axis; every array is read-only.

    T bars, A symbols. Prices are quotes in each symbol's own currency, split-adjusted; a price is NaN where the
    symbol has no bar (before listing, after delisting, halted): nothing is invented. `tradable` is False there,
    and wherever a bar exists but must not be traded.
    """

    timestamps: npt.NDArray[np.datetime64]  # [T] datetime64[ns], UTC; a daily bar carries its trade date at 00:00
    symbols: tuple[str, ...]
    close: FloatArray  # [T, A]
    tradable: BoolArray  # [T, A]
    open: FloatArray | None  # [T, A]; None where the source has closes only
    high: FloatArray | None
    low: FloatArray | None
    volume: FloatArray | None  # [T, A], units or the account's money, see `volume_unit`; None without
    dividends: FloatArray  # [T, A] cash a unit on the ex-date, quote currency
    to_account: FloatArray  # [T, A] account currency for one unit of quote currency at the bar's close, never NaN
    multipliers: FloatArray  # [A] quote units a contract stands for
    frequency: str  # "1d", "1h"
    asset: str
    source: str
    simulated: bool
    volume_unit: Literal["units", "account", "none"] = "none"
    has_dividends: bool = False
    dividends_in_prices: bool = False  # of a symbol, which pays them no second time
    volume_left_out: bool = False  # a symbol's stands in the bars, and counts nothing that is known
    macro: FloatArray | None = None  # [T, M] values known at the close of each bar
    macro_names: tuple[str, ...] = ()
    cash: FloatArray | None = None  # [T] what cash earns a year from each close on, a share, known then; None: undated
    notes: tuple[str, ...] = field(default=())  # what a report must say: survivorship, unadjusted rolls, ...
    leaks: tuple[str, ...] = ()  # numbers that seem to know a return that can still be traded, in words
    seams: tuple[int, ...] = ()  # rows before which bars were taken out
    quoted_in: tuple[str, ...] = ()  # [A] each symbol's currency; empty where that is not known

    def __post_init__(self) -> None:
        sizes = dict(zip("TAM", (*self.close.shape, len(self.macro_names)), strict=True))
        for name in (item.name for item in fields(self)):
            value = getattr(self, name)
            if not isinstance(value, np.ndarray):
                continue
            if name not in COLUMNS:
                raise ValueError(f"panel.{name} is an array that panel.COLUMNS does not name")
            expected = tuple(sizes[axis] for axis in COLUMNS[name])
            if value.shape != expected:
                raise ValueError(f"panel.{name} has shape {value.shape}, expected {expected}")
            if value.flags.writeable:
                value = value.copy()
                value.flags.writeable = False
                object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return what it is in one line; the arrays themselves would fill screens."""
        symbols = f"{len(self.symbols)} symbol{'s' if len(self.symbols) != 1 else ''}"
        days = f", {str(self.timestamps[0])[:10]} to {str(self.timestamps[-1])[:10]}" if self.bars else ""
        return f"{type(self).__name__}({self.asset} of {self.source}: {self.bars} bars of {self.frequency}, {symbols}{days})"

    @property
    def bars(self) -> int:
        """Return T."""
        return int(self.close.shape[0])

    @property
    def bars_per_year(self) -> float:
        """Return bars a year as the timestamps give them (`rate_of`), the time of bars that were taken out left out."""
        return rate_of(self.timestamps, self.seams)

    @property
    def survivors(self) -> float:
        """Return the share of symbols with a close among the last `LAST_BARS` bars: the others were struck off."""
        return float(np.isfinite(self.close[-LAST_BARS:]).any(axis=0).mean())

    @cached_property
    def fingerprint(self) -> str:
        """Return the sha256 of the content: the same for the same bars, whatever file or row order they came from."""
        digest = hashlib.sha256()
        order = np.argsort(np.array(self.symbols))
        digest.update("|".join(self.symbols[i] for i in order).encode())
        digest.update(f"{self.frequency}|{self.asset}|{self.simulated}|{self.volume_unit}".encode())
        digest.update(self.timestamps.astype("datetime64[ns]").astype(np.int64).tobytes())
        for name in (name for name, axes in COLUMNS.items() if axes == "TA"):
            value = getattr(self, name)
            if value is not None:
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(value[:, order]).tobytes())
        digest.update(np.ascontiguousarray(self.multipliers[order]).tobytes())
        if self.macro is not None:
            digest.update("|".join(self.macro_names).encode())
            digest.update(np.ascontiguousarray(self.macro).tobytes())
        if self.cash is not None:
            digest.update(b"cash")
            digest.update(np.ascontiguousarray(self.cash).tobytes())
        return digest.hexdigest()

    def take(self, rows: Rows) -> Panel:
        """Return the bars `rows`, in that order, as a panel of its own; the others are left out, not merely hidden."""
        changes: dict[str, object] = {"seams": self._seams(rows)}
        for name in (name for name, axes in COLUMNS.items() if axes.startswith("T")):
            value = getattr(self, name)
            if value is not None:
                kept = value[rows].copy()
                kept.flags.writeable = False  # so that it is not copied once more
                changes[name] = kept
        return replace(self, **changes)  # type: ignore[arg-type]  # one dict carries fields of several types

    def _seams(self, rows: Rows) -> tuple[int, ...]:
        """Return the seams of the panel that the bars `rows` make."""
        if isinstance(rows, slice) and rows.step in (None, 1) and not self.seams:
            return ()
        kept = np.arange(self.bars)[rows]
        apart = (np.diff(kept) != 1) | np.isin(kept[1:], self.seams)
        return tuple(int(row) for row in np.flatnonzero(apart) + 1)

    def joined(self, later: Panel) -> Panel:
        """Return these bars and those of `later`, of the same source, which follow them at once, as a panel of its own."""
        changes: dict[str, object] = {"seams": (*self.seams, *(self.bars + row for row in later.seams))}
        for name in (name for name, axes in COLUMNS.items() if axes.startswith("T")):
            if getattr(self, name) is not None:
                whole = np.concatenate([getattr(self, name), getattr(later, name)])
                whole.flags.writeable = False
                changes[name] = whole
        return replace(self, **changes)  # type: ignore[arg-type]  # as in `take`

    def slice(self, start: int, stop: int) -> Panel:
        """Return bars [start, stop) as a panel of its own."""
        return self.take(slice(start, stop))

    def stretches(self) -> tuple[Panel, ...]:
        """Return the bars between the seams, each stretch a panel of its own: no price of one is carried on into the next."""
        if not self.seams:
            return (self,)
        return tuple(self.slice(start, stop) for start, stop in pairwise((0, *self.seams, self.bars)))

    def begin_of(self, row: int) -> int:
        """Return the first row of the stretch that `row` lies in."""
        return max((seam for seam in self.seams if seam <= row), default=0)
