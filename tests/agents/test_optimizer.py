import subprocess
import sys

import pytest
import torch

from wealtharena.agents.optimizer import Adam


def trained(kind: type[torch.optim.Adam], **more: object) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = torch.nn.Linear(5, 3)
    optimizer = kind(network.parameters(), lr=0.01, eps=1e-5, **more)
    for _ in range(7):
        optimizer.zero_grad(set_to_none=True)
        network(torch.randn(4, 5)).square().mean().backward()
        optimizer.step()
    return network, optimizer


@pytest.mark.slow
def test_it_is_torchs_own_adam_bit_for_bit() -> None:
    ours, own = trained(Adam)
    theirs, reference = trained(torch.optim.Adam, fused=True)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    again = Adam(ours.parameters(), lr=0.5)
    again.load_state_dict(own.state_dict())
    for left, right in zip(again.state_dict()["state"].values(), reference.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(left[name], right[name]) for name in right)
    assert again.param_groups[0]["lr"] == 0.01


@pytest.mark.slow
def test_it_starts_without_torchs_compiler() -> None:
    code = (
        "import sys, torch; from wealtharena.agents.optimizer import Adam; p = torch.nn.Parameter(torch.ones(3));"
        "o = Adam([p]); o.zero_grad(); p.sum().backward(); o.step(); o.load_state_dict(o.state_dict());"
        "assert float(p[0]) < 1; sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
