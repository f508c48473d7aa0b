"""Rollouts in arrays: all environments are stepped at once, and no Python object is made a step.

Read from top to bottom: `Rollout` is what is collected, `RolloutBuffers` is where, `collect` is how; `runner.py` puts it
behind RLlib's interface. T bars, N environments, D numbers an observation, A symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wealtharena.agents.networks import Network
from wealtharena.envs.actions import Actions

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class RolloutEnv(Protocol):
    """The raw face of a vector environment, as `envs.vector_env` has it: it writes into the caller's arrays."""

    num_envs: int

    @property
    def bars(self) -> npt.NDArray[np.int64]: ...

    def reset_into(self, obs: Float32Array, *, seed: int | Sequence[int] | None = None) -> None: ...

    def step_into(
        self,
        actions: npt.NDArray[Any],
        *,
        obs: Float32Array,
        reward: Float32Array,
        terminated: BoolArray,
        truncated: BoolArray,
        final_obs: Float32Array | None = None,
    ) -> None: ...


@dataclass(eq=False)
class Rollout:
    """T bars of N environments. The arrays belong to the runner and are overwritten by its next rollout.

    `observations[t + 1]` follows `observations[t]`, or is the first of a new episode where one ended at t. What an
    ended episode saw last stands in `final_observations`, row k for the flat index `final_index[k] = t * N + n`.
    """

    observations: Float32Array  # [T + 1, N, D]
    actions: npt.NDArray[Any]  # [T, N, A] float32, or [T, N] int64
    log_probs: Float32Array  # [T, N]
    rewards: Float32Array  # [T, N]
    terminated: BoolArray  # [T, N]
    truncated: BoolArray  # [T, N]
    final_index: npt.NDArray[np.int64]  # [K]
    final_observations: Float32Array  # [K, D]
    starts: Float32Array  # [T + 1, N] 1 where the bar is the first of an episode
    states: tuple[Float32Array, ...] = ()  # each [T / L, N, S]: memory before the first bar of every stretch of L
    final_states: tuple[Float32Array, ...] = ()  # each [K, S], before the last observation
    last_states: tuple[Float32Array, ...] = ()  # each [N, S], before observations[T]

    @property
    def steps(self) -> int:
        """Return T * N."""
        return self.rewards.size


class RolloutBuffers:
    """Preallocated arrays of one runner, as numpy for the environment and as torch views of the same memory."""

    def __init__(self, bars: int, envs: int, size: int, actions: Actions) -> None:
        self.bars, self.envs = bars, envs
        self.observations = np.zeros((bars + 1, envs, size), np.float32)
        self.actions = actions.empty(bars, envs)
        self.log_probs = np.zeros((bars, envs), np.float32)
        self.rewards = np.zeros((bars, envs), np.float32)
        self.market_bars = np.zeros((bars, envs), np.int64)
        self.terminated = np.zeros((bars, envs), np.bool_)
        self.truncated = np.zeros((bars, envs), np.bool_)
        self.starts = np.zeros((bars + 1, envs), np.float32)
        self.starts[-1] = 1.0  # before anything was collected, every bar is a first one
        self.final = np.zeros((envs, size), np.float32)
        self.observation_views = [torch.from_numpy(row) for row in self.observations]
        self.action_views = [torch.from_numpy(row) for row in self.actions]
        self.start_views = [torch.from_numpy(row) for row in self.starts]


@dataclass
class EpisodeTally:
    """Running returns of the environments and what finished since the last look."""

    running: npt.NDArray[np.float64]
    length: npt.NDArray[np.int64]
    returns: list[float]
    lengths: list[int]

    @classmethod
    def of(cls, envs: int) -> EpisodeTally:
        return cls(np.zeros(envs), np.zeros(envs, np.int64), [], [])

    def add(self, rewards: Float32Array, ended: npt.NDArray[np.int64]) -> None:
        self.running += rewards
        self.length += 1
        if ended.size:
            self.returns.extend(self.running[ended].tolist())
            self.lengths.extend(self.length[ended].tolist())
            self.running[ended] = 0.0
            self.length[ended] = 0

    def take(self) -> dict[str, float]:
        """Return means over the episodes that ended since the last call; nothing where none ended."""
        if not self.returns:
            return {}
        taken = {"episode_return": float(np.mean(self.returns)), "episode_bars": float(np.mean(self.lengths))}
        taken["episodes"] = float(len(self.returns))
        self.returns, self.lengths = [], []
        return taken


class Explorer(Protocol):
    """How actions are chosen while rolling out; one object a runner, drawing from the runner's generator only."""

    def begin(self, network: Network, buffers: RolloutBuffers, rng: np.random.Generator) -> None:
        """Draw the noise of a whole rollout."""

    def act(self, bar: int, embedding: Tensor) -> None:
        """Write the actions of one bar into the buffers."""

    def finish(self) -> None:
        """Complete the log-probabilities of all bars, where an update asks for them."""


@torch.no_grad()
def collect(
    env: RolloutEnv,
    network: Network,
    buffers: RolloutBuffers,
    *,
    states: tuple[Tensor, ...],
    stretch: int,
    rng: np.random.Generator,
    tally: EpisodeTally,
    explorer: Explorer,
) -> tuple[Rollout, tuple[Tensor, ...]]:
    """Play `buffers.bars` bars on from where the last rollout ended; return it and the memory to go on with.

    `stretch` is the length L of back-propagation through time: memory is recorded before every L-th bar.
    """
    b = buffers
    b.observations[0] = b.observations[-1]
    b.starts[0] = b.starts[-1]
    explorer.begin(network, b, rng)
    recorded: list[tuple[Tensor, ...]] = []
    finals: list[tuple[npt.NDArray[np.int64], Float32Array, tuple[Float32Array, ...]]] = []
    for t in range(b.bars):
        if states:
            keep = (1.0 - b.start_views[t]).unsqueeze(-1)
            states = tuple(state * keep for state in states)
            if t % stretch == 0:
                recorded.append(states)
        embedding, states = network.step(b.observation_views[t], states)
        explorer.act(t, embedding)
        b.market_bars[t] = env.bars
        env.step_into(
            b.actions[t],
            obs=b.observations[t + 1],
            reward=b.rewards[t],
            terminated=b.terminated[t],
            truncated=b.truncated[t],
            final_obs=b.final,
        )
        done = b.terminated[t] | b.truncated[t]
        ended = np.flatnonzero(done)
        if ended.size:
            finals.append((ended + t * b.envs, b.final[ended], tuple(state.numpy()[ended] for state in states)))
        b.starts[t + 1] = done
        tally.add(b.rewards[t], ended)
    explorer.finish()
    return _package(b, recorded, finals, states), states


def _package(
    b: RolloutBuffers,
    recorded: list[tuple[Tensor, ...]],
    finals: list[tuple[npt.NDArray[np.int64], Float32Array, tuple[Float32Array, ...]]],
    states: tuple[Tensor, ...],
) -> Rollout:
    return Rollout(
        observations=b.observations,
        actions=b.actions,
        log_probs=b.log_probs,
        rewards=b.rewards,
        terminated=b.terminated,
        truncated=b.truncated,
        final_index=np.concatenate([index for index, _, _ in finals]) if finals else np.zeros(0, np.int64),
        final_observations=np.concatenate([rows for _, rows, _ in finals])
        if finals
        else np.zeros((0, b.observations.shape[-1]), np.float32),
        starts=b.starts,
        states=tuple(np.stack([row[i].numpy() for row in recorded]) for i in range(len(states))),
        final_states=tuple(
            np.concatenate([rows[i] for _, _, rows in finals]) if finals else np.zeros((0, state.shape[-1]), np.float32)
            for i, state in enumerate(states)
        ),
        last_states=tuple(state.numpy() for state in states),
    )
