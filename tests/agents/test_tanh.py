import copy

import pytest
import torch

from wealtharena.agents.networks.tanh import FastTanh


def test_value_and_gradient_are_torchs_to_a_few_units_in_the_last_place() -> None:
    x = torch.cat([torch.linspace(-12.0, 12.0, 20_001), torch.tensor([0.0, -0.0, 1e-30, -1e-8, 1e30])]).reshape(-1, 2)
    fast, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    FastTanh()(fast).square().sum().backward()
    torch.tanh(plain).square().sum().backward()
    exact = torch.tanh(x.double())
    for found in (FastTanh()(x), FastTanh()(fast).detach()):
        torch.testing.assert_close(found.double(), exact, rtol=4 * torch.finfo(torch.float32).eps, atol=0.0)
    assert fast.grad is not None
    torch.testing.assert_close(fast.grad, plain.grad, rtol=1e-5, atol=1e-6)


def test_what_is_not_finite_stays_so() -> None:
    """A NaN loss is caught in its own iteration only if nothing swallows it."""
    few = torch.tensor([float("nan"), float("inf"), -float("inf")])
    for x in (few, few.repeat(10_000), few.repeat(10_000).requires_grad_()):
        found = FastTanh()(x).detach()
        assert torch.isnan(found[0::3]).all()
        assert (found[1::3] == 1.0).all()
        assert (found[2::3] == -1.0).all()


@pytest.mark.slow
def test_other_numbers_and_traced_graphs_take_torchs_own() -> None:
    doubles = torch.linspace(-3.0, 3.0, 11, dtype=torch.float64)
    assert torch.equal(FastTanh()(doubles), torch.tanh(doubles))
    traced = torch.export.export(copy.deepcopy(FastTanh()), (torch.zeros(3),)).graph
    assert any("tanh" in str(node.target) for node in traced.nodes)
