from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import Forks
from tests.tasks.conftest import SMALL, record
from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry.gate import by_ledger
from wealtharena.registry.metadata import Metadata, VerdictInfo
from wealtharena.tasks import dispatch, sweep
from wealtharena.tasks.record import RunContext
from wealtharena.tasks.trial import score_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SEARCH = (
    *SMALL,
    "sweep=ppo",
    "sweep.trials=3",
    "sweep.env_steps=2048",
    "sweep.finalists=2",
    "sweep.finalist_seeds=2",
    "evaluation.verdict.min_trades=0",
)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks("hydra", "wealtharena.config.launch", "wealtharena.tasks.sweep", "wealtharena.agents.policy")
    yield made
    made.close()


def test_a_killed_search_goes_on_selects_on_validation_and_opens_the_test_window_once_where_that_is_asked_for(
    tmp_path: Path, forks: Forks
) -> None:
    folder = tmp_path / "search"
    whole = (*SEARCH, "sweep.scheduler=none", "train.test=false")  # one that is stopped early is no finalist
    command = [sys.executable, str(ROOT / "run.py"), *whole, "tracking.console=plain", f"hydra.run.dir={folder}"]
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        _wait(tmp_path / "log", "trial   1 ", job)
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    assert record(folder)["status"] == "interrupted"
    ended = len(list((folder / "study.trials").glob("*.json")))
    for words, opened in (((), 0), ((), 0), (("train.test=true",), 1)):
        _run(forks, tmp_path, f"resume={folder}", *words)
        assert _openings(tmp_path) == opened
        run, searched = record(folder), json.loads((folder / "sweep.json").read_text())
        assert run["status"] == searched["status"] == "completed"
        assert (run.get("test_window") == "closed") is (opened == 0)
        assert (run["metrics"]["test"] is None) is (opened == 0)
        assert run["metrics"]["validation"]["sharpe"] is not None
    assert len(searched["trials"]) == 3
    assert searched["trials"][ended - 1]["number"] == ended - 1
    assert len(searched["finalists"]) == 2
    assert all(len(item["scores"]) == 2 for item in searched["finalists"])
    assert run["verdict"]["evidence"]["seeds"] == 2
    assert run["verdict"]["status"] != "promotable"
    _one_look(tmp_path)
    _counts_what_the_ledger_knows(tmp_path)
    best = compose([f"experiment={folder / 'best.yaml'}"])
    typed = compose(
        [
            *(item for item in SMALL if item != "tracking=quiet"),
            *searched["winner"]["overrides"],
            "train.env_steps=2048",
        ]
    )
    assert best.algo == typed.algo
    assert best.data == typed.data
    assert best.train == typed.train.model_copy(update={"test": best.train.test})
    page = (folder / "sweep.html").read_text()
    assert "SIMULATED" in page
    assert page.count("<svg") >= 6


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "sweep.study=<name> keeps its trials"),
        (("sweep.study=mine",), "sweep.study=mine and a larger sweep.trials"),
    ],
)
def test_a_completed_search_is_left_alone_and_says_how_more_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    (tmp_path / "run.json").write_text('{"run_id": "a", "status": "completed", "task": "train"}')
    assert dispatch(compose([*SEARCH, *more, f"resume={tmp_path}"])) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Nothing to do" in told
    assert said in told
    assert "train.env_steps" not in told


def _run(forks: Forks, place: Path, *words: str) -> None:
    done = forks.run(place, ROOT / "run.py", words, env=os.environ)
    assert done.returncode == 0, done.stderr + done.stdout


def _openings(folder: Path) -> int:
    lines = (folder / "results" / "ledger.jsonl").read_text().splitlines()
    return [json.loads(line)["kind"] for line in lines].count("open")


def _one_look(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "results" / "ledger.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines].count("open") == 1
    begun, *scored = [line for line in lines if line["kind"] == "trial"]
    tried = [line["config_hash"] for line in scored]
    assert len(tried) == len(set(tried)) == 3
    chosen, judged = scored[0]["window"], next(line["window"] for line in lines if line["kind"] == "open")
    assert begun["window"] == chosen[:1], "written before the first trial"
    assert chosen[1:] == judged, "tried for the test window"
    assert chosen[0][1] < judged[0][0], "and chosen by the window before"


def _counts_what_the_ledger_knows(folder: Path) -> None:
    """A search that was just judged is not told, when it is promoted, that its verdict is out of date."""
    (described,) = (json.loads(path.read_text()) for path in folder.glob("checkpoints/*/*/metadata.json"))
    verdict, ledger = (
        VerdictInfo(status="promotable", evidence=described["verdict"]["evidence"]),
        Ledger(folder / "results" / "ledger.jsonl"),
    )
    meta = Metadata.model_validate(described).model_copy(update={"verdict": verdict})
    assert by_ledger(meta, ledger) == meta
    assert (
        by_ledger(meta.model_copy(update={"verdict": verdict.model_copy(update={"evidence": {"trials": 0}})}), ledger)
        != meta
    )


def _wait(log: Path, words: str, job: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 150
    while words not in log.read_text():
        assert job.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_a_search_of_agents_that_tilt_ends_in_a_verdict_on_what_they_add(tmp_path: Path, forks: Forks) -> None:
    """Trials are chosen on validation, whose bars are not those of the test window: each is set against its own anchor."""
    words = ("sweep=direct", "sweep.trials=3", "sweep.env_steps=1024", "sweep.finalists=1", "sweep.finalist_seeds=1")
    folder, small = tmp_path / "search", [w for w in SMALL if not w.startswith(("algo.", "asset="))]
    _run(forks, tmp_path, "asset=etf", *small, *words, "evaluation.cscv_blocks=4", f"hydra.run.dir={folder}")
    assert _openings(tmp_path) == 1
    _counts_what_the_ledger_knows(tmp_path)
    run, searched = record(folder), json.loads((folder / "sweep.json").read_text())
    evidence = run["verdict"]["evidence"]
    assert "anchor" in run["comparison"]
    assert evidence["pbo"] == searched["bias"]["pbo"]
    assert evidence["strategies"] >= 2
    assert searched["bias"]["ratio"] == "information_ratio"
    assert searched["bias"]["trials"] == evidence["strategies"]
    assert "show an annual information ratio to the anchor of" in (folder / "sweep.html").read_text()


def test_an_agent_that_stays_in_cash_scores_nothing_and_one_whose_figure_is_undefined_otherwise_fails() -> None:
    assert score_of({"sharpe": math.nan, "trades": 0}, "validation.sharpe") == 0.0
    assert math.isnan(score_of({"sharpe": math.nan, "trades": 3}, "validation.sharpe"))
    assert score_of({"sharpe": 0.5, "trades": 0}, "sharpe") == 0.5


def test_a_search_says_which_length_of_training_holds() -> None:
    both = compose(["sweep=ppo", "train.env_steps=5000"])
    (said,) = sweep.length_note(both)
    assert said.startswith("Trials and finalists train for sweep.env_steps=200,000, not for train.env_steps=5,000")
    assert "train.env_steps=200000" in sweep.trial_overrides(both, ["train.env_steps=5000"])
    assert sweep.length_note(compose(["sweep=ppo", "sweep.env_steps=null"])) == []
    assert sweep.length_note(compose(["sweep=ppo", "train.env_steps=200000"])) == []


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.retrain=forex", "trains with the settings that are in production, a search looks for others"),
        ("split=cpcv", "would tune on rows that other folds test on"),
    ],
)
def test_a_search_of_what_cannot_be_searched_is_refused_before_a_trial(word: str, said: str, tmp_path: Path) -> None:
    """A search beside train.retrain searched the default asset, and fell over the incumbent's features after its test."""
    spec = compose([*SEARCH, word])
    with pytest.raises(ConfigError, match=said):
        sweep.run_in(RunContext(tmp_path / "run", ()), spec, [])
    assert not (tmp_path / "run").exists()
