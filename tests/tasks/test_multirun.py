"""A grid of trainings with Hydra's joblib launcher, in several processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tasks.conftest import SMALL, UNPUBLISHED, record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SAME = ("config_hash", "seed", "status", "metrics", "data")


def test_jobs_at_once_give_what_one_after_the_other_gives(finished: Callable[..., list[Path]], tmp_path: Path) -> None:
    """Each job of the grid has a process of its own; those one after the other share this one."""
    serial = [record(folder) for folder in finished(*(f"seed={n} {UNPUBLISHED}" for n in (1, 2)))]
    place = tmp_path / "grid of two"
    place.mkdir()
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "-m",
        *SMALL,
        UNPUBLISHED,
        "seed=1,2",
        "hydra.sweep.dir=grid",
        *AT_ONCE,
    ]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    board = json.loads((place / "grid" / "leaderboard.json").read_text())
    assert board["rows"][0]["seeds"] == [1, 2]
    looks = [json.loads(line)["kind"] for line in (place / "results" / "ledger.jsonl").read_text().splitlines()]
    assert looks.count("open") == 2
    for one, name in zip(serial, ("0", "1"), strict=True):
        other = record(place / "grid" / name)
        assert {key: one[key] for key in SAME} == {key: other[key] for key in SAME}
