"""A policy and a value network of the same shape, side by side: their first layers as one product, their slopes by hand.

Both read the same rows, so that one product of twice the width does what two would, and reads them once. The arithmetic
of every number is that of the two networks one after the other; what is saved is the passes around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wealtharena.agents.networks.tanh import LEAST_LEARNING, FastTanh, tanh_


def alike(actor: nn.Module, critic: nn.Module | None) -> bool:
    """Return whether both are perceptrons with the same hidden widths, and all of their activations tanh."""
    if not (isinstance(actor, nn.Sequential) and isinstance(critic, nn.Sequential) and len(actor) == len(critic) > 2):
        return False
    for ours, theirs in zip(list(actor)[:-1], list(critic)[:-1], strict=True):
        if type(ours) is not type(theirs) or not isinstance(ours, nn.Linear | FastTanh):
            return False
        if isinstance(ours, nn.Linear) and ours.weight.shape != theirs.weight.shape:
            return False
    return True


def worthwhile(actor: nn.Module, rows: Tensor) -> bool:
    """Return whether rows [B, D] are plain numbers on a CPU, enough of them, and a slope is asked for."""
    width: int = actor[0].out_features  # type: ignore[index]  # `alike` has looked
    plain = type(rows) is Tensor and rows.ndim == 2 and rows.dtype is torch.float32 and rows.device.type == "cpu"
    return plain and torch.is_grad_enabled() and not rows.requires_grad and len(rows) * width >= LEAST_LEARNING


def both(actor: nn.Module, critic: nn.Module, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return what two networks that are `alike` give for rows [B, D]: [B, P] and [B, V]."""
    layers = [
        parameter
        for network in (actor, critic)
        for layer in network.children()
        if isinstance(layer, nn.Linear)
        for parameter in (layer.weight, layer.bias)
    ]
    found: tuple[Tensor, Tensor] = _Pair.apply(rows, *layers)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return found


class _Pair(torch.autograd.Function):
    """Parameters are the weight and bias of each layer, the actor's and then the critic's; hidden layers stand side by side."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        two = _two(parameters)
        weight, bias = (torch.cat([network[i] for network in two]) for i in (0, 1))
        hidden = [tanh_(torch.addmm(bias, rows, weight.t()))]
        last = len(two[0]) - 2
        for at in range(2, last, 2):
            above = rows.new_empty(len(rows), 2 * len(two[0][at]))
            for network, half, out in zip(two, _halves(hidden[-1]), _halves(above), strict=True):
                torch.addmm(network[at + 1], half, network[at].t(), out=out)
            hidden.append(tanh_(above))
        ctx.save_for_backward(rows, *hidden, *parameters)
        return tuple(
            torch.addmm(network[last + 1], half, network[last].t())
            for network, half in zip(two, _halves(hidden[-1]), strict=True)
        )

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        rows, *kept = ctx.saved_tensors
        count = (len(kept) - 1) // 5 + 1  # of layers: one fewer hidden ones, four parameters each
        hidden, two = kept[: count - 1], _two(kept[count - 1 :])
        found: list[list[Tensor]] = [[], []]  # from the last layer down: bias, weight
        biases: Sequence[Tensor] = [slope.sum(dim=0) for slope in slopes]
        for at in range(count - 1, 0, -1):
            seen = hidden[at - 1]
            below = torch.empty_like(seen)
            for i, (half, out) in enumerate(zip(_halves(seen), _halves(below), strict=True)):
                found[i] += [biases[i], slopes[i].t() @ half]
                torch.mm(slopes[i], two[i][2 * at], out=out)
            joined = torch.ops.aten.tanh_backward(below, seen)
            slopes, biases = _halves(joined), joined.sum(dim=0).chunk(2)
        weights = (rows.t() @ joined).t().contiguous().chunk(2)  # as joined.t() @ rows, which is slower by a sixth
        for i in (0, 1):
            found[i] += [biases[i], weights[i]]
        return (None, *found[0][::-1], *found[1][::-1])


def _two(parameters: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    half = len(parameters) // 2
    return parameters[:half], parameters[half:]


def _halves(joined: Tensor) -> tuple[Tensor, ...]:
    return joined.chunk(2, dim=1)
