"""torch's fused Adam, without the second and a half that its first use costs."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer


class Adam(torch.optim.Adam):
    """`torch.optim.Adam(fused=True)`, the same arithmetic; not for code that torch.compile is to see.

    torch guards the methods of an optimiser against its compiler, and each guard imports torch._dynamo when it is first
    passed: 1.3 s of every start. Here are the guarded functions themselves.
    """

    def __init__(self, parameters: Any, *, lr: float = 1e-3, eps: float = 1e-8) -> None:
        super().__init__(parameters, lr=lr, eps=eps, fused=True)

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
