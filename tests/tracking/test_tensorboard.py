import errno
import json
import math
import os
import threading
from pathlib import Path

import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter

from wealtharena.tracking.mirror import Ending, Identity
from wealtharena.tracking.mirrors.tensorboard import open_mirror

IDENTITY = Identity("20260101-000000-abcdef", "etf ppo seed 0", "train", ("etf",), {"algo": {"name": "ppo"}})
ENDING = Ending(("etf",), {"test/sharpe": 0.25, "verdict": "unproven"}, (), None, 0)


def events(folder: Path) -> list[tuple[int, str, float]]:
    """Return (step, name, value) of every scalar in the event files, read as TensorBoard does."""
    found: list[tuple[int, str, float]] = []
    for path in sorted(folder.glob("events.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = event_pb2.Event.FromString(content[at + 12 : at + 12 + length])
            if event.session_log.status == event_pb2.SessionLog.START:
                found = [figure for figure in found if figure[0] < event.step]
            found += [(event.step, v.tag, v.simple_value) for v in event.summary.value if v.HasField("simple_value")]
            at += 16 + length
    return found


def test_figures_stand_at_their_environment_step_and_the_test_at_the_last(tmp_path: Path) -> None:
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=None)
    mirror.log({"env_step": 100, "iteration": 1, "reward": 0.5, "degenerate": "no number"})
    mirror.log({"env_step": 200, "validation/sharpe": 1.5})
    mirror.finish(ENDING)
    assert events(tmp_path / "tensorboard") == [
        (100, "iteration", 1.0), (100, "reward", 0.5), (200, "validation/sharpe", 1.5), (200, "summary/test/sharpe", 0.25),
    ]  # fmt: skip
    assert (mirror.trouble, "tensorboard --logdir" in str(mirror.whereabouts())) == (None, True)


def test_what_a_validation_repeats_of_its_iteration_stands_once(tmp_path: Path) -> None:
    """The number of the iteration, and the fold, stood twice at every step with a validation."""
    (tmp_path / "metrics.jsonl").write_text('{"env_step": 100, "iteration": 1}\n')
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=100)
    mirror.log({"env_step": 100, "iteration": 1, "validation/sharpe": 0.5})
    for figures in ({"reward": 0.1}, {"validation/sharpe": 1.5}):
        mirror.log({"env_step": 200, "iteration": 2, **figures})
    mirror.finish(Ending((), {}, (), None, 0))
    assert events(tmp_path / "tensorboard") == [
        (100, "iteration", 1.0), (100, "validation/sharpe", 0.5),
        (200, "iteration", 2.0), (200, "reward", pytest.approx(0.1)), (200, "validation/sharpe", 1.5),
    ]  # fmt: skip


def test_the_command_that_shows_a_run_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mirror = open_mirror(tmp_path / "my runs", IDENTITY, resume_step=None)
    assert mirror.whereabouts() == "tensorboard --logdir 'my runs/tensorboard'"


def test_a_resumed_run_keeps_the_step_that_it_goes_on_from(tmp_path: Path) -> None:
    for name, resume_step, steps in (("events.0", None, (100, 200, 300)), ("events.1", 200, (300, 400))):
        mirror = open_mirror(tmp_path, IDENTITY, resume_step=resume_step)
        for step in steps:
            mirror.log({"env_step": step, "reward": float(step)})
        mirror.finish(Ending((), {}, (), None, 0))
        next((tmp_path / "tensorboard").glob("events.out.*")).rename(tmp_path / "tensorboard" / name)
    assert [step for step, name, _ in events(tmp_path / "tensorboard") if name == "reward"] == [100, 200, 300, 400]


def test_what_a_kill_kept_from_the_event_files_is_shown_from_the_journal(tmp_path: Path) -> None:
    lines = [{"env_step": step, "reward": float(step), "time": "now"} for step in (100, 200, 300)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=200)
    mirror.log({"env_step": 300, "reward": 3.0})
    mirror.finish(Ending((), {}, (), None, 0))
    assert events(tmp_path / "tensorboard") == [(100, "reward", 100.0), (200, "reward", 200.0), (300, "reward", 3.0)]


def test_a_test_after_a_training_stands_at_its_last_step_too(tmp_path: Path) -> None:
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=200)
    mirror.finish(ENDING)
    assert events(tmp_path / "tensorboard") == [(200, "summary/test/sharpe", 0.25)]


def test_what_is_not_defined_is_no_figure_and_nothing_is_said_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=None)
    mirror.log({"env_step": 100, "reward": 0.5, "validation/sharpe": math.nan, "validation/years": math.inf})
    mirror.finish(Ending((), {"test/sortino": -math.inf}, (), None, 0))
    assert events(tmp_path / "tensorboard") == [(100, "reward", 0.5)]
    assert caplog.messages == []


def test_nothing_is_written_for_a_run_without_figures(tmp_path: Path) -> None:
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=None)
    mirror.log({"env_step": 100})
    assert not (tmp_path / "tensorboard").exists()


def test_a_disk_that_fills_up_ends_the_mirror_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's thread ended, and the training waited for it for ever, also on SIGTERM."""
    written = iter(range(15))

    def write(self: object, event: bytes) -> None:
        if next(written, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordWriter, "write", write)
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=None)

    def told() -> None:
        for step in range(100):
            mirror.log({"env_step": step, "reward": 0.5, "loss": 0.1})
        mirror.finish(ENDING)

    training = threading.Thread(target=told, daemon=True)
    training.start()
    training.join(timeout=60)
    assert not training.is_alive()
    assert "No space left on device" in str(mirror.trouble)
    assert mirror.whereabouts() is None


def test_a_folder_that_cannot_be_written_ends_the_mirror_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file stands there")
    mirror = open_mirror(tmp_path, IDENTITY, resume_step=None)
    mirror.log({"env_step": 100, "reward": 0.5})
    mirror.finish(ENDING)
    assert mirror.trouble
    assert mirror.whereabouts() is None
