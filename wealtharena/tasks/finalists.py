"""The best configurations of a search, trained again over fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wealtharena import files
from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec, seed_after
from wealtharena.config.spelling import going_on
from wealtharena.errors import Interrupted, TrainingError
from wealtharena.evaluation.firewall import TrainingView
from wealtharena.tasks import console
from wealtharena.tasks.folds import fold_folder
from wealtharena.tasks.pipeline import Prepared, prepare
from wealtharena.tasks.searching import Search
from wealtharena.tasks.train import train_view
from wealtharena.tasks.trial import data_key, score_of
from wealtharena.training.job import Silent
from wealtharena.tuning.rows import TrialRow
from wealtharena.tuning.selection import Finalist, rank


@dataclass(frozen=True, eq=False)
class TrainedFinalist:
    """A finalist with its spec a seed and where each was trained."""

    score: Finalist
    specs: tuple[ExperimentSpec, ...]
    folders: tuple[Path, ...]
    prepared: Prepared


def train_finalists(job: Search, rows: Sequence[TrialRow]) -> tuple[TrainedFinalist, ...]:
    """Train the best configurations again over fresh seeds and return them best first; a resumed search goes on here too."""
    if not rows:
        raise TrainingError(
            "no trial ran to its end, so there is nothing to choose",
            hint="raise sweep.trials"
            + (", or sweep.time_budget_seconds" if job.spec.sweep.time_budget_seconds else ""),
        )
    trained = []
    for row in rows:
        specs, folders, scores = [], [], []
        prepared = prepared_for(job, row)
        for seed in range(job.spec.sweep.finalist_seeds):
            spec = compose([*typed_again(job), *row.overrides, f"seed={seed_after(job.spec.seed, 1_000 + seed)}"])
            folder = job.folder / "finalists" / f"trial-{row.number}" / f"seed-{seed}"
            score = _train_again(job, spec, prepared.sealed.training(0), fold_folder(folder, prepared, 0))
            specs.append(spec)
            folders.append(folder)
            scores.append(score)
            console.screen().print(
                f"finalist of trial {row.number}, seed {seed}: {job.spec.sweep.metric} {score:+.3f}  {' '.join(row.overrides)}"
            )
        trained.append(TrainedFinalist(Finalist(row.overrides, tuple(scores)), tuple(specs), tuple(folders), prepared))
    order = rank([item.score for item in trained], mode=job.spec.sweep.mode)
    return tuple(sorted(trained, key=lambda item: order.index(item.score)))


def prepared_for(job: Search, row: TrialRow) -> Prepared:
    """Return the data of a configuration over the windows of the search; a simulated market is that of its trial."""
    spec = compose([*typed_again(job), *row.overrides])
    same = data_key(spec) == data_key(compose(job.base))
    return job.prepared if same else prepare(spec, windows=job.prepared.windows)


def typed_again(job: Search) -> tuple[str, ...]:
    """Return the trials' overrides without the thread limit of a trial: finalists have the machine to themselves."""
    return tuple(item for item in job.base if not item.startswith("compute.torch_threads="))


def _train_again(job: Search, spec: ExperimentSpec, view: TrainingView, folder: Path) -> float:
    files.make_folder(folder)
    result = train_view(spec, view, folder, Silent(), resume=(folder / "trainer").exists())
    if result.status == "interrupted":
        raise Interrupted(
            "interrupted while the finalists were trained again",
            hint=f"go on with: {going_on(job.folder)}",
        )
    assert result.best is not None
    return score_of(result.best.metrics, job.spec.sweep.metric)


def describe_finalist(item: TrainedFinalist) -> dict[str, Any]:
    """Return a finalist's block of sweep.json."""
    own = item.score
    return {"overrides": list(own.overrides), "scores": list(own.scores), "median": own.median, "spread": own.spread}
