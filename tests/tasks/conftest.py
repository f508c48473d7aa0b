from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wealtharena.config import compose
from wealtharena.tasks import dispatch

SMALL = (
    "asset=forex",
    "data=simulated",
    "data.simulator.bars=700",
    "universe.max_symbols=3",
    "train.env_steps=4096",
    "train.evaluations=2",
    "algo.rollout_steps=1024",
    "algo.minibatch=512",
    "compute.envs=16",
    "compute.torch_threads=1",
    "evaluation.bootstrap_draws=200",
    "tracking=quiet",
)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Path]]:
    """Return a function that runs a small job in a folder of its own and returns its exit code and run directory."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> tuple[int, Path]:
        before = set(tmp_path.glob("outputs/*/*"))
        code = dispatch(compose([*SMALL, *overrides]))
        (folder,) = set(tmp_path.glob("outputs/*/*")) - before
        return code, folder

    return run


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content
