"""What is said where the state of a training cannot be written, or is not what was written."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from tests.agents.test_policy import policy
from wealtharena.agents.policy import load_policy, save_policy
from wealtharena.errors import CheckpointError
from wealtharena.training.checkpoints import CandidateStore, best_path, load_state, save_state, unwritable

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "said"), [(65_536, "No space left on device"), (1 << 30, "unexpected pos")])
def test_a_full_disk_is_named_where_torch_names_none(
    free: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 32, 0, free))
    error = unwritable(tmp_path / "state.pt", RuntimeError("[enforce fail] . unexpected pos 41792 vs 41680\nmore"))
    assert said in error.message
    assert "more" not in error.message


CANDIDATE = {"path": "checkpoints/000000256", "env_step": 256, "score": 1.0, "metrics": {}}
STATE = {"engine": {"env_steps": 256}, "scaler": {}, "candidates": [CANDIDATE], "progress": {}, "degenerate": None}


def left(folder: Path, **changes: object) -> Path:
    """Leave a training's state with one candidate in `folder`; return the candidate's folder."""
    (folder / "trainer").mkdir()
    save_policy(folder / str(CANDIDATE["path"]), policy("mlp"))
    save_state(folder, {**STATE, "job": {}, **changes})
    return folder / str(CANDIDATE["path"])


def test_a_candidate_that_cannot_be_read_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    weights = left(tmp_path) / "weights.pt"
    assert load_state(tmp_path) is not None
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="000000256") as refused:
        load_state(tmp_path)
    assert "remove its folder" in refused.value.hint


@pytest.mark.parametrize("name", ["weights.pt", "scaler.json", "policy.json"])
def test_a_candidate_that_is_not_whole_is_forgotten_and_told(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (left(tmp_path) / name).unlink()
    state = load_state(tmp_path)
    assert state is not None
    store = CandidateStore(tmp_path, keep=1)
    store.set_state(state["candidates"])
    assert store.best is None
    assert "000000256 is not there whole" in caplog.text


def test_a_candidate_is_there_for_as_long_as_the_saved_state_names_it(tmp_path: Path) -> None:
    store = CandidateStore(tmp_path, keep=1)
    store.offer(policy("mlp"), env_step=256, score=1.0, metrics={})
    saved = store.get_state()
    assert store.offer(policy("mlp"), env_step=512, score=2.0, metrics={})
    killed = CandidateStore(tmp_path, keep=1)  # before another state was saved, or where there was no room for it
    killed.set_state(saved)
    assert killed.best is not None
    assert killed.best.env_step == 256
    assert load_policy(best_path(tmp_path)).name == policy("mlp").name


@pytest.mark.parametrize("change", [{"engine": None}, {"engine": {}}, {"job": 1}, {"candidates": None}])
def test_a_state_of_another_shape_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    left(tmp_path, **change)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_state(tmp_path)
