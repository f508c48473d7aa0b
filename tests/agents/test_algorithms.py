import io
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents import check_action, specs
from wealtharena.agents.engine import Workbench
from wealtharena.agents.policy import NetworkPolicy, load_policy, save_policy
from wealtharena.config import plugins
from wealtharena.config.paths import conf_dir
from wealtharena.errors import ConfigError

pytestmark = pytest.mark.slow  # it trains

NAMES = sorted(path.stem for path in (conf_dir() / "algo").glob("*.yaml"))
FAMILIES = {  # what makes a job small; RLlib's asynchronous algorithms need a cluster: test_scale.py has them
    specs.OnPolicySpec: ("algo.rollout_steps=128",),
    specs.OffPolicySpec: ("algo.rollout_steps=64", "algo.learning_starts=64", "algo.batch=16", "algo.buffer=1000"),
    specs.OfflineSpec: ("algo.passes=2", "algo.batch=16", "algo.updates=4"),
    specs.DirectSpec: ("algo.members=2", "algo.windows=3", "algo.window_bars=8", "algo.updates=2"),
    specs.AsyncSpec: None,
}


def smaller(name: str) -> tuple[str, ...] | None:
    """Return the overrides of an algorithm's family; an algorithm of none is a mistake of this test."""
    spec = plugins.load("agents.algorithms", name).AlgorithmSpec
    (found,) = [overrides for family, overrides in FAMILIES.items() if issubclass(spec, family)]
    return found


LOCAL = [name for name in NAMES if smaller(name) is not None]


def built(name: str, *overrides: str):
    """Return the engine of an algorithm on a small market."""
    bench = worlds.bench(worlds.spec(f"algo={name}", *(smaller(name) or ()), *overrides))
    return bench, plugins.load("agents.algorithms", name).build(bench)


def numbers(engine: Any) -> dict[str, torch.Tensor]:
    """Return copies of the numbers that an engine's network holds."""
    return {key: value.clone() for key, value in engine.network().state_dict().items()}


@dataclass(frozen=True)
class Trained:
    """A training of two iterations; `before` and `after` are its network's numbers."""

    name: str
    bench: Workbench
    engine: Any
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]
    figures: dict[str, float]


def train(name: str) -> Trained:
    bench, engine = built(name, "seed=5")
    before = numbers(engine)
    engine.iterate()
    figures = engine.iterate()
    return Trained(name, bench, engine, before, numbers(engine), figures)


@pytest.fixture(scope="module", params=LOCAL)
def trained(request: pytest.FixtureRequest) -> Iterator[Trained]:
    """Return a training of each algorithm, to look at; who goes on with its engine asks for no more than that it goes on."""
    made = train(request.param)
    yield made
    made.engine.close()


def test_one_seed_gives_one_policy(trained: Trained) -> None:
    again = train(trained.name)
    assert all(torch.equal(value, again.after[key]) for key, value in trained.after.items())
    again.engine.close()


def test_training_changes_the_policy_and_a_state_goes_on_exactly(trained: Trained) -> None:
    engine, before, after = trained.engine, trained.before, trained.after
    assert all(np.isfinite(value) for value in trained.figures.values())
    assert any(not torch.equal(before[key], after[key]) for key in before if key != "table")
    memory = io.BytesIO()
    torch.save(engine.get_state(), memory)
    memory.seek(0)
    _, resumed = built(trained.name, "seed=5")
    resumed.set_state(torch.load(memory, weights_only=True))
    assert resumed.env_steps == engine.env_steps
    for key, value in resumed.network().state_dict().items():
        assert torch.equal(value, after[key])
    drawing = engine.get_state().get("drawing")  # of an update that draws by itself
    assert drawing is None or torch.equal(resumed.get_state()["drawing"], drawing)
    if not hasattr(engine, "replay"):  # remembered steps are collected anew
        engine.iterate()
        resumed.iterate()
        for key, value in resumed.network().state_dict().items():
            assert torch.equal(value, engine.network().state_dict()[key])
    resumed.close()


def test_a_trained_policy_survives_the_disk(trained: Trained, tmp_path: Path) -> None:
    bench, network = trained.bench, trained.engine.network()
    layout, limits = bench.market.layout, bench.env.limits
    policy = NetworkPolicy(network, bench.spec.model, layout, bench.action, limits, bench.scaler, name=trained.name)
    save_policy(tmp_path, policy)
    again = load_policy(tmp_path)
    rows = np.random.default_rng(0).standard_normal((5, layout.size)).astype(np.float32)
    assert np.array_equal(policy.act(rows), again.act(rows))
    assert policy.act(rows).shape == (5, 3)


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_closed_engine_lets_its_observations_go(name: str) -> None:
    _, engine = built(name)
    engine.iterate()
    runner = engine.runner if name == "sac" else engine._driver._runner
    held = [weakref.ref(runner.buffers.observations)]
    if name == "sac":
        held += [weakref.ref(engine.replay.observations), weakref.ref(engine.replay.following)]
    engine.close()
    assert all(one() is None for one in held)


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_says_which_actions_it_can_use(name: str) -> None:
    usable = plugins.load("agents.algorithms", name).ACTIONS
    for kind in ("weights", "allocation"):
        if kind in usable:
            assert check_action(worlds.spec(f"algo={name}", f"env.action={kind}")) == kind
        else:
            with pytest.raises(
                ConfigError, match=rf"algo={name} cannot use env\.action={kind}; choose env\.action={usable[0]}"
            ):
                worlds.spec(f"algo={name}", f"env.action={kind}")
    assert check_action(worlds.spec(f"algo={name}")) == usable[0]


@pytest.mark.parametrize("name", ["sac", "dqn", "bc", "impala"])
def test_replayed_steps_cannot_train_a_network_with_memory(name: str) -> None:
    with pytest.raises(ConfigError, match="choose model=mlp"):
        worlds.spec(f"algo={name}", "model=gru")


def test_remote_runners_are_refused_where_they_are_not_used() -> None:
    with pytest.raises(ConfigError, match="choose compute=local"):
        worlds.spec("algo=sac", "compute.runners=2")


def test_what_was_composed_otherwise_is_refused_where_an_engine_would_be_built() -> None:
    job = worlds.spec("algo=sac")
    spread = job.model_copy(update={"compute": job.compute.model_copy(update={"runners": 2})})
    with pytest.raises(ConfigError, match="choose compute=local"):
        worlds.bench(spread)
