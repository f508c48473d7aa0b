from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from wealtharena.config import compose
from wealtharena.tasks import dispatch

SMALL = (
    "asset=forex",
    "asset.action=auto",  # weights, so that little training trades
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
    "tracking.report=false",
)
UNPUBLISHED = "train.publish=false"  # of runs whose version nobody looks at: half of a small run is its export
WITH_PAGE = "tracking.report=true"  # of runs whose page is looked at: drawing is a third of a small run


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


@pytest.fixture(scope="session")
def _played(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """Return a function that gives the working folder in which small jobs have run one after another, each once a session."""

    @cache
    def play(jobs: tuple[str, ...]) -> Path:
        place = tmp_path_factory.mktemp("played")
        with contextlib.chdir(place):
            for job in jobs:
                assert dispatch(compose([*SMALL, *job.split()])) == 0
        return place

    return play


@pytest.fixture
def finished(
    _played: Callable[[tuple[str, ...]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[Path]]:
    """Return a function that makes the test's folder one in which small jobs have run, and returns their run directories in their order.

    The jobs, their overrides in one text each, run once a session; every test has a copy of what they left.
    """

    def take(*jobs: str) -> list[Path]:
        shutil.copytree(_played(jobs or ("",)), tmp_path, dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
        return sorted(tmp_path.glob("outputs/*/*"), key=lambda folder: (folder / "run.json").stat().st_mtime_ns)

    return take


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content
