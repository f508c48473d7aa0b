"""A node dies under a training: in a file of its own, since what Ray restarts later takes the place of whom comes next."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.agents import worlds
from tests.agents.test_scale import REMOTE
from tests.nodes import connected
from wealtharena.agents import patience
from wealtharena.agents.algorithms import ppo
from wealtharena.agents.on_policy import rllib, watching
from wealtharena.agents.rollout import Rollout
from wealtharena.errors import TrainingError
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Any, Any]]:
    """A cluster of two nodes with one processor each, of which the last test kills the second; the driver is on the head."""
    with connected() as both:
        yield both


@pytest.mark.filterwarnings("ignore")
def test_a_runner_that_is_started_again_between_two_rollouts_acts_as_the_learner_does(
    nodes: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    taken: list[Rollout] = []

    def asked(group: Any, function: Any, **arguments: Any) -> list[Any]:
        taken.extend(arguments.get("rollouts", ()))
        return patience.ask_learners(group, function, **arguments)

    monkeypatch.setattr(rllib, "ask_learners", asked)
    engine: Any = ppo.build(worlds.bench(worlds.spec(*REMOTE, "compute.runners=1", "algo.learning_rate=0.02")))
    engine.iterate()
    runner = engine._driver._algorithm.env_runner_group._worker_manager.actors()[1]
    ray.kill(runner, no_restart=False)
    until = time.monotonic() + 120.0
    while not is_back(runner._actor_id.hex()):
        assert time.monotonic() < until, "it did not start again"
        time.sleep(0.1)
    network = engine.network()
    engine.iterate()
    engine.close()
    first, rollout = taken
    assert not np.array_equal(first.observations[0], rollout.observations[0])  # other episodes than at the begin
    rows = (rollout.observations[:-1], rollout.actions, rollout.log_probs)
    observations, actions, acted = (torch.from_numpy(row.reshape(rollout.steps, *row.shape[2:])) for row in rows)
    found, _ = network.log_prob_and_entropy(network.parameters_of(observations), actions)
    torch.testing.assert_close(found.detach(), acted, rtol=1e-3, atol=1e-3)


class Restarting:
    """RLlib's algorithm whose only runner is back at the given round."""

    def __init__(self, back_at: float) -> None:
        self.back_at, self.rounds, self.figures = back_at, 0, {}

    def step(self) -> None:
        self.rounds += 1
        self.figures = {"steps": 8.0, "loss": 1.0} if self.rounds >= self.back_at else {}


@pytest.mark.parametrize("algorithm", [watching.AnsweredIMPALA, watching.AnsweredAPPO])
def test_asynchronous_runners_that_have_all_died_have_sent_nothing(algorithm: type[Any]) -> None:
    waiting = object.__new__(algorithm)
    waiting.config = SimpleNamespace(num_env_runners=2)
    waiting.env_runner_group = SimpleNamespace(num_healthy_remote_workers=lambda: 0)
    assert waiting._sample_and_get_connector_states() == ([], [], [], set())


def driver_of(algorithm: Restarting) -> rllib.RemoteDriver:
    driver = object.__new__(rllib.RemoteDriver)
    driver._algorithm = algorithm
    return driver


def test_runners_that_have_all_died_are_waited_for_while_they_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rllib, "REST_SECONDS", 0.0)
    assert driver_of(Restarting(back_at=100)).iterate(0) == (8, {"loss": 1.0})
    monkeypatch.setattr(rllib, "START_SECONDS", 0.01)
    with pytest.raises(TrainingError, match="no rollout runner answers"):
        driver_of(Restarting(back_at=float("inf"))).iterate(0)


def is_back(actor: str) -> bool:
    import ray

    told = ray._private.state.actors(actor)
    return bool(told["State"] == "ALIVE" and told["NumRestarts"] > 0)


@pytest.mark.filterwarnings("ignore")
def test_a_run_over_two_nodes_survives_the_death_of_one(
    nodes: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(rllib, "PROBE_SECONDS", 1.0)
    two, second = nodes
    where: list[set[str]] = []

    class Killer:
        def on_iteration(self, record: Mapping) -> None:
            if not where:
                actors = ray._private.state.actors().values()
                where.append({actor["Address"]["NodeID"] for actor in actors if actor["State"] == "ALIVE"})
                two.remove_node(second, allow_graceful=False)

        def on_evaluation(self, record: Mapping) -> None:
            pass

    job = TrainingJob(
        worlds.spec(*REMOTE, "train.env_steps=768"),
        worlds.features(bars=160),
        (Segment(0, 110),),
        Segment(112, 160),
        tmp_path,
    )
    result = train(job, listener=Killer())
    assert len(where[0]) == 2  # it ran on both
    assert result.status == "completed"
    assert result.env_steps >= 768
    assert result.best is not None
