"""How far apart bars are: the intervals that are known, and which of them a series of timestamps shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config.specs.data import Interval
from wealtharena.errors import DataError

INTERVALS: Final[tuple[str, ...]] = get_args(Interval)
DATED: Final = ("1d", "1w", "1mo")  # their bars carry a date, the others a time
MAX_FOREIGN_SHARE: Final = 0.05  # of steps that do not belong to the interval

_LENGTH: Final = {
    "1m": pd.Timedelta(minutes=1),
    "5m": pd.Timedelta(minutes=5),
    "15m": pd.Timedelta(minutes=15),
    "30m": pd.Timedelta(minutes=30),
    "1h": pd.Timedelta(hours=1),
    "4h": pd.Timedelta(hours=4),
    "1d": pd.Timedelta(days=1),
    "1w": pd.Timedelta(days=7),
    "1mo": pd.Timedelta(days=30),
}
_HOUR: Final = 3_600_000_000_000
_DAY: Final = 24 * _HOUR
_BANDS: Final = {"1d": (20 * _HOUR, 108 * _HOUR), "1w": (5 * _DAY, 9 * _DAY), "1mo": (26 * _DAY, 33 * _DAY)}
_WHOLE: Final = {"1d": (20 * _HOUR, 36 * _HOUR), "1w": (6 * _DAY + _HOUR, 8 * _DAY - _HOUR)}  # from one bar to the next
_CUT: Final = 15 * 60_000_000_000  # a session begins on a quarter of an hour
_SHORTEST_DAY: Final = 20 * _HOUR
_USUAL: Final = 0.2  # the smallest step that makes up this share of all is the interval: nights and weekends are longer
_RUN: Final = 10  # equal longer steps in a row: no market pauses like that, another interval was written there
_SINGLE: Final = 0.05  # least share of a day's (week's) steps that are one day (week): bars of three days have none


@dataclass(frozen=True)
class Spacing:
    """What the steps of one series show: `interval` is None where they fit none; `foreign` steps break it."""

    interval: str | None
    typical: pd.Timedelta
    foreign: int
    steps: int
    other: str | None  # a second interval that a whole stretch of the series has
    stretch: str = ""  # its first and last date

    @property
    def mixed(self) -> bool:
        """Return whether bars of several intervals stand in one series."""
        return self.other is not None or self.foreign > MAX_FOREIGN_SHARE * self.steps


def length(interval: str) -> pd.Timedelta:
    """Return how long a bar lasts; a month counts as thirty days."""
    return _LENGTH[interval]


def spacing(timestamps: pd.Series | pd.DatetimeIndex) -> Spacing | None:
    """Return what all steps between neighbouring timestamps show; None for fewer than two of them."""
    stamps = np.unique(pd.DatetimeIndex(timestamps).as_unit("ns").asi8)
    steps = np.diff(stamps)
    if not len(steps):
        return None
    classes = np.select([(steps >= low) & (steps < high) for low, high in _BANDS.values()], [1, 2, 3], default=0)
    sizes = np.where(classes == 0, steps, np.array([0, _DAY, 7 * _DAY, 30 * _DAY])[classes])
    values, counts = np.unique(sizes, return_counts=True)
    usual = values[counts >= _USUAL * len(steps)]
    smallest = int(usual.min()) if len(usual) else int(np.median(steps))
    found = next((name for name, value in _LENGTH.items() if value.value == smallest), None)
    typical = pd.Timedelta(int(np.median(steps[sizes == smallest])) if (sizes == smallest).any() else smallest)
    if found in _WHOLE and not _has_single(steps[sizes == smallest], *_WHOLE[found]):
        return Spacing(None, typical, 0, len(steps), None)
    if found == "1d":
        sizes = np.where(classes == 1, np.round(steps / _DAY).astype(np.int64) * _DAY, sizes)
    foreign = int(_foreign(stamps, found).sum()) if found else 0
    other, begin, end = _second(sizes, smallest)
    days = pd.DatetimeIndex(stamps[[begin, end]]).strftime("%Y-%m-%d")
    return Spacing(found, typical, foreign, len(steps), other, f"{days[0]} to {days[1]}" if other else "")


def found_interval(timestamps: pd.Series) -> str | None:
    """Return the interval that the bars show; None where it is none of those known, or for a single bar."""
    shown = spacing(timestamps)
    return shown.interval if shown else None


def check_interval(timestamps: pd.Series, interval: str, *, where: str) -> None:
    """Raise DataError where the bars are not all `interval` apart, or most share a date; one bar tells nothing."""
    shown = spacing(timestamps)
    if shown is None:
        return
    repeated = int(timestamps.duplicated().sum())
    if shown.interval in DATED and 2 * repeated > len(timestamps):
        raise DataError(
            f"{where}: {repeated} of {len(timestamps)} bars repeat the date of another, and no column tells when",
            hint="write date and time in one column, like 2024-01-31T15:00:00Z, or name the second one time: 09:30",
        )
    if shown.interval is not None and shown.mixed:
        beside = f"a stretch of {shown.other} among bars of {shown.interval}, {shown.stretch}"
        odd = f"{shown.foreign} of {shown.steps} steps do not belong to {shown.interval}"
        raise DataError(
            f"{where}: bars of several intervals stand in one series ({beside if shown.other else odd})",
            hint="split the file, one interval each, or keep to one by data.start and data.end, and set data.interval",
        )
    if shown.interval == interval:
        return
    apart = in_words(shown.typical)
    known = f"set data.interval={shown.interval}" if shown.interval else ""
    raise DataError(
        f"{where}: bars are {apart} apart, not {interval}",
        hint=known or f"resample the file to one of {', '.join(INTERVALS)}",
    )


def in_words(length: pd.Timedelta) -> str:
    """Return a length of time as 7 days, 60 minutes or 1 seconds."""
    for name in ("day", "minute"):
        if length >= (unit := pd.Timedelta(1, name)):
            return f"{length / unit:g} {name}s"
    return f"{length.total_seconds():g} seconds"


def are_apart(timestamps: pd.Series | pd.DatetimeIndex, interval: str) -> bool:
    """Return whether bars may be `interval` apart: a twentieth of their steps or more is one of it; few bars may be anything."""
    stamps = np.unique(pd.DatetimeIndex(timestamps).as_unit("ns").asi8)
    steps = np.diff(stamps).astype(np.int64)
    low, high = _WHOLE.get(interval) or _BANDS.get(interval) or (_LENGTH[interval].value, _LENGTH[interval].value + 1)
    return _has_single(steps, low, high)


def is_dated(timestamps: pd.Series | pd.DatetimeIndex) -> bool | None:
    """Return whether bars are a day or more apart, as nearly all steps say; None for a single bar."""
    stamps = np.unique(pd.DatetimeIndex(timestamps).as_unit("ns").asi8)
    steps = np.diff(stamps)
    return None if not len(steps) else bool((steps < _SHORTEST_DAY).mean() <= MAX_FOREIGN_SHARE)


def _has_single(steps: npt.NDArray[np.int64], low: int, high: int) -> bool:
    """Return whether bars follow each other without a gap often enough; a few steps tell nothing."""
    return len(steps) < _RUN or float(((steps >= low) & (steps < high)).mean()) >= _SINGLE


def _foreign(stamps: npt.NDArray[np.int64], interval: str) -> npt.NDArray[np.bool_]:
    """Return True where a step cannot stand between two bars of the interval, however many are missing between.

    The steps to and from a day's shorter first or last bar can.
    """
    steps = np.diff(stamps)
    if interval in DATED:
        return np.asarray(steps < _BANDS[interval][0])
    step = _LENGTH[interval].value
    cut = short_first(stamps, step) | short_last(stamps, step)
    return np.asarray((steps % step != 0) & ~cut[:-1] & ~cut[1:])


def short_first(stamps: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.bool_]:
    """Return which stamps are a first bar after a break that is cut short by the clock: 9:30 before 10:00 and 11:00.

    So IBKR and TradingView label hourly bars of a share. `stamps` and `step` are ns.
    """
    first = np.zeros(len(stamps), dtype=bool)
    steps = np.diff(stamps)
    begins = np.r_[True, steps > step][:-1]
    first[:-1] = begins & (steps > 0) & (steps < step) & (steps % _CUT == 0) & (stamps[1:] % _CUT == 0)
    return first


def short_last(stamps: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.bool_]:
    """Return which stamps are a last one before a break that is cut short by the clock: 16:00 behind 14:30 and 15:30.

    So NinjaTrader and TradeStation label hourly bars of a share, by their ends. `stamps` and `step` are ns.
    """
    return short_first(-stamps[::-1], step)[::-1]


def _second(sizes: npt.NDArray[np.int64], smallest: int) -> tuple[str | None, int, int]:
    """Return another interval that ten or more neighbouring steps have, all equal, and the stamps where that stretch begins and ends.

    It is a known one or of whole days.
    """
    edges = np.flatnonzero(np.diff(sizes)) + 1
    starts, ends = np.r_[0, edges], np.r_[edges, len(sizes)]
    for begin, end in zip(starts.tolist(), ends.tolist(), strict=True):
        size = int(sizes[begin])
        if end - begin >= _RUN and size != smallest:
            name = next((name for name, value in _LENGTH.items() if value.value == size), None)
            if name is not None or (smallest == _DAY and size % _DAY == 0 and size < _BANDS["1d"][1]):
                return name or f"{size // _DAY} days", begin, end
    return None, 0, 0
