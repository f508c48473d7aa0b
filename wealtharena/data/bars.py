"""Bars of one symbol: as a provider gave them (`RawBars`) and after the quality room (`Bars`)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Final, Literal

import numpy as np
import pandas as pd

VolumeUnit = Literal["units", "account", "none"]
Adjustment = Literal["splits", "all", "none"]

PRICE_COLUMNS: Final = ("open", "high", "low", "close")
RAW_COLUMNS: Final = ("timestamp", *PRICE_COLUMNS, "volume", "dividend", "split")
BAR_COLUMNS: Final = (*RAW_COLUMNS, "tradable")
TIMESTAMP_DTYPE: Final = "datetime64[ns, UTC]"

_DEFAULTS: Final = {"dividend": 0.0, "split": 0.0}  # what a column that the source lacks is filled with; NaN otherwise


@dataclass(frozen=True)
class Repairs:
    """How many rows of those received were left out or given another price, by cause; no causes where none was."""

    received: int = 0
    causes: tuple[tuple[str, int], ...] = ()

    @property
    def rows(self) -> int:
        """Return how many rows that were altogether."""
        return sum(count for _, count in self.causes)

    def __str__(self) -> str:
        listed = ", ".join(f"{count} {kind}" for kind, count in self.causes)
        return f"{self.rows} of {self.received} rows would have to be repaired or left out ({listed})"


@dataclass(frozen=True, eq=False)
class RawBars:
    """One symbol's bars in one provider's words: nothing repaired, nothing dropped, order as received.

    `table` has exactly `RAW_COLUMNS`: `timestamp` (UTC, a daily bar carries its exchange trade date at 00:00),
    prices as float64 with NaN where the provider has none, `dividend` in cash a unit on the ex-date, `split` as
    new shares per old share on the date that it takes effect (0 where there is none). A source with closes only
    leaves open, high and low all NaN; one without volume leaves it all NaN and says `volume_unit="none"`, one that
    counts money rather than units says "account" and gives it in `currency`: the panel brings it to the account's.
    """

    provider: str
    symbol: str
    interval: str
    table: pd.DataFrame
    currency: str
    volume_unit: VolumeUnit
    adjusted: Adjustment
    fetched_at: datetime  # timezone-aware, UTC


@dataclass(frozen=True, eq=False)
class Bars:
    """Clean, split-adjusted bars of one symbol: timestamps strictly increase, `table` has exactly `BAR_COLUMNS`.

    `tradable` is False where a bar exists but must not be filled against. `notes` go to the panel and the report.
    `repairs` counts what was done to the rows that they were made of, of a store's bars the whole history's.
    """

    provider: str
    symbol: str
    interval: str
    table: pd.DataFrame
    currency: str
    volume_unit: VolumeUnit
    adjusted: Adjustment
    fetched_at: datetime
    notes: tuple[str, ...] = ()
    repairs: Repairs = Repairs()

    @classmethod
    def from_raw(cls, raw: RawBars, *, tradable: pd.Series | None = None, notes: tuple[str, ...] = ()) -> Bars:
        """Return the raw bars as they stand, sorted, with a mask; the caller has judged them."""
        table = raw.table.assign(tradable=True if tradable is None else tradable.to_numpy(dtype=bool))
        table = table.sort_values("timestamp", kind="stable", ignore_index=True)[list(BAR_COLUMNS)]
        return cls(
            provider=raw.provider,
            symbol=raw.symbol,
            interval=raw.interval,
            table=table,
            currency=raw.currency,
            volume_unit=raw.volume_unit,
            adjusted=raw.adjusted,
            fetched_at=raw.fetched_at,
            notes=notes,
        )

    def between(self, start: date | None, end: date | None) -> Bars:
        """Return the bars from `start` to `end`, both included."""
        keep = window_mask(self.table["timestamp"], start, end)
        return self if keep.all() else replace(self, table=self.table[keep].reset_index(drop=True))


def as_received(bars: Bars) -> RawBars:
    """Return clean bars in the form of raw ones, for a comparison where what was received is lost."""
    kept = {field.name: getattr(bars, field.name) for field in fields(RawBars)}
    return RawBars(**{**kept, "table": bars.table[list(RAW_COLUMNS)]})


def raw_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with exactly `RAW_COLUMNS` and their types; columns that it lacks are NaN (dividend, split: 0).

    Naive timestamps are taken as UTC. Rows, their order and their faults stay as they are.
    """
    timestamps = pd.to_datetime(frame["timestamp"], utc=True).astype(TIMESTAMP_DTYPE)
    columns: dict[str, object] = {"timestamp": pd.DatetimeIndex(timestamps)}
    for name in RAW_COLUMNS[1:]:
        if name in frame:
            values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
            columns[name] = np.nan_to_num(values, nan=_DEFAULTS[name]) if name in _DEFAULTS else values
        else:
            columns[name] = np.full(len(frame), _DEFAULTS.get(name, np.nan))
    return pd.DataFrame(columns)


def unlike_raw(table: pd.DataFrame) -> str | None:
    """Return in what a table differs from `RAW_COLUMNS` and their types; None where it does not."""
    for name in RAW_COLUMNS:
        if name not in table:
            return f"its table has no column {name}"
        found, wanted = str(table[name].dtype), TIMESTAMP_DTYPE if name == "timestamp" else "float64"
        if found != wanted:
            return f"its column {name} is {found} and not {wanted}"
    return None


def window_mask(timestamps: pd.Series, start: date | None, end: date | None) -> pd.Series:
    """Return True where a UTC timestamp's date lies in [start, end]; None leaves that side open."""
    keep = pd.Series(True, index=timestamps.index)
    if start is not None:
        keep &= timestamps >= pd.Timestamp(start, tz="UTC")
    if end is not None:
        keep &= timestamps < pd.Timestamp(end, tz="UTC") + pd.Timedelta(days=1)
    return keep
