"""Whether a saved state is of the job that is to go on from it: the same settings, bars and windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from wealtharena.config.hashing import code_of
from wealtharena.config.identity import differences, listed, settings
from wealtharena.errors import TrainingError
from wealtharena.features.panel import Scaler
from wealtharena.training.job import TrainingJob

_APART: Final = 1e-3  # deviations by which no other machine's rounding moves a mean


def identity(job: TrainingJob) -> dict[str, Any]:
    """Return what a state belongs to: the settings, the code of packages, the bars and the windows that it has learnt from."""
    panel = job.features.panel
    rows = {
        "train": [[segment.start, segment.stop] for segment in job.train],
        "validation": [job.validation.start, job.validation.stop],
    }
    names = {"algo": job.spec.algo.name, "model": job.spec.model.name, "symbols": list(panel.symbols)}
    return {
        **names, "bars": panel.fingerprint, **rows, "settings": settings(job.spec), "code": code_of(job.spec),
    }  # fmt: skip


def refuse_another(job: TrainingJob, old: Mapping[str, Any]) -> None:
    """Raise TrainingError where a state belongs to another job; one from before has fewer things to compare."""
    new = identity(job)
    code = old.get("code", {})
    if edited := [name for name, digest in code.items() if new["code"].get(name, digest) != digest]:
        raise TrainingError(
            f"{job.folder} was trained with other code of {listed(edited)} than its package has now",
            hint="resume with the code that it was begun with, or start a new run",
        )
    found = differences(old, {**new, "settings": old.get("settings"), "code": code})
    found += differences(old.get("settings", {}), new["settings"])
    if found:
        raise TrainingError(
            f"{job.folder} was trained as another job: {listed(found)}",
            hint="resume with the run's own data and configuration, or start a new run",
        )


def refuse_other_features(job: TrainingJob, kept: Scaler, found: Scaler) -> None:
    """Raise TrainingError where the training rows do not have the scale that a state was begun with: a feature was edited since.

    `kept` may know more columns than `found`, an anchor's, which stand behind the features.
    """
    count = len(found.names)
    far = np.maximum(np.abs(kept.mean[:count] - found.mean), np.abs(kept.std[:count] - found.std)) / found.std
    moved = [name for name, one in zip(found.names, far, strict=True) if one > _APART]
    if moved:
        raise TrainingError(
            f"{job.folder} was trained on other values of {listed(moved)} than the code makes of these bars now",
            hint="resume with the code that it was begun with, or start a new run",
        )
