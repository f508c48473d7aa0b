"""Runners in actors of their own, over two nodes; `test_lost_node` has one die."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.agents import worlds
from tests.nodes import connected
from wealtharena.agents import cluster, patience
from wealtharena.agents.algorithms import ppo
from wealtharena.agents.on_policy import watching
from wealtharena.config import plugins
from wealtharena.errors import ConfigError, TrainingError

pytestmark = pytest.mark.slow

REMOTE = (
    "algo=ppo",
    "algo.rollout_steps=256",
    "algo.minibatch=128",
    "algo.epochs=1",
    "compute=cluster",
    "compute.envs=8",
    "compute.runners=2",
    "train.evaluations=2",
)


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[object, object]]:
    """A cluster of two nodes with one processor each; the driver is on the head."""
    with connected() as both:
        yield both


Numbers = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def learned(nodes: tuple[object, object]) -> Iterator[tuple[Numbers, Numbers, Any]]:
    """Return what a network has learned in an actor, what one in this process has, and the engine of the latter: with a runner apart."""
    found = []
    for learners in (1, 0):
        engine = ppo.build(worlds.bench(worlds.spec(*REMOTE, "compute.runners=1", f"compute.learners={learners}")))
        for _ in range(2):
            engine.iterate()
        found.append({name: value.clone() for name, value in engine.network().state_dict().items()})
        if learners:
            engine.close()
    yield found[0], found[1], engine
    engine.close()


@pytest.fixture(scope="module")
def apart(nodes: tuple[object, object]) -> Iterator[Any]:
    """Return an asynchronous engine with a runner in a process of its own, which takes its time to start."""
    small = ("algo.rollout_steps=128", "algo.fragment_bars=16", "compute.envs=8")
    spec = worlds.spec("algo=impala", *small, "compute=cluster", "compute.runners=1")
    engine = plugins.load("agents.algorithms", "impala").build(worlds.bench(spec))
    engine.iterate()
    yield engine
    engine.close()


@pytest.mark.filterwarnings("ignore")
def test_a_learner_in_an_actor_of_its_own_learns_what_one_in_this_process_learns(
    learned: tuple[Numbers, Numbers, Any],
) -> None:
    there, here, _ = learned
    for name, value in here.items():
        torch.testing.assert_close(there[name], value, rtol=1e-6, atol=1e-7)


def test_two_learners_are_refused_where_they_would_do_the_same_work_twice() -> None:
    with pytest.raises(ConfigError, match=r"compute\.learners=2") as refused:
        worlds.spec(*REMOTE, "compute.learners=2")
    assert "impala" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("algo", "runners", "learners", "asked"),
    [("ppo", 3, 0, 3), ("ppo", 2, 1, 3), ("impala", 1, 2, 3), ("direct", 0, 4, 4)],
)
def test_more_actors_than_the_cluster_has_processors_are_refused_at_once(
    nodes: tuple[object, object], algo: str, runners: int, learners: int, asked: int
) -> None:
    bench = worlds.bench(
        worlds.spec(f"algo={algo}", "compute=cluster", f"compute.runners={runners}", f"compute.learners={learners}")
    )
    build = plugins.load("agents.algorithms", algo).build
    with pytest.raises(ConfigError, match=rf"compute\.learners={learners} ask for {asked} CPUs, this Ray has 2"):
        build(bench)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["impala", "appo"])
def test_rllib_s_own_algorithms_train_our_network_over_our_environment(nodes: tuple[object, object], name: str) -> None:
    small = ("algo.rollout_steps=128", "algo.fragment_bars=16", "compute.envs=8")
    bench = worlds.bench(worlds.spec(f"algo={name}", *small))
    engine = plugins.load("agents.algorithms", name).build(bench)
    learner = engine._learner(lambda learner, *_: learner)
    assert isinstance(learner._gpu_loader_in_queue, watching.LearnerQueue)
    assert learner._gpu_loader_in_queue.thread is learner._learner_thread
    before = {key: value.clone() for key, value in engine.network().state_dict().items()}
    for _ in range(3):
        figures = engine.iterate()
    assert engine.env_steps >= 128
    assert np.isfinite(figures["loss"])
    assert figures["loss"] == pytest.approx(
        figures["policy_loss"] + bench.spec.algo.value_coefficient * figures["value_loss"], rel=1e-3
    )
    state = engine.get_state()
    assert any(not torch.equal(before[key], state["network"][key]) for key in before)
    engine.set_state(state)
    engine.iterate()
    assert engine.env_steps > state["env_steps"]
    engine.close()


@pytest.mark.filterwarnings("ignore")
def test_asynchronous_runners_of_a_run_that_goes_on_begin_other_episodes(nodes: tuple[object, object]) -> None:
    """A runner here is seeded as those in processes of their own are."""

    def began(runner: Any) -> Any:
        return runner.sample(num_timesteps=16)[0].get_observations(0)

    small = ("algo.rollout_steps=128", "algo.fragment_bars=16", "compute.envs=8")
    bench, found, state = worlds.bench(worlds.spec("algo=impala", *small)), [], {}
    for _ in range(2):
        engine = plugins.load("agents.algorithms", "impala").build(bench)
        if state:
            engine.set_state({**state, "env_steps": 128})
        found += engine._algorithm.env_runner_group.foreach_env_runner(began, timeout_seconds=60.0)
        state = engine.get_state()
        engine.close()
    assert not np.array_equal(*found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["impala", "appo"])
def test_a_learner_thread_that_dies_ends_the_run_with_what_it_died_of(
    nodes: tuple[object, object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("algo.rollout_steps=128", "algo.fragment_bars=16", "compute.envs=8")
    engine = plugins.load("agents.algorithms", name).build(worlds.bench(worlds.spec(f"algo={name}", *small)))
    engine.iterate()
    learner = watching.WatchedAPPO if name == "appo" else watching.WatchedIMPALA

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("no batch divides by none")

    monkeypatch.setattr(learner, "before_gradient_based_update", broken)
    with pytest.raises(
        TrainingError, match="the learner has died: ZeroDivisionError: no batch divides by none"
    ) as died:
        [engine.iterate() for _ in range(50)]
    assert "resume=" in str(died.value.hint)
    assert engine.get_state()["optimizers"]  # what it had learned can still be saved
    engine.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(240)
def test_an_asynchronous_run_whose_runners_fall_silent_ends_resumable(
    apart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IMPALA and APPO ask their runners by the same code: one in a process of its own is there for one of them."""
    small = ("algo.rollout_steps=128", "algo.fragment_bars=16", "compute.envs=4")
    here = plugins.load("agents.algorithms", "appo").build(worlds.bench(worlds.spec("algo=appo", *small)))
    here.iterate()
    group = apart._algorithm.env_runner_group
    monkeypatch.setattr(group, "foreach_env_runner_async_fetch_ready", lambda *_, **__: [])
    monkeypatch.setattr(here._algorithm, "_sample_and_get_connector_states", lambda: ([], [], [], set()))
    monkeypatch.setattr(watching, "SAMPLE_SECONDS", 0.5)
    for engine in (apart, here):
        with pytest.raises(TrainingError, match=r"no rollout runner has answered for 0\.5 s; .*resume="):
            engine.iterate()
    here.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["ppo", "impala"])
def test_what_code_raises_in_a_runner_ends_the_run_as_it_would_here(name: str, request: pytest.FixtureRequest) -> None:
    def spoil(runner: Any) -> None:
        def sample(*_: object, **__: object) -> None:
            raise ConfigError("reward=mine is not finite at bar 7", hint="mend it")

        runner.sample = sample

    engine = request.getfixturevalue("learned")[2] if name == "ppo" else request.getfixturevalue("apart")
    driver = engine._driver if name == "ppo" else engine
    driver._algorithm.env_runner_group.foreach_env_runner(spoil, local_env_runner=False, timeout_seconds=60.0)
    with pytest.raises(ConfigError, match="reward=mine is not finite at bar 7; mend it"):
        [engine.iterate() for _ in range(10)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(120)
def test_an_actor_that_cannot_begin_says_why(nodes: tuple[object, object]) -> None:
    import ray

    class Learner:
        def __init__(self) -> None:
            raise ModuleNotFoundError("No module named 'mine'")

        def ready(self) -> bool:
            return True

    made = ray.remote(Learner).options(num_cpus=0).remote()
    wanted = r"one of the learners could not begin: ModuleNotFoundError: No module named 'mine'; its process needs"
    with pytest.raises(TrainingError, match=wanted), patience.starting("the learners"):
        ray.get(made.ready.remote(), timeout=60)


def test_a_learner_that_makes_no_update_is_not_waited_for_endlessly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Idle(watching.WatchedThread):
        def __init__(self) -> None:
            threading.Thread.__init__(self, daemon=True)
            self.over = threading.Event()

        def run(self) -> None:
            self.over.wait(60.0)

    monkeypatch.setattr(watching, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(watching, "UPDATE_SECONDS", 0.05)
    idle = Idle()
    idle.start()
    queue = watching.LearnerQueue(maxsize=1)
    queue.thread = idle
    queue.put("a batch")
    for wait in (watching.Finished(idle).wait, lambda: queue.put("another")):
        with pytest.raises(TrainingError, match="the learner has made no update"):
            wait()
    idle.over.set()
    idle.join()
    with pytest.raises(TrainingError, match="the learner has died"):
        queue.put("another")


def test_a_gpu_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="torch sees no GPU here; choose compute=local"):
        ppo.build(worlds.bench(worlds.spec("compute=gpu")))


def test_what_is_shipped_to_a_cluster_leaves_data_and_history_behind() -> None:
    shipped = cluster.shipped()
    assert (Path(shipped["working_dir"]) / "conf").is_dir()
    for name in ("outputs", "data", ".git", "checkpoints"):
        assert f"/{name}/" in shipped["excludes"]


@pytest.mark.parametrize(("package", "carried"), [("wealtharena/wealtharena", True), ("wealtharena", False)])
def test_a_clone_is_shipped_whatever_its_folder_is_called_and_a_wheel_is_not(
    package: str, carried: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / package).mkdir(parents=True)
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.setattr(cluster, "conf_dir", lambda: tmp_path / "wealtharena" / "conf")
    assert bool(cluster.shipped()) is carried


def test_figures_of_several_runners_are_means_and_episodes_are_counted() -> None:
    from wealtharena.agents.on_policy.rllib import merged

    assert merged([{"reward": 1.0, "episodes": 2.0}, {"reward": 3.0, "episodes": 1.0}]) == {
        "reward": 2.0,
        "episodes": 3.0,
    }
    assert np.isfinite(list(merged([{"reward": 1.0}, {}]).values())).all()
