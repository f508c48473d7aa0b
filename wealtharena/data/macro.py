"""Macro series on the panel's axis, each value from the moment at which it was published, not the month it describes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config.specs.data import DataSpec, MacroSpec
from wealtharena.data.panel import FloatArray, Panel
from wealtharena.data.store import Store
from wealtharena.errors import DataError

logger = logging.getLogger(__name__)
_BY_VINTAGES: Final = "joined by release vintages"  # what the note of a series says that no lag dates
STILL: Final = "stands still"  # what the note of a series that has ended says
_RECENT: Final = 13  # publications whose distances tell what is usual
_PATIENCE_DAYS: Final = 14


class Source(Protocol):
    """Where macro series come from."""

    def read_macro(self, series: str) -> pd.DataFrame:
        """Return the columns series, date, realtime_start (NaT where unknown) and value; all vintages, any order."""
        ...


def join(panel: Panel, data: DataSpec, *, source: Source | None = None) -> Panel:
    """Return the panel with `data.macro.series` as `macro` [T, M]: at each bar the latest value published by then.

    With vintages, a value counts from the day after its `realtime_start`, and a later revision replaces it only from
    its own; without, from `lag_days` (or `default_lag_days`) after the date that it describes. NaN before the first
    value. The panel's notes say which of the two was used for each series.

    Raises:
        DataError: the source (by default the store in `data.root`) lacks a series, or nothing says when its values were
            published.
    """
    source = source or Store(data.root)
    columns, notes = [], []
    for series in data.macro.series:
        values, note = known_values(source.read_macro(series), panel.timestamps, data.macro, series)
        columns.append(values)
        notes.append(note)
        if STILL in note:
            logger.warning("data: %s", note)
    return replace(
        panel,
        macro=np.column_stack(columns) if columns else None,
        macro_names=data.macro.series if columns else (),
        notes=(*panel.notes, *notes),
    )


def by_vintages(series: Sequence[str], notes: Iterable[str]) -> frozenset[str]:
    """Return which series were joined by their release vintages, by the notes of a panel."""
    said = tuple(notes)
    return frozenset(one for one in series if any(note.startswith(f"macro {one}: {_BY_VINTAGES}") for note in said))


def known_values(
    frame: pd.DataFrame, timestamps: npt.NDArray[np.datetime64], spec: MacroSpec, series: str
) -> tuple[FloatArray, str]:
    """Return the value of `series` known at each bar, [T], and how that was told.

    The value known is that of the latest date described among all published by then, in its latest vintage by then; a
    value taken back (NaN) is known no more, and the one of the date before counts again. A bar knows what was published on a day before the one it begins on, so that the hour of publication does not matter.
    """
    rows = frame.dropna(subset=["date"]).dropna(subset=["value", "realtime_start"], how="all")
    dates = _days(rows["date"])
    if rows["realtime_start"].notna().all() and len(rows):
        published = _days(rows["realtime_start"])
        note = f"macro {series}: {_BY_VINTAGES}"
    else:
        lag = spec.lag_days.get(series, spec.default_lag_days)
        if lag is None:
            raise DataError(
                f"macro {series} has no release vintages, and data.macro.lag_days does not say how late it is published",
                hint=f"collect it with its vintages (task=collect), or set +data.macro.lag_days.{series}=DAYS, from the first"
                " day that a value describes to its latest release ever",
            )
        published = dates + np.timedelta64(lag, "D")
        note = f"macro {series}: no release vintages, taken as known {lag} days after the date it describes; revised values"
    order = np.lexsort((dates, published))
    dates, published, values = dates[order], published[order], rows["value"].to_numpy(dtype=np.float64)[order]
    days = timestamps.astype("datetime64[D]")
    note += _ended(published, days)
    known = np.searchsorted(published, days, side="left")  # published strictly before the bar's day
    result = np.full(len(days), np.nan)
    some = known > 0
    result[some] = _in_force(dates, values)[known[some] - 1]
    return result, note


def _ended(published: npt.NDArray[np.datetime64], days: npt.NDArray[np.datetime64]) -> str:
    """Return in words that nothing was published for much longer than usual up to the last of `days`; else nothing."""
    when = np.unique(published)
    if not len(when) or not len(days):
        return ""
    usual = int(np.diff(when[-_RECENT:].astype(np.int64)).max(initial=0))
    if (days[-1] - when[-1]).astype(np.int64) <= max(2 * usual, _PATIENCE_DAYS):
        return ""
    return f"; nothing of it was published from {when[-1]} to {days[-1]}, in which its value {STILL}: collect it again, or leave it out"


def _in_force(dates: npt.NDArray[np.datetime64], values: FloatArray) -> FloatArray:
    """Return after each row, in order of publication, the value of the latest date that has one in its newest vintage."""
    told: dict[np.datetime64, float] = {}
    latest: np.datetime64 | None = None
    found = np.full(len(dates), np.nan)
    for row, (day, value) in enumerate(zip(dates, values, strict=True)):
        if not np.isnan(value):
            told[day] = value
            latest = day if latest is None or day > latest else latest
        elif told.pop(day, None) is not None and day == latest:
            latest = max(told, default=None)
        if latest is not None:
            found[row] = told[latest]
    return found


def _days(values: pd.Series) -> npt.NDArray[np.datetime64]:
    stamps = pd.DatetimeIndex(pd.to_datetime(values, utc=True)).tz_localize(None)
    return stamps.to_numpy().astype("datetime64[D]")
