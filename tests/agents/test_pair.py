"""A policy and a value network in one pass: what each of them gives alone, and its slope."""

import pytest
import torch
from torch import Tensor, nn

from tests.agents import worlds
from wealtharena.agents.algorithms import ppo
from wealtharena.agents.networks import pair
from wealtharena.agents.networks.layers import mlp

TRAINED = ("algo=ppo", "algo.rollout_steps=2048", "algo.minibatch=512", "algo.epochs=2", "compute.envs=16",
           "model=mlp", "model.hidden=[64,64]")  # fmt: skip


def two(hidden: tuple[int, ...], *, inputs: int = 21, outputs: int = 5) -> tuple[nn.Sequential, nn.Sequential]:
    torch.manual_seed(1)
    return mlp(inputs, hidden, "tanh", outputs), mlp(inputs, hidden, "tanh", 1)


def slopes(networks: tuple[nn.Sequential, nn.Sequential], found: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Return the slope of one number that hangs on both, by every parameter."""
    parameters = [*networks[0].parameters(), *networks[1].parameters()]
    return list(torch.autograd.grad(found[0].square().mean() - found[1].sin().mean(), parameters))


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(64,), (64, 64), (32, 16, 8)])
@pytest.mark.parametrize("rows", [1, 513, 4096])
def test_both_are_what_each_is_alone(hidden: tuple[int, ...], rows: int) -> None:
    networks, seen = two(hidden), torch.randn(rows, 21)
    assert pair.alike(*networks)
    alone, together = tuple(network(seen) for network in networks), pair.both(*networks, seen)
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(slopes(networks, together), slopes(networks, alone), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_slope_is_that_of_differences() -> None:
    actor, critic = (network.double() for network in two((4, 3), inputs=3, outputs=2))
    names = [name for name, _ in actor.named_parameters()]

    def of(*parameters: Tensor) -> tuple[Tensor, Tensor]:
        given = [dict(zip(names, half, strict=True)) for half in (parameters[:6], parameters[6:])]
        found: tuple[Tensor, Tensor] = pair._Pair.apply(seen, *given[0].values(), *given[1].values())
        return found

    seen = torch.randn(6, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        of, tuple(p.detach().requires_grad_() for n in (actor, critic) for p in n.parameters())
    )


def test_only_perceptrons_of_one_shape_with_tanh_go_together() -> None:
    actor, _ = two((16, 16))
    assert not pair.alike(actor, None)
    assert not pair.alike(actor, mlp(21, (16, 8), "tanh", 1))
    assert not pair.alike(actor, mlp(21, (16,), "tanh", 1))
    assert not pair.alike(mlp(21, (16, 16), "relu", 5), mlp(21, (16, 16), "relu", 1))
    many = torch.zeros(1024, 21)
    assert pair.worthwhile(actor, many)
    assert not pair.worthwhile(actor, many[:8])
    assert not pair.worthwhile(actor, many.double())
    assert not pair.worthwhile(actor, many.requires_grad_())
    with torch.no_grad():
        assert not pair.worthwhile(actor, many)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["weights", "tilt"])
def test_a_training_learns_the_same(action: str) -> None:
    learned = []
    for together in (True, False):
        engine = ppo.build(worlds.bench(worlds.spec(*TRAINED, f"env.action={action}")))
        network = engine._driver._learner.network
        assert network.paired
        network.paired = together
        for _ in range(2):
            engine.iterate()
        learned.append(engine.network().state_dict())
        engine.close()
    for name, value in learned[0].items():
        torch.testing.assert_close(value, learned[1][name], rtol=1e-4, atol=1e-6)
