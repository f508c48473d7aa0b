"""What is left of a grid whose jobs were refused, or that was stopped."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from wealtharena.config import ending
from wealtharena.errors import DataError
from wealtharena.evaluation import records

pytestmark = pytest.mark.slow

NO_RECORD = {"message": "the job left no run.json", "hint": ""}


@pytest.mark.parametrize(("task", "kept"), [("train", ["0", "1", "2"]), ("inspect", ["1", "2"])])
def test_a_job_of_a_grid_of_trainings_that_was_refused_leaves_why_for_the_leaderboard(
    probe, tmp_path: Path, task: str, kept: list[str]
) -> None:
    """It left nothing, and no row told of it."""
    assert probe("-m", f"task={task}", "seed=94,99,1", "hydra.sweep.dir=grid").returncode == 2
    assert sorted(path.name for path in tmp_path.glob("grid/[0-9]")) == kept
    why = records.read(tmp_path / "grid" / "1").content["error"]
    assert why == ({"message": "no rows", "hint": "ask for more"} if task == "train" else NO_RECORD)


def test_a_grid_whose_jobs_were_all_refused_leaves_none_and_may_be_asked_for_again(probe, tmp_path: Path) -> None:
    for _ in range(2):
        done = probe("-m", "seed=94", "asset=etf,forex", "hydra.sweep.dir=grid")
        assert "2 jobs ended so (#0, #1): refused" in done.stderr
        assert done.returncode == 2
        assert [path.name for path in (tmp_path / "grid").iterdir()] == ["multirun.yaml"]


@pytest.mark.parametrize(
    ("words", "told"), [(("seed=94,97",), True), (("seed=97,94",), False), (("seed=94,97", "task=inspect"), False)]
)
def test_a_grid_that_is_stopped_says_how_what_its_jobs_have_left_is_seen(
    probe, words: tuple[str, ...], told: bool
) -> None:
    """The job under way said how it goes on; of those that had ended no leaderboard was made, and nobody said how."""
    done = probe("-m", *words, "hydra.sweep.dir=grid")
    assert done.returncode == 130
    said = "What the jobs of the grid have come to is told by: python run.py task=compare 'compare.runs="
    assert (said in done.stderr) is told


def test_why_a_job_ended_is_told_also_where_it_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a full disk, the very error that was to be kept, the next one was told, and the whole grid ended by it."""
    (tmp_path / ending.WHY).mkdir(parents=True)
    job = SimpleNamespace(runtime=SimpleNamespace(output_dir=str(tmp_path)))
    monkeypatch.setattr(ending.HydraConfig, "get", lambda: job)
    ending.keep_why(DataError("no room", hint="make some"))
    assert list((tmp_path / ending.WHY).iterdir()) == []
