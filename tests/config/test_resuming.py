"""`resume=`: a run goes on in its own folder with its own settings, or is left as it is."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.config.conftest import PROBE, bare
from tests.forks import Forks
from wealtharena.config.hashing import NUMBERS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def _begun(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("begun")
    (place / "probe.py").write_text(PROBE)
    done = forks.run(place, place / "probe.py", ["asset=forex"], env=bare())
    return Path(json.loads(done.stdout)["folder"])


@pytest.fixture
def begun(_begun: Path, tmp_path: Path) -> Path:
    """Return the folder of a job of forex that was begun, the test's own."""
    return shutil.copytree(_begun, tmp_path / "outputs" / "begun" / "job")


def test_a_resumed_job_stands_in_the_old_folder(probe) -> None:
    first = json.loads(probe("asset=forex", "seed=5").stdout)
    again = json.loads(probe(f"resume={first['folder']}", "train.env_steps=123").stdout)
    assert again["folder"] == first["folder"]
    assert (again["asset"], again["steps"], again["seed"]) == ("forex", 123, 5)
    recorded = Path(first["folder"], ".hydra", "overrides.yaml").read_text()
    assert "train.env_steps" not in recorded


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("seed=5", "seed was 0, is 5"),
        ("algo.gamma=0.5", "algo.gamma was"),
        ("data.end=2020-12-31", "data.end was None, is 2020-12-31"),
        ("model.hidden=[8]", "model.hidden was"),
        ("compute.envs=7", "compute.envs was"),
        ("reward=drawdown", "reward.name was"),
        ("asset=etf", "asset.name was"),
        ("data/simulator=etf", "a resumed run may change its budget"),  # no default has changed
    ],
)
def test_a_resumed_job_may_change_its_budget_only(probe, begun: Path, changed: str, told: str) -> None:
    done = probe(f"resume={begun}", changed)
    assert done.returncode == 2
    assert done.stderr.startswith("error: resume=")
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_run_begun_under_other_defaults_says_how_to_go_on(probe, tmp_path: Path) -> None:
    folder = Path(json.loads(probe("asset=forex", "algo.epochs=3").stdout)["folder"])
    record = folder / ".hydra" / "config.yaml"
    begun = yaml.safe_load(record.read_text())
    begun["algo"]["gamma"] = 0.5  # as an older conf/ would have had it
    begun["reward"] = {"name": "drawdown", "scale": 3.0}
    begun["asset"]["bars_per_year"] = 260  # which no version knows any more
    begun["evaluation"]["verdict"]["beats"] = "buy_and_hold"  # as one would write a list of one
    record.write_text(yaml.safe_dump(begun))
    done = probe(f"resume={folder}")
    assert done.returncode == 2
    assert "the defaults have changed since it was begun: reward.name was drawdown, is log_return" in done.stderr
    words = re.search(r"by adding (.*); leave resume= out", done.stderr)
    assert words is not None
    assert words[1].split() == ["reward=drawdown", "algo.gamma=0.5"]
    (again,) = probe(f"resume={folder}", *words[1].split(), "reward.scale=3").stdout.splitlines()
    assert json.loads(again)["folder"] == str(folder)


@pytest.mark.parametrize(
    ("said", "refused"), [({}, NUMBERS != 1), ({"numbers": NUMBERS}, False), ({"numbers": 0}, True)]
)
def test_a_run_begun_when_the_same_settings_gave_other_figures_is_not_gone_on_with(
    probe, begun: Path, said: dict[str, int | str], refused: bool
) -> None:
    said = {"run_id": "a", "status": "interrupted", "task": "train", **said}
    (begun / "run.json").write_text(json.dumps(said))
    done = probe(f"resume={begun}")
    assert done.returncode == (2 if refused else 0)
    assert done.stderr.startswith(f"error: resume={begun}: version of the numbers was" if refused else "")
    assert len(done.stderr.strip().splitlines()) == refused
    assert json.loads((begun / "run.json").read_text()) == said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", '{"status": "compl'),
        ("run.json", "{}"),
        ("run.json", '{"status": "completed", "task": "train", "training": {"env_steps": 16384}}'),
        ("run.json", '{"run_id": "a", "status": "complete", "task": "train"}'),
        ("run.json", '{"run_id": null, "status": "completed", "task": "train"}'),
        ("run.json", "[1, 2]"),
        ("run.json", "[" * 100_000),
        ("run.json", "\udcff"),
        (".hydra/config.yaml", "algo: [1"),
        (".hydra/config.yaml", "- 1"),
        (".hydra/config.yaml", "\udcff"),
    ],
)
def test_a_run_whose_record_is_damaged_is_a_line(probe, begun: Path, name: str, text: str) -> None:
    (begun / name).write_bytes(text.encode(errors="surrogateescape"))
    done = probe(f"resume={begun}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {begun / name} is damaged: ")
    assert done.stderr.endswith("; its checkpoints are kept; start a new run\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("word", ["+resume=", "++resume="])
def test_every_spelling_of_resume_goes_on_or_leaves_the_run_as_it_is(probe, begun: Path, word: str) -> None:
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    refused = probe(f"{word}{begun}", "seed=9", f"hydra.run.dir={begun}")
    assert refused.returncode == 2
    assert f"resume={begun}: seed was 0, is 9" in refused.stderr
    (again,) = probe(f"{word}{begun}").stdout.splitlines()
    assert (json.loads(again)["folder"], json.loads(again)["asset"]) == (str(begun), "forex")
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before


def test_a_resume_that_is_no_word_of_the_command_line_begins_nothing(probe, begun: Path, tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_text(f"resume: {begun}\n")
    done = probe("experiment=preset.yaml", "hydra.run.dir=other")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: resume={begun} stands in a file")
    assert not (tmp_path / "other").exists()
    jobs = probe("-m", "experiment=preset.yaml", "seed=0,1")
    assert jobs.returncode == 2
    assert jobs.stderr.startswith(f"error: resume={begun} stands in a file")
    grid = probe("-m", f"++resume={begun}", "seed=0,1")
    assert grid.returncode == 2
    assert grid.stderr == f"error: -m with resume={begun} would go on with one run several times; leave out -m\n"
    assert not (tmp_path / "multirun").exists()


def test_a_run_that_has_lost_its_record_is_no_fresh_one(probe, begun: Path) -> None:
    (begun / "metrics.jsonl").touch()
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    for words, told in {
        f"resume={begun}": f"{begun} has lost its run.json, and metrics.jsonl of a run are there",
        f"hydra.run.dir={begun}": f"hydra.run.dir={begun} already holds a run that has lost its run.json: metrics",
        f"-m hydra.sweep.dir={begun.parent} seed=0,1": f"the folder of a job, {begun}, already holds a run that has",
    }.items():
        done = probe(*words.split())
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {told}")
        assert len(done.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("task", "data", "goes_on"),
    [("train", {"fingerprint": "f"}, True), ("train", {}, False), ("backtest", {"fingerprint": "f"}, False)],
)
def test_bars_that_are_known_may_lie_elsewhere(probe, task: str, data: dict[str, str], goes_on: bool) -> None:
    """Where a training knows its bars, others are told from them by content before its first step."""
    folder = Path(json.loads(probe("asset=etf", "data=files", "data.path=a.csv").stdout)["folder"])
    said = {"run_id": "a", "status": "interrupted", "task": task, "numbers": NUMBERS, "data": data}
    (folder / "run.json").write_text(json.dumps(said))
    done = probe(f"resume={folder}", "data.path=b.csv")
    assert done.returncode == (0 if goes_on else 2)
    if goes_on:
        assert json.loads(done.stdout)["path"] == "b.csv"
    else:
        assert "data.path was a.csv, is b.csv; a resumed run may change" in done.stderr
    other = probe(f"resume={folder}", "data.path=b.csv", "data.start=2020-01-01")
    assert other.returncode == 2
    assert "data.start was None, is 2020-01-01" in other.stderr
