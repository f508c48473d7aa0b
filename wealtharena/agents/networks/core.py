"""The decision of a network, or of several, as one traceable module, for export."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wealtharena.agents.networks.members import Members
from wealtharena.agents.networks.network import Network


class PolicyCore(nn.Module):
    """`core(observation [N, D], *states)` returns `(weights [N, A], *next states)`: the mode, before projection."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return weights and what is carried to the next bar, states in name order."""
        weights, following = self.network.decide(observation, states)
        return (weights, *following)


class EnsembleCore(nn.Module):
    """The mean of several cores over the same observation; states are those of the members, one after another.

    `core(observation [N, D], *states)` returns `(weights [N, A], spread [N], *next states)`, the spread being the L1
    norm of the members' standard deviation.
    """

    def __init__(self, cores: Sequence[nn.Module], counts: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(cores)
        self.carried = tuple(counts)  # states of each

    def forward(self, observation: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the mean weights, their spread, and what each member carries to the next bar."""
        answers, following, at = [], [], 0
        for member, count in zip(self.members, self.carried, strict=True):
            weights, *after = member(observation, *states[at : at + count])
            answers.append(weights)
            following += after
            at += count
        return (*mean_and_spread(torch.stack(answers)), *following)


class JoinedCore(nn.Module):
    """An `EnsembleCore` of members that answer in one product: a graph as small as that of one member."""

    def __init__(self, joined: Members) -> None:
        super().__init__()
        self.joined = joined

    def forward(self, observation: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the mean weights and their spread; nothing is carried."""
        return mean_and_spread(self.joined.decide(observation))


def mean_and_spread(answers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean [N, A] of weights [M, N, A] and how far they are apart [N]."""
    mean = answers.mean(dim=0)
    return mean, (answers - mean).square().mean(dim=0).sqrt().sum(dim=-1)
