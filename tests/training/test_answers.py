"""An engine of a package that is none: named in one line, before the loop goes on by what it said, and never waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.on_policy.learner import _check_surrogate
from wealtharena.config import plugins
from wealtharena.errors import TrainingError, WealthArenaError
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, train
from wealtharena.training.job import Silent

SHORT = ("algo=bc", "algo.record=equal_weight", "algo.updates=1", "algo.batch=64", "train.evaluations=1")


class Odd:
    """The engine of `bc`, but for what a case says."""

    def __init__(self, inner: Any, changes: dict[str, Callable[[Any], Any]]) -> None:
        self.inner, self.changes = inner, changes

    def __getattr__(self, name: str) -> Any:
        if name == "env_steps" and name in self.changes:
            return self.changes[name](self.inner)
        if name in self.changes:
            return lambda *_: self.changes[name](self.inner)
        return getattr(self.inner, name)


def job(folder: Path) -> TrainingJob:
    spec = worlds.spec(*SHORT, "env.action=weights", "train.env_steps=128")
    return TrainingJob(spec, worlds.features(bars=200), (Segment(0, 120),), Segment(122, 200), folder)


def replaced(monkeypatch: pytest.MonkeyPatch, build: Callable[[Any], Any]) -> None:
    """Have `bc` built by something else, as a package's algorithm."""
    real, found = plugins.load("agents.algorithms", "bc"), plugins.load
    odd = SimpleNamespace(ACTIONS=real.ACTIONS, build=build)
    monkeypatch.setattr(plugins, "load", lambda room, name: odd if name == "bc" else found(room, name))
    monkeypatch.setattr(plugins, "of_package", lambda room, name: name == "bc")
    monkeypatch.setattr(plugins, "title", lambda room, name: f"the plugin {name!r} (its.module)")
    monkeypatch.setattr(plugins, "source_of", lambda room, name: "")


def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Callable[[Any], Any]]) -> str:
    """Return what a training with such an engine is refused with."""
    asked, real = job(folder), plugins.load("agents.algorithms", "bc")
    replaced(monkeypatch, lambda bench: Odd(real.build(bench), changes))
    with pytest.raises(WealthArenaError) as caught:
        train(asked, listener=Silent())
    assert str(caught.value).startswith("the plugin 'bc' (its.module)")
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"iterate": lambda inner: inner.iterate() and None}, "iterate returned a NoneType and no dict of figures"),
        ({"iterate": lambda inner: {"loss": torch.tensor(1.0)}}, "iterate returned a Tensor as 'loss', and no number"),
        ({"iterate": lambda inner: {"loss": "low"}}, "iterate returned a str as 'loss', and no number"),
        ({"iterate": lambda inner: {}}, "its engine has counted no step in 100 iterations: env_steps is 0"),
        ({"env_steps": lambda inner: None}, "its engine's env_steps is None, and no whole number"),
        ({"env_steps": lambda inner: float(inner.env_steps)}, "its engine's env_steps is 0.0"),
        ({"env_steps": lambda inner: np.int64(inner.env_steps)}, "its engine's env_steps is np.int64(0)"),
        ({"network": lambda inner: torch.nn.Linear(2, 2)}, "network returned a Linear, and no Network"),
        ({"get_state": lambda inner: None}, "get_state returned a NoneType and no dict with env_steps"),
        (
            {"get_state": lambda inner: {**inner.get_state(), "mean": np.ones(2)}},
            "get_state returned what cannot be loaded again: it may hold tensors",
        ),
    ],
)
def test_what_an_engine_answers_wrongly_ends_the_training_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Callable[[Any], Any]], told: str
) -> None:
    assert told in refused(tmp_path, monkeypatch, changes)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda ratio: None, "returned a NoneType"),
        (lambda ratio: ratio.detach().numpy(), "returned a ndarray"),
        (lambda ratio: ratio.mean(), r"shape \(\) for \(4,\)"),
        (lambda ratio: ratio.detach(), "without a gradient: the policy would learn nothing"),
    ],
)
def test_an_objective_by_which_nothing_can_be_learned_is_refused(answer: Callable[[Any], object], told: str) -> None:
    ratio = torch.ones(4, requires_grad=True) * 1.0
    with pytest.raises(TrainingError, match=told):
        _check_surrogate(answer(ratio), ratio)


def test_wherever_an_algorithm_goes_the_working_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's path is relative to it, and is written to at the first validation."""
    asked, real = job(tmp_path / "run"), plugins.load("agents.algorithms", "bc")
    seen: list[Path] = []

    def away(inner: Any) -> Any:
        os.chdir("/")
        return inner.iterate()

    def build(bench: Any) -> Odd:
        os.chdir("/")
        return Odd(real.build(bench), {"iterate": away})

    class Watching(Silent):
        def on_evaluation(self, record: Any) -> None:
            seen.append(Path.cwd())

    replaced(monkeypatch, build)
    monkeypatch.chdir(tmp_path)
    train(asked, listener=Watching())
    assert seen
    assert {*seen, Path.cwd()} == {tmp_path}
