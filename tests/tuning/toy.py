"""A toy search that a test can run, kill and resume: the score is a parabola in x, or noise."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wealtharena.config.specs.agent import ComputeSpec
from wealtharena.config.specs.sweep import SweepSpec
from wealtharena.tuning.engine import Report, SearchResult, search
from wealtharena.tuning.rows import TrialRow

STEPS = 4


class Toy:
    """Reports `-(x - 0.3)^2`, better with every step.

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
        delay_seconds: float = 0.0,
    ) -> None:
        self.broken, self.blank, self.killed = tuple(broken), tuple(blank), tuple(killed)
        self.endless, self.delay_seconds = tuple(endless), delay_seconds

    def __call__(self, overrides: Sequence[str], *, number: int, report: Report, shared: Any) -> None:
        x = float(dict(item.split("=") for item in overrides)["x"])
        if number in self.broken:
            raise ValueError(f"trial {number} is broken on purpose")
        for step in range(STEPS):
            time.sleep(self.delay_seconds)
            score = float("nan") if number in self.blank else -((x - 0.3) ** 2) * (1 + 1 / (step + 1))
            report(score, {})
            if number in self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            if number in self.endless:
                time.sleep(600)


class Noise:
    """Reports the Sharpe ratio of returns that no configuration has a hand in, and the returns."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, overrides: Sequence[str], *, number: int, report: Report, shared: Any) -> None:
        returns = np.random.default_rng([self.seed, number]).normal(0, 0.01, 500)
        report(float(returns.mean() / returns.std(ddof=1) * np.sqrt(252)), {"x_validation_returns": returns.tolist()})


class Watcher:
    """Keeps what it was told."""

    metric = "score"

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.events: list[tuple[int, str, int, float | None]] = []
        self.failures: dict[int, str] = {}
        self.kept: list[int] = []
        self.stop_after = stop_after

    def on_kept(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        self.kept.append(number)

    def on_trial(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        self.events.append((number, state, step, score))
        sys.stdout.write(f"{number} {state} {step} {score}\n")
        sys.stdout.flush()
        if (
            self.stop_after is not None
            and sum(event[1] in ("COMPLETE", "PRUNED") for event in self.events) >= self.stop_after
        ):
            raise KeyboardInterrupt

    def on_failure(self, number: int, message: str) -> None:
        self.failures[number] = message


def sweep_spec(**changes: Any) -> SweepSpec:
    values: dict[str, Any] = {
        "name": "toy",
        "study": None,
        "fixed": (),
        "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
        "metric": "score",
        "mode": "max",
        "trials": 12,
        "time_budget_seconds": None,
        "concurrency": 1,  # each trial at once is a process of Ray's, which takes seconds to begin
        "cpus_per_trial": 1.0,
        "gpus_per_trial": 0.0,
        "sampler": "tpe",
        "startup_trials": 4,
        "scheduler": "none",
        "grace_evaluations": 1,
        "reduction_factor": 2,
        "seeds_per_trial": 1,
        "finalists": 2,
        "finalist_seeds": 2,
        "max_failed_share": 0.5,
        "env_steps": None,
    }
    return SweepSpec.model_validate(values | changes)


def compute_spec() -> ComputeSpec:
    return ComputeSpec(name="local", envs=1, runners=0, learners=0, torch_threads=1, address=None, num_cpus=2)


def run(
    sweep: SweepSpec,
    objective: Any,
    folder: Path,
    *,
    watcher: Watcher | None = None,
    steps: int = STEPS,
    identity: Mapping[str, Any] | None = None,
    began: Callable[[], None] = lambda: None,
    ended: Callable[[tuple[TrialRow, ...]], None] = lambda rows: None,
) -> SearchResult:
    return search(
        sweep,
        objective,
        folder=folder,
        study_path=folder / "study.journal",
        compute=compute_spec(),
        seed=0,
        steps=steps,
        listener=watcher or Watcher(),
        identity=identity or {"data.bars": "toy"},
        began=began,
        ended=ended,
    )


if __name__ == "__main__":
    changes, toy = map(json.loads, sys.argv[2:4])
    run(sweep_spec(**changes), Toy(**toy), Path(sys.argv[1]))
