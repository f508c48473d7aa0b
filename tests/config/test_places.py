"""Run directories of one's own choosing, and grids over lists."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import filelock
import pytest

from tests.config.conftest import PROBE, bare
from tests.deployment.test_compose import ENTRYPOINTS
from tests.forks import Forks

NO_ROOM = """
import resource
whole = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, whole[1]))
try:
{probe}
finally:  # what counts lines writes at the end
    resource.setrlimit(resource.RLIMIT_FSIZE, whole)
"""

pytestmark = pytest.mark.slow


def jobs(said: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_the_working_folder_can_be_the_run_directory_once(probe, tmp_path: Path) -> None:
    done = probe("asset=forex", "hydra.run.dir=.")
    assert done.returncode == 0, done.stderr
    (job,) = jobs(done.stdout)
    assert job["folder"] == str(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    again = probe("asset=etf", "hydra.run.dir=.")
    assert again.returncode == 2
    assert "already holds a run" in again.stderr


def test_a_folder_in_which_another_begins_is_refused_before_hydra_writes_there(probe, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    for words in (["seed=1", f"hydra.run.dir={folder}"], ["-m", "seed=1,2", f"hydra.sweep.dir={folder}"]):
        with filelock.FileLock(folder / ".lock"):  # as one that has not come to its first record
            done = probe(*words)
        assert done.returncode == 2
        assert f"another process is at work in {folder}" in done.stderr
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert probe("seed=1", f"hydra.run.dir={folder}").returncode == 0


def test_the_service_of_the_image_starts_and_writes_nothing_into_its_folder(probe, tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    before = sorted(tmp_path.iterdir())
    with filelock.FileLock(tmp_path / ".lock"):  # another task's
        done = probe(*ENTRYPOINTS[1][1:])
    assert done.returncode == 0, done.stderr
    assert sorted(path for path in tmp_path.iterdir() if path not in before) == []


def test_folders_named_after_their_overrides_are_gone_on_with(probe) -> None:
    name = "hydra.sweep.subdir=${hydra.job.override_dirname}"
    done = probe("-m", "asset=forex", "algo.gamma=0.5,0.9", "model.hidden=[8,4]", name)
    assert done.returncode == 0, done.stderr
    first, second = (Path(str(job["folder"])) for job in jobs(done.stdout))
    assert "algo.gamma=0.5" in first.name
    assert "algo.gamma=0.9" in second.name
    again = probe(f"resume={first}", "train.env_steps=77")
    (job,) = jobs(again.stdout)
    assert (job["folder"], job["steps"]) == (str(first), 77)


def test_a_grid_goes_over_lists(probe) -> None:
    done = probe("-m", "asset=etf", "data.symbols=[SPY],[QQQ,IWM],[TLT]")
    assert done.returncode == 0, done.stderr
    assert len(jobs(done.stdout)) == 3


def test_a_folder_that_holds_a_grid_is_refused(probe, tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "run.json").write_text("{}")
    done = probe("-m", "seed=0,1", f"hydra.sweep.dir={folder}")
    assert done.returncode == 2
    assert "already holds 1 jobs of a grid" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["0"]


def standing(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("subdir", ["${algo.name}", ".", "", "a/${asset.name}"])
def test_two_jobs_of_a_grid_never_have_one_folder(probe, tmp_path: Path, subdir: str) -> None:
    done = probe("-m", "seed=0,1", "hydra.sweep.dir=grid", f"hydra.sweep.subdir={subdir}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the jobs seed=0 and seed=1 have one folder, grid")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "grid").exists()


@pytest.mark.parametrize("place", ["hydra.sweep.subdir=a/${hydra.job.num}", "hydra.sweep.dir=grid/${asset.name}"])
def test_a_job_of_a_grid_never_begins_in_a_folder_that_holds_a_run(probe, tmp_path: Path, place: str) -> None:
    """However that run has ended: nobody reads its run.json (tests/config/test_identity.py)."""
    words = ("-m", "seed=0,1", "hydra.sweep.dir=grid", place)
    first = jobs(probe(*words).stdout)
    (Path(str(first[1]["folder"])) / "run.json").touch()
    before = standing(tmp_path / "grid")
    again = probe(*words)
    assert again.returncode == 2
    assert "already holds" in again.stderr
    assert len(again.stderr.splitlines()) == 1
    assert standing(tmp_path / "grid") == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hydra.run.dir="], "hydra.run.dir is empty; name a folder"),
        (["hydra.run.dir='  '"], "hydra.run.dir is empty; name a folder"),
        (["-m", "seed=0,1", "hydra.sweep.dir="], "hydra.sweep.dir is empty; name a folder"),
        (["hydra.output_subdir=/tmp/elsewhere"], "hydra.output_subdir=/tmp/elsewhere leads out"),
        (["hydra.output_subdir=a/../../b"], "hydra.output_subdir=a/../../b leads out"),
        (["-m", "seed=0,1", "hydra.output_subdir=../b"], "hydra.output_subdir=../b leads out"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=../${seed}"], "hydra.sweep.subdir=../0 leads out"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=/tmp/elsewhere/${seed}"], "hydra.sweep.subdir=/tmp/elsewhere/0 leads"),
        (["hydra.run.dir=${nope}"], "Interpolation key 'nope' not found"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=${nope}"], "Interpolation key 'nope' not found"),
    ],
)
def test_a_folder_without_a_name_or_outside_is_refused_before_a_file_is_written(
    probe,
    tmp_path: Path,
    words: list[str],
    told: str,
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    done = probe(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {told}")
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--config-dir", "mine", "experiment=broken"], "broken.yaml, line 2, column 2 is no YAML"),
        (["-m", "seed=range(1,3,0)"], "goes on in steps of 0"),
        (["-m", "seed=range(1,1e9)"], "more than 10,000 values"),
        (["-m", "algo.gamma=range(0.1,0.9,0.00001)"], "more than 10,000 values"),
        (["hydra.job.env_copy=[NOT_THERE]", "seed=1"], "there is no 'NOT_THERE'"),
        (["hydra.output_subdir=null"], "hydra.output_subdir=null"),
        (["hydra.output_subdir=notes"], "hydra.output_subdir=notes"),
        (["-m", "seed=0,1", "hydra.output_subdir=null"], "hydra.output_subdir=null"),
    ],
)
def test_what_hydra_stumbles_over_is_a_line_and_leaves_nothing(
    probe,
    tmp_path: Path,
    words: list[str],
    said: str,
) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/broken.yaml").write_text("a: [1\nb")
    done = probe(*words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()
    assert not (tmp_path / "multirun").exists()


@pytest.mark.parametrize(
    ("words", "named"), [((), r"\.hydra/ in the run directory"), (("-m", "seed=0,1"), r"multirun\.yaml")]
)
def test_how_a_job_was_called_is_named_where_it_finds_no_room(
    forks: Forks,
    tmp_path: Path,
    words: tuple[str, ...],
    named: str,
) -> None:
    script = tmp_path / "probe.py"
    script.write_text(NO_ROOM.format(probe=textwrap.indent(PROBE, "    ")))
    done = forks.run(tmp_path, script, ("asset=etf", *words), env=bare())
    assert done.returncode == 1
    assert re.fullmatch(rf"error: cannot write {named}: File too large; make room and run it again.*\n", done.stderr)
