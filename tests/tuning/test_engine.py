from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import filelock
import optuna
import pytest

from tests.tuning.objectives import STEPS, Toy
from tests.tuning.toy import Watcher, compute_spec, run, sweep_spec
from wealtharena.agents import cluster
from wealtharena.config import compose, identity
from wealtharena.config.identity import settings
from wealtharena.errors import ConfigError, TrainingError
from wealtharena.tuning import deaths, engine
from wealtharena.tuning.engine import SearchResult
from wealtharena.tuning.rows import Rows, TrialRow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]  # Ray leaves sockets to its own exit handlers


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    """Start Ray once for the module: each search would otherwise start and stop its own."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    cluster.connect(compute_spec())
    yield
    cluster.disconnect()


def asked(*, bars: str = "etf", mode: str = "max") -> dict[str, Any]:
    """Return what a search is known by: bars and mode in front of the settings as they are now."""
    own = {"data.bars": bars, "sweep.mode": mode}
    return own | settings(compose()) | own


@pytest.fixture(scope="module")
def ended(one_ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult]:
    """Return the folder of a search of four trials that has ended, and what it found: to copy, not to touch."""
    folder = tmp_path_factory.mktemp("ended")
    return folder, run(sweep_spec(trials=4), Toy(), folder, identity=asked())


@pytest.fixture
def finished(ended: tuple[Path, SearchResult], tmp_path: Path) -> SearchResult:
    """Return what a search found that has ended in the test's folder."""
    shutil.copytree(ended[0], tmp_path, dirs_exist_ok=True)
    return ended[1]


def study(folder: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="toy", storage=storage)


def toy_command(folder: Path, changes: dict[str, Any], toy: dict[str, Any]) -> list[str]:
    return [sys.executable, "-m", "tests.tuning.toy", str(folder), json.dumps(changes), json.dumps(toy)]


@pytest.fixture(scope="module")
def stumbled(one_ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult, Watcher]:
    """Return the folder of a search whose trials fail in three ways, what it found, and who was told."""
    folder, watcher = tmp_path_factory.mktemp("stumbled"), Watcher()
    toy = Toy(broken=[2], blank=[5], killed=[4])
    return folder, run(sweep_spec(trials=8, concurrency=2), toy, folder, watcher=watcher), watcher


def test_a_trial_that_raises_reports_nan_or_is_killed_fails_alone(
    stumbled: tuple[Path, SearchResult, Watcher],
) -> None:
    folder, result, watcher = stumbled
    fails = {2, 4, 5}
    assert {row.number: row.state for row in result.trials} == {
        n: "FAIL" if n in fails else "COMPLETE" for n in range(8)
    }
    assert all(trial.state.is_finished() for trial in study(folder).trials)
    assert watcher.failures[2] == "ValueError: trial 2 is broken on purpose"
    assert "nan" in watcher.failures[5]
    assert all(row.steps == STEPS for row in result.completed)


def test_a_trial_whose_worker_the_system_kills_says_why(stumbled: tuple[Path, SearchResult, Watcher]) -> None:
    folder, result, watcher = stumbled
    assert "killed" in watcher.failures[4]
    assert "memory; lower sweep.concurrency" in watcher.failures[4]
    assert result.trials[4].failure == watcher.failures[4] == study(folder).user_attrs["failure-4"]
    assert result.trials[1].failure is None


def test_a_worker_that_may_have_gone_with_its_machine_is_not_told_as_killed_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    written = tmp_path / "error.txt"
    written.write_text("ray.exceptions.ActorDiedError\nThe actor is dead because its worker process has died.\n")
    assert "most likely" in deaths.reason(str(written))
    monkeypatch.setattr(ray, "nodes", lambda: [{}, {}])
    assert "the machine that it ran on left the cluster" in deaths.reason(str(written))


def test_a_trial_that_ray_kills_for_memory_fails_alone(tmp_path: Path) -> None:
    # any use of memory is too much for this Ray, which looks every eight seconds: the endless trial is sure to be caught
    small = os.environ | {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "8000"}
    command = toy_command(tmp_path, {"trials": 3, "max_failed_share": 1.0}, {"endless": [1]})
    driver = subprocess.run(command, env=small, capture_output=True, text=True, timeout=280, check=False)
    assert driver.returncode == 0, driver.stderr
    trials = study(tmp_path).trials
    assert len(trials) == 3
    assert all(trial.state.is_finished() for trial in trials)
    assert trials[1].state.name == "FAIL"
    assert "ran low on memory; lower sweep.concurrency" in study(tmp_path).user_attrs["failure-1"]


def test_a_search_of_too_many_failures_ends_with_an_error_and_tells_of_each_trial_and_of_all_that_ended(
    tmp_path: Path,
) -> None:
    class Told(list[tuple[TrialRow, ...]]):
        """As the rows behind the firewall, it goes to no other process."""

        def __reduce_ex__(self, protocol: object) -> NoReturn:
            raise AssertionError("sent to another process")

    told, both = Told(), Toy(broken=[1], killed=[2])  # either counts: one alone is not too many of four
    with pytest.raises(TrainingError, match=r"2 of 3 trials failed, more than sweep\.max_failed_share=0\.25 of 4"):
        run(sweep_spec(trials=4, max_failed_share=0.25), both, tmp_path, ended=told.append)
    *each, rows = told
    assert [[row.number for row in one] for one in each] == [[row.number] for row in rows]
    assert [(row.number, row.state) for row in rows] == [(0, "COMPLETE"), (1, "FAIL"), (2, "FAIL")]


def test_what_asha_stops_is_told_pruned_with_its_last_value(tmp_path: Path) -> None:
    run(sweep_spec(trials=16, scheduler="asha", concurrency=1), Toy(), tmp_path)
    trials = study(tmp_path).trials
    counts = Counter(trial.state.name for trial in trials)
    assert counts["PRUNED"] > 0
    assert counts["COMPLETE"] > 0
    for trial in trials:
        last = max(trial.intermediate_values)
        expected = -((trial.params["x"] - 0.3) ** 2) * (1 + 1 / last)
        assert trial.intermediate_values[last] == pytest.approx(expected, rel=1e-4, abs=1e-6)
        assert (last < STEPS) == (trial.state.name == "PRUNED")


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_a_trial_that_reached_its_last_evaluation_is_not_told_as_stopped_early(tmp_path: Path, scheduler: str) -> None:
    watcher = Watcher()
    spec = sweep_spec(trials=6, scheduler=scheduler, grace_evaluations=STEPS)
    result = run(spec, Toy(), tmp_path, watcher=watcher)
    assert [row.state for row in result.trials] == ["COMPLETE"] * 6
    assert "PRUNED" not in {state for _, state, _, _ in watcher.events}
    assert [sorted(trial.intermediate_values) for trial in study(tmp_path).trials] == [[1, 2, 3, 4]] * 6


def test_a_finished_study_is_not_run_again(finished: SearchResult, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cluster, "connect", None)  # a Ray takes seconds to start, for nothing
        again = run(sweep_spec(trials=4), Toy(), tmp_path, identity=asked())
    watcher = Watcher()
    more = run(sweep_spec(trials=6), Toy(), tmp_path, identity=asked(), watcher=watcher)
    assert watcher.kept == [0, 1, 2, 3]
    assert again.trials == finished.trials
    assert more.trials[:4] == finished.trials
    assert len({row.overrides for row in more.trials}) == 6, "a resumed search draws new points"
    assert len(more.trials) == 6


@pytest.mark.usefixtures("finished")
def test_a_study_of_something_else_is_refused_before_a_trial_runs(tmp_path: Path) -> None:
    watcher, began = Watcher(), list[int]()
    with pytest.raises(
        ConfigError, match=r"another search's: data\.bars was etf, is crypto; sweep\.mode was max, is min"
    ):
        run(
            sweep_spec(trials=6, mode="min"), Toy(), tmp_path, watcher=watcher,
            identity=asked(bars="crypto", mode="min"), began=lambda: began.append(1),
        )  # fmt: skip
    assert not watcher.events
    assert not began, "it would count as a look"
    assert len(study(tmp_path).trials) == 4


@pytest.mark.usefixtures("finished")
def test_trials_scored_before_the_figures_moved_are_another_searchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "NUMBERS", identity.NUMBERS + 1)
    with pytest.raises(ConfigError, match="another search's: version of the numbers was"):
        run(sweep_spec(trials=6), Toy(), tmp_path, identity=asked())
    assert len(study(tmp_path).trials) == 4


@pytest.mark.parametrize("key", ["gpus_per_trial", "cpus_per_trial"])
def test_what_no_machine_has_is_refused_at_once(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"sweep\.{key}=64: no machine of this Ray has so many"):
        run(sweep_spec(**{key: 64}), Toy(), tmp_path)


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    result = run(sweep_spec(concurrency=1), Toy(), tmp_path, watcher=Watcher(stop_after=3))
    assert result.interrupted
    assert len(result.completed) == 3
    assert not [trial for trial in study(tmp_path).trials if not trial.state.is_finished()]


def test_a_second_search_on_the_same_study_is_refused(tmp_path: Path) -> None:
    held = filelock.FileLock(f"{tmp_path / 'study.journal'}.search")
    with held, pytest.raises(TrainingError, match="another search"):
        run(sweep_spec(), Toy(), tmp_path)


def test_what_a_trial_reports_beside_its_score_is_kept(finished: SearchResult) -> None:
    assert [row.extra["x_steps"] for row in finished.trials] == [[0, 1, 2, 3]] * 4


def test_a_search_killed_at_any_moment_goes_on_without_zombies_or_double_counting(tmp_path: Path) -> None:
    command = toy_command(tmp_path, {"trials": 4}, {"endless": [2, 3]})
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + 240
    try:
        while "2 RUNNING 1" not in (tmp_path / "log").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        driver.kill()
        driver.wait(timeout=120)
    before = {trial.number: trial.state for trial in study(tmp_path).trials}
    assert not all(state.is_finished() for state in before.values()), "the kill came too late to leave a running trial"
    result = run(sweep_spec(trials=4), Toy(), tmp_path)
    assert len(result.trials) == 4
    assert {row.state for row in result.trials} == {"COMPLETE"}
    after = study(tmp_path).trials
    assert all(trial.state.is_finished() for trial in after)
    assert all(after[number].state is state for number, state in before.items() if state.is_finished())


def test_a_ray_without_room_for_a_trial_is_not_waited_for_endlessly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    from wealtharena.agents import patience

    @ray.remote(num_cpus=2)
    class Busy:
        def ready(self) -> bool:
            return True

    busy = Busy.remote()
    assert ray.get(busy.ready.remote(), timeout=120)
    monkeypatch.setattr(patience, "LINE_SECONDS", 0.5)
    monkeypatch.setattr(patience, "START_SECONDS", 2.0)
    try:
        with pytest.raises(TrainingError, match=r"no trial has run for .* s: Ray has no room for one"):
            run(sweep_spec(trials=2), Toy(), tmp_path)
    finally:
        ray.kill(busy)
    assert [record.getMessage() for record in caplog.records].count("waiting for Ray to have room for a trial") == 1
    monkeypatch.setattr(patience, "START_SECONDS", 300.0)
    assert len(run(sweep_spec(trials=2), Toy(), tmp_path).completed) == 2


def test_a_search_ends_where_what_a_trial_earned_cannot_be_kept_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune prints what a searcher raises and goes on: a full disk would leave a search that is complete without its trials."""
    with monkeypatch.context() as patched:
        written = Rows.write

        def full(rows: Rows, number: int, state: str, result: Mapping[str, Any]) -> None:
            if number == 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "1.json")
            written(rows, number, state, result)

        patched.setattr(Rows, "write", full)
        with pytest.raises(OSError, match=r"No space left on device: '1\.json'"):
            run(sweep_spec(trials=3), Toy(), tmp_path)
    assert not logging.getLogger("ray.tune").isEnabledFor(logging.ERROR)  # Ray has no traceback of its own above it
    found = run(sweep_spec(trials=3), Toy(), tmp_path)
    assert [row.state for row in found.trials] == ["COMPLETE"] * 3


@pytest.mark.parametrize("full", [True, False])
def test_what_tune_stumbles_over_on_a_full_disk_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """A line of its own that was cut off is a JSONDecodeError to it."""

    def cut(self: object) -> None:
        json.loads("{")

    def without_room(folder: Path) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    monkeypatch.setattr("ray.tune.Tuner.fit", cut)
    monkeypatch.setattr(engine, "require_writable", without_room)
    with pytest.raises(OSError if full else json.JSONDecodeError) as told:
        run(sweep_spec(trials=3), Toy(), tmp_path)
    assert not full or told.value.filename == str(tmp_path)
