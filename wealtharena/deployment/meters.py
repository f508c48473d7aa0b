"""What Prometheus is told; correct over several workers, whose counts meet in a shared folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from wealtharena.prediction.agent import ServedAgent

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name for the folder, read when it is imported
CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Meters:
    """Counters of one worker; `page` is the sum over all of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "wealtharena_requests",
            "Requests by route, method and status",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "wealtharena_request_seconds",
            "Time to answer by route",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._predictions = Counter(
            "wealtharena_predictions", "Predictions by agent and version", ["agent", "version"], registry=self._registry
        )
        self._reloads = Counter(
            "wealtharena_reloads", "Stages that changed hands while serving", ["agent"], registry=self._registry
        )
        self._failed = Counter(
            "wealtharena_load_failures",
            "Promoted versions that failed verification",
            ["agent"],
            registry=self._registry,
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the template, never the path that a client made up."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def predictions(self, agent: str, version: str, count: int) -> None:
        """Count predictions of one version."""
        self._predictions.labels(agent, version).inc(count)

    def reloaded(self, agent: str, *, failed: bool) -> None:
        """Count a promotion taken up, or refused."""
        (self._failed if failed else self._reloads).labels(agent).inc()

    def page(self, loaded: Mapping[str, ServedAgent], problems: Collection[str] = (), *, watched: float) -> bytes:
        """Return the exposition text, with a line of facts for every agent that this worker answers for.

        `problems` are the agents of which what stands on the stages cannot be loaded, whether or not they answer.
        `watched` is the age of the last look at registry and keys, in seconds, of the worker that is furthest behind.
        """
        registry = self._registry
        if os.environ.get(MULTIPROCESS):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client types it nowhere
        lines = [
            "# HELP wealtharena_watcher_age_seconds Time since registry and keys were last looked at, of the slowest worker",
            "# TYPE wealtharena_watcher_age_seconds gauge",
            f"wealtharena_watcher_age_seconds {watched:.3f}",
        ]
        lines += ["# HELP wealtharena_agent_info What answers for an agent", "# TYPE wealtharena_agent_info gauge"]
        for agent, served in loaded.items():
            pointer = served.pointer
            facts = {"agent": agent, "version": pointer.version, "stage": pointer.stage, "verdict": pointer.verdict}
            facts["simulated"] = str(pointer.simulated).lower()
            lines.append(
                "wealtharena_agent_info{" + ",".join(f'{key}="{value}"' for key, value in facts.items()) + "} 1"
            )
        lines += [
            "# HELP wealtharena_agent_problem 1 where what stands on an agent's stages cannot be loaded",
            "# TYPE wealtharena_agent_problem gauge",
        ]
        for agent in sorted({*loaded, *problems}):
            lines.append(f'wealtharena_agent_problem{{agent="{agent}"}} {int(agent in problems)}')
        return generate_latest(registry) + ("\n".join(lines) + "\n").encode()
