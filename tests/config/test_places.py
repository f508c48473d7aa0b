"""Run directories of one's own choosing, and grids over lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.config.test_launch import forks, probe  # noqa: F401 - fixtures, found by name

pytestmark = pytest.mark.slow


def jobs(said: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_the_working_folder_can_be_the_run_directory_once(probe, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    done = probe("asset=forex", "hydra.run.dir=.")
    assert done.returncode == 0, done.stderr
    (job,) = jobs(done.stdout)
    assert job["folder"] == str(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    again = probe("asset=etf", "hydra.run.dir=.")
    assert again.returncode == 2
    assert "already holds a run" in again.stderr


def test_folders_named_after_their_overrides_are_gone_on_with(probe) -> None:  # noqa: F811 - the fixture
    name = "hydra.sweep.subdir=${hydra.job.override_dirname}"
    done = probe("-m", "asset=forex", "algo.gamma=0.5,0.9", "model.hidden=[8,4]", name)
    assert done.returncode == 0, done.stderr
    first, second = (Path(str(job["folder"])) for job in jobs(done.stdout))
    assert "algo.gamma=0.5" in first.name
    assert "algo.gamma=0.9" in second.name
    again = probe(f"resume={first}", "train.env_steps=77")
    (job,) = jobs(again.stdout)
    assert (job["folder"], job["steps"]) == (str(first), 77)


def test_a_grid_goes_over_lists(probe) -> None:  # noqa: F811 - the fixture
    done = probe("-m", "asset=etf", "data.symbols=[SPY],[QQQ,IWM],[TLT]")
    assert done.returncode == 0, done.stderr
    assert len(jobs(done.stdout)) == 3


def test_a_folder_that_holds_a_grid_is_refused(probe, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    folder = tmp_path / "grid"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "run.json").write_text("{}")
    done = probe("-m", "seed=0,1", f"hydra.sweep.dir={folder}")
    assert done.returncode == 2
    assert "already holds 1 jobs of a grid" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["0"]
