"""Workers that die under a trial: Tune is told in its own terms, people in theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FEWER = "lower sweep.concurrency, or what one trial holds (algo.rollout_steps, compute.envs)"
_GONE = "the machine that it ran on left the cluster, or does not answer"
_EITHER = f"its worker died without a word: the machine that it ran on left the cluster (`ray status` tells), or the system killed it for want of memory; {_FEWER}"
_DIED = "worker process has died"
_WORDS = {  # what Ray writes -> what a person reads
    "running low on memory": f"its worker was killed because the machine ran low on memory; {_FEWER}",
    _DIED: f"its worker was killed without a word, most likely by the system for want of memory; {_FEWER}",
    "node has died": _GONE,
    "actor is temporarily unavailable": _GONE,
}


@contextlib.contextmanager
def survived() -> Iterator[None]:
    """Let a worker that Ray's memory monitor kills fail its own trial and no other.

    Ray reports such a death as OutOfMemoryError, which is no RayActorError: Tune 2.60 takes it for a mistake of its own
    and ends the experiment.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import OutOfMemoryError, RayActorError

    manager_class: Any = RayActorManager
    original = manager_class._actor_task_failed

    def failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=str(exception))
        original(manager, tracked_actor_task, exception)

    manager_class._actor_task_failed = failed
    try:
        yield
    finally:
        manager_class._actor_task_failed = original


def reason(error_file: str | None) -> str:
    """Return why a trial failed, in one line: the last of its traceback, or what its worker died of.

    A worker may go before its machine has: on a cluster of several the line names both causes.
    """
    if error_file is None or not Path(error_file).exists():
        return "no message"
    text = Path(error_file).read_text()
    lines = [line for line in text.splitlines() if line.strip()]
    if _DIED in text and _machines() > 1:
        return _EITHER
    return next((said for words, said in _WORDS.items() if words in text), lines[-1] if lines else "no message")


def _machines() -> int:
    """Return how many the cluster has or has had; 0 without one."""
    import ray

    cluster: Any = ray  # whose nodes() bears no types
    return len(cluster.nodes()) if ray.is_initialized() else 0
