"""The on-policy engine: sample a rollout, learn from it, in this process or with RLlib's remote runners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wealtharena.agents.engine import Workbench, require_tested_ray_version
from wealtharena.agents.networks import Network
from wealtharena.agents.on_policy.learner import Objective, PPOSettings, clipped

if TYPE_CHECKING:
    from wealtharena.agents.specs import OnPolicySpec


def ppo_settings(bench: Workbench, algo: OnPolicySpec, objective: Objective | None) -> PPOSettings:
    """Return the update's settings for a job."""
    return PPOSettings(
        learning_rate=algo.learning_rate,
        final_learning_rate=algo.final_learning_rate,
        env_steps=bench.env_steps,
        gamma=algo.gamma,
        lambda_=algo.gae_lambda,
        clip=algo.clip,
        epochs=algo.epochs,
        minibatch=algo.minibatch,
        value_coefficient=algo.value_coefficient,
        value_clip=algo.value_clip,
        entropy_coefficient=algo.entropy_coefficient,
        max_grad_norm=algo.max_grad_norm,
        target_kl=algo.target_kl,
        stretch=bench.spec.model.sequence_bars,
        seed=bench.spec.seed,
        dropout=algo.dropout,
        objective=objective or clipped,
    )


class OnPolicyEngine:
    """PPO and its relatives; with `compute.runners: 0` nothing of Ray's runtime is started."""

    def __init__(self, bench: Workbench, algo: OnPolicySpec, *, objective: Objective | None = None) -> None:
        require_tested_ray_version()
        from wealtharena.agents.on_policy.rllib import LocalDriver, RemoteDriver

        self.env_steps = 0
        settings = ppo_settings(bench, algo, objective)
        driver = RemoteDriver if bench.spec.compute.runners else LocalDriver
        self._driver = driver(bench, settings, rollout_steps=algo.rollout_steps)

    def iterate(self) -> dict[str, float]:
        """Collect one rollout and learn from it."""
        steps, record = self._driver.iterate(self.env_steps)
        self.env_steps += steps
        return record

    def network(self) -> Network:
        """Return the learner's network."""
        return self._driver.network()

    def get_state(self) -> dict[str, Any]:
        """Return learner, runner and step count."""
        return {"env_steps": self.env_steps, **self._driver.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`."""
        self.env_steps = int(state["env_steps"])
        self._driver.set_state(state)

    def close(self) -> None:
        """Stop runners and learner."""
        self._driver.close()
