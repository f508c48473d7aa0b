"""Models of Stable-Baselines3 in the arena: by the names of their algorithms, and on what VecNormalize scaled."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from benchmarks.arena import entries
from wealtharena.config import compose
from wealtharena.envs.actions import actions_of

SIZE, ASSETS = 5, 5
ROW = np.array([[0.3, 0.1, 0.1, 0.1, 0.1]], np.float32)


class Normaliser:
    """What VecNormalize.load has to offer here: a scale and what it was made for."""

    def __init__(self, size: int = SIZE) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (size,))

    def normalize_obs(self, seen: np.ndarray) -> np.ndarray:
        return seen - np.float32(0.1)


def saved(place: Path, found: Any = None) -> Path:
    """A file as VecNormalize.save writes it: a pickle."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(pickle.dumps(found or Normaliser()))
    return place


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose weights are what it reads."""
    box = spaces.Box(-1.0, 1.0, (SIZE,))
    made = SimpleNamespace(
        observation_space=box, action_space=box, predict=lambda seen, deterministic: (seen.copy(), None)
    )
    monkeypatch.setattr(entries, "_algorithm", lambda _: SimpleNamespace(load=lambda *_, **__: made))
    (tmp_path / "model.zip").write_bytes(b"PK")
    return tmp_path / "model.zip"


def answer(entrant: entries.Entrant) -> np.ndarray:
    layout = SimpleNamespace(size=SIZE)
    kind = actions_of("weights", ASSETS, compose(["asset=crypto"]).asset.limits, layout)
    assert entrant.own is not None
    entrant.own.check()
    return entrant.own.ready(layout, lambda n: SimpleNamespace(actions=kind), 0)(ROW)


def test_a_model_reads_what_its_statistics_make_of_observations(model: Path) -> None:
    place = saved(model.parent / "some.pkl")
    entrant = entries.own(f"own={model}:PPO:{place}")
    assert entrant.words == "model.zip:PPO:some.pkl"
    np.testing.assert_allclose(answer(entrant), ROW - np.float32(0.1))
    np.testing.assert_allclose(answer(entries.own(f"own={model}:PPO")), ROW)


def test_other_statistics_are_another_entrant(model: Path) -> None:
    place = saved(model.parent / "some.pkl")
    entrant = entries.own(f"own={model}:PPO:{place}")
    before = entrant.identity
    saved(place, Normaliser(SIZE + 1))
    assert entrant.identity != before


@pytest.mark.parametrize(
    "where", ["vecnormalize.pkl", "vec_normalize.pkl", "Portfolio-v0/vecnormalize.pkl", "m_vecnormalize_800_steps.pkl"]
)
def test_statistics_beside_a_model_are_to_be_named_or_waved_off(model: Path, where: str) -> None:
    place = saved(model.parent / where)
    own = f"own={model}:PPO"
    for text in (own, f"{own}:"):
        with pytest.raises(ValueError, match=re.escape(f"as in {own}:{place}, or {own}:- where")):
            entries.own(text)
    np.testing.assert_allclose(answer(entries.own(f"{own}:{place}")), ROW - np.float32(0.1))
    np.testing.assert_allclose(answer(entries.own(f"{own}:-")), ROW)


@pytest.mark.parametrize(
    ("found", "said"),
    [({"mean": 0.0}, "some.pkl holds a dict, and no VecNormalize"),
     (Normaliser(7), f"some.pkl reads 7 numbers, this market shows {SIZE}")],
)  # fmt: skip
def test_what_holds_no_statistics_of_these_observations_is_refused(model: Path, found: Any, said: str) -> None:
    place = saved(model.parent / "some.pkl", found)
    with pytest.raises((ValueError, entries.DoesNotFitError), match=re.escape(said)):
        answer(entries.own(f"own={model}:PPO:{place}"))


def test_statistics_that_are_not_there_or_of_another_kind_of_entry_are_refused(model: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file none\.pkl"):
        entries.own(f"own={model}:PPO:none.pkl")
    (model.parent / "policies.py").write_text("class Own: pass\n")
    with pytest.raises(ValueError, match=r"only a model of Stable-Baselines3 has statistics"):
        entries.own(f"own={model.parent / 'policies.py'}:Own:some.pkl")


@pytest.mark.parametrize(
    ("name", "said"),
    [("PPO", ""), ("TQC", ""), ("ppo", "has no algorithm ppo; did you mean PPO?"), ("__name__", "has no algorithm __name__; "),
     ("RecurrentPPO", "RecurrentPPO remembers what it saw; play it by a class of your own")],
)  # fmt: skip
def test_an_algorithm_is_found_among_the_contributed_ones_too_and_a_misspelt_one_is_told(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = "\n".join(f"class {one}:\n    load = None" for one in ("PPO", "TQC", "RecurrentPPO")).partition(
        "class TQC"
    )
    for package, text in (
        ("stable_baselines3", f"import sys as ppo\n{classes[0]}"),
        ("sb3_contrib", "".join(classes[1:])),
    ):
        monkeypatch.delitem(sys.modules, package, raising=False)
        (tmp_path / f"{package}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        if not said:
            assert entries._algorithm(name).__name__ == name
            return
        with pytest.raises(entries.DoesNotFitError, match=re.escape(said)):
            entries._algorithm(name)
    finally:
        for package in ("stable_baselines3", "sb3_contrib"):
            sys.modules.pop(package, None)
