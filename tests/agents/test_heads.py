import typing

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents import check_action
from wealtharena.agents.algorithms import ppo
from wealtharena.agents.networks import core, heads
from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs import actions
from wealtharena.envs.observation import ANCHOR_COLUMNS, ObservationLayout

LIMITS = worlds.spec().env.limits
LONG_ONLY = LIMITS.model_copy(update={"long_only": True, "max_weight": 0.4})
TIGHT = LONG_ONLY.model_copy(update={"max_gross": 0.1, "max_weight": 0.02})
KINDS = sorted(actions.KINDS)


def layout_of(limits) -> ObservationLayout:
    """Return a layout that any kind can read: one signal of three symbols, and their anchor."""
    env = worlds.spec("env.action=tilt").env.model_copy(update={"limits": limits})
    return ObservationLayout(("A", "B", "C"), ("signal", *ANCHOR_COLUMNS), 1, env.tilt)


def drawn(name: str, limits=LIMITS, *, bars: int = 7, envs: int = 5):
    """Return a head, parameters [T, N, P], actions drawn from them and their log-probabilities [T, N]."""
    layout = layout_of(limits)
    kind, head = actions.actions_of(name, 3, limits, layout), heads.head_of(name, 3, limits, layout)
    log_std = None if head.discrete else torch.linspace(-2.0, -1.0, 3)
    parameters = head.parameters_of(torch.randn(bars, envs, head.outputs, generator=torch.Generator().manual_seed(0)))
    made = torch.from_numpy(kind.empty(bars, envs))
    log_probs = torch.zeros(bars, envs)
    draws = head.draws(tuple(made.shape), log_std, log_probs, np.random.default_rng(0))
    for bar in range(bars):
        draws.act(bar, parameters[bar], made[bar])
    draws.finish()
    return kind, head, log_std, parameters, made, log_probs


def test_a_kind_has_one_name_in_the_environment_the_network_and_the_configuration() -> None:
    choices = typing.get_args(EnvSpec.model_fields["action"].annotation)
    assert sorted(heads.HEADS) == KINDS == sorted(set(choices) - {"auto"})
    for name in KINDS:
        assert heads.HEADS[name].discrete == actions.KINDS[name].discrete


@pytest.mark.slow
@pytest.mark.parametrize("limits", [LIMITS, LONG_ONLY, TIGHT])
@pytest.mark.parametrize("name", KINDS)
def test_environment_and_network_make_the_same_weights_of_an_action(name: str, limits) -> None:
    kind, head, _, parameters, made, _ = drawn(name, limits)
    for chosen in (*made, head.mode(parameters[0])):
        checked = kind.checked(chosen.numpy(), (5,))
        seen = observations(layout_of(limits), rows=5)
        ours = kind.weights(checked, seen, np.zeros((5, 3), np.float32))
        np.testing.assert_allclose(head.weights(chosen, torch.from_numpy(seen)).numpy(), ours, rtol=0, atol=3e-7)
    assert kind.space().shape == tuple(made.shape[2:])


@pytest.mark.parametrize("name", KINDS)
def test_what_a_rollout_notes_is_the_log_probability_that_the_loss_computes(name: str) -> None:
    _, head, log_std, parameters, made, noted = drawn(name)
    computed, entropy = head.log_prob_and_entropy(parameters, log_std, made)
    torch.testing.assert_close(noted, computed, rtol=1e-4, atol=1e-5)
    assert torch.isfinite(entropy)


def observations(layout: ObservationLayout, *, rows: int):
    """Return observations in which symbols have anchors, volatilities and weights, and one of four does not trade."""
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(rows, layout.size)).astype(np.float32)
    shape = (rows, len(layout.symbols))
    assert layout.tilt is not None
    limits = layout.tilt.anchor
    anchor = limits.gross * rng.dirichlet(np.ones(shape[1]), rows) * (rng.random(shape) > 0.25)
    seen[:, layout.anchor] = np.minimum(anchor, limits.max_weight)
    seen[:, layout.sigma] = rng.uniform(0.001, 0.05, shape) * (rng.random(shape) > 0.25)
    seen[:, layout.weights] = rng.uniform(0.0, 0.4 * limits.gross, shape)
    return seen


class Leaning(actions.Weights):
    """Numbers that are added to what is held: a kind whose weights depend on what is seen."""

    name = "leaning"

    def weights(self, actions, seen, out):
        return np.add(actions, seen[:, -6:-3], out=out)


class LeaningHead(heads.WeightsHead):
    name = "leaning"

    def weights(self, actions, seen):
        return actions + seen[:, -6:-3]


def test_a_third_kind_is_one_class_and_its_twin_and_is_trained_and_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "KINDS", {**actions.KINDS, "leaning": Leaning})
    monkeypatch.setattr(heads, "HEADS", {**heads.HEADS, "leaning": LeaningHead})
    monkeypatch.setattr(ppo, "ACTIONS", (*ppo.ACTIONS, "leaning"))
    job = worlds.spec("algo=ppo", "algo.rollout_steps=128")
    job = job.model_copy(update={"env": job.env.model_copy(update={"action": "leaning"})})
    assert check_action(job) == "leaning"
    bench = worlds.bench(job)
    engine = ppo.build(bench)
    engine.iterate()
    network = engine.network()
    seen = torch.randn(4, bench.market.layout.size)
    with torch.no_grad():
        (decided,) = core.PolicyCore(network)(seen)
        assert torch.equal(decided, torch.tanh(network.actor(seen)) + seen[:, bench.market.layout.weights])
    env = ppo_env(bench)
    obs, step = env.reset(seed=0)[0], np.full((2, 3), 0.1, np.float32)
    env.step(step)
    after = env.step(step)[0][:, bench.market.layout.weights]
    assert (after > obs[:, bench.market.layout.weights] + 0.1).any()  # it leant twice


def ppo_env(bench):
    from wealtharena.envs.vector_env import PortfolioVectorEnv

    return PortfolioVectorEnv(bench.market, bench.env, num_envs=2)
