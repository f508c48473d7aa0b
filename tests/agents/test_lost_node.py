"""A node dies under a training: in a file of its own, since what Ray restarts later takes the place of whom comes next."""

import operator
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tests.agents import worlds
from tests.agents.test_scale import REMOTE
from tests.nodes import connected
from wealtharena.agents.algorithms import ppo
from wealtharena.agents.on_policy import rllib
from wealtharena.errors import TrainingError
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, train

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")
def test_a_run_over_two_nodes_survives_the_death_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(rllib, "PROBE_SECONDS", 1.0)
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
    with connected() as (two, second):
        result = train(job, listener=Killer())
    assert len(where[0]) == 2  # it ran on both
    assert result.status == "completed"
    assert result.env_steps >= 768
    assert result.best is not None


class Restarting:
    """RLlib's algorithm whose only runner is back at the given round."""

    def __init__(self, back_at: float) -> None:
        self.back_at, self.rounds, self.figures = back_at, 0, {}

    def step(self) -> None:
        self.rounds += 1
        self.figures = {"steps": 8.0, "loss": 1.0} if self.rounds >= self.back_at else {}


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


@pytest.mark.filterwarnings("ignore")
def test_a_runner_that_is_started_again_acts_as_the_learner_does_from_its_first_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    monkeypatch.setattr(rllib, "PROBE_SECONDS", 1.0)
    with connected():
        engine = ppo.build(worlds.bench(worlds.spec(*REMOTE, "compute.runners=1")))
        engine.iterate()
        algorithm = engine._driver._algorithm
        group = algorithm.env_runner_group
        ray.kill(group._worker_manager.actors()[1], no_restart=False)
        group.foreach_env_runner("get_metrics", local_env_runner=False, timeout_seconds=1.0)  # it is missed
        until = time.monotonic() + 120.0
        while not algorithm.restore_env_runners(group):
            assert time.monotonic() < until, "it did not come back"
            time.sleep(0.1)
        module = operator.attrgetter("module")
        (acting,) = group.foreach_env_runner(module, local_env_runner=False, timeout_seconds=60.0)
        for name, value in engine.network().state_dict().items():
            torch.testing.assert_close(acting.state_dict()[name], value, rtol=0, atol=0)
        engine.close()
