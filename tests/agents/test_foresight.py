"""Answers for all bars at once are those that a policy gives bar by bar."""

import numpy as np
import pytest

from tests.agents import worlds
from wealtharena.agents.foresight import targets_of
from wealtharena.agents.networks import build_network
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Trained
from wealtharena.envs.simulate import simulate
from wealtharena.evaluation.backtest import Backtest, Piece
from wealtharena.evaluation.splits import Segment


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
    policy.reset()
    targets = targets_of(policy, bench.market, start=10, stop=70)
    at_once = simulate(bench.market, targets, spec=bench.env, start=10, stop=70)
    spread = policy.spreads if isinstance(policy, EnsemblePolicy) else []
    policy.reset()
    asked = simulate(bench.market, policy.act, spec=bench.env, start=10, stop=70)
    if isinstance(policy, EnsemblePolicy):
        assert np.concatenate(spread).max() > 0.01
        np.testing.assert_allclose(np.concatenate(spread), np.concatenate(policy.spreads), atol=1e-5)
    assert len(asked.trades.bar) > 10
    np.testing.assert_allclose(at_once.targets, asked.targets, atol=1e-5)
    np.testing.assert_allclose(at_once.equity, asked.equity, rtol=1e-6)


class Asked:
    """A policy of whose making a backtest knows nothing, so that it has to be asked bar by bar."""

    name = "asked"

    def __init__(self, policy: Trained) -> None:
        self.reset, self.act = policy.reset, policy.act


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("action", ["weights", "tilt"])
def test_a_backtest_plays_at_once_what_it_would_play_bar_by_bar(action: str, delay: int) -> None:
    bench, policy = world(f"env.action={action}", members=2)
    features = worlds.features(bars=90)
    played = [
        Backtest("agent", features, bench.env, (Piece(one, bench.scaler, Segment(10, 70)),)).simulate(delay_bars=delay)
        for one in (policy, Asked(policy))
    ]
    assert len(played[0].trades.bar) > 10
    np.testing.assert_allclose(played[0].targets, played[1].targets, atol=1e-5)
    np.testing.assert_allclose(played[0].equity, played[1].equity, rtol=1e-6)


def test_a_policy_that_sees_its_account_is_asked_bar_by_bar() -> None:
    bench, policy = world("env.action=weights")
    other = worlds.bench(worlds.spec("algo=ppo", "model=mlp", "env.action=weights"), worlds.features(bars=90))
    network = build_network(
        other.spec.model, other.market.layout, other.env.limits, action="weights", seed=0, critic=False
    )
    flat = NetworkPolicy(network, other.spec.model, other.market.layout, "weights", other.env.limits, other.scaler)
    assert targets_of(flat, other.market, start=0, stop=90) == flat.act
    assert isinstance(targets_of(policy, bench.market, start=0, stop=90), np.ndarray)
