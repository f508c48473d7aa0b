from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from wealtharena.config import speech
from wealtharena.tracking.search import SearchDisplay, mirror


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_finished_trial_is_one_line_with_best_and_time_left() -> None:
    stream, clock = io.StringIO(), Clock()
    display = SearchDisplay(
        "validation.sharpe", mode="max", trials=4, steps=5, kind="plain", stream=stream, clock=clock
    )
    display.on_trial(0, ["algo.clip=0.1"], "RUNNING", 0, None)
    display.on_trial(0, ["algo.clip=0.1"], "RUNNING", 3, 0.5)
    clock.now = 60.0
    display.on_trial(0, ["algo.clip=0.1"], "COMPLETE", 6, 0.75)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "done" in lines[0]
    assert "algo.clip=0.1" in lines[0]
    assert lines[1].strip() == "1 of 4 trials, best validation.sharpe +0.750 (trial 0), 3 min 00 s left"


def test_a_search_that_goes_on_counts_what_it_has_and_not_its_time() -> None:
    """Two of four were there, with the best among them: the line said 1 of 4, another best and three times the time."""
    stream, clock = io.StringIO(), Clock()
    display = SearchDisplay("m", mode="max", trials=4, steps=5, kind="plain", stream=stream, clock=clock)
    display.on_kept(0, [], "COMPLETE", 5, 0.9)
    display.on_kept(1, [], "PRUNED", 1, 0.1)
    clock.now = 60.0
    display.on_trial(2, [], "COMPLETE", 5, 0.2)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1].strip() == "3 of 4 trials, best m +0.900 (trial 0), 1 min 00 s left"


def test_a_stopped_trial_is_never_the_best() -> None:
    display = SearchDisplay("m", mode="max", trials=3, steps=5, kind="quiet")
    display.on_trial(0, [], "COMPLETE", 5, 0.2)
    display.on_trial(1, [], "PRUNED", 1, 9.0)
    assert display.best() == (0, 0.2)


def test_the_best_follows_the_mode() -> None:
    display = SearchDisplay("m", mode="min", trials=3, steps=5, kind="quiet")
    display.on_trial(0, [], "COMPLETE", 5, 0.2)
    display.on_trial(1, [], "COMPLETE", 5, -0.3)
    assert display.best() == (1, -0.3)


def test_a_failure_is_told_with_its_reason() -> None:
    stream = io.StringIO()
    display = SearchDisplay("m", mode="max", trials=3, steps=5, kind="plain", stream=stream)
    display.on_failure(7, "ValueError: no bars")
    assert stream.getvalue() == "trial 7 failed: ValueError: no bars\n"


def test_a_program_is_told_of_trials_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "_AS_JSON", True)
    stream, clock = io.StringIO(), Clock()
    display = SearchDisplay("m", mode="max", trials=4, steps=5, stream=stream, clock=clock)
    display.on_trial(0, ["algo.clip=0.1"], "RUNNING", 3, 0.5)
    clock.now = 60.0
    display.on_trial(0, ["algo.clip=0.1"], "COMPLETE", 5, 0.75)
    display.on_failure(1, "ValueError: no bars")
    display.on_trial(1, [], "FAIL", 0, None)
    done, why, failed = (json.loads(line) for line in stream.getvalue().splitlines())
    assert [one["event"] for one in (done, why, failed)] == ["trial", "trial_failed", "trial"]
    assert (done["number"], done["state"], done["score"], done["overrides"]) == (0, "done", 0.75, ["algo.clip=0.1"])
    assert (done["ended"], done["trials"], done["best"], done["best_trial"], done["seconds_left"]) == (
        1,
        4,
        0.75,
        0,
        180,
    )
    assert why["message"] == "ValueError: no bars"
    assert (failed["score"], failed["best"], failed["ended"]) == (None, 0.75, 2)


def test_nobody_is_told_of_trials_where_only_answers_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep with overrides of its own is composed anew, and its trials were told."""
    monkeypatch.setattr(speech, "_QUIET", True)
    stream = io.StringIO()
    display = SearchDisplay("m", mode="max", trials=4, steps=5, kind="plain", stream=stream)
    display.on_trial(0, [], "COMPLETE", 5, 0.75)
    display.on_failure(1, "ValueError: no bars")
    assert stream.getvalue() == ""


@pytest.mark.slow
def test_each_trial_and_the_search_become_runs_of_one_group(tmp_path: Path) -> None:
    import wandb

    from wealtharena.config import compose

    bars, script = "/srv/ada/bars.parquet", "/srv/ada/best.yaml"
    spec = compose(["asset=forex", "tracking.wandb.mode=offline", f"data.path={bars}"])
    trials = [
        {
            "number": k,
            "state": "COMPLETE",
            "score": 0.1 * k,
            "steps": 3,
            "env_step": 4096 + k,
            "overrides": {"algo.gamma": 0.9, "algo.dataset": f"/srv/ada/{k}.npz"},
        }
        for k in range(2)
    ]
    result = {"trials": trials, "metric": "validation.sharpe", "sweep": "ppo", "repeat": f"experiment={script}"}
    record = {
        "run_id": "20260102-abc",
        "asset": "forex",
        "algo": "ppo",
        "config_hash": "its-hash",
        "git_sha": "its-sha",
    }
    page = tmp_path / "sweep.html"
    page.write_text(f"<pre>data.path={bars} experiment={script}</pre>")
    try:
        said = mirror(spec, tmp_path, record, result, [page])
    finally:
        wandb.teardown()  # else the commands of later tests would look for this process's service
    folders = sorted(path.name.rsplit("-", 3)[-1] for path in (tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 3
    assert said is not None
    command, pattern = said.rsplit(" ", 1)
    assert command == "recorded offline; send it with: wandb sync"
    where = Path(pattern).expanduser()
    assert len(list(where.parent.glob(where.name))) == 3
    content = b"".join(path.read_bytes() for path in (tmp_path / "wandb").rglob("*.wandb"))
    assert content.count(b"20260102-abc") >= 3
    assert b"4097" in content
    assert b"its-hash" in content
    assert b"its-sha" in content
    content += b"".join(path.read_bytes() for path in (tmp_path / "wandb").rglob("*.html"))
    assert b"experiment=best.yaml" in content
    assert b"1.npz" in content
    assert b"/srv/ada" not in content
