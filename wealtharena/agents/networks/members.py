"""Several networks of one shape as one: a product for all of them where each alone would make its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from wealtharena.agents.networks.layers import ACTIVATIONS, SharedActor, kept
from wealtharena.agents.networks.network import Network


class Members(nn.Module):
    """The actors of M networks with `model=shared`, batched: features [M or 1, N, I] to raw outputs [M, N, 1]."""

    def __init__(self, networks: Sequence[Network], activation: str, *, dropout: float = 0.0) -> None:
        super().__init__()
        self._template = copy.deepcopy(networks[0])
        layers = [actor_of(network).layers() for network in networks]
        stacks = [torch.stack([one[n].weight.detach().t() for one in layers]) for n in range(len(layers[0]))]
        offsets = [torch.stack([one[n].bias.detach()[None] for one in layers]) for n in range(len(layers[0]))]
        self.weights = nn.ParameterList([nn.Parameter(stack.contiguous()) for stack in stacks])
        self.biases = nn.ParameterList([nn.Parameter(offset) for offset in offsets])
        self.activation = ACTIVATIONS[activation]()
        self.dropout = dropout

    def __len__(self) -> int:
        return int(self.weights[0].shape[0])

    def forward(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return raw outputs [M, N, 1]; with a generator, as in training, hidden units are dropped by it."""
        hidden = features.expand(len(self), -1, -1)
        last = len(self.weights) - 1
        for n, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if n < last:
                hidden = self.activation(hidden)
                if generator is not None and self.dropout:
                    hidden = hidden * kept(hidden, self.dropout, generator)
        return hidden

    def decide(self, observation: Tensor) -> Tensor:
        """Return the target weights [M, N, A] of every member for observations [N, D]."""
        actor, head = actor_of(self._template), self._template.head
        features = observation[:, actor.features].reshape(1, len(observation) * actor.assets, -1)
        raw = self(features).reshape(len(self), len(observation), -1)
        return head.weights(head.mode(head.parameters_of(raw)), observation)

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
