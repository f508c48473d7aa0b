"""The PPO update on arrays: one batched pass for values and GAE, then epochs of minibatches over tensors.

The mathematics is RLlib's own (`PPOTorchLearner`, `GeneralAdvantageEstimation`), of which `BatchedPPOLearner` is a
subclass; what is different is that no episode, batch or metric object is made a step or a minibatch. One difference is
on purpose: advantages are standardised over the steps that were really taken, where RLlib's connector also counts the
artificial step that it appends to every episode chunk.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from torch import Tensor

from wealtharena.agents.networks import Network
from wealtharena.agents.optimizer import Adam, check_finite
from wealtharena.agents.process import no_room
from wealtharena.agents.rollout import Rollout
from wealtharena.agents.specs import VALUE_ROWS
from wealtharena.errors import TrainingError

log = logging.getLogger(__name__)
Float32Array = npt.NDArray[np.float32]


Objective = Callable[[Tensor, Tensor, float | None], Tensor]  # ratios, advantages, clip -> what is to be large


def clipped(ratio: Tensor, advantages: Tensor, clip: float | None) -> Tensor:
    """Return PPO's clipped surrogate of every row (Schulman et al. 2017, eq. 7); the plain one without a clip."""
    surrogate = advantages * ratio
    if clip is None:
        return surrogate
    return torch.minimum(surrogate, advantages * torch.clamp(ratio, 1.0 - clip, 1.0 + clip))


@dataclass(frozen=True)
class PPOSettings:
    """Hyperparameters of the update, in the paper's symbols where it has them (Schulman et al. 2017)."""

    learning_rate: float
    final_learning_rate: float  # reached linearly at `env_steps`
    env_steps: int
    gamma: float
    lambda_: float
    clip: float | None  # epsilon; None does not clip
    epochs: int
    minibatch: int | None  # rows; None takes the whole batch
    value_coefficient: float
    value_clip: float | None  # largest squared value error that counts, as RLlib's vf_clip_param
    entropy_coefficient: float
    max_grad_norm: float | None
    target_kl: float | None  # no further epoch once the mean KL estimate has passed it
    stretch: int
    seed: int
    dropout: float = 0.0
    objective: Objective = clipped


@dataclass(eq=False)
class Batch:
    """Rows to learn from; for a recurrent network a row is a stretch of L bars."""

    observations: Tensor  # [M, D], or [L, M, D]
    actions: Tensor  # [M, A] or [M]; with a leading L where recurrent
    log_probs: Tensor
    advantages: Tensor
    targets: Tensor
    starts: Tensor | None = None  # [L, M]
    states: tuple[Tensor, ...] = ()  # each [M, S]


def gae(
    rewards: Float32Array,
    values: Float32Array,
    next_values: Float32Array,
    terminated: npt.NDArray[np.bool_],
    truncated: npt.NDArray[np.bool_],
    *,
    gamma: float,
    lambda_: float,
) -> tuple[Float32Array, Float32Array]:
    """Return advantages and value targets [T, N] (Schulman et al. 2016, eq. 16).

    `next_values[t]` is V of what followed bar t in the same episode, also past a truncation; a termination has no
    value after it. The recursion stops at both.
    """
    alive = 1.0 - terminated.astype(np.float32)
    onwards = alive * (1.0 - truncated.astype(np.float32)) * np.float32(gamma * lambda_)
    deltas = rewards + np.float32(gamma) * alive * next_values - values
    advantages = np.empty_like(deltas)
    running = np.zeros(deltas.shape[1], np.float32)
    for t in range(deltas.shape[0] - 1, -1, -1):
        running = deltas[t] + onwards[t] * running
        advantages[t] = running
    return advantages, advantages + values


def on_device(network: Network, array: npt.NDArray[Any]) -> Tensor:
    """Return the array as a tensor where the network is; on a CPU it is the same memory, unless that is read-only.

    What a remote runner sent lies in Ray's store and may not be written.
    """
    return torch.from_numpy(np.require(array, requirements="W")).to(next(network.parameters()).device)


@torch.no_grad()
def rollout_values(network: Network, rollout: Rollout, *, stretch: int) -> tuple[Float32Array, Float32Array]:
    """Return V of every bar and V of what followed it, each [T, N], in one batched pass."""
    bars, envs = rollout.rewards.shape
    observations = on_device(network, rollout.observations)
    if network.recurrent:
        values = _recurrent_values(network, rollout, stretch)
        final, _ = network.step(
            on_device(network, rollout.final_observations), tuple(on_device(network, s) for s in rollout.final_states)
        )
    else:
        flat = observations.reshape((bars + 1) * envs, -1)
        values = torch.cat([network.value_of(rows) for rows in torch.split(flat, VALUE_ROWS)]).reshape(bars + 1, envs)
        final = on_device(network, rollout.final_observations)
    following = values[1:].clone().reshape(-1)
    if rollout.final_index.size:
        following[on_device(network, rollout.final_index)] = network.value_of(final)
    return values[:-1].cpu().numpy(), following.reshape(bars, envs).cpu().numpy()


def _recurrent_values(network: Network, rollout: Rollout, stretch: int) -> Tensor:
    """Return V [T + 1, N]: all stretches side by side, then the one bar after the last."""
    bars, envs = rollout.rewards.shape
    batch = _stretches(on_device(network, rollout.observations[:-1]), stretch)
    starts = _stretches(on_device(network, rollout.starts[:-1]), stretch)
    states = tuple(on_device(network, state).reshape(-1, state.shape[-1]) for state in rollout.states)
    values = network.value_of(network.unroll(batch, states, starts))
    ordered = values.reshape(stretch, bars // stretch, envs).transpose(0, 1).reshape(bars, envs)
    keep = 1.0 - on_device(network, rollout.starts[-1]).unsqueeze(-1)
    last = tuple(on_device(network, state) * keep for state in rollout.last_states)
    embedding, _ = network.step(on_device(network, rollout.observations[-1]), last)
    return torch.cat([ordered, network.value_of(embedding).unsqueeze(0)])


def _stretches(rows: Tensor, stretch: int) -> Tensor:
    """Return [T, N, ...] as [L, T / L * N, ...]."""
    bars, envs = rows.shape[:2]
    split = rows.reshape(bars // stretch, stretch, envs, *rows.shape[2:])
    return split.transpose(0, 1).reshape(stretch, -1, *rows.shape[2:])


def make_batch(network: Network, rollouts: Sequence[Rollout], settings: PPOSettings) -> Batch:
    """Return the rows of all rollouts with advantages standardised over the whole of them."""
    parts = []
    for rollout in rollouts:
        values, following = rollout_values(network, rollout, stretch=settings.stretch)
        ends = (rollout.terminated, rollout.truncated)
        advantages, targets = gae(
            rollout.rewards, values, following, *ends, gamma=settings.gamma, lambda_=settings.lambda_
        )
        parts.append(_rows(network, rollout, advantages, targets, settings.stretch))
    batch = parts[0] if len(parts) == 1 else _concatenate(parts)
    spread, mean = torch.std_mean(batch.advantages, correction=0)
    batch.advantages = (batch.advantages - mean) / spread.clamp(min=1e-4)
    return batch


def _rows(network: Network, rollout: Rollout, advantages: Float32Array, targets: Float32Array, stretch: int) -> Batch:
    arrays = (rollout.observations[:-1], rollout.actions, rollout.log_probs, advantages, targets)
    names = ("observations", "actions", "log_probs", "advantages", "targets")
    tensors: dict[str, Any] = {name: on_device(network, array) for name, array in zip(names, arrays, strict=True)}
    if not network.recurrent:
        return Batch(**{name: tensor.reshape(-1, *tensor.shape[2:]) for name, tensor in tensors.items()})
    return Batch(
        **{name: _stretches(tensor, stretch) for name, tensor in tensors.items()},
        starts=_stretches(on_device(network, rollout.starts[:-1]), stretch),
        states=tuple(on_device(network, state).reshape(-1, state.shape[-1]) for state in rollout.states),
    )


def _concatenate(parts: Sequence[Batch]) -> Batch:
    axis = 0 if parts[0].starts is None else 1
    columns = ("observations", "actions", "log_probs", "advantages", "targets")
    return Batch(
        **{name: torch.cat([getattr(part, name) for part in parts], dim=axis) for name in columns},
        starts=None if parts[0].starts is None else torch.cat([p.starts for p in parts if p.starts is not None], dim=1),
        states=tuple(torch.cat([part.states[i] for part in parts]) for i in range(len(parts[0].states))),
    )


def take(batch: Batch, rows: Tensor) -> Batch:
    """Return the given rows as a batch of their own."""
    axis = 0 if batch.starts is None else 1
    return Batch(
        batch.observations.index_select(axis, rows),
        batch.actions.index_select(axis, rows),
        batch.log_probs.index_select(axis, rows),
        batch.advantages.index_select(axis, rows),
        batch.targets.index_select(axis, rows),
        starts=None if batch.starts is None else batch.starts.index_select(1, rows),
        states=tuple(state.index_select(0, rows) for state in batch.states),
    )


def ppo_loss(network: Network, batch: Batch, settings: PPOSettings) -> tuple[Tensor, Tensor]:
    """Return the loss and, detached, [policy loss, value loss, entropy, KL estimate, clipped share, squared value error]."""
    starts = batch.starts if batch.starts is not None else batch.advantages
    embedding = network.unroll(batch.observations, batch.states, starts)
    parameters, values = network.both_of(embedding)
    log_probs, entropy = network.log_prob_and_entropy(parameters, batch.actions)
    log_ratio = log_probs - batch.log_probs
    ratio = torch.exp(log_ratio)
    surrogate = settings.objective(ratio, batch.advantages, settings.clip)
    _check_surrogate(surrogate, ratio)
    error = torch.square(values - batch.targets)
    counted = error if settings.value_clip is None else torch.clamp(error, max=settings.value_clip)
    policy_loss, value_loss = -surrogate.mean(), counted.mean()
    loss = policy_loss + settings.value_coefficient * value_loss - settings.entropy_coefficient * entropy
    with torch.no_grad():
        kl = (ratio - 1.0 - log_ratio).mean()
        share = (torch.abs(ratio - 1.0) > (settings.clip or math.inf)).float().mean()
        detail = torch.stack([policy_loss, value_loss, torch.as_tensor(entropy), kl, share, error.mean()])
    return loss, detail


def _check_surrogate(surrogate: object, ratio: Tensor) -> None:
    """Raise TrainingError where an objective answered with anything but a number a row that hangs on the ratios."""
    if not isinstance(surrogate, Tensor):
        raise TrainingError(f"the objective returned a {type(surrogate).__name__}", hint="return a tensor")
    if surrogate.shape != ratio.shape:  # would be spread over the rows
        raise TrainingError(
            f"the objective returned a tensor of shape {tuple(surrogate.shape)} for {tuple(ratio.shape)}",
            hint="return one number a row",
        )
    if not surrogate.requires_grad:
        raise TrainingError(
            "the objective returned numbers without a gradient: the policy would learn nothing",
            hint="compute it from `ratio`, without detach() and no_grad()",
        )


class PPOUpdate:
    """The optimiser and its state over one network: `update(rollouts)` makes all epochs of one iteration."""

    def __init__(self, network: Network, settings: PPOSettings) -> None:
        self.network, self.settings = network, settings
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = Adam(self.parameters, lr=settings.learning_rate, eps=1e-5)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.updates = 0
        self.halved = False  # minibatches, since the GPU had no room for whole ones

    def update(self, rollouts: Sequence[Rollout], *, env_steps: int) -> dict[str, float]:
        """Learn from the rollouts; return means over minibatches.

        TrainingError where the loss or a parameter is no longer finite; the network is then not to be used.
        """
        settings = self.settings
        done = min(1.0, env_steps / settings.env_steps)
        rate = settings.learning_rate + done * (settings.final_learning_rate - settings.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = make_batch(self.network, rollouts, settings)
        axis = 0 if batch.starts is None else 1
        rows = batch.advantages.shape[axis]
        per_row = 1 if batch.starts is None else batch.starts.shape[0]
        totals = torch.zeros(7, device=batch.advantages.device)
        count = 0
        for _ in range(settings.epochs):
            order = torch.randperm(rows, generator=self.generator).to(totals.device)
            kl, made = self._epoch(batch, order, self._size(rows, per_row), totals)
            count += made
            if settings.target_kl is not None and float(kl) / max(1, made) > settings.target_kl:
                break
        self.updates += count
        return self._record(totals / count, batch, rate)

    def _size(self, rows: int, per_row: int) -> int:
        """Return the rows of a minibatch."""
        minibatch = self.settings.minibatch
        size = rows if minibatch is None else max(1, min(rows, minibatch // per_row))
        return max(1, size // 2) if self.halved else size

    def _epoch(self, batch: Batch, order: Tensor, size: int, totals: Tensor) -> tuple[Tensor, int]:
        """Learn from the rows in this order, adding to `totals`; return the sum of KL estimates and the minibatches made.

        Where `size` does not divide the rows, minibatches are smaller, as nearly of one size as can be: none is left out.
        Where the GPU has no room for a minibatch, it and all that follow are half as large, once a training.
        """
        rows, kl, made, start = len(order), torch.zeros((), device=totals.device), 0, 0
        while start < rows:
            left = -(-(rows - start) // size)
            stop = start - (start - rows) // left
            try:
                detail = self._minibatch(batch if size == rows else take(batch, order[start:stop]))
            except torch.OutOfMemoryError as error:
                if self.halved or size == 1:
                    raise no_room(f"a minibatch of {size} rows") from error
            else:
                totals += detail
                kl += detail[4]
                made, start = made + 1, stop
                continue
            size = self._halve(size)  # outside of the handler, which keeps what did not fit
        return kl, made

    def _halve(self, size: int) -> int:
        self.halved = True
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        log.warning(
            "CUDA out of memory: minibatches of %d rows from here on instead of %d, so that this training is not the one "
            "that algo.minibatch describes; lower algo.minibatch to begin so",
            size // 2,
            size,
        )
        return size // 2

    def _minibatch(self, batch: Batch) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        with self.network.dropping(self.settings.dropout, self.generator):
            loss, detail = ppo_loss(self.network, batch, self.settings)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if self.settings.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
        self.optimizer.step()
        return torch.cat([loss.detach().reshape(1), detail])

    def _record(self, means: Tensor, batch: Batch, rate: float) -> dict[str, float]:
        check_finite(means[0], self.parameters, updates=self.updates)
        names = ("loss", "policy_loss", "value_loss", "entropy", "kl", "clipped_share")
        *found, error = (float(value) for value in means)
        record = dict(zip(names, found, strict=True))
        variance = float(batch.targets.var(correction=0))
        record["explained_variance"] = 1.0 - error / variance if variance > 1e-12 else 0.0
        record["learning_rate"] = rate
        if self.network.log_std is not None:
            record["action_std"] = float(self.network.log_std.detach().exp().mean())
        return record

    def get_state(self) -> dict[str, Any]:
        """Return parameters, optimiser and generator as plain tensors and numbers."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
            "halved": self.halved,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from `get_state()`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.updates = int(state["updates"])
        self.halved = bool(state.get("halved", False))  # a state of a release that halved none lacks it


class BatchedPPOLearner(PPOTorchLearner):
    """RLlib's PPO learner with a second door: `update_rollouts` takes arrays instead of episodes."""

    def build(self) -> None:
        """Build RLlib's module and optimiser, then the batched update over the same parameters."""
        super().build()
        setup = self.config.env_config["learner"]
        self.batched = PPOUpdate(self.network, setup)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Register RLlib's optimiser as it does itself, but one that starts at once."""
        parameters = self.get_parameters(self.module[module_id])
        self.register_optimizer(
            module_id=module_id, optimizer=Adam(parameters), params=parameters, lr_or_lr_schedule=config.lr
        )

    @property
    def network(self) -> Network:
        """The network inside the RLModule."""
        module: Any = self.module["default_policy"].unwrapped()
        network: Network = module.network
        return network

    def update_rollouts(self, rollouts: Sequence[Rollout], *, env_steps: int) -> dict[str, float]:
        """Run all epochs over the rollouts; see `PPOUpdate.update`."""
        return self.batched.update(rollouts, env_steps=env_steps)
