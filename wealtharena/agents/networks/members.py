"""Several networks of one shape as one: a product for all of them where each alone would make its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from wealtharena.agents.networks import layers
from wealtharena.agents.networks.layers import ACTIVATIONS, SharedActor
from wealtharena.agents.networks.network import Network


@dataclass(frozen=True, eq=False)
class Stack:
    """The layers of M perceptrons and nothing else, which can be cut into members and sent elsewhere."""

    weights: tuple[Tensor, ...]  # [M, I, O] of each layer
    biases: tuple[Tensor, ...]  # [M, 1, O]
    activation: nn.Module

    def __len__(self) -> int:
        return int(self.weights[0].shape[0])

    @property
    def tensors(self) -> list[Tensor]:
        """Return all weights, then all biases."""
        return [*self.weights, *self.biases]

    def leaves(self, members: slice) -> Stack:
        """Return some members whose gradients are their own: they share these members' numbers, not their history."""
        weights, biases = (
            tuple(one.detach()[members].requires_grad_() for one in tensors) for tensors in (self.weights, self.biases)
        )
        return Stack(weights, biases, self.activation)

    def detached(self) -> Stack:
        """Return the numbers without their history."""
        weights, biases = (tuple(one.detach() for one in tensors) for tensors in (self.weights, self.biases))
        return Stack(weights, biases, self.activation)

    def __call__(self, features: Tensor, kept: Sequence[Tensor] | None = None) -> Tensor:
        """Return raw outputs [M, N, 1] for features [M or 1, N, I].

        In training `kept` [M, W, H] says for each hidden layer what its units are multiplied by, in each of W parts of
        equal length that the rows fall into.
        """
        hidden, last = features.expand(len(self), -1, -1), len(self.weights) - 1
        parts = 1 if kept is None else kept[0].shape[1]
        hidden = hidden.reshape(len(self) * parts, -1, hidden.shape[-1])
        for n, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if kept is not None:
                weight = weight[:, None].expand(-1, parts, -1, -1)
                if n:
                    weight = weight * kept[n - 1].unsqueeze(-1)  # leaves a unit out where its product would be made
                weight, bias = weight.flatten(0, 1), bias[:, None].expand(-1, parts, -1, -1).flatten(0, 1)
            hidden = torch.baddbmm(bias, hidden, weight)
            if n < last:
                hidden = self.activation(hidden)
        return hidden.reshape(len(self), -1, hidden.shape[-1])


class Members(nn.Module):
    """The actors of M networks with `model=shared`, batched: features [M or 1, N, I] to raw outputs [M, N, 1]."""

    def __init__(self, networks: Sequence[Network], activation: str) -> None:
        super().__init__()
        self._template = copy.deepcopy(networks[0])
        layers = [actor_of(network).layers() for network in networks]
        stacks = [torch.stack([one[n].weight.detach().t() for one in layers]) for n in range(len(layers[0]))]
        biases = [torch.stack([one[n].bias.detach()[None] for one in layers]) for n in range(len(layers[0]))]
        self.weights = nn.ParameterList([nn.Parameter(stack.contiguous()) for stack in stacks])
        self.biases = nn.ParameterList([nn.Parameter(bias) for bias in biases])
        self.activation = ACTIVATIONS[activation]()

    def __len__(self) -> int:
        return int(self.weights[0].shape[0])

    def forward(self, features: Tensor, kept: Sequence[Tensor] | None = None) -> Tensor:
        """Return raw outputs [M, N, 1], as `Stack` does."""
        return self.stack()(features, kept)

    def stack(self) -> Stack:
        """Return the layers by themselves; they are the members' own parameters."""
        return Stack(tuple(self.weights), tuple(self.biases), self.activation)

    def dropped(self, parts: int, share: float, generator: torch.Generator) -> list[Tensor]:
        """Return for each hidden layer what `layers.kept` draws for its units [M, W, H].

        A unit is left out for the whole of a part: an account that changed its mind at every bar would pay for it.
        """
        shapes = [(len(self), parts, weight.shape[-1]) for weight in self.weights[:-1]]
        return [layers.kept(self.weights[0].new_empty(shape), share, generator) for shape in shapes]

    def decide(self, observation: Tensor) -> Tensor:
        """Return the target weights [M, N, A] of every member for observations [N, D]."""
        actor, head = actor_of(self._template), self._template.head
        features = observation[:, actor.features].reshape(1, -1, self.weights[0].shape[1])  # a batch of any size
        raw = self(features).reshape(len(self), -1, actor.assets)
        return head.weights(head.mode(head.parameters_of(raw)), observation)

    def actions(self, features: Tensor) -> Tensor:
        """Return the most likely actions [M, N, A] of every member where N bars show these features [N, A, I]."""
        head = self._template.head
        raw = self(features.flatten(0, 1)[None]).reshape(len(self), *features.shape[:2])
        return head.mode(head.parameters_of(raw))

    def networks(self) -> tuple[Network, ...]:
        """Return the members as networks of their own."""
        return tuple(self._alone(member) for member in range(len(self)))

    def _alone(self, member: int) -> Network:
        network = copy.deepcopy(self._template)
        with torch.no_grad():
            for layer, weight, bias in zip(actor_of(network).layers(), self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[member].t())
                layer.bias.copy_(bias[member, 0])
        return network


def actor_of(network: Network) -> SharedActor:
    """Return the actor of a network with `model=shared`."""
    return cast("SharedActor", network.actor)
