"""A state of a run names folders of that run and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wealtharena.errors import CheckpointError
from wealtharena.training.checkpoints import CandidateStore, best_path


@pytest.mark.parametrize(
    "path", ["../victim", "/tmp/victim", "checkpoints/../victim", "checkpoints", "checkpoints/..", "x/1"]
)
def test_a_state_that_names_a_folder_elsewhere_is_refused_and_deletes_nothing(tmp_path: Path, path: str) -> None:
    run = tmp_path / "run"
    store = CandidateStore(run, keep=1)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "policy.json").write_text("{}")
    own = run / "checkpoints" / "1"
    own.mkdir()
    entry = {"path": path, "env_step": 1, "score": 0.0, "metrics": {}}
    with pytest.raises(CheckpointError, match="no candidate of this run"):
        store.set_state([entry])
    assert victim.is_dir()
    assert own.is_dir()
    (run / "checkpoints" / "best.json").write_text(json.dumps({"path": path}))
    with pytest.raises(CheckpointError, match="names no best candidate"):
        best_path(run)
