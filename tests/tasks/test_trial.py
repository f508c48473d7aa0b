"""What a trial tells the search."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wealtharena import files
from wealtharena.config import compose
from wealtharena.tasks import trial
from wealtharena.tasks.trial import TrainingObjective, data_key
from wealtharena.tuning.selection import RETURNS_KEY

SHOWN = ({"sharpe": 1.0, "calmar": 0.2}, {"sharpe": 0.5, "calmar": 0.9}, {"sharpe": 1.5, "calmar": 0.1})


def trained(job: Any, *, listener: Any) -> None:
    """Keep the best by its Sharpe ratio, as a training does."""
    best = None
    for step, measures in enumerate(SHOWN):
        if best is None or measures["sharpe"] > best["sharpe"]:
            best = measures
            place = job.folder / "checkpoints" / str(step)
            place.mkdir(parents=True)
            files.write_json(place / "metrics.json", {"env_step": step, "validation": measures})
            files.write_json(job.folder / "checkpoints" / "best.json", {"path": f"checkpoints/{step}"})
        listener.on_evaluation({**measures, "env_step": step})


@pytest.mark.parametrize(
    ("metric", "scores"),
    [("validation.sharpe", [1.0, 1.0, 1.5]), ("validation.calmar", [0.2, 0.2, 0.1]), ("calmar", [0.2, 0.2, 0.1])],
)
def test_a_trial_is_scored_by_the_candidate_that_it_would_keep(
    metric: str, scores: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its finalist keeps that of train.select_by: the best of another measure would be no one's."""
    monkeypatch.setattr(trial, "train", trained)
    monkeypatch.setattr(trial._Watch, "_returns", lambda _: {})
    panel = SimpleNamespace(bars_per_year=252.0)
    view: Any = SimpleNamespace(features=SimpleNamespace(panel=panel), train=(), validation=None)
    told: list[float] = []
    windows: Any = None
    objective = TrainingObjective((), metric, 1, data_key(compose([])), windows)
    objective([], number=0, report=lambda score, extra: told.append(score), shared=view)
    assert told == scores


def test_what_a_trial_of_several_seeds_earned_is_their_mean_as_its_score_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The last seed's returns stood for all: they made the probability of overfitting, and the ratio that the ledger has."""
    monkeypatch.setattr(trial, "train", trained)
    earned = (np.array([0.01, -0.02]) * seed for seed in (1, 1, 1, 3, 3, 3))  # each at three validations
    monkeypatch.setattr(trial._Watch, "_returns", lambda _: {RETURNS_KEY: next(earned)})
    panel = SimpleNamespace(bars_per_year=252.0)
    view: Any = SimpleNamespace(features=SimpleNamespace(panel=panel), train=(), validation=None)
    told: list[Any] = []
    windows: Any = None
    objective = TrainingObjective((), "sharpe", 2, data_key(compose([])), windows)
    objective([], number=0, report=lambda score, extra: told.append(extra[RETURNS_KEY]), shared=view)
    assert told == [[0.01, -0.02]] * 3 + [[0.02, -0.04]] * 3
