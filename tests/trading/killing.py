"""Processes that trade and are killed: at a named point, or at moments drawn at random, until one comes to its end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.forks import Fork

MOST = 60  # kills
FIRST_SECONDS, GROWTH = 0.04, 1.2  # longest life of the first process, and by what each next may live longer
At = Callable[[str], None]


def killer(point: str, count: int) -> At:
    """Return what kills the process the `count`th time that it is told of `point`; never for a count of 0."""
    left = count

    def at(reached: str) -> None:
        nonlocal left
        left -= reached == point
        if reached == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def elsewhere(work: Callable[[], Any]) -> Any:
    """Begin something in a process of its own, and return the process."""
    process = Fork(target=lambda: sys.exit(work()))
    process.start()
    return process


def until_killed(trade: Callable[[At], Any], point: str, count: int) -> int | None:
    """Trade in a process of its own that dies the `count`th time it reaches a point; return its exit code."""
    process = Fork(target=trade, args=(killer(point, count),))
    process.start()
    process.join(120)
    return process.exitcode


def killed_again_and_again(trade: Callable[[At], Any], seed: int) -> int:
    """Trade in one process after another, each killed at a moment of its own, until one ends; return how many were killed.

    Lives begin shorter than any machine needs for an account, and grow to what the slowest needs for a bar.
    """
    rng = np.random.default_rng(seed)
    for kills in range(MOST):
        process = Fork(target=trade, args=(killer("", 0),))
        process.start()
        process.join(rng.uniform(0.0, FIRST_SECONDS * GROWTH**kills))
        alive = process.is_alive()
        process.kill()
        process.join(120)
        if process.exitcode == 0:
            return kills
        assert alive or process.exitcode == -signal.SIGKILL, f"it ended by itself, with {process.exitcode}"
    raise AssertionError(f"not through after {MOST} kills")
