"""Weeks and months: which one a label means, whatever day of it the label names, and when a bar closes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data import calendars, intervals
from wealtharena.errors import DataError

IntArray = npt.NDArray[np.int64]
LONG: Final = ("1w", "1mo")  # intervals whose bars carry the date of one day of several
_DAY: Final = 86_400 * 10**9
_MONDAY, _SUNDAY = 0, 6
_FIRST_DAYS, _LAST_DAYS = 5, 25  # days of a month up to which labels name its beginning, and from which its end
_FIRST, _MIDDLE, _LAST = 100, 101, 102
_EARLY, _LATE = pd.Timedelta(hours=8), pd.Timedelta(hours=15)  # of a date's close, before and after the day's fixing


def begin(labels: IntArray, interval: str) -> bool:
    """Return whether weeks are labelled by their Mondays, or months by their first days; other labels name their ends.

    A week's Sunday is taken as its end: were it the beginning, what is known then is old but never of later.
    """
    return _kind(labels, interval) in (_MONDAY, _FIRST)


def on_sundays(labels: IntArray, interval: str) -> bool:
    """Return whether weeks are labelled by their Sundays, with which some calendars end a week and others begin one."""
    return interval == "1w" and len(labels) > 0 and _kind(labels, interval) == _SUNDAY


def under_one_label(series: Sequence[IntArray], interval: str, *, always: bool) -> tuple[list[IntArray], int]:
    """Return each symbol's labels (ns, increasing), all bars of one period under the latest of its labels, and how many moved.

    Mondays and Fridays of one week, the first session and the last day of one month mean the same bar; what would stand
    in two rows, each symbol absent from half of them, stands in one. `always` says that a symbol trades on weekends, so
    that weeks which end on other days hold other bars.

    Raises:
        DataError: labels of two kinds do not show which periods are the same.
    """
    keys = [_periods(labels, interval) for labels in series]
    latest: dict[int, int] = {}
    for labels, key in zip(series, keys, strict=True):
        for period, label in zip(key.tolist(), labels.tolist(), strict=True):
            latest[period] = max(label, latest.get(period, label))
    made, moved = [], 0
    for labels, key in zip(series, keys, strict=True):
        last = np.r_[key[1:] != key[:-1], True] if len(key) else np.zeros(0, dtype=np.bool_)
        target = np.array([latest[period] for period in key.tolist()], dtype=np.int64)
        one = np.where(last, target, labels)
        moved += int((one != labels).sum())
        made.append(one)
    if not moved:
        return list(series), 0
    kinds = {_kind(labels, interval) for labels in series if len(labels)}
    if len(kinds) > 1 and ((interval == "1w" and (always or _SUNDAY in kinds)) or _MIDDLE in kinds):
        word = "weeks" if interval == "1w" else "months"
        raise DataError(
            f"the {word} of its symbols are labelled by different days, which do not show which of them are the same",
            hint=f"write all {word} under one day, such as their first",
        )
    return made, moved


def closes(
    labels: IntArray, interval: str, *, calendar: str, begins: bool, at_hand: pd.Timestamp | None = None
) -> pd.DatetimeIndex:
    """Return when each bar closes, UTC, near enough to tell which of the ECB's fixings (15:00) were known by then.

    A bar of a day closes on its date; one of a week or month on the last session of its period where labels name its
    beginning (`begins`), else on the last one up to its label; a shorter one at its end. A period that was not over when
    bars were fetched, `at_hand`, closes then.
    """
    stamps = pd.DatetimeIndex(labels.astype("datetime64[ns]")).tz_localize("UTC")
    if interval not in intervals.DATED:
        return stamps + intervals.length(interval)
    late = _LATE if calendars.closes_after_fixing(calendar) else _EARLY
    if interval not in LONG or not len(labels):
        return stamps + late
    first, last = _bounds(labels, interval)
    last = last if begins else labels
    known = calendars.sessions(calendar, _date(first.min()), _date(last.max())).as_unit("ns").asi8
    place = np.searchsorted(known, last, side="right") - 1
    found = known[np.maximum(place, 0)] if len(known) else labels
    dates = np.where((place >= 0) & (found >= np.minimum(first, labels)), found, labels)
    made = pd.DatetimeIndex(dates.astype("datetime64[ns]")).tz_localize("UTC") + late
    if at_hand is None:
        return made
    running = (made > at_hand) & (stamps <= at_hand)
    return pd.DatetimeIndex(made.where(~running, at_hand))


def last_days(labels: IntArray, interval: str, calendar: str) -> IntArray:
    """Return 00:00 of the last session of each week or month, ns, whether or not its label has come to it.

    Months whose labels name their beginning or end go to the month's last session, weeks labelled by Mondays to the week's;
    other weeks end on their usual day, and other months on their label.
    """
    first, last = _bounds(labels, interval)
    kind = _kind(labels, interval)
    if kind == _MIDDLE:
        return labels
    if interval == "1w" and kind != _MONDAY:
        last = np.maximum(first + kind * _DAY, labels // _DAY * _DAY)
    known = calendars.sessions(calendar, _date(first.min()), _date(last.max())).as_unit("ns").asi8
    place = np.searchsorted(known, last, side="right") - 1
    found = known[np.maximum(place, 0)] if len(known) else last
    return np.where((place >= 0) & (found >= first), found, last)


def _kind(labels: IntArray, interval: str) -> int:
    """Return the usual day of the week of a series' weeks; of months, whether labels name beginning, end or neither."""
    days = pd.DatetimeIndex(labels)
    if interval == "1w":
        return int(np.bincount(days.day_of_week, minlength=7).argmax())
    usual = float(np.median(days.day)) if len(days) else 0.0
    return _FIRST if usual <= _FIRST_DAYS else _LAST if usual >= _LAST_DAYS else _MIDDLE


def _periods(labels: IntArray, interval: str) -> IntArray:
    """Return the number of the week, Monday to Sunday, or month in which each label lies."""
    if interval == "1w":
        return (labels // _DAY + 3) // 7  # 1970-01-01 was a Thursday
    return labels.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)


def _bounds(labels: IntArray, interval: str) -> tuple[IntArray, IntArray]:
    """Return 00:00 of the first and the last day of the period in which each label lies, ns."""
    key = _periods(labels, interval)
    if interval == "1w":
        first = (key * 7 - 3) * _DAY
        return first, first + 6 * _DAY
    first, following = (
        (key + step).astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64) for step in (0, 1)
    )
    return first, following - _DAY


def _date(nanoseconds: int) -> pd.Timestamp:
    return pd.Timestamp(int(nanoseconds))
