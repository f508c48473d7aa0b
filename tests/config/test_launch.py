"""The command line as a process sees it; one probe job stands in for the tasks."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest
import yaml

import wealtharena
from tests.config.conftest import PARALLEL, PROBE, bare
from tests.forks import UNREAD, runs

pytestmark = pytest.mark.slow


def test_a_job_runs_where_it_was_called_and_gets_a_folder_of_its_own(probe, tmp_path: Path) -> None:
    done = probe("asset=etf", "compute.torch_threads=2")
    said = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr == ""
    assert said["cwd"] == str(tmp_path)
    assert said["omp"] == "2"
    assert said["full"] is None
    assert Path(said["folder"]).relative_to(tmp_path).parts[0] == "outputs"
    assert sorted(path.name for path in Path(said["folder"]).iterdir()) == [".hydra"]


def test_threads_are_set_before_torch_is_loaded(probe) -> None:
    said = json.loads(probe().stdout)
    assert said["omp"] is not None
    assert said["torch"] is False


def test_a_wrong_configuration_is_one_line_exit_code_2_and_leaves_nothing(probe, tmp_path: Path) -> None:
    done = probe("algo.gamma=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: algo.gamma=3 must be between 0 and 1; try algo.gamma=")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.glob("outputs/*/*")) == []


def test_a_flag_may_stand_between_words(probe) -> None:
    assert probe("asset=crypto", "-m", "seed=1,2").stdout.count('"seed"') == 2


def test_hydra_s_own_errors_look_the_same(probe) -> None:
    done = probe("asset=crpto")
    assert done.returncode == 2
    assert done.stderr.startswith("error: asset=crpto is not a choice; did you mean asset=crypto?")
    assert len(done.stderr.splitlines()) == 1


def test_an_expected_error_is_a_line_and_its_exit_code(probe) -> None:
    done = probe("seed=99")
    assert done.returncode == 1
    assert done.stderr == "error: no rows; ask for more\n"


def test_a_bug_keeps_its_traceback(probe) -> None:
    done = probe("seed=98")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: a bug" in done.stderr


def test_hydra_full_error_shows_all_of_any_error(probe) -> None:
    done = probe("asset=crpto", env={"HYDRA_FULL_ERROR": "1"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "MissingConfigException" in done.stderr


def test_ctrl_c_is_exit_code_130_and_ends_a_grid(probe) -> None:
    done = probe("-m", "seed=97,1")
    assert done.returncode == 130
    assert '"seed": 1' not in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("seed", "code"), [(92, 1), (91, 7)])
def test_a_job_that_something_ended_is_no_success(probe, seed: int, code: int) -> None:
    found = probe(f"seed={seed}")
    assert found.returncode == code
    assert ("the job has not come to its end" in found.stderr) is (code == 1)


def test_a_grid_goes_on_after_a_failure_and_returns_the_worst_code(probe, tmp_path: Path) -> None:
    done = probe("-m", "seed=99,1", "asset=forex")
    jobs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 1
    assert [job["seed"] for job in jobs] == [1]
    assert Path(jobs[0]["folder"]).relative_to(tmp_path).parts[0] == "multirun"
    assert Path(jobs[0]["folder"]).name == "1"
    assert jobs[0]["grid"] == Path(jobs[0]["folder"]).parent.name


def test_the_version_is_said(probe) -> None:
    done = probe("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"wealtharena \d+\.\d+\.\d+\n", done.stdout)
    assert done.stdout.split() == ["wealtharena", wealtharena.__version__]


def test_a_path_may_be_typed_as_it_is_and_a_resume_finds_it_again(probe, tmp_path: Path) -> None:
    path = "~/my bars (1)/a=b, it's #1.csv"
    first = json.loads(probe(f"data.path={path}").stdout)
    assert first["path"] == str(Path(path).expanduser())
    assert first["grid"] is None
    again = json.loads(probe(f"resume={first['folder']}").stdout)
    assert again["path"] == first["path"]


@pytest.mark.parametrize("seed", [94, 93, 90])
def test_a_job_that_was_refused_or_only_asked_leaves_no_folder(probe, tmp_path: Path, seed: int) -> None:
    assert probe(f"seed={seed}").returncode == (0 if seed == 93 else 2)
    assert not list(tmp_path.glob("outputs/**/*"))


def test_a_refusal_never_removes_work(probe, tmp_path: Path) -> None:
    probe("seed=94", "backtest.checkpoints=[state.pt]")
    (folder,) = tmp_path.glob("outputs/*/*")
    assert (folder / "state.pt").exists()
    used = tmp_path / "used"
    used.mkdir()
    with filelock.FileLock(used / ".lock"):
        probe("seed=93", f"hydra.run.dir={used}")
    assert used.exists(), "another process is at work in it"
    own = tmp_path / "somebody's"
    own.mkdir()
    probe("seed=93", f"hydra.run.dir='{own / 'run'}'")
    assert own.exists(), "Hydra has not made it, and who types there has his shell in it"


@pytest.mark.parametrize("launcher", [PARALLEL, ()])
def test_a_grid_of_searches_is_refused_with_the_right_form(probe, launcher: tuple[str, ...]) -> None:
    done = probe("-m", *launcher, "asset=crypto", "sweep=ppo")
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("python run.py sweep=ppo asset=crypto")


def test_an_unknown_launcher_is_answered_with_the_choices(probe) -> None:
    done = probe("-m", "hydra/launcher=nope", "seed=1,2")
    assert done.returncode == 2
    assert "choices: basic, joblib" in done.stderr


def test_jobs_in_processes_of_their_own_keep_folders_threads_and_the_worst_code(probe, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(Path(__file__).parents[2])}  # workers are new processes, and import this checkout
    done = probe("-m", *PARALLEL, "seed=99,1,2,99", "compute.torch_threads=7", env=env, whole=True)
    jobs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 1
    assert done.stderr.count("error: no rows; ask for more") == 1
    assert "2 jobs ended so (#0, #3): no rows\n" in done.stderr
    assert {(job["seed"], Path(job["folder"]).name) for job in jobs} == {(1, "1"), (2, "2")}
    assert {job["omp"] for job in jobs} == {"7"}
    assert not any(job["torch"] for job in jobs)


def test_a_killed_process_of_a_grid_is_one_line(probe) -> None:
    done = probe("-m", *PARALLEL, "seed=96,1", whole=True)
    assert done.returncode == 1
    assert "error: the process of a job was killed" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_process_of_a_grid_outlives_sigterm(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    command = [sys.executable, str(tmp_path / "probe.py"), "-m", *PARALLEL, "seed=95", "asset=etf,forex"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as grid:
        assert grid.stdout is not None
        job = next(int(line.split()[1]) for line in grid.stdout if line.startswith("begun"))
        grid.terminate()
        assert grid.wait(timeout=120) == 130
    deadline = time.monotonic() + 120
    while runs(job):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_folder_that_cannot_be_written_is_one_line(probe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = probe(f"hydra.run.dir={tmp_path}/file/run")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write the run directory")


def test_a_folder_that_holds_a_run_is_refused_before_a_file_is_written(probe, tmp_path: Path) -> None:
    folder = tmp_path / "used"
    probe("asset=forex", f"hydra.run.dir={folder}")
    (folder / "run.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = probe("asset=etf", "seed=1", f"hydra.run.dir={folder}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: hydra.run.dir={folder} already holds a run")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("word", ["++hydra.mode=MULTIRUN", "+hydra.mode=MULTIRUN", "hydra.mode=MULTIRUN", "-m"])
def test_a_grid_however_it_is_asked_for_keeps_its_choice_from_the_test_window(probe, tmp_path: Path, word: str) -> None:
    done = probe(word, "asset=etf", "algo.clip=0.1,0.2")
    assert done.returncode == 0, done.stderr
    for record in tmp_path.glob("multirun/*/*/*/.hydra/config.yaml"):
        assert yaml.safe_load(record.read_text())["train"]["test"] is False
    assert len(list(tmp_path.glob("multirun/*/*/*/.hydra"))) == 2


def test_what_hydra_cannot_merge_is_told_with_its_cause(probe) -> None:
    for word, told in {
        "hydra.callbacks=null": "hydra.callbacks=null: it takes no null; leave out hydra.callbacks=null",
        "hydra.mode=foo": "hydra.mode=foo: Invalid value 'foo', expected one of [RUN, MULTIRUN]; leave out hydra.mode",
        "hydra.run.dir=null": "hydra.run.dir=null: ",
        "++sweep=ppo": "sweep is a group that is there; write sweep=ppo",
    }.items():
        done = probe(word)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {told}")
        assert len(done.stderr.splitlines()) == 1


def test_an_error_is_json_however_log_is_typed(probe) -> None:
    assert json.loads(probe("++log=json", "algo.clip=3").stderr)["event"] == "error"
    grid = probe("-m", "log=json", "seed=1,2")
    assert [json.loads(line)["seed"] for line in grid.stdout.splitlines()] == [1, 2], "nor does a launcher say a word"


def test_a_machine_without_a_home_folder_runs(tmp_path: Path) -> None:
    script = "import os; os.environ.pop('HOME', None); import pwd; pwd.getpwuid = lambda n: (_ for _ in ()).throw(KeyError(n))\n"
    script += "from wealtharena import shown; from wealtharena.envs import compiled\n"
    script += (
        "assert shown.home() is None and shown.without_home('/root/x') == '/root/x'; print(compiled.cache_folder())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "kernel-" in done.stdout


def test_help_lists_groups_and_choices_in_two_seconds(probe) -> None:
    before = os.times()
    done = probe("--help")
    after = os.times()  # processor time of children: a busy machine takes longer by the clock and is not to blame
    assert (after.children_user + after.children_system) - (before.children_user + before.children_system) < 2
    assert done.returncode == 0
    assert "commodities, crypto, etf, forex, stocks" in done.stdout
    assert "fred" not in done.stdout  # it has no bars: data=fred is refused
    assert "python probe.py asset=crypto algo=ppo" in done.stdout


def test_the_composed_configuration_can_be_printed(probe) -> None:
    done = probe("--cfg", "job", "--package", "universe", "asset=forex")
    assert done.returncode == 0
    assert "EURUSD" in done.stdout


def test_a_part_of_the_configuration_is_printed_or_told_to_be_no_part(probe) -> None:
    done = probe("--cfg", "job", "--package", "unverse")
    assert done.returncode == 2
    assert done.stderr == "error: --package unverse: there is no such part; did you mean universe or universe.name?\n"
    hint = "error: --package nosuch: there is no such part; look at all of it with --cfg job\n"
    assert probe("--package", "nosuch", "--cfg", "job").stderr == hint
    assert probe("--cfg", "job", "--package", "data.path").stdout == "null\n"


FULL = "error: standard output cannot be written: No space left on device; "


@pytest.mark.parametrize("question", ["--help", "--version", "--cfg job", "--hydra-help"])
def test_an_answer_that_cannot_be_given_is_a_line_at_most(probe, question: str) -> None:
    for end, told in {UNREAD: "", "/dev/full": FULL}.items():
        done = probe(*question.split(), out=end)
        assert (done.returncode, len(done.stderr.splitlines())) == (bool(told), bool(told))
        assert done.stderr.startswith(told)


@pytest.mark.parametrize("question", ["--cfg job", "--info defaults"])
def test_a_process_whose_answer_cannot_be_given_ends_so_too(tmp_path: Path, question: str) -> None:
    """At its end Python itself writes what is left."""
    (tmp_path / "probe.py").write_text(PROBE)
    command = f"set -o pipefail; {shlex.quote(sys.executable)} probe.py {question}"
    for end, told in {"| true": "", ">/dev/full": FULL}.items():
        shell = ["bash", "-c", f"{command} {end}"]
        done = subprocess.run(shell, cwd=tmp_path, env=bare(), capture_output=True, text=True, timeout=120, check=False)
        said = told if question != "--info defaults" else ""  # which is written by a logger
        assert (done.returncode, len(done.stderr.splitlines())) == (bool(said), bool(said))
        assert done.stderr.startswith(said)


def test_a_quiet_grid_has_no_lines_of_its_launcher(probe) -> None:
    assert "HYDRA" in probe("-m", "seed=1,2").stdout
    for word in ("quiet=true", "quiet=True"):
        quiet = probe("-m", word, "seed=1,2")
        assert (quiet.returncode, "HYDRA" in quiet.stdout, quiet.stderr) == (0, False, "")


def test_a_preset_that_chooses_what_is_not_there_is_told_by_a_question_too(probe, tmp_path: Path) -> None:
    """Hydra's error for it is an OSError, which was taken for one of standard output."""
    preset = tmp_path / "mine.yaml"
    preset.write_text("# @package _global_\ndefaults:\n  - override /asset: bonds\n")
    done = probe(f"experiment={preset}", "--cfg", "job")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: asset=bonds is not a choice; ")


def test_a_question_with_a_folder_that_is_not_there_is_a_line(probe) -> None:
    done = probe("--help", "--config-dir", "nope")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_info_explains_the_composition(probe) -> None:
    done = probe("--info", "defaults")
    assert done.returncode == 0
    assert "asset/crypto" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("asset=cr", "asset=crypto"), ("train.env_s", "train.env_steps="), ("universe=asx", "universe=asx_large")],
)
def test_tab_completes_groups_and_keys(probe, typed: str, offered: str) -> None:
    line = f"python probe.py {typed}"
    done = probe(
        "--shell-completion", "query=bash", env={"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_CWORD": "2"}
    )
    assert offered in done.stdout.split()


def test_what_a_shell_is_to_run_for_it_can_be_printed(probe) -> None:
    assert "complete" in probe("--shell-completion", "install=bash").stdout
