from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.agents import worlds
from wealtharena.errors import PackageError, TrainingError
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, checkpoints, sameness, train
from wealtharena.training.job import Silent

SHORT = (
    "algo=bc",
    "algo.record=equal_weight",
    "algo.updates=1",
    "algo.batch=64",
    "train.evaluations=1",
    "env.action=weights",
)


def job(folder: Path, *, env_steps: int, edited: float | None = None, resume: bool = False) -> TrainingJob:
    features = worlds.features(bars=200)
    if edited is not None:
        features = replace(features, values=features.values * np.array([1.0, edited], np.float32))
    spec = worlds.spec(*SHORT, f"train.env_steps={env_steps}")
    return TrainingJob(spec, features, (Segment(0, 120),), Segment(122, 200), folder, resume=resume)


@pytest.mark.slow
def test_a_training_does_not_go_on_with_a_feature_that_was_edited(tmp_path: Path) -> None:
    """Half of it would have learned from other numbers under the same name, scaled as these were."""
    train(job(tmp_path, env_steps=64), listener=Silent())
    with pytest.raises(
        TrainingError, match=r"was trained on other values of noise than the code makes of these bars now"
    ):
        train(job(tmp_path, env_steps=128, edited=1.1, resume=True), listener=Silent())
    rounded = job(tmp_path, env_steps=128, edited=1.0 + 1e-6, resume=True)
    assert train(rounded, listener=Silent()).env_steps == 128


def test_a_training_does_not_go_on_with_a_package_that_was_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it would have learned by one reward, and half by another under the same name."""
    monkeypatch.setattr(sameness, "code_of", lambda spec: {"envs.rewards.calm": "as it was"})
    train(job(tmp_path, env_steps=64), listener=Silent())
    monkeypatch.setattr(sameness, "code_of", lambda spec: {"envs.rewards.calm": "as it is"})
    with pytest.raises(TrainingError, match=r"was trained with other code of envs\.rewards\.calm than its package has"):
        train(job(tmp_path, env_steps=128, resume=True), listener=Silent())
    monkeypatch.setattr(sameness, "code_of", lambda spec: {"envs.rewards.calm": "as it was"})
    assert train(job(tmp_path, env_steps=128, resume=True), listener=Silent()).env_steps == 128


def test_a_candidate_whose_package_is_another_is_not_to_be_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was to be put back, or its folder to be removed: the best that a training had found."""

    def refuse(folder: Path) -> None:
        raise PackageError(f"{folder}: the package was edited", hint="install it as it was")

    train(job(tmp_path, env_steps=64), listener=Silent())
    monkeypatch.setattr(checkpoints, "load_policy", refuse)
    with pytest.raises(PackageError, match="install it as it was"):
        checkpoints.load_state(tmp_path)
