"""A training that was killed goes on to the weights that it would have had, bit for bit."""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agents import worlds
from tests.forks import LIMIT_SECONDS, Fork
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, TrainingResult, train
from wealtharena.training.checkpoints import load_state
from wealtharena.training.job import Silent

pytestmark = pytest.mark.slow  # it trains
DIRECT = (
    "algo=direct", "algo.members=5", "algo.windows=4", "algo.window_bars=16", "algo.updates=2", "algo.dropout=0.2",
    "algo.learning_rate=0.03", "env.randomisation.enabled=true",
)  # fmt: skip
PPO = ("algo=ppo", "algo.rollout_steps=256", "algo.minibatch=128", "algo.epochs=1")
FOOTING = ("model=shared", "algo.dropout=0.2", "algo.reward_less_anchor=true", "algo.common_starts=4")
CASES = {
    "direct by tilts": (*DIRECT, "env.action=tilt"),
    "direct by weights": (*DIRECT, "env.action=weights"),
    "PPO by tilts": (*PPO, *FOOTING, "env.action=tilt"),
    "PPO with a memory": (*PPO, "model=lstm", "env.action=tilt"),
}
TRADED = ("env.anchor=equal_weight", "env.trade_rate=1")  # from the first bar on, whatever is learnt
LAST = 5  # the iteration in which it is killed


def job(folder: Path, name: str) -> TrainingJob:
    small = ("train.env_steps=2048", "train.evaluations=4", "train.checkpoint_seconds=0.001")
    features = worlds.features(bars=500, signal=0.3)
    spec = worlds.spec(*CASES[name], *TRADED, *small)
    return TrainingJob(spec, features, (Segment(0, 350),), Segment(352, 500), folder)


class Kills:
    def on_iteration(self, record: Mapping) -> None:
        if record["iteration"] == LAST:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_evaluation(self, record: Mapping) -> None:
        pass


class First(Silent):
    """Keeps the first iteration that it is told of."""

    def __init__(self) -> None:
        self.record: Mapping = {}

    def on_iteration(self, record: Mapping) -> None:
        self.record = self.record or dict(record)


def kill(root: Path, name: str) -> int:
    """Train a case in a process of its own until it is killed, and return how that has ended."""
    process = Fork(target=train, args=(job(root / name, name),), kwargs={"listener": Kills()})
    process.start()
    process.join(timeout=LIMIT_SECONDS)
    assert process.exitcode is not None
    return process.exitcode


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of trainings that were killed, by name."""
    root = tmp_path_factory.mktemp("killed")
    for name in CASES:
        (root / name).mkdir()
        assert kill(root, name) == -signal.SIGKILL
    return root


def weights(folder: Path, result: TrainingResult) -> list[bytes]:
    return [(folder / one.path / "weights.pt").read_bytes() for one in result.candidates]


@pytest.mark.parametrize("name", CASES)
def test_it_goes_on_to_the_uninterrupted_runs_weights(killed: Path, tmp_path: Path, name: str) -> None:
    state = load_state(killed / name)
    assert state is not None
    assert 0 < state["progress"]["iterations"] < LAST
    first = First()
    gone_on = train(replace(job(killed / name, name), resume=True), listener=first)
    assert first.record["iteration"] == state["progress"]["iterations"] + 1
    through = train(job(tmp_path, name), listener=Silent())
    assert gone_on.candidates == through.candidates
    assert weights(killed / name, gone_on) == weights(tmp_path, through)


@pytest.mark.parametrize("name", ["direct by tilts", "PPO by tilts"])
def test_a_seed_gives_its_own_weights_every_time(tmp_path: Path, name: str) -> None:
    saved = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = job(folder, name)
        result = train(replace(made, spec=made.spec.model_copy(update={"seed": seed})), listener=Silent())
        saved.append(weights(folder, result))
    assert saved[0] == saved[1]
    assert saved[0] != saved[2]
