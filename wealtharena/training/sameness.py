"""Whether a saved state is of the job that is to go on from it: the same settings, bars and windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wealtharena.config.identity import differences, listed, settings
from wealtharena.errors import TrainingError
from wealtharena.training.job import TrainingJob


def identity(job: TrainingJob) -> dict[str, Any]:
    """Return what a state belongs to: the settings, the bars and the windows that it has learnt from."""
    panel = job.features.panel
    rows = {
        "train": [[segment.start, segment.stop] for segment in job.train],
        "validation": [job.validation.start, job.validation.stop],
    }
    names = {"algo": job.spec.algo.name, "model": job.spec.model.name, "symbols": list(panel.symbols)}
    return {**names, "bars": panel.fingerprint, **rows, "settings": settings(job.spec)}


def refuse_another(job: TrainingJob, old: Mapping[str, Any]) -> None:
    """Raise TrainingError where a state belongs to another job; one from before has fewer things to compare."""
    new = identity(job)
    found = differences(old, {**new, "settings": old.get("settings")})
    found += differences(old.get("settings", {}), new["settings"])
    if found:
        raise TrainingError(
            f"{job.folder} was trained as another job: {listed(found)}",
            hint="resume with the run's own data and configuration, or start a new run",
        )
