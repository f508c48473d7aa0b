"""Experience in a ring of preallocated arrays, written a rollout at a time and read a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wealtharena.agents.rollout import Rollout
from wealtharena.envs.actions import Actions


@dataclass(eq=False)
class Transitions:
    """A batch of B steps."""

    observations: Tensor  # [B, D]
    actions: Tensor  # [B, A] or [B]
    rewards: Tensor  # [B]
    following: Tensor  # [B, D] what was seen next in the same episode
    alive: Tensor  # [B] 0 where the account was liquidated: nothing follows


class Replay:
    """The last `capacity` steps. An episode cut off by time is followed by its own last observation, so that it bootstraps."""

    def __init__(self, capacity: int, size: int, actions: Actions) -> None:
        self.capacity = capacity
        self.observations = np.zeros((capacity, size), np.float32)
        self.following = np.zeros((capacity, size), np.float32)
        self.actions = actions.empty(capacity)
        self.rewards = np.zeros(capacity, np.float32)
        self.alive = np.ones(capacity, np.float32)
        self.count, self.position = 0, 0
        self._views = [
            torch.from_numpy(array)
            for array in (self.observations, self.actions, self.rewards, self.following, self.alive)
        ]

    def add(self, rollout: Rollout) -> None:
        """Take over all steps of a rollout; the oldest give way. A rollout larger than the ring keeps its last steps."""
        bars, envs = rollout.rewards.shape
        following = rollout.observations[1:].reshape(bars * envs, -1)
        columns = {
            "observations": rollout.observations[:-1].reshape(bars * envs, -1),
            "following": following,
            "actions": rollout.actions.reshape(bars * envs, *rollout.actions.shape[2:]),
            "rewards": rollout.rewards.reshape(-1),
            "alive": 1.0 - rollout.terminated.reshape(-1).astype(np.float32),
        }
        steps = bars * envs
        skip = max(0, steps - self.capacity)
        rows = (self.position + np.arange(steps - skip)) % self.capacity
        if rows.size and rows[-1] == rows[0] + rows.size - 1:
            where: slice | np.ndarray = slice(int(rows[0]), int(rows[-1]) + 1)
        else:
            where = rows
        for name, values in columns.items():
            getattr(self, name)[where] = values[skip:]
        ended = rollout.final_index - skip
        kept = ended >= 0
        self.following[rows[ended[kept]]] = rollout.final_observations[kept]
        self.position = int((self.position + steps - skip) % self.capacity)
        self.count = min(self.capacity, self.count + steps - skip)

    def sample(self, rows: Tensor) -> Transitions:
        """Return the steps at `rows` [B]."""
        return Transitions(*(view.index_select(0, rows) for view in self._views))
