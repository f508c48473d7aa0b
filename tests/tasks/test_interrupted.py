"""A run that is killed, told to stop or without room comes to the same end when it goes on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.attacks import moments
from tests.envs.markets import market_of, panel_of, spec_of
from tests.forks import CLOSED, UNREAD, called
from tests.tasks.conftest import SMALL, record
from wealtharena.config import compose
from wealtharena.envs.simulate import simulate
from wealtharena.errors import FirewallError, UsedFolderError, WealthArenaError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry import ModelCheckpoint, history
from wealtharena.registry import publish as publishing
from wealtharena.tasks import continuing, dispatch, judging
from wealtharena.tasks.record import RunContext, recorded

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
Small = Callable[..., tuple[int, Path]]
QUICK = (*moments.SMALL, "tracking.report=false", "evaluation.baselines=[buy_and_hold,cash]", "train.evaluations=1")


@pytest.fixture(scope="module")
def imported() -> None:
    """Read and load here what is there in every fork then."""
    with moments.quiet_environment():
        moments.ready()
        compose(QUICK)
        spec = spec_of()
        simulate(market_of(panel_of([1.0, 2.0, 3.0]), spec), np.ones((3, 1)), spec=spec)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, imported: None) -> tuple[dict[str, Any], int]:
    """Return the end of a run that nobody interrupted, and how many moments it has."""
    folder = tmp_path_factory.mktemp("whole")
    with moments.quiet_environment():
        played = moments.play(folder, QUICK)
    assert played.code == 0, played.said
    return moments.end_of(folder), played.moments


@pytest.mark.parametrize("share", [0.1, 0.55, 0.8, 0.88, 0.94, 0.98])
def test_a_run_killed_at_any_moment_goes_on_to_the_same_end(
    tmp_path: Path, whole: tuple[dict[str, Any], int], share: float
) -> None:
    wanted, total = whole
    with moments.quiet_environment():
        killed = moments.play(tmp_path, QUICK, moments.Trouble(kill_at=int(share * total)))
        last = moments.finish(tmp_path, QUICK)
    assert killed.code == -signal.SIGKILL
    assert last.code == 0, last.said
    assert moments.end_of(tmp_path) == wanted


@pytest.mark.parametrize("room", [100, 3_000])
def test_a_run_without_room_says_so_in_one_line_and_goes_on_to_the_same_end(
    tmp_path: Path, whole: tuple[dict[str, Any], int], room: int
) -> None:
    with moments.quiet_environment():
        full = moments.play(tmp_path, QUICK, moments.Trouble(room=room))
        last = moments.finish(tmp_path, QUICK)
    assert full.code in (1, 2), full.said
    assert "Traceback" not in full.said
    assert "File too large" in full.said
    assert last.code == 0, last.said
    assert moments.end_of(tmp_path) == whole[0]


def test_a_signal_while_a_version_is_made_waits_until_it_is_whole(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = publishing.export_onnx

    def told_to_stop(*arguments: Any) -> bytes:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(publishing, "export_onnx", told_to_stop)
    with pytest.raises(KeyboardInterrupt):
        small("train.env_steps=1024")
    (path,) = tmp_path.glob("outputs/*/*/run.json")
    run = record(path.parent)
    assert run["status"] == "interrupted"
    assert ModelCheckpoint("checkpoints").load_checkpoint("forex", run["run_id"]).metadata.version == run["run_id"]


def test_a_stop_that_a_library_made_an_error_of_its_own_is_still_a_stop(tmp_path: Path) -> None:
    def library() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt as stop:
            raise RuntimeError("export failed") from stop

    with pytest.raises(RuntimeError, match="export failed"), recorded(compose(SMALL), RunContext(tmp_path, ())):
        library()
    assert record(tmp_path)["status"] == "interrupted"


def test_the_verdict_that_was_published_first_stands_and_the_run_says_so(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between kill and resume others have looked at the window: judged again, the run would come out otherwise."""
    real = judging.publish

    def again(spec: Any, run: Any, found: Any) -> str:
        published = real(spec, run, found)
        first = run.content["verdict"]
        run.update(verdict={**first, "status": "promotable"})
        assert real(spec, run, found) == published
        assert run.content["verdict"]["status"] == first["status"]
        return published

    monkeypatch.setattr(judging, "publish", again)
    _, folder = small("train.env_steps=1024")
    run = record(folder)
    assert run["notes"][-1].endswith(f"was published as {run['verdict']['status']}; that verdict stands.")


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "ledger line": (lambda root: _put(root / "results/ledger.jsonl", b'{"kind": "open"}\n'), r"ledger\.jsonl: line 1"),
    "ledger folder": (lambda root: (root / "results/ledger.jsonl").mkdir(parents=True), "the ledger .* cannot be"),
    "history line": (lambda root: _put(root / "checkpoints/registry.jsonl", b"\xff\n"), r"registry\.jsonl: line 1"),
    "registry file": (lambda root: _put(root / "checkpoints", b""), "the registry .* cannot be|cannot be read"),
}


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_is_in_the_way_of_the_end_is_told_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    monkeypatch.chdir(tmp_path)
    harm, told = SPOILT[spoil]
    harm(tmp_path)
    with pytest.raises(WealthArenaError, match=told):
        dispatch(compose(SMALL))
    assert not (tmp_path / "outputs").exists()


def test_a_registry_that_became_unwritable_during_training_keeps_the_window_shut(
    small: Small, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = judging.run_audit

    def spoilt(*arguments: Any) -> Any:
        _put(tmp_path / "checkpoints" / history.HISTORY, b"\xff\n")
        return real(*arguments)

    monkeypatch.setattr(judging, "run_audit", spoilt)
    with pytest.raises(WealthArenaError, match=r"registry\.jsonl: line 1 is not UTF-8"):
        small("train.env_steps=1024")
    assert "open" not in {entry["kind"] for entry in Ledger("results/ledger.jsonl").entries()}


def test_a_ledger_that_cannot_be_read_ends_a_comparison_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _put(tmp_path / "results/ledger.jsonl", b"{}\n")
    with pytest.raises(FirewallError, match="line 1 has no kind"):
        dispatch(compose(["task=compare", "tracking=quiet"]))


def test_a_job_that_does_not_resume_a_run_leaves_its_record(tmp_path: Path) -> None:
    with recorded(compose(SMALL), RunContext(tmp_path, ())) as first:
        first.update(status="completed")
    before = (tmp_path / "run.json").read_bytes()
    with (
        pytest.raises(UsedFolderError, match="already holds a run; go on with it by resume="),
        recorded(compose([*SMALL, "seed=1"]), RunContext(tmp_path, ())),
    ):
        pass
    assert (tmp_path / "run.json").read_bytes() == before
    with recorded(compose(SMALL), RunContext(tmp_path, (), resumed=True)) as second:
        assert second.run_id == first.run_id


PLAYED = (
    "task=backtest",
    "backtest.baseline=momentum",
    "data=simulated",
    "data.simulator.bars=800",
    "tracking.report=false",
)
SPEAKING = ("tracking=default", "hydra.run.dir=run")


def assert_whole(folder: Path, code: int | None, said: str) -> None:
    assert (code, said) == (0, "")
    assert record(folder / "run")["status"] == "completed"


def test_a_job_whose_output_nobody_reads_comes_to_its_end(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, str(ROOT / "run.py"), *PLAYED, *SPEAKING])
    shell = ["bash", "-c", f"set -o pipefail; {command} | true"]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert_whole(tmp_path, done.returncode, done.stderr)


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize(
    ("job", "out", "err"),
    [(QUICK, UNREAD, CLOSED), (PLAYED, CLOSED, ".err"), ((*PLAYED, "log=json"), UNREAD, ".err")],
)
def test_a_job_comes_to_its_end_wherever_its_output_goes(
    tmp_path: Path, job: tuple[str, ...], out: str, err: str
) -> None:
    with moments.quiet_environment():
        code, _, said = called((*job, *SPEAKING), tmp_path, out=out, err=err)
    assert_whole(tmp_path, code, said)


def test_a_run_of_several_folds_goes_on_by_the_steps_of_a_fold() -> None:
    record = {"task": "train", "training": {"env_steps": 8192}, "folds": [{"env_steps": 4096}, {"env_steps": 4096}]}
    assert continuing.taken(record) == 4096
    assert continuing.taken({**record, "folds": []}) == 8192
    assert continuing.longer(compose(["train.env_steps=5000"]), record)
    assert not continuing.longer(compose(["train.env_steps=4096"]), record)
