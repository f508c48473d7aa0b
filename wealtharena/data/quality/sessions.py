"""Checks on the stamps of bars: those that a calendar has and lacks, those that nobody traded, those off the grid."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data import calendars, intervals
from wealtharena.data.quality.report import Context, Detection, naive_times, prices_of

Bool = npt.NDArray[np.bool_]
Int = npt.NDArray[np.int64]

_RARE: Final = 0.05  # share of the bars below which stamps off the grid of the others are no bars
_QUARTER: Final = pd.Timedelta(minutes=15)
_ENDS_SESSIONS: Final = 5  # that tell whether stamps are the ends of bars, at least;
_ENDS_STRAY: Final = 0.05  # of them may have a bar that lies in none of them, as one at their open does, and
_ENDS_CLOSED: Final = 0.5  # must have one at their close


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


def end_stamps(table: pd.DataFrame, context: Context) -> Detection | None:
    """Find intraday bars that are stamped by their ends (repair: each stands at its beginning).

    Sessions have one at their close and none at their open, and nothing is traded before or after them. Days that end in
    a shorter step, where the hours do not tell so, are refused: it may be a quote.
    """
    stamps = naive_times(table).astype(np.int64)
    if len(table) < 2 or not context.intraday or (np.diff(stamps) <= 0).any():
        return None
    if (found := _by_ends(table, stamps, context)) is not None:
        return found
    short = intervals.short_last(stamps, intervals.length(context.raw.interval).value)
    if short.sum() <= _RARE * len(stamps):
        return None
    detail = f"{short.sum()} days end in a step of less than {context.raw.interval}"
    way = "where times are the ends of bars, write their beginnings; a quote at the close is no bar, leave it out"
    return Detection(short, detail, beyond_repair=True, way_out=way)


def _by_ends(table: pd.DataFrame, stamps: Int, context: Context) -> Detection | None:
    """Return that the sessions' hours show stamps, which rise, to be the ends of bars; None where they do not."""
    endless = context.calendar in (calendars.ALWAYS, calendars.WEEKDAYS)
    if endless or (hours := _hours(table, context)) is None:
        return None
    begins, ends = hours
    session = np.maximum(np.searchsorted(begins, stamps) - 1, 0)  # the last that opened before
    within = (begins[session] < stamps) & (stamps <= ends[session])
    seen = np.unique(session[within])
    if len(seen) < _ENDS_SESSIONS or (~within).sum() > _ENDS_STRAY * len(seen):
        return None
    opened, closed = np.isin(begins[seen], stamps).mean(), np.isin(ends[seen], stamps).mean()
    if closed < _ENDS_CLOSED:
        return None
    begun = stamps - intervals.length(context.raw.interval).value
    # a session's first bar may be shorter, or its last
    begun = np.where(within, np.maximum(begun, begins[session]), begun)
    begun[1:] = np.maximum(begun[1:], stamps[:-1])
    detail = f"{closed:.0%} of {len(seen)} sessions of {context.calendar} have a bar at their close, {opened:.0%} one at their open"
    note = f"{context.raw.symbol}: its times are the ends of bars ({detail}): each stands at its beginning"
    repaired = table.assign(timestamp=pd.DatetimeIndex(begun, tz="UTC").astype(table["timestamp"].dtype))
    return Detection(np.ones(len(table), dtype=bool), detail, repaired, note=note)


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
    hours = _hours(table, context)
    if hours is None:
        return everything, everything
    begins, ends = hours
    stamps = naive_times(table).astype(np.int64)
    step = intervals.length(context.raw.interval).value
    within = _covered(stamps, begins - step + 1, ends - 1)
    return within, within | _covered(stamps, begins - calendars.EARLY.value, ends + calendars.LATE.value)


def _hours(table: pd.DataFrame, context: Context) -> tuple[Int, Int] | None:
    """Return when the sessions around the bars open and close, in nanoseconds; None where that is not known."""
    week, stamps = pd.Timedelta(days=7), table["timestamp"]
    first, last = stamps.min(), stamps.max()
    hours = calendars.opening_hours(context.calendar, (first - week).date(), (last + week).date())
    if hours.empty or hours["open"].iloc[0] > first or hours["close"].iloc[-1] < last:
        return None
    return _ns(hours["open"]), _ns(hours["close"])


def _covered(stamps: npt.NDArray[np.int64], begins: npt.NDArray[Any], ends: npt.NDArray[Any]) -> Bool:
    """Return which stamps lie in one of the spans [begin, end], which follow one another."""
    span = np.maximum(np.searchsorted(begins, stamps, side="right") - 1, 0)
    before = np.maximum(span - 1, 0)  # spans with hours around them overlap
    return np.asarray(
        ((stamps >= begins[span]) & (stamps <= ends[span])) | ((stamps >= begins[before]) & (stamps <= ends[before]))
    )


def _ns(times: pd.Series) -> npt.NDArray[np.int64]:
    return pd.DatetimeIndex(times).as_unit("ns").asi8
