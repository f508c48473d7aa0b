"""A toy search that a test can run, kill and resume."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tuning.objectives import STEPS, Toy
from wealtharena.config.specs.agent import ComputeSpec
from wealtharena.config.specs.sweep import SweepSpec
from wealtharena.tuning.engine import SearchResult, search
from wealtharena.tuning.rows import TrialRow


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
