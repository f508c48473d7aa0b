"""The update of SAC and of its relatives: twin or quantile critics, a squashed Gaussian actor, a temperature."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wealtharena.agents.engine import Workbench
from wealtharena.agents.networks import Network
from wealtharena.agents.networks.layers import FlatCritic, SymbolCritic
from wealtharena.agents.networks.network import PER_SYMBOL
from wealtharena.agents.off_policy.replay import Transitions
from wealtharena.agents.optimizer import Adam, clip, polyak
from wealtharena.agents.process import seeded
from wealtharena.agents.specs import SOFT_LOG_STD


@dataclass(frozen=True)
class SACSettings:
    """Hyperparameters of the update."""

    learning_rate: float
    gamma: float
    tau: float
    max_grad_norm: float | None
    initial_alpha: float
    alpha_learning_rate: float
    target_entropy: float
    quantiles: int = 1  # of each critic; 1 is SAC, more is TQC
    dropped: int = 0  # largest quantiles dropped, for each critic
    dropout: float = 0.0  # of the actor, while it is updated


def sac_settings(algo: Any) -> SACSettings:
    """Return the settings of an algorithm's spec."""
    names = ("learning_rate", "gamma", "tau", "max_grad_norm", "initial_alpha", "alpha_learning_rate", "target_entropy")
    extra = {name: getattr(algo, name) for name in ("quantiles", "dropped", "dropout") if hasattr(algo, name)}
    return SACSettings(**{name: getattr(algo, name) for name in names}, **extra)


class Critics(nn.Module):
    """Two critics Q(s, a), each with one output or several quantiles."""

    def __init__(self, bench: Workbench, *, quantiles: int, count: int = 2) -> None:
        super().__init__()
        model, layout = bench.spec.model, bench.market.layout
        inputs = layout.size + len(layout.symbols)
        self.members = nn.ModuleList(
            SymbolCritic(model, layout, with_action=True, outputs=quantiles)
            if model.name in PER_SYMBOL
            else FlatCritic(model, inputs, outputs=quantiles)
            for _ in range(count)
        )

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return [2, B, quantiles]."""
        return torch.stack([member(observation, action) for member in self.members])


def build_critics(bench: Workbench, *, quantiles: int) -> Critics:
    """Return fresh critics; the same seed gives the same weights."""
    with seeded(bench.spec.seed + 1):
        return Critics(bench, quantiles=quantiles)


def squashed(network: Network, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return tanh(mean + std * noise) [B, A] and its log-probability [B] (Haarnoja et al. 2018, appendix C)."""
    assert network.log_std is not None
    raw = network.actor(observation)
    log_std = network.log_std.expand_as(raw)
    before = raw + torch.exp(log_std) * noise
    gaussian = -0.5 * noise * noise - log_std - 0.5 * math.log(2.0 * math.pi)
    correction = 2.0 * (math.log(2.0) - before - functional.softplus(-2.0 * before))
    return torch.tanh(before), (gaussian - correction).sum(dim=-1)


def keep_spread(network: Network, least: float, most: float = math.inf) -> None:
    """Bring the log spread back between two limits.

    One that is cut where it is used has no slope beyond them, and would never come back; nor would who explores know of it.
    """
    assert network.log_std is not None
    network.log_std.data.clamp_(least, most)


class SACUpdate:
    """One critic, one actor and one temperature step for each batch."""

    def __init__(self, bench: Workbench, settings: SACSettings) -> None:
        self.settings = settings
        self.network = bench.network_factory(critic=False)()
        keep_spread(self.network, *SOFT_LOG_STD)  # what was saved before it was kept may lie outside
        self.critics = build_critics(bench, quantiles=settings.quantiles)
        self.target = copy.deepcopy(self.critics).requires_grad_(False)
        self.log_alpha = nn.ParameterList([nn.Parameter(torch.tensor(math.log(settings.initial_alpha)))])
        self.actor_parameters = list(self.network.parameters())
        self.critic_parameters = list(self.critics.parameters())
        self.actor_optimizer = Adam(self.actor_parameters, lr=settings.learning_rate)
        self.critic_optimizer = Adam(self.critic_parameters, lr=settings.learning_rate)
        self.alpha_optimizer = Adam(self.log_alpha.parameters(), lr=settings.alpha_learning_rate or 1e-3)
        self.entropy = settings.target_entropy * self.network.assets
        self.generator = torch.Generator().manual_seed(bench.spec.seed + 2)
        self.levels = (torch.arange(settings.quantiles) + 0.5) / settings.quantiles

    def names(self) -> tuple[str, ...]:
        """Return the figures' names."""
        return ("critic_loss", "actor_loss", "alpha", "q_mean", "entropy")

    def modules(self) -> Mapping[str, nn.Module]:
        """Return actor, critics, their targets and the temperature."""
        return {"network": self.network, "critics": self.critics, "target": self.target, "alpha": self.log_alpha}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return all optimisers."""
        return {"actor": self.actor_optimizer, "critic": self.critic_optimizer, "alpha": self.alpha_optimizer}

    def noise(self, batch: Transitions) -> Tensor:
        """Return fresh standard normal noise [B, A]."""
        return torch.randn(len(batch.rewards), self.network.assets, generator=self.generator)

    def targets(self, batch: Transitions, alpha: Tensor) -> Tensor:
        """Return r + gamma (Q'(s', a') - alpha log pi(a'|s')): the smaller twin, or the kept quantiles, [B, M]."""
        settings = self.settings
        with torch.no_grad():
            action, log_prob = squashed(self.network, batch.following, self.noise(batch))
            values = self.target(batch.following, action)
            if settings.quantiles == 1:
                kept = values.min(dim=0).values
            else:
                pooled = values.permute(1, 0, 2).flatten(1).sort(dim=-1).values
                kept = pooled[:, : pooled.shape[1] - 2 * settings.dropped]
            soft = kept - (alpha * log_prob).unsqueeze(-1)
            discounted: Tensor = settings.gamma * batch.alive.unsqueeze(-1) * soft
            return batch.rewards.unsqueeze(-1) + discounted

    def critic_loss(self, batch: Transitions, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of both critics and the mean of Q: squared error, or quantile Huber (Kuznetsov et al. 2020)."""
        targets = self.targets(batch, alpha)
        values = self.critics(batch.observations, batch.actions)
        if self.settings.quantiles == 1:
            return functional.mse_loss(values, targets.expand_as(values)), values.detach().mean()
        errors = targets[None, :, None, :] - values.unsqueeze(-1)  # [2, B, quantiles, targets]
        huber = torch.where(errors.abs() > 1.0, errors.abs() - 0.5, 0.5 * errors * errors)
        weight = torch.abs(self.levels.reshape(1, 1, -1, 1) - (errors.detach() < 0).float())
        return (weight * huber).mean(), values.detach().mean()

    def actor_loss(self, batch: Transitions, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean(alpha log pi - Q) over fresh actions, and the log-probabilities."""
        with self.network.dropping(self.settings.dropout, self.generator):
            action, log_prob = squashed(self.network, batch.observations, self.noise(batch))
        values = self.critics(batch.observations, action)
        value = values.min(dim=0).values.squeeze(-1) if self.settings.quantiles == 1 else values.mean(dim=(0, 2))
        return (alpha * log_prob - value).mean(), log_prob

    def step(self, batch: Transitions) -> Tensor:
        """Make one update."""
        alpha = self.log_alpha[0].detach().exp()
        critic_loss, mean = self.critic_loss(batch, alpha)
        self.critic_optimizer.zero_grad(set_to_none=True)
        critic_loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        clip(self.critic_parameters, self.settings.max_grad_norm)
        self.critic_optimizer.step()
        actor_loss, log_prob = self.actor_loss(batch, alpha)
        gradients = torch.autograd.grad(actor_loss, self.actor_parameters)  # none for the critics
        for parameter, gradient in zip(self.actor_parameters, gradients, strict=True):
            parameter.grad = gradient
        clip(self.actor_parameters, self.settings.max_grad_norm)
        self.actor_optimizer.step()
        keep_spread(self.network, *SOFT_LOG_STD)
        entropy = -log_prob.detach().mean()
        if self.settings.alpha_learning_rate:
            self.log_alpha[0].grad = self.log_alpha[0].detach().exp() * (entropy - self.entropy)
            self.alpha_optimizer.step()
        polyak(self.target, self.critics, self.settings.tau)
        return torch.stack([critic_loss.detach(), actor_loss.detach(), alpha, mean, entropy])
