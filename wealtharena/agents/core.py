"""The decision of a network as one traceable module, for export."""

from __future__ import annotations

from torch import Tensor, nn

from wealtharena.agents.networks import Network


class PolicyCore(nn.Module):
    """`core(observation [N, D], *states)` returns `(weights [N, A], *next states)`: the mode, before projection."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return weights and what is carried to the next bar, states in name order."""
        embedding, following = self.network.step(observation, states)
        return (self.network.mode(self.network.parameters_of(embedding)), *following)
