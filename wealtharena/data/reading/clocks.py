"""Clocks that files without a zone are written by, and what they show."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.stamps import IntArray

UTC: Final = "UTC"
METATRADER: Final = "New York + 7 h"  # whose midnight is the end of a day of foreign exchange, in summer and winter
_BEHIND: Final = 7 * 3_600_000_000_000
_SPOKEN: Final = {
    METATRADER: "MetaTrader's clock, seven hours before New York's",
    "Etc/GMT+5": "New York's winter time all year",
    "Etc/GMT-2": "UTC + 2 h",
    "Etc/GMT-3": "UTC + 3 h",
    UTC: UTC,
}


def instants(wall: IntArray, zone: str) -> IntArray | None:
    """Return the instants, ns since 1970, at which a clock of `zone` showed `wall`; None where it showed one twice, or never."""
    if zone == UTC:
        return wall
    shift, place = (_BEHIND, "America/New_York") if zone == METATRADER else (0, zone)
    local = pd.DatetimeIndex((wall - shift).astype("datetime64[ns]"))
    found = local.tz_localize(place, ambiguous="NaT", nonexistent="NaT")
    return None if found.hasnans else np.asarray(found.tz_convert(UTC).as_unit("ns").asi8, dtype=np.int64)


def step_of(wall: IntArray) -> int:
    """Return the time from bar to bar that most bars have, in ns; `wall` rises and has two at least."""
    steps, counts = np.unique(np.diff(wall), return_counts=True)
    return int(steps[counts.argmax()])


def spoken(zone: str) -> str:
    """Return a zone in words, to stand behind `are taken as`."""
    return _SPOKEN.get(zone, f"{zone}'s")
