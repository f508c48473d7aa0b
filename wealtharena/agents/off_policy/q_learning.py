"""The update of DQN."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from wealtharena.agents.engine import Workbench
from wealtharena.agents.exploring import EpsilonGreedy
from wealtharena.agents.networks import Network
from wealtharena.agents.off_policy.engine import OffPolicyEngine
from wealtharena.agents.off_policy.replay import Transitions
from wealtharena.agents.optimizer import Adam, clip, polyak
from wealtharena.agents.specs import OffPolicySpec


class DQNUpdate:
    """Q(s, .) are the network's logits; the target is r + gamma Q'(s', argmax Q(s', .))."""

    def __init__(
        self, network: Network, *, learning_rate: float, gamma: float, tau: float, max_grad_norm: float | None
    ) -> None:
        self.network = network
        self.target = copy.deepcopy(network).requires_grad_(False)
        self.gamma, self.tau, self.max_grad_norm = gamma, tau, max_grad_norm
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = Adam(self.parameters, lr=learning_rate)

    def names(self) -> tuple[str, ...]:
        """Return the figures' names."""
        return ("loss", "q_mean")

    def modules(self) -> Mapping[str, torch.nn.Module]:
        """Return the online and the target network."""
        return {"network": self.network, "target": self.target}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimiser."""
        return {"q": self.optimizer}

    def loss(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """Return the Huber loss and the mean of Q."""
        with torch.no_grad():
            best = self.network.parameters_of(batch.following).argmax(dim=-1, keepdim=True)
            following = self.target.parameters_of(batch.following).gather(-1, best).squeeze(-1)
            targets = batch.rewards + self.gamma * batch.alive * following
        values = self.network.parameters_of(batch.observations).gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
        return torch.nn.functional.smooth_l1_loss(values, targets), values.detach().mean()

    def step(self, batch: Transitions) -> Tensor:
        """Make one update."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, mean = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        clip(self.parameters, self.max_grad_norm)
        self.optimizer.step()
        polyak(self.target, self.network, self.tau)
        return torch.stack([loss.detach(), mean])


class DQNEngine(OffPolicyEngine):
    """Collects with a share of random allocations, `epsilon(env_steps)`."""

    def __init__(self, bench: Workbench, algo: OffPolicySpec, *, epsilon: Callable[[int], float]) -> None:
        self._epsilon, self.greedy = epsilon, EpsilonGreedy()
        network = bench.network_factory(critic=False)()
        update = DQNUpdate(
            network,
            learning_rate=algo.learning_rate,
            gamma=algo.gamma,
            tau=algo.tau,
            max_grad_norm=algo.max_grad_norm,
        )
        super().__init__(bench, algo, update, explorer=self.greedy)

    def iterate(self) -> dict[str, float]:
        """Collect and learn with epsilon as the schedule has it."""
        self.greedy.epsilon = self._epsilon(self.env_steps)
        return {**super().iterate(), "epsilon": self.greedy.epsilon}
