"""An untrained agent that tilts is its anchor, and a trained one is exported with it (tests/registry/test_publish.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.algorithms import ppo, sac
from wealtharena.agents.networks import build_network
from wealtharena.agents.policy import NetworkPolicy, load_policy, save_policy
from wealtharena.config import compose, plugins
from wealtharena.data import load
from wealtharena.envs.actions import actions_of
from wealtharena.envs.anchors import beside
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.errors import CheckpointError
from wealtharena.features import compute
from wealtharena.features.panel import FeaturePanel, Scaler

MODELS = ("mlp", "gru", "lstm", "attention", "shared")
ASSETS = ("stocks", "forex", "crypto", "etf", "commodities")


def untrained(spec, features: FeaturePanel) -> tuple[Market, NetworkPolicy]:
    scaler = beside(Scaler.fit(features, clip=5.0))
    market = Market.build(features, spec.env, scaler)
    network = build_network(spec.model, market.layout, spec.env.limits, action="tilt", seed=spec.seed)
    return market, NetworkPolicy(network, spec.model, market.layout, "tilt", spec.env.limits, scaler)


def same_path(market: Market, policy: NetworkPolicy, env) -> None:
    """Assert that the policy's backtest is that of an account that asks for no tilt, and that it trades."""
    kind = actions_of("tilt", len(market.symbols), env.limits, market.layout)

    def anchor(observation):
        nothing = np.zeros((1, len(market.symbols)), np.float32)
        return kind.weights(nothing, observation, nothing.copy())

    ours, theirs = (simulate(market, decide, spec=env) for decide in (policy.act, anchor))
    np.testing.assert_allclose(ours.equity, theirs.equity, rtol=1e-6)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("asset", ASSETS)
def test_an_untrained_agents_backtest_is_its_anchors_in_every_class(asset: str) -> None:
    world = [f"asset={asset}", "data=simulated", "data.simulator.bars=400", "env.action=tilt"]
    specs = [compose([*world, f"model={model}"]) for model in MODELS]
    features = compute(load(specs[0].asset, specs[0].data, seed=3), specs[0].features)
    for spec in specs:
        same_path(*untrained(spec, features), spec.env)


@pytest.mark.slow
@pytest.mark.parametrize("anchor", ["inverse_volatility", "equal_weight", "cash", "momentum"])
@pytest.mark.parametrize("assets", [1, 10, 100])
def test_an_untrained_agents_backtest_is_its_anchors_with_any_number_of_symbols(assets: int, anchor: str) -> None:
    features = worlds.features(bars=150, assets=assets)
    for long_only in (True, False):
        job = worlds.spec(
            "env.action=tilt", f"env.anchor={anchor}", "env.anchor_bars=20", f"asset.limits.long_only={long_only}"
        )
        same_path(*untrained(job, features), job.env)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [ppo, sac])
def test_it_is_learned_with_and_only_the_last_layer_began_at_zero(algorithm) -> None:
    name = algorithm.__name__.rsplit(".", 1)[-1]
    job = worlds.spec(f"algo={name}", "env.action=tilt", "algo.rollout_steps=128")
    if name == "sac":
        job = job.model_copy(update={"algo": job.algo.model_copy(update={"learning_starts": 64, "batch": 32})})
    engine = algorithm.build(worlds.bench(job))
    network = engine.network()
    seen = torch.randn(4, network_size(network))
    with torch.no_grad():
        assert torch.equal(network.parameters_of(network.step(seen, network.initial_states(4))[0]), torch.zeros(4, 3))
    for _ in range(3):
        figures = engine.iterate()
    assert all(np.isfinite(value) for value in figures.values())
    with torch.no_grad():
        assert engine.network().parameters_of(seen).abs().max() > 0.0


def network_size(network) -> int:
    return int(network.head.layout.size)


def test_exploring_trades_a_small_part_of_equity() -> None:
    """At the spread that a training begins with, noise turns over less than a tenth of equity a bar."""
    job = worlds.spec("env.action=tilt", "env.anchor=equal_weight", "asset.limits.long_only=true")
    bench = worlds.bench(job, worlds.features(bars=300, assets=10))
    from wealtharena.envs.vector_env import PortfolioVectorEnv

    env = PortfolioVectorEnv(bench.market, bench.env, num_envs=8)
    rng, traded = np.random.default_rng(0), []
    env.reset(seed=0)
    spread = np.exp(bench.spec.model.initial_log_std)
    for _ in range(100):
        infos = env.step(rng.normal(0, spread, (8, 10)).astype(np.float32))[-1]
        traded.append(infos["traded"] / infos["equity"])
    assert np.mean(traded[30:]) < 0.1


def test_what_is_saved_knows_its_anchor(tmp_path) -> None:
    job = worlds.spec("env.action=tilt", "env.anchor=momentum")
    _, policy = untrained(job, worlds.features())
    save_policy(tmp_path, policy)
    again = load_policy(tmp_path)
    assert again.layout == policy.layout
    assert again.layout.tilt is not None
    assert again.layout.tilt.anchor.name == "momentum"


def test_what_is_saved_knows_the_code_of_an_anchor_of_a_package(tmp_path, monkeypatch) -> None:
    _, policy = untrained(worlds.spec("env.action=tilt", "env.anchor=momentum"), worlds.features())
    tilt = policy.layout.tilt
    assert tilt is not None
    strange = tilt.model_copy(update={"anchor": tilt.anchor.model_copy(update={"name": "strange"})})
    monkeypatch.setattr(plugins, "names_offered", lambda room: ("strange",))
    monkeypatch.setattr(plugins, "source_of", lambda room, name: "as it was")
    save_policy(tmp_path, replace(policy, layout=replace(policy.layout, tilt=strange)))
    assert load_policy(tmp_path).layout.tilt == strange
    monkeypatch.setattr(plugins, "source_of", lambda room, name: "as it is")
    with pytest.raises(CheckpointError, match="the anchor 'strange', which it leans from, was edited"):
        load_policy(tmp_path)
