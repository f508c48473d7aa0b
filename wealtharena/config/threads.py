"""Threads of numerical libraries, set on purpose: the defaults oversubscribe a shared or limited machine."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_CGROUP = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Return the cores this process may really use: its affinity mask, cut to the container's quota; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cgroup.read_text().split()
        limit = int(quota) // int(period)
    except (OSError, ValueError):  # no cgroup v2, or its quota is the word `max`
        return cores
    return max(1, min(cores, limit))


def thread_variables() -> dict[str, str | None]:
    """Return the thread variables as they stand; None for one that is not set."""
    return {name: os.environ.get(name) for name in _VARIABLES}


def set_threads(requested: int, environment: MutableMapping[str, str] = os.environ) -> int:
    """Set the thread variables before torch is loaded and return the number; 0 takes `usable_cores`.

    A variable that the user has set stays. Waiting threads sleep instead of spinning, since on a busy machine spinning
    takes the core from the thread that is waited for.
    """
    threads = requested if requested > 0 else usable_cores()
    for name in _VARIABLES:
        environment.setdefault(name, str(threads))
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return threads
