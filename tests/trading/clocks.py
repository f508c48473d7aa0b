"""What a feed waits for, passed under a clock of a test's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from wealtharena.trading.clock import SLICE_SECONDS, Due, Timer


def passing(steps: Iterable[Any], timer: Timer) -> Iterator[Any]:
    """Yield what stands between the moments that are waited for, each once it has come; ends where the end is asked for."""
    for one in steps:
        if not isinstance(one, Due):
            yield one
        while isinstance(one, Due):
            soon = timer.now() + dt.timedelta(seconds=SLICE_SECONDS)
            passed = timer.until(min(one.moment, soon) if one.early else one.moment)
            if not passed and timer.roused():
                return
            if passed or one.early:  # which is looked at each minute, as the loop does
                break
