"""The off-policy engine: collect in bulk, remember, and make as many updates a step as asked for.

SAC, TQC, DQN and the offline algorithms differ in one object, their `Update`, and share everything else.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from wealtharena.agents.engine import Workbench, require_tested_ray_version
from wealtharena.agents.networks import Network
from wealtharena.agents.off_policy.replay import Replay, Transitions
from wealtharena.agents.optimizer import check_finite
from wealtharena.agents.rollout import Explorer
from wealtharena.agents.runner import BatchedEnvRunner, runner_setup
from wealtharena.agents.specs import OffPolicySpec

log = logging.getLogger(__name__)


class Update(Protocol):
    """One algorithm's gradient step over a batch."""

    network: Network

    def step(self, batch: Transitions) -> Tensor:
        """Make one update; return its figures, the loss first."""

    def names(self) -> tuple[str, ...]:
        """Return the names of what `step` returns."""

    def modules(self) -> Mapping[str, torch.nn.Module]:
        """Return everything with parameters or buffers to be saved."""

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return all optimisers."""


class UpdateState:
    """What off-policy and offline engines save of an update."""

    def __init__(self, update: Update) -> None:
        self.update = update

    def get(self) -> dict[str, Any]:
        """Return tensors of all modules and optimisers, and where the update's own generator stands, if it draws."""
        drawing = getattr(self.update, "generator", None)
        return {
            "modules": {name: module.state_dict() for name, module in self.update.modules().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.update.optimizers().items()},
            "drawing": None if drawing is None else drawing.get_state(),
        }

    def set(self, state: Mapping[str, Any]) -> None:
        """Go on from `get()`."""
        for name, module in self.update.modules().items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in self.update.optimizers().items():
            optimizer.load_state_dict(state["optimizers"][name])
        drawing, saved = getattr(self.update, "generator", None), state.get("drawing")
        if drawing is not None and saved is not None:  # an older state has none
            drawing.set_state(saved)

    def check(self, loss: Tensor, count: int) -> None:
        """Raise TrainingError where something is no longer finite."""
        check_finite(loss, list(self.update.network.parameters()), updates=count)


class OffPolicyEngine:
    """Collects with the current network and learns from what is remembered."""

    def __init__(self, bench: Workbench, algo: OffPolicySpec, update: Update, *, explorer: Explorer) -> None:
        require_tested_ray_version()
        from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

        self.algo, self.update = algo, update
        setup = runner_setup(
            bench, market=bench.market, rollout_steps=algo.rollout_steps, critic=False, explorer=explorer
        )
        config = AlgorithmConfig().environment(env_config={"setup": setup}, disable_env_checking=True)
        self.runner = BatchedEnvRunner(config=config, worker_index=0)
        self.runner.share(update.network)
        collected = bench.env_steps + algo.rollout_steps  # at most: room for more would only be asked for
        self.replay = Replay(min(algo.buffer, collected), bench.market.layout.size, bench.actions)
        self.generator = torch.Generator().manual_seed(bench.spec.seed)
        self.env_steps, self.updates, self._owed, self._fresh = 0, 0, 0.0, 0
        self._budget = bench.env_steps
        self._state = UpdateState(update)

    def iterate(self) -> dict[str, float]:
        """Collect one rollout and make the updates that it is worth."""
        rollout, figures = self.runner.sample_with_metrics()
        if not self._fresh:
            self._say_where_nothing_is_learned(rollout.steps)
        self.replay.add(rollout)
        self.env_steps += rollout.steps
        self._fresh += rollout.steps
        if self._fresh < self.algo.learning_starts:
            return figures
        self._owed += rollout.steps * self.algo.updates_per_step
        count, self._owed = int(self._owed), self._owed % 1.0
        if not count:
            return figures
        rows = torch.randint(self.replay.count, (count, self.algo.batch), generator=self.generator)
        total = torch.zeros(len(self.update.names()))
        for row in rows:
            total += self.update.step(self.replay.sample(row))
        self.updates += count
        self._state.check(total[0], self.updates)
        means = {name: float(value) / count for name, value in zip(self.update.names(), total, strict=True)}
        return {**figures, **means, "updates": float(self.updates)}

    def _say_where_nothing_is_learned(self, steps: int) -> None:
        """Warn where what is left of the budget ends before the first update, in rollouts of `steps`."""
        left, starts = self._budget - self.env_steps, self.algo.learning_starts
        learning = math.ceil(left / steps) - max(0, math.ceil(starts / steps) - 1)  # rollouts with enough behind them
        if learning * steps * self.algo.updates_per_step < 1.0:
            log.warning(
                "nothing is learned in the %d steps that are left of train.env_steps=%d: the first update is made when "
                "algo.learning_starts=%d are collected, and one for each %g after that (algo.updates_per_step)",
                left, self._budget, starts, 1.0 / self.algo.updates_per_step,
            )  # fmt: skip

    def network(self) -> Network:
        """Return the network that acts."""
        return self.update.network

    def get_state(self) -> dict[str, Any]:
        """Return everything but the remembered steps, which are collected anew."""
        return {
            "env_steps": self.env_steps,
            "updates": self.updates,
            "generator": self.generator.get_state(),
            "runner": self.runner.position(),
            **self._state.get(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`; the first updates wait until `learning_starts` steps are remembered again."""
        self.env_steps, self.updates = int(state["env_steps"]), int(state["updates"])
        self.generator.set_state(state["generator"])
        self.runner.set_state(state["runner"])
        self._state.set(state)

    def close(self) -> None:
        """Let the environments, and the steps that are remembered, go."""
        self.runner.stop()
        vars(self).pop("replay", None)
