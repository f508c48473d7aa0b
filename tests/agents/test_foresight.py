"""Answers for all bars at once are those that a policy gives bar by bar."""

import numpy as np
import pytest

from tests.agents import worlds
from wealtharena.agents.foresight import targets_of
from wealtharena.agents.networks import build_network
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Trained
from wealtharena.envs.simulate import simulate


def world(*overrides: str, members: int = 1):
    bench = worlds.bench(worlds.spec("algo=direct", *overrides), worlds.features(bars=90))
    parts = (bench.spec.model, bench.market.layout, bench.action, bench.env.limits, bench.scaler)
    networks = [
        build_network(
            bench.spec.model, bench.market.layout, bench.env.limits, action=bench.action, seed=n, critic=False
        )
        for n in range(members)
    ]
    for network in networks:
        for parameter in network.actor.parameters():
            parameter.data.normal_(0.0, 0.5)  # heads begin near zero, where every answer is alike
    policies = [NetworkPolicy(network, *parts) for network in networks]
    policy: Trained = policies[0] if members == 1 else EnsemblePolicy(policies)
    return bench, policy


@pytest.mark.parametrize("action", ["weights", "tilt"])
@pytest.mark.parametrize(("window", "members"), [(1, 1), (1, 3), (3, 2)])
def test_a_policy_is_played_alike_at_once_and_bar_by_bar(action: str, window: int, members: int) -> None:
    bench, policy = world(f"env.action={action}", f"env.window={window}", members=members)
    targets = targets_of(policy, bench.market, start=10, stop=70)
    at_once = simulate(bench.market, targets, spec=bench.env, start=10, stop=70)
    asked = simulate(bench.market, policy.act, spec=bench.env, start=10, stop=70)
    assert len(asked.trades.bar) > 10
    np.testing.assert_allclose(at_once.targets, asked.targets, atol=1e-5)
    np.testing.assert_allclose(at_once.equity, asked.equity, rtol=1e-6)


def test_a_policy_that_sees_its_account_is_asked_bar_by_bar() -> None:
    bench, policy = world("env.action=weights")
    other = worlds.bench(worlds.spec("algo=ppo", "model=mlp", "env.action=weights"), worlds.features(bars=90))
    network = build_network(
        other.spec.model, other.market.layout, other.env.limits, action="weights", seed=0, critic=False
    )
    flat = NetworkPolicy(network, other.spec.model, other.market.layout, "weights", other.env.limits, other.scaler)
    assert targets_of(flat, other.market, start=0, stop=90) == flat.act
    assert isinstance(targets_of(policy, bench.market, start=0, stop=90), np.ndarray)
