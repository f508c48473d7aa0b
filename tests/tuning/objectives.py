"""What the trials of a toy search do: a parabola in x. Each of Ray's workers imports this file, and with it no more than it needs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

STEPS = 4


class Toy:
    """Reports `-(x - 0.3)^2`, better with every step, and the steps so far beside it.

    Trial numbers in `broken` raise, those in `blank` report NaN, those in `killed` end as the system's OOM killer ends a
    process, and those in `endless` wait to be ended.
    """

    def __init__(
        self,
        *,
        broken: Sequence[int] = (),
        blank: Sequence[int] = (),
        killed: Sequence[int] = (),
        endless: Sequence[int] = (),
    ) -> None:
        self.broken, self.blank, self.killed = tuple(broken), tuple(blank), tuple(killed)
        self.endless = tuple(endless)

    def __call__(self, overrides: Sequence[str], *, number: int, report: Any, shared: Any) -> None:
        x = float(dict(item.split("=") for item in overrides)["x"])
        if number in self.broken:
            raise ValueError(f"trial {number} is broken on purpose")
        for step in range(STEPS):
            score = float("nan") if number in self.blank else -((x - 0.3) ** 2) * (1 + 1 / (step + 1))
            report(score, {"x_steps": list(range(step + 1))})
            if number in self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            if number in self.endless:
                time.sleep(600)
