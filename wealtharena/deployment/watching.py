"""Loops that look at something again and again, survive whatever they meet, and say when they last got through."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger("wealtharena.deployment")
_MARK = "watched-"


@dataclass
class Watch:
    """One loop of one worker; `age` is the time since it last got through its look.

    `look` runs in a thread, so that a disk that does not answer holds up this loop alone; `mark` is a file whose time
    says the same to the other workers.
    """

    name: str
    look: Callable[[], None]
    every: float
    mark: Path | None = None
    _through: float = field(default_factory=time.monotonic, init=False)

    def __post_init__(self) -> None:
        if self.mark is not None:
            self.mark.touch()

    async def run(self) -> None:
        """Look until cancelled; what goes wrong is logged and looked at again."""
        while True:
            await asyncio.sleep(self.every)
            try:
                await asyncio.to_thread(self.look)
                self._through = time.monotonic()
                if self.mark is not None:
                    self.mark.touch()
            except Exception:  # a look may fail in any way: the log has it, and its age shows that none gets through
                logger.exception("the %s watcher failed and goes on", self.name)

    def age(self) -> float:
        """Return the seconds since the last look that got through."""
        return time.monotonic() - self._through


def mark_of(runtime: Path) -> Path:
    """Return this worker's mark in the folder that all workers share."""
    return runtime / f"{_MARK}{os.getpid()}"


def oldest_age(runtime: Path) -> float:
    """Return the seconds since the last look of the worker that is furthest behind; dead workers do not count."""
    ages = [0.0]
    for path in runtime.glob(f"{_MARK}*"):
        with contextlib.suppress(OSError, ValueError):  # a worker that is gone, or goes this moment
            os.kill(int(path.name.removeprefix(_MARK)), 0)
            ages.append(time.time() - path.stat().st_mtime)
    return max(ages)
