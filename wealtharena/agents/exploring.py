"""How actions are chosen while rolling out: from the policy's own distribution, squashed, or epsilon-greedily."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wealtharena.agents.networks import Network
from wealtharena.agents.rollout import RolloutBuffers


class Drawn:
    """Draw from the distribution that the network's head describes."""

    def begin(self, network: Network, buffers: RolloutBuffers, rng: np.random.Generator) -> None:
        """Draw the noise of all bars."""
        self.network, self.out = network, buffers.action_views
        log_probs = torch.from_numpy(buffers.log_probs)
        self.draws = network.head.draws(buffers.actions.shape, network.log_std, log_probs, rng)

    def act(self, bar: int, embedding: Tensor) -> None:
        """Write the actions of one bar."""
        self.draws.act(bar, self.network.parameters_of(embedding), self.out[bar])

    def finish(self) -> None:
        """Complete the log-probabilities."""
        self.draws.finish()


class Squashed:
    """tanh of a Gaussian around what the actor gives (SAC); replay asks for no log-probabilities."""

    def begin(self, network: Network, buffers: RolloutBuffers, rng: np.random.Generator) -> None:
        """Draw the noise of all bars."""
        assert network.log_std is not None
        self.network, self.out = network, buffers.action_views
        noise = torch.from_numpy(rng.standard_normal(buffers.actions.shape, dtype=np.float32))
        self.scaled = noise * network.log_std.exp()

    def act(self, bar: int, embedding: Tensor) -> None:
        """Write the actions of one bar."""
        torch.tanh(self.network.actor(embedding) + self.scaled[bar], out=self.out[bar])

    def finish(self) -> None:
        """Nothing is left to be done."""


class EpsilonGreedy:
    """Any choice with probability `epsilon`, the one with the largest value otherwise (DQN)."""

    epsilon: float = 1.0

    def begin(self, network: Network, buffers: RolloutBuffers, rng: np.random.Generator) -> None:
        """Draw where to be greedy, and the choices elsewhere."""
        self.network, self.out = network, buffers.action_views
        shape = buffers.actions.shape
        self.random = torch.from_numpy(rng.integers(0, network.head.outputs, shape))
        self.greedy = torch.from_numpy(rng.random(shape) >= self.epsilon)

    def act(self, bar: int, embedding: Tensor) -> None:
        """Write the actions of one bar."""
        best = self.network.parameters_of(embedding).argmax(dim=-1)
        self.out[bar].copy_(torch.where(self.greedy[bar], best, self.random[bar]))

    def finish(self) -> None:
        """Nothing is left to be done."""
