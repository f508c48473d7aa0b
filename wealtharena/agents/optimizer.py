"""What every update does with gradients: torch's fused Adam without its slow start, clipping, target networks, a check."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from wealtharena.errors import TrainingError


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


def polyak(target: torch.nn.Module, online: torch.nn.Module, tau: float) -> None:
    """Move the target's parameters the share `tau` towards the online ones."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), tau)


def clip(parameters: list[torch.nn.Parameter], max_norm: float | None) -> None:
    """Clip the global gradient norm where a limit is set."""
    if max_norm is not None:
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)


def check_finite(loss: Tensor, parameters: Sequence[Tensor], *, updates: int) -> None:
    """Raise TrainingError where the loss or any parameter is NaN or infinite."""
    with torch.no_grad():
        total = loss + torch.stack([parameter.sum() for parameter in parameters]).sum()
    if not math.isfinite(float(total)):
        raise TrainingError(
            f"the loss is no longer finite (update {updates})",
            hint="the last good checkpoint is kept; try a smaller algo.learning_rate or check the rewards",
        )
