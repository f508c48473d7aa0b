"""A grid of trainings in this process, and with Hydra's joblib launcher in several."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.tasks.conftest import SMALL, record

ROOT = Path(__file__).resolve().parents[2]
SAME = ("config_hash", "seed", "status", "metrics", "data")


def grid(folder: Path, *launcher: str) -> list[dict[str, Any]]:
    """Run two seeds in a folder of their own, with a ledger of their own; return their records."""
    folder.mkdir()
    command = [sys.executable, str(ROOT / "run.py"), "-m", *SMALL, "seed=1,2", "hydra.sweep.dir=grid", *launcher]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    board = json.loads((folder / "grid" / "leaderboard.json").read_text())
    assert board["rows"][0]["seeds"] == [1, 2]
    looks = [json.loads(line)["kind"] for line in (folder / "results" / "ledger.jsonl").read_text().splitlines()]
    assert looks.count("open") == 2
    return [record(folder / "grid" / name) for name in ("0", "1")]


def test_jobs_at_once_give_what_one_after_the_other_gives(tmp_path: Path) -> None:
    serial = grid(tmp_path / "serial")
    parallel = grid(tmp_path / "parallel", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    for one, other in zip(serial, parallel, strict=True):
        assert {key: one[key] for key in SAME} == {key: other[key] for key in SAME}
