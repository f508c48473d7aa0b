"""Checks on the stamps of bars: those that a calendar has and lacks, those that nobody traded, those off the grid."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data import calendars, intervals
from wealtharena.data.quality.report import Context, Detection, naive_times, prices_of

Bool = npt.NDArray[np.bool_]

_RARE: Final = 0.05  # share of the bars below which stamps off the grid of the others are no bars
_QUARTER: Final = pd.Timedelta(minutes=15)
_EARLY: Final = pd.Timedelta(hours=5.5)  # before the open, and
_LATE: Final = pd.Timedelta(hours=4)  # after the close: 4:00 to 20:00 in New York, the widest hours of any shares


def off_grid(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find few stamps between those of the other intraday bars: quotes, or sums of a day (repair: removed).

    A day's first bar may be shorter than the others (9:30, 10:00, 11:00). Bars of four hours follow a zone's clock, so
    that only what lies off the quarter hours is judged there.
    """
    if not context.intraday or len(table) < 2:
        return None
    stamps = naive_times(table).astype(np.int64)
    step = intervals.length(context.raw.interval).value
    phases, which, counts = np.unique(stamps % step, return_inverse=True, return_counts=True)
    off = (phases - phases[counts.argmax()]) % step
    quarters = (off % _QUARTER.value == 0)[which]
    mask: Bool = (counts < _RARE * len(stamps))[which] & ~(quarters & (step > pd.Timedelta(hours=1).value))
    mask &= ~(quarters & intervals.short_first(stamps, step))
    if not mask.any():
        return None
    first = f"{table['timestamp'][mask].iloc[0]:%Y-%m-%d %H:%M:%S}"
    detail = f"{mask.sum()} bars off the grid of the others, first {first}: quotes or sums among bars of {context.raw.interval}"
    return Detection(mask, detail, table[~mask], note=f"{context.raw.symbol}: {detail}; they are left out")


def invented_bars(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find bars outside the calendar's sessions that repeat the bar before, as filled holes do (repair: removed)."""
    if context.raw.interval in ("1w", "1mo") or len(table) < 2:
        return None
    numbers = np.column_stack([prices_of(table), table["volume"].to_numpy(dtype=np.float64)])
    same = np.zeros(len(table), dtype=bool)
    equal = (numbers[1:] == numbers[:-1]) | (np.isnan(numbers[1:]) & np.isnan(numbers[:-1]))
    same[1:] = equal[:, :4].all(axis=1) & (equal[:, 4] | ~(numbers[1:, 4] > 0))  # a volume of its own was traded
    if context.intraday:  # a quiet hour before the open repeats a price; a whole bar it does not
        moved = (numbers[:, 1] > numbers[:, 2]) | (numbers[:, 4] > 0)
        same[1:] &= equal[:, 4]
        same &= moved
    if not same.any():
        return None
    mask = same & ~inside(table, context)[0]
    if not mask.any():
        return None
    detail = (
        f"{mask.sum()} bars outside the sessions of {context.calendar} repeat the bar before: holes that were filled"
    )
    return Detection(mask, detail, table[~mask], note=f"{context.raw.symbol}: {detail}; they are left out")


def outside_sessions(table: pd.DataFrame, context: Context) -> Detection | None:
    """Count bars outside the calendar's sessions, whose prices are their own; hours before and after them are usual."""
    if context.raw.interval in ("1w", "1mo") or not len(table):
        return None
    within, near = inside(table, context)
    if within.all():
        return None
    what = "hours" if context.intraday else "sessions"
    detail = f"{(~within).sum()} of {len(table)} bars outside the {what} of {context.calendar}"
    far = int((~near).sum())
    note = ""
    if context.intraday and far:
        detail += f", {far} of them far outside"
        note = f"{context.raw.symbol}: {detail}: are their dates and their zone right?"
    return Detection(~within, detail, note=note)


def missing_sessions(table: pd.DataFrame, context: Context) -> Detection | None:
    """Count the calendar's sessions that have no bar; nothing is filled in, the panel leaves them untradable."""
    if len(table) < 2 or context.raw.interval in ("1w", "1mo"):
        return None
    days = pd.DatetimeIndex(table["timestamp"]).normalize().unique()
    expected = calendars.sessions(context.calendar, days[0].date(), days[-1].date())
    lacking = expected.difference(days)
    if not len(lacking):
        return None
    extra = days.difference(expected)
    detail = (
        f"{len(lacking)} of {len(expected)} sessions of {context.calendar} have no bar, first {lacking[0]:%Y-%m-%d};"
        f" {len(extra)} bars outside its sessions"
    )
    return Detection(np.zeros(len(table), dtype=bool), detail, table, count=len(lacking))


def inside(table: pd.DataFrame, context: Context) -> tuple[Bool, Bool]:
    """Return which bars lie in a session, and which in the hours around one; all where the sessions are not known."""
    everything = np.ones(len(table), dtype=bool)
    if context.calendar == calendars.ALWAYS or not len(table):
        return everything, everything
    times = pd.DatetimeIndex(table["timestamp"])
    first, last = times.min(), times.max()
    if not context.intraday:
        known = calendars.sessions(context.calendar, first.date(), last.date())
        open_days = np.asarray(times.normalize().isin(known))
        return open_days, open_days
    week = pd.Timedelta(days=7)
    hours = calendars.opening_hours(context.calendar, (first - week).date(), (last + week).date())
    if hours.empty or hours["open"].iloc[0] > first or hours["close"].iloc[-1] < last:
        return everything, everything
    begins, ends = _ns(hours["open"]), _ns(hours["close"])
    stamps = naive_times(table).astype(np.int64)
    step = intervals.length(context.raw.interval).value
    within = _covered(stamps, begins - step + 1, ends - 1)
    return within, within | _covered(stamps, begins - _EARLY.value, ends + _LATE.value)


def _covered(stamps: npt.NDArray[np.int64], begins: npt.NDArray[Any], ends: npt.NDArray[Any]) -> Bool:
    """Return which stamps lie in one of the spans [begin, end], which follow one another."""
    span = np.maximum(np.searchsorted(begins, stamps, side="right") - 1, 0)
    before = np.maximum(span - 1, 0)  # spans with hours around them overlap
    return np.asarray(
        ((stamps >= begins[span]) & (stamps <= ends[span])) | ((stamps >= begins[before]) & (stamps <= ends[before]))
    )


def _ns(times: pd.Series) -> npt.NDArray[np.int64]:
    return pd.DatetimeIndex(times).as_unit("ns").asi8
