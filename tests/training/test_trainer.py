import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.agents import worlds
from tests.forks import Fork
from wealtharena.agents.networks.heads import WeightsHead
from wealtharena.agents.on_policy.learner import PPOUpdate
from wealtharena.agents.policy import load_policy
from wealtharena.config import identity
from wealtharena.errors import TrainingError
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, sameness, train
from wealtharena.training.checkpoints import best_path, load_state
from wealtharena.training.trainer import fit_scaler

pytestmark = pytest.mark.slow  # it trains

QUICK = (
    "algo=ppo",
    "algo.rollout_steps=256",
    "algo.minibatch=128",
    "algo.epochs=1",
    "train.env_steps=1024",
    "train.evaluations=2",
    "train.checkpoints=2",
)


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.iterations: list[dict] = []
        self.evaluations: list[dict] = []

    def on_iteration(self, record: Mapping) -> None:
        self.iterations.append(dict(record))

    def on_evaluation(self, record: Mapping) -> None:
        self.evaluations.append(dict(record))


def job(folder: Path, *overrides: str, resume: bool = False, bars: int = 240) -> TrainingJob:
    features = worlds.features(bars=bars)
    train_rows, validation = (Segment(0, 80), Segment(82, 160)), Segment(162, bars)
    return TrainingJob(worlds.spec(*QUICK, *overrides), features, train_rows, validation, folder, resume)


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(job(folder), listener=Told())
    return folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Path:
    """Make the test's folder that of a training which has ended, and return it."""
    return Path(shutil.copytree(_trained, tmp_path, dirs_exist_ok=True))


def test_a_tilt_that_adds_nothing_to_its_anchor_is_no_degenerate_policy(tmp_path: Path) -> None:
    told = Told()
    still = ("algo.learning_rate=1e-12", "algo.final_learning_rate=1e-12", "env.action=tilt", "env.anchor=cash")
    result = train(job(tmp_path, *still), listener=told)
    assert [one["trades"] for one in told.evaluations] == [0, 0]
    assert result.degenerate is None
    assert all("degenerate" not in one for one in told.evaluations)


def test_a_training_keeps_its_best_candidates_and_marks_the_best(tmp_path: Path) -> None:
    told = Told()
    result = train(job(tmp_path, "train.evaluations=4"), listener=told)
    assert result.status == "completed"
    assert result.env_steps == 1024
    assert [record["env_step"] for record in told.iterations] == [256, 512, 768, 1024]
    assert [record["iteration"] for record in told.evaluations] == [1, 2, 3, 4]
    assert len(result.candidates) == 2
    assert result.best is result.candidates[0]
    scores = sorted((record["sharpe"] for record in told.evaluations), reverse=True)
    assert [candidate.score for candidate in result.candidates] == scores[:2]
    assert best_path(tmp_path) == tmp_path / result.best.path
    folders = {path.name for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()}
    assert folders == {Path(candidate.path).name for candidate in result.candidates}
    policy = load_policy(tmp_path / result.best.path)
    assert policy.act(np.zeros((2, policy.layout.size), np.float32)).shape == (2, 3)


def test_the_scaler_has_seen_training_rows_only(tmp_path: Path) -> None:
    features = worlds.features(bars=240)
    segments = (Segment(0, 80), Segment(82, 160))
    scaler = fit_scaler(features, segments, clip=5.0)
    rows = np.concatenate([features.values[0:80], features.values[82:160]]).reshape(-1, 2)
    assert np.allclose(scaler.mean, rows.mean(axis=0))
    assert np.allclose(scaler.std, rows.std(axis=0, ddof=1))


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    first = train(job(tmp_path / "a"), listener=Told())
    second = train(job(tmp_path / "b"), listener=Told())
    assert first.best is not None
    assert second.best is not None
    assert first.best.path == second.best.path
    for name in ("weights.pt", "policy.json", "scaler.json"):
        assert (tmp_path / "a" / first.best.path / name).read_bytes() == (
            tmp_path / "b" / second.best.path / name
        ).read_bytes()


def test_patience_ends_a_training_without_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightsHead, "mode", lambda self, parameters: torch.full_like(parameters, 0.2))
    result = train(job(tmp_path, "train.env_steps=25600", "train.evaluations=100", "train.patience=2"), listener=Told())
    assert result.env_steps == 3 * 256
    assert result.status == "completed"


def test_patience_is_not_spent_on_a_network_that_has_learned_nothing_since(tmp_path: Path) -> None:
    """SAC collects before its first update, and again after a resume: three validations of one network ended the run."""
    given = (
        "algo=sac",
        "algo.learning_starts=512",
        "algo.rollout_steps=64",
        "algo.batch=16",
        "algo.updates_per_step=0.1",
    )
    for budget, resume in ((1024, False), (2048, True)):
        told = Told()
        spec = worlds.spec(*given, f"train.env_steps={budget}", "train.evaluations=32", "train.patience=2")
        result = train(replace(job(tmp_path, resume=resume), spec=spec), listener=told)
        begun = told.evaluations[0]["env_step"]
        learned = [one["env_step"] for one in told.iterations if "updates" in one]
        assert min(learned) == begun + 448, "512 steps are collected first"
        assert not {one.env_step for one in result.candidates} & set(range(begun + 64, min(learned)))


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = PPOUpdate.update, []

    def poisoned(self: PPOUpdate, rollouts, *, env_steps: int):
        calls.append(env_steps)
        if len(calls) == 3:
            rollouts[0].rewards[0, 0] = np.nan
        return original(self, rollouts, env_steps=env_steps)

    monkeypatch.setattr(PPOUpdate, "update", poisoned)
    with pytest.raises(TrainingError, match="no longer finite"):
        train(job(tmp_path), listener=Told())
    assert len(calls) == 3
    state = load_state(tmp_path)
    assert state is not None
    assert state["engine"]["env_steps"] == 512
    assert all(torch.isfinite(value).all() for value in state["engine"]["learner"]["network"].values())
    assert load_policy(best_path(tmp_path)) is not None


def test_a_full_disk_is_a_clear_error_and_the_old_state_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(job(tmp_path), listener=Told())
    before = (tmp_path / "trainer" / "state.pt").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match="No space left on device; make room"):
        train(job(tmp_path, "train.env_steps=2048", resume=True), listener=Told())
    assert (tmp_path / "trainer" / "state.pt").read_bytes() == before
    assert load_policy(best_path(tmp_path)) is not None


def test_a_vanished_folder_is_a_clear_error(tmp_path: Path) -> None:
    import shutil

    class Vandal(Told):
        def on_iteration(self, record: Mapping) -> None:
            shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)

    with pytest.raises(TrainingError, match="checkpoints has vanished"):
        train(job(tmp_path), listener=Vandal())


@pytest.mark.parametrize("at", [1, 4])  # the last, too: nobody who stops a run wants its test window opened
def test_a_signal_ends_the_run_with_a_state_and_a_candidate_and_resume_finishes_it(tmp_path: Path, at: int) -> None:
    class Impatient(Told):
        def on_iteration(self, record: Mapping) -> None:
            super().on_iteration(record)
            if len(self.iterations) == at:
                os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(job(tmp_path), listener=Impatient())
    assert (stopped.status, stopped.env_steps) == ("interrupted", 256 * at)
    assert load_policy(best_path(tmp_path)) is not None
    told = Told()
    finished = train(job(tmp_path, resume=True), listener=told)
    assert finished.status == "completed"
    assert [(record["iteration"], record["env_step"]) for record in told.iterations] == [
        (number, 256 * number) for number in range(at + 1, 5)
    ]
    assert finished.candidates == train(job(tmp_path / "undisturbed"), listener=Told()).candidates


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    class Impatient(Told):
        def on_iteration(self, record: Mapping) -> None:
            super().on_iteration(record)
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    told, before = Impatient(), signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(job(tmp_path), listener=told)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(told.iterations) == 1


def test_an_interrupted_and_resumed_run_ends_in_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    straight = train(job(tmp_path / "a"), listener=Told())

    class Impatient(Told):
        def on_evaluation(self, record: Mapping) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    train(job(tmp_path / "b"), listener=Impatient())
    resumed = train(job(tmp_path / "b", resume=True), listener=Told())
    assert straight.candidates == resumed.candidates
    for candidate in straight.candidates:
        left, right = (tmp_path / side / candidate.path / "weights.pt" for side in ("a", "b"))
        assert left.read_bytes() == right.read_bytes()


def go_on_slowly(folder: Path, told: Connection) -> None:
    """Train, or go on, and tell each iteration's steps."""

    class Slow(Told):
        def on_iteration(self, record: Mapping) -> None:
            told.send(record["env_step"])
            time.sleep(0.02)

    train(job(folder, "train.env_steps=1000000", "train.checkpoint_seconds=0.05", resume=True), listener=Slow())


def left_in(pipe: Connection) -> list[int]:
    """Return what was sent before the other end was killed."""
    found = []
    with contextlib.suppress(EOFError, OSError):  # the end, and one that was cut short
        while True:
            found.append(pipe.recv())
    return found


def test_kill_minus_nine_at_any_moment_leaves_something_to_go_on_from(tmp_path: Path) -> None:
    reached = 0
    for number in range(2):
        pipe, told = multiprocessing.Pipe(duplex=False)
        process = Fork(target=go_on_slowly, args=(tmp_path, told))
        process.start()
        told.close()
        try:
            lines = [pipe.recv() if pipe.poll(120) else -1 for _ in range(12)]
            time.sleep(0.013 * (number + 1))
        finally:
            process.kill()
            process.join()
        assert process.exitcode == -signal.SIGKILL
        said = left_in(pipe)
        assert lines[-1] > 0
        assert number == 0 or lines[0] > 256  # gone on, not begun again
        state = load_state(tmp_path)
        assert state is not None
        assert state["engine"]["env_steps"] > reached
        assert state["engine"]["env_steps"] <= (said[-1] if said else lines[-1]) + 256
        reached = state["engine"]["env_steps"]


def test_a_constant_policy_is_named_in_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightsHead, "mode", lambda self, parameters: torch.full_like(parameters, 0.2))
    told = Told()
    result = train(job(tmp_path), listener=told)
    assert result.degenerate == "it asks for the same weights on every bar"
    assert told.evaluations[0]["degenerate"] == result.degenerate


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model=gru", "model was shared, is gru"),
        ("seed=7", "seed was 0, is 7"),
        ("algo.gamma=0.5", r"algo\.gamma was .*, is 0\.5"),
        ("env.window=2", r"env\.window was 1, is 2"),
        ("reward.turnover_penalty=0.5", r"env\.reward\.turnover_penalty"),
        ("compute.envs=3", r"compute\.envs was .*, is 3"),
    ],
)
@pytest.mark.usefixtures("trained")
def test_a_state_of_another_job_is_refused(tmp_path: Path, change: str, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        train(job(tmp_path, change, resume=True), listener=Told())


@pytest.mark.usefixtures("trained")
def test_a_state_of_other_bars_or_windows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="bars was"):
        train(job(tmp_path, resume=True, bars=260), listener=Told())
    moved = job(tmp_path, resume=True)
    shifted = replace(moved, validation=Segment(moved.validation.start, moved.validation.stop - 1))
    with pytest.raises(TrainingError, match="validation was"):
        train(shifted, listener=Told())


@pytest.mark.parametrize("said", [True, False])
def test_a_state_from_before_the_figures_moved_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bool
) -> None:
    """Part of it was learnt by other features, costs or rewards; a state that tells no version is of the first."""
    if not said:
        whole = identity.settings
        monkeypatch.setattr(
            sameness, "settings", lambda spec: {k: v for k, v in whole(spec).items() if "numbers" not in k}
        )
    train(job(tmp_path), listener=Told())
    monkeypatch.undo()
    monkeypatch.setattr(identity, "NUMBERS", identity.NUMBERS + 1)
    with pytest.raises(TrainingError, match=rf"version of the numbers was \d+, is {identity.NUMBERS}"):
        train(job(tmp_path, "train.env_steps=2048", resume=True), listener=Told())


def test_a_longer_budget_is_the_same_job(tmp_path: Path) -> None:
    first = train(job(tmp_path), listener=Told())
    longer = train(job(tmp_path, "train.env_steps=2048", resume=True), listener=Told())
    assert longer.env_steps > first.env_steps


DIRECT = ("algo=direct", "algo.members=2", "algo.windows=4", "algo.window_bars=16", "algo.updates=1", *QUICK[4:])
EARLIER = 1024


@pytest.mark.parametrize("algo", ["ppo", "direct"])
@pytest.mark.parametrize("budget", [EARLIER + 1, int(1.2 * EARLIER), 2 * EARLIER, int(2.5 * EARLIER)])
def test_what_is_trained_further_is_validated_by_the_new_spacing_and_at_its_end(
    tmp_path: Path, algo: str, budget: int
) -> None:
    base = (*(DIRECT if algo == "direct" else QUICK), "train.evaluations=4")
    first = replace(job(tmp_path), spec=worlds.spec(*base))
    old = train(first, listener=Told()).env_steps
    budget, told = budget + old - EARLIER, Told()
    further = worlds.spec(*base, f"train.env_steps={budget}")
    longer = train(replace(first, spec=further, resume=True), listener=told)
    steps = [record["env_step"] for record in told.evaluations]
    passed = [step for step in (budget * k / 4 for k in range(1, 5)) if step > old]
    taken = [record["env_step"] for record in told.iterations]
    assert steps == sorted({next(step for step in taken if step >= due) for due in passed})
    assert steps[-1] == longer.env_steps >= budget > old


def test_a_run_that_goes_on_with_a_smaller_budget_than_it_has_taken_is_validated_where_it_ends(tmp_path: Path) -> None:
    class Impatient(Told):
        def on_iteration(self, record: Mapping) -> None:
            if record["iteration"] == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    assert train(job(tmp_path), listener=Impatient()).env_steps == 768
    told = Told()
    train(job(tmp_path, "train.env_steps=600", resume=True), listener=told)
    assert [record["env_step"] for record in told.evaluations] == [768]
    again = Told()
    train(job(tmp_path, "train.env_steps=600", resume=True), listener=again)
    assert again.evaluations == [], "it was validated there"


def test_patience_begins_anew_where_the_budget_is_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightsHead, "mode", lambda self, parameters: torch.full_like(parameters, 0.2))
    patient = ("train.evaluations=100", "train.patience=2")
    first = train(job(tmp_path, "train.env_steps=25600", *patient), listener=Told())
    same = train(job(tmp_path, "train.env_steps=25600", *patient, resume=True), listener=Told())
    told = Told()
    longer = train(job(tmp_path, "train.env_steps=25601", *patient, resume=True), listener=told)
    assert (first.env_steps, same.env_steps, longer.env_steps) == (3 * 256, 3 * 256, 5 * 256)
    assert len(told.evaluations) == 2


def test_best_json_is_plain(trained: Path) -> None:
    content = json.loads((trained / "checkpoints" / "best.json").read_text())
    assert set(content) == {"path", "env_step", "score"}
