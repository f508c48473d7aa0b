"""What a search costs beyond its trainings, and whether it holds still over many trials.

    python benchmarks/sweep_overhead.py [--trials 8] [--env-steps 100000] [--toy-trials 200]

First the same trainings twice: as a search (Ray Tune, Optuna, journal on disk, one trial at a time, no early stopping)
and one after another in a plain loop in this process. Then a search over a toy objective, with the driver's memory
noted on the way. Ray's own start is counted with the search.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.tasks.pipeline import prepare
from wealtharena.tasks.sweep import trial_overrides
from wealtharena.tasks.trial import TrainingObjective, data_key
from wealtharena.tuning.engine import search


class Watch:
    """Notes the overrides of trials and the driver's peak memory as trials end."""

    metric = "validation.sharpe"

    def __init__(self) -> None:
        self.overrides: dict[int, Sequence[str]] = {}
        self.megabytes: list[float] = []

    def on_kept(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        """Do nothing."""

    def on_trial(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        self.overrides[number] = overrides
        if state != "RUNNING":
            self.megabytes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    def on_failure(self, number: int, message: str) -> None:
        print(f"trial {number}: {message}")


def toy(overrides: Sequence[str], *, number: int, report: Any, shared: Any) -> None:
    """Score a point at once."""
    x = float(dict(item.split("=") for item in overrides)["algo.learning_rate"])
    report(-abs(x - 0.001), {"x_validation_returns": [x] * 500})


def ignore(score: float, extra: Mapping[str, Any]) -> None:
    """Take a report that nobody asked for."""


def run_search(spec: ExperimentSpec, objective: Any, folder: Path, *, watch: Watch, shared: Any) -> float:
    """Return the seconds of a search."""
    began = time.perf_counter()
    search(
        spec.sweep,
        objective,
        folder=folder,
        study_path=folder / "study.journal",
        identity={"data.bars": "benchmark"},
        compute=spec.compute,
        seed=0,
        steps=spec.train.evaluations,
        listener=watch,
        ended=lambda trials: None,
        shared=shared,
    )
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--env-steps", type=int, default=100_000)
    parser.add_argument("--toy-trials", type=int, default=200)
    asked = parser.parse_args()
    typed = [
        "asset=forex",
        f"train.env_steps={asked.env_steps}",
        "sweep=ppo",
        "sweep.scheduler=none",
        "sweep.env_steps=null",
    ]
    spec = compose([*typed, f"sweep.trials={asked.trials}"])
    base = trial_overrides(spec, typed)
    prepared = prepare(spec)
    view = prepared.sealed.training(0)
    objective = TrainingObjective(base, spec.sweep.metric, 1, data_key(compose(base)), prepared.windows)
    objective(
        ["seed=99", "train.env_steps=20000"], number=-1, report=ignore, shared=view
    )  # warm caches, both ways alike
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch()
        searched = run_search(spec, objective, Path(folder), watch=watch, shared=view)
        began = time.perf_counter()
        for number in sorted(watch.overrides):
            objective(watch.overrides[number], number=number, report=ignore, shared=view)
        looped = time.perf_counter() - began
    print(
        f"{asked.trials} trainings of {asked.env_steps:,} steps: search {searched:.1f} s, plain loop {looped:.1f} s, "
        f"overhead {searched / looped - 1:+.1%}"
    )
    many = compose([*typed, f"sweep.trials={asked.toy_trials}"])
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch()
        seconds = run_search(many, toy, Path(folder), watch=watch, shared=None)
    quarter = watch.megabytes[len(watch.megabytes) // 4]
    print(
        f"{asked.toy_trials} toy trials: {seconds:.1f} s, peak memory of the driver {quarter:.0f} MB after a quarter, "
        f"{watch.megabytes[-1]:.0f} MB at the end"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
