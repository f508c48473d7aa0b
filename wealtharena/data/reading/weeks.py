"""Weeks of foreign exchange: from Sunday to Friday, 17:00 in New York, which tells by whose clock times without a zone are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.reading.clocks import METATRADER, UTC, instants, step_of
from wealtharena.data.reading.stamps import IntArray

CLOCKS: Final = (  # of brokers and vendors; of two that fit as well, the first counts
    UTC, METATRADER, "America/New_York", "Etc/GMT+5", "Europe/London", "Europe/Athens", "Europe/Berlin", "Etc/GMT-2",
    "Etc/GMT-3",
)  # fmt: skip
_WEEKENDS: Final = 2  # that tell, at least,
_FITTING: Final = 0.8  # of which so many must fit, the others being holidays
_HOUR: Final = 3_600_000_000_000
_WEEK: Final = 7 * 24 * _HOUR
_SATURDAY: Final = (2 * 24 + 12) * _HOUR  # its noon, from Thursday on, with which 1970 began
_OPENS, _CLOSES = (3 * 24 + 17) * _HOUR, (24 + 17) * _HOUR  # on Sundays and on Fridays
_CLOSES_EARLY: Final = _HOUR * 5 // 4  # at the most: many brokers end the week an hour before it does
_APART: Final = 30 * _HOUR  # of bars between which there is a weekend


def told(walls: Mapping[str, IntArray], others: Iterable[str] = ()) -> dict[str, str]:
    """Return by pair the clock, one of `CLOCKS` or `others`, that shows most of its weekends where they are; nothing where none does.

    `walls` has what a clock showed at its bars, in ns since 1970, rising. Pairs are taken to be by one clock where that fits all.
    """
    zones = list(dict.fromkeys((*CLOCKS, *others)))
    fits = {name: np.array([_fitting(*weekends, zone) for zone in zones]) for name, weekends in _all(walls).items()}
    found = dict.fromkeys(walls, "")
    together = np.sum(list(fits.values()), axis=0)
    for name, shares in fits.items():
        for best in (shares.argmax(), together.argmax()):
            if shares[best] >= _FITTING:
                found[name] = zones[best]
    return found


def _all(walls: Mapping[str, IntArray]) -> dict[str, tuple[IntArray, IntArray, int]]:
    """Return the weekends of those that have some, by pair."""
    seen = {name: _weekends(wall) for name, wall in walls.items() if len(wall) > 1}
    return {name: weekends for name, weekends in seen.items() if weekends is not None}


def _weekends(wall: IntArray) -> tuple[IntArray, IntArray, int] | None:
    """Return the last bar before each weekend, the first after it, and the time from bar to bar; None where too few are free of bars."""
    before, after = wall[:-1], wall[1:]
    noons = (after - _SATURDAY) // _WEEK - (before - _SATURDAY) // _WEEK
    free = np.flatnonzero((after - before > _APART) & (noons > 0))
    if len(free) < max(_WEEKENDS, _FITTING * noons.sum()):
        return None
    return before[free], after[free], step_of(wall)


def _fitting(last: IntArray, first: IntArray, step: int, zone: str) -> float:
    """Return the share of weekends that begin and end where those of foreign exchange do, by the clock of a zone.

    Bars of more than an hour may lie across: but those of UTC alone, since others would fit by chance.
    """
    late, early = _after(last + step, zone, _CLOSES), _after(first, zone, _OPENS)
    if late is None or early is None:
        return 0.0
    across, slack = (step, _HOUR) if step <= _HOUR else (step if zone == UTC else 1, 1)
    soon = _CLOSES_EARLY if step <= _HOUR else slack
    return float(((late > -soon) & (late < across) & (early > -across) & (early < slack)).mean())


def _after(wall: IntArray, zone: str, moment: int) -> npt.NDArray[np.int64] | None:
    """Return how long after the nearest such moment of a week, in New York, each time is."""
    stamps = instants(wall, zone)
    if stamps is None:
        return None
    local = pd.DatetimeIndex(stamps, tz=UTC).tz_convert("America/New_York").tz_localize(None).as_unit("ns").asi8
    return np.asarray((local - moment + _WEEK // 2) % _WEEK - _WEEK // 2, dtype=np.int64)
