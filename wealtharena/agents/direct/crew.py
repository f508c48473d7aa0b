"""Who computes slopes: this process on its cores, or learners all over a Ray cluster, each over windows of its own.

None of them remembers anything between two updates. So a learner that dies takes nothing along: the others do its windows
as well, and the weights are those that they would have been.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from wealtharena.agents.direct.pathwise import Drawn, Pathwise, Slope
from wealtharena.agents.engine import Workbench
from wealtharena.agents.networks.members import Stack
from wealtharena.agents.patience import ANSWER_SECONDS, RESUMABLE, START_SECONDS, starting, told, within
from wealtharena.agents.process import keep_freed_memory, set_threads
from wealtharena.config.threads import usable_cores
from wealtharena.errors import TrainingError

log = logging.getLogger(__name__)


class Crew(Protocol):
    """What computes the slopes of an update."""

    def slopes(self, members: Stack, drawn: Sequence[Drawn]) -> list[Slope]:
        """Return the slope over each of what was drawn, in that order."""

    def close(self) -> None:
        """Let go what is held."""


class Here:
    """The process that trains; pieces of an update share its cores, which changes no bit of it.

    A thread that waits for another here costs nothing, where torch's own threads spend their time waiting. Where torch is
    told to use more of them than one, the pieces are made one after another.
    """

    def __init__(self, pathwise: Pathwise, *, torch_threads: int) -> None:
        self.pathwise = pathwise
        cores = usable_cores() if torch_threads == 1 else 1
        self._threads = ThreadPoolExecutor(cores - 1, thread_name_prefix="direct") if cores > 1 else None

    def slopes(self, members: Stack, drawn: Sequence[Drawn]) -> list[Slope]:
        """Return the slope over each of what was drawn."""
        return [self.pathwise.slope(members, one, threads=self._threads) for one in drawn]

    def close(self) -> None:
        """Let the threads end."""
        if self._threads is not None:
            self._threads.shutdown()


class Learners:
    """Actors of a Ray cluster, each with the market and nothing else."""

    def __init__(self, bench: Workbench, *, count: int, steps: int) -> None:
        import ray

        from wealtharena.agents import cluster

        self._connected = cluster.connect(bench.spec.compute)
        cluster.require_actors(learners=count)
        make: Any = ray.remote(Learner)
        placed = make.options(num_cpus=1, scheduling_strategy="SPREAD")
        market = cluster.share(bench.market)
        self._alive = [
            placed.remote(market, bench.env, bench.spec, action=bench.action, steps=steps) for _ in range(count)
        ]
        with starting("the learners"):
            within(
                lambda: ray.get([one.ready.remote() for one in self._alive], timeout=2 * START_SECONDS),
                what="Ray to place and start the learners",
                hint="lower compute.learners, or look at what else this Ray is busy with: `ray status`",
            )

    def slopes(self, members: Stack, drawn: Sequence[Drawn]) -> list[Slope]:
        """Return the slope over each of what was drawn; the work of a learner that has died goes to the others.

        TrainingError where none is left, or none answers within ANSWER_SECONDS.
        """
        found: dict[int, Slope] = {}
        numbers, until = members.detached(), time.monotonic() + ANSWER_SECONDS
        with told("the learners"):
            while len(found) < len(drawn):
                if not self._alive:
                    raise TrainingError("the processes of all learners have died", hint=RESUMABLE)
                missing = [n for n in range(len(drawn)) if n not in found]
                self._ask(numbers, drawn, missing, found, until=until)
        return [found[n] for n in range(len(drawn))]

    def _ask(
        self, members: Stack, drawn: Sequence[Drawn], missing: list[int], found: dict[int, Slope], *, until: float
    ) -> None:
        """Share what is missing among those alive, and write what they find; forget those that have died."""
        import ray

        asked = [self._alive[k % len(self._alive)] for k in range(len(missing))]
        answers = [one.slope.remote(members, drawn[n]) for one, n in zip(asked, missing, strict=True)]
        for one, n, answer in zip(asked, missing, answers, strict=True):
            try:
                found[n] = Slope(*ray.get(answer, timeout=max(until - time.monotonic(), 0.0)))
            except ray.exceptions.RayActorError:
                if one in self._alive:
                    self._alive.remove(one)
                    log.warning("a learner's process has died; the %d others do its work", len(self._alive))
            except ray.exceptions.GetTimeoutError as error:
                raise TrainingError(f"no learner answers within {ANSWER_SECONDS:g} s", hint=RESUMABLE) from error

    def close(self) -> None:
        """Stop the actors; a cluster that was there before stays."""
        import ray

        from wealtharena.agents import cluster

        for one in self._alive:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(one)
        if self._connected:
            cluster.disconnect()


class Learner:
    """An actor that knows a market and answers where the objective rises."""

    def __init__(self, market: Any, env: Any, spec: Any, *, action: str, steps: int) -> None:
        set_threads(spec.compute.torch_threads)
        keep_freed_memory()
        self.pathwise = Pathwise.of(market, env, spec.algo, action=action, steps=steps, device="cpu")

    def ready(self) -> bool:
        """Return True: it has been made."""
        return True

    def slope(self, members: Stack, drawn: Drawn) -> tuple[Any, ...]:
        """Return the parts of the slope over what was drawn."""
        return tuple(self.pathwise.slope(members, drawn))
