"""What a feed waits for, passed under a clock of a test's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from wealtharena.trading.clock import Due, Timer


def passing(steps: Iterable[Any], timer: Timer) -> Iterator[Any]:
    """Yield what stands between the moments that are waited for, each once it has come; ends where the end is asked for."""
    for one in steps:
        if not isinstance(one, Due):
            yield one
        while isinstance(one, Due) and not timer.until(one.moment):
            if timer.roused():
                return
