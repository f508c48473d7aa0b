"""The offline engine and its updates: BC, MARWIL, CQL, IQL. They learn from a recording and never act."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wealtharena.agents.engine import Workbench
from wealtharena.agents.networks import Network
from wealtharena.agents.off_policy.engine import Update, UpdateState
from wealtharena.agents.off_policy.recording import recording
from wealtharena.agents.off_policy.replay import Transitions
from wealtharena.agents.off_policy.soft_actor_critic import SACSettings, SACUpdate, build_critics, keep_spread, squashed
from wealtharena.agents.optimizer import Adam, clip, polyak
from wealtharena.agents.specs import OfflineSpec
from wealtharena.errors import TrainingError

SMALLEST_LOG_STD = -4.0  # a recording without noise would drive the likelihood to infinity


@dataclass(eq=False)
class Recorded(Transitions):
    """A batch of recorded steps."""

    returns: Tensor  # [B]


class OfflineEngine:
    """Draws batches from a recording; an environment step is a recorded step that was learned from."""

    def __init__(self, bench: Workbench, algo: OfflineSpec, make_update: Callable[[], Update]) -> None:
        self.algo, self.update = algo, make_update()
        data = recording(bench, algo)
        columns = (data.observations, data.actions, data.rewards, data.following, data.alive, data.returns)
        self._columns = [torch.from_numpy(column) for column in columns]
        self.generator = torch.Generator().manual_seed(bench.spec.seed)
        self.env_steps, self.updates = 0, 0
        self._reward = float(data.rewards.mean())
        self._state = UpdateState(self.update)
        kept = algo.dataset is not None  # one that is made again from the run's own seed may differ in its last digits
        self._print = hashlib.sha256(data.actions.tobytes()).hexdigest() if kept else None

    def iterate(self) -> dict[str, float]:
        """Make the updates of one iteration."""
        rows = torch.randint(len(self._columns[0]), (self.algo.updates, self.algo.batch), generator=self.generator)
        total = torch.zeros(len(self.update.names()))
        for row in rows:
            total += self.update.step(Recorded(*(column.index_select(0, row) for column in self._columns)))
        self.updates += self.algo.updates
        self.env_steps += rows.numel()
        self._state.check(total[0], self.updates)
        means = {name: float(value) / len(rows) for name, value in zip(self.update.names(), total, strict=True)}
        return {"reward": self._reward, **means, "updates": float(self.updates)}

    def network(self) -> Network:
        """Return the network that would act."""
        return self.update.network

    def get_state(self) -> dict[str, Any]:
        """Return networks, optimisers and generator; the recording is made again from its own seed."""
        own = {"env_steps": self.env_steps, "updates": self.updates, "generator": self.generator.get_state()}
        return {**own, "recording": self._print, **self._state.get()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`; TrainingError where `dataset` holds other actions by now, as one recorded anew by another seed."""
        if self._print != (state.get("recording") or self._print):
            raise TrainingError(
                f"algo.dataset={self.algo.dataset} is not the recording that this run has learned from so far",
                hint="bring that file back, or begin another run, without resume=",
            )
        self.env_steps, self.updates = int(state["env_steps"]), int(state["updates"])
        self.generator.set_state(state["generator"])
        self._state.set(state)

    def close(self) -> None:
        """Nothing is held open."""


class ImitationUpdate:
    """BC, and with `beta` above 0 MARWIL (Wang et al. 2018): log-likelihood weighted by exp(beta * advantage / scale)."""

    def __init__(self, bench: Workbench, algo: OfflineSpec, *, beta: float, value_coefficient: float) -> None:
        self.network = bench.network_factory(critic=beta > 0)()
        self.parameters = list(self.network.parameters())
        self.optimizer = Adam(self.parameters, lr=algo.learning_rate)
        self.beta, self.value_coefficient, self.max_grad_norm = beta, value_coefficient, algo.max_grad_norm
        self.scale = nn.ParameterList(
            [nn.Parameter(torch.ones(()), requires_grad=False)]
        )  # moving mean square advantage

    def names(self) -> tuple[str, ...]:
        """Return the figures' names."""
        return ("loss", "log_prob", "value_loss")

    def modules(self) -> Mapping[str, nn.Module]:
        """Return the network and the advantages' scale."""
        return {"network": self.network, "scale": self.scale}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimiser."""
        return {"network": self.optimizer}

    def step(self, batch: Transitions) -> Tensor:
        """Make one update."""
        assert isinstance(batch, Recorded)
        log_prob, _ = self.network.log_prob_and_entropy(self.network.parameters_of(batch.observations), batch.actions)
        weight, value_loss = torch.ones(()), torch.zeros(())
        if self.beta > 0:
            advantage = batch.returns - self.network.value_of(batch.observations)
            value_loss = advantage.square().mean()
            scale = self.scale[0]
            scale.data.lerp_(value_loss.detach(), 0.01)
            weight = torch.exp(torch.clamp(self.beta * advantage.detach() / scale.sqrt(), max=5.0))
        loss = -(weight * log_prob).mean() + self.value_coefficient * value_loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        clip(self.parameters, self.max_grad_norm)
        self.optimizer.step()
        keep_spread(self.network, SMALLEST_LOG_STD)
        return torch.stack([loss.detach(), log_prob.detach().mean(), value_loss.detach()])


class CQLUpdate(SACUpdate):
    """SAC whose critics are held down where the recording has no actions (Kumar et al. 2020, CQL(H))."""

    def __init__(self, bench: Workbench, settings: SACSettings, *, weight: float, samples: int) -> None:
        super().__init__(bench, settings)
        self.weight, self.samples = weight, samples

    def critic_loss(self, batch: Transitions, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Bellman error plus weight * (logsumexp over actions of Q less Q of the recorded action)."""
        loss, mean = super().critic_loss(batch, alpha)
        rows, assets = len(batch.rewards), self.network.assets
        candidates = []
        for _ in range(self.samples):
            uniform = torch.rand(rows, assets, generator=self.generator) * 2.0 - 1.0
            candidates.append(
                self.critics(batch.observations, uniform).squeeze(-1) + assets * torch.log(torch.tensor(2.0))
            )
            with torch.no_grad():
                action, log_prob = squashed(self.network, batch.observations, self.noise(batch))
            candidates.append(self.critics(batch.observations, action).squeeze(-1) - log_prob)
        pushed = torch.logsumexp(torch.stack(candidates), dim=0) - torch.log(torch.tensor(float(len(candidates))))
        recorded = self.critics(batch.observations, batch.actions).squeeze(-1)
        return loss + self.weight * (pushed - recorded).mean(), mean


class IQLUpdate:
    """Implicit Q-learning (Kostrikov et al. 2022): an expectile of Q as value, advantage-weighted regression as actor."""

    def __init__(self, bench: Workbench, algo: Any) -> None:
        self.network = bench.network_factory(critic=True)()
        self.critics = build_critics(bench, quantiles=1)
        self.target = copy.deepcopy(self.critics).requires_grad_(False)
        self.parameters = [*self.network.parameters(), *self.critics.parameters()]
        self.optimizer = Adam(self.parameters, lr=algo.learning_rate)
        self.gamma, self.tau, self.max_grad_norm = algo.gamma, algo.tau, algo.max_grad_norm
        self.expectile, self.beta = algo.expectile, algo.beta

    def names(self) -> tuple[str, ...]:
        """Return the figures' names."""
        return ("loss", "critic_loss", "value_loss", "actor_loss")

    def modules(self) -> Mapping[str, nn.Module]:
        """Return actor with value, critics and their targets."""
        return {"network": self.network, "critics": self.critics, "target": self.target}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the optimiser of all three."""
        return {"all": self.optimizer}

    def step(self, batch: Transitions) -> Tensor:
        """Make one update."""
        with torch.no_grad():
            recorded = self.target(batch.observations, batch.actions).min(dim=0).values.squeeze(-1)
            following = self.network.value_of(batch.following)
            targets = batch.rewards + self.gamma * batch.alive * following
        value = self.network.value_of(batch.observations)
        advantage = recorded - value
        asymmetry = torch.where(advantage > 0, self.expectile, 1.0 - self.expectile)
        value_loss = (asymmetry * advantage.square()).mean()
        values = self.critics(batch.observations, batch.actions).squeeze(-1)
        critic_loss = functional.mse_loss(values, targets.expand_as(values))
        weight = torch.exp(torch.clamp(self.beta * advantage.detach(), max=4.6))
        log_prob, _ = self.network.log_prob_and_entropy(self.network.parameters_of(batch.observations), batch.actions)
        actor_loss = -(weight * log_prob).mean()
        loss = value_loss + critic_loss + actor_loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip(self.parameters, self.max_grad_norm)
        self.optimizer.step()
        keep_spread(self.network, SMALLEST_LOG_STD)
        polyak(self.target, self.critics, self.tau)
        return torch.stack([loss, critic_loss, value_loss, actor_loss]).detach()
