"""Deep Q-learning with a double estimator (Mnih et al. 2015; van Hasselt et al. 2016) over allocations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wealtharena.agents.specs import OffPolicySpec
from wealtharena.envs.actions import DISCRETE

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = DISCRETE


class AlgorithmSpec(OffPolicySpec):
    """DQN; the best allocation is taken, a random one with probability epsilon while training."""

    name: Literal["dqn"]
    epsilon_start: float = Field(ge=0, le=1, description="share of random actions at the begin")
    epsilon_end: float = Field(ge=0, le=1, description="share of random actions at the end")
    epsilon_share: float = Field(gt=0, le=1, description="share of the training over which epsilon falls")

    def passed(self) -> int:
        """Return the rows of a batch, and what follows them, for the network and its target."""
        return 3 * self.batch


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.off_policy.q_learning import DQNEngine

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)

    def epsilon(env_steps: int) -> float:
        fallen = min(1.0, env_steps / (algo.epsilon_share * bench.env_steps))
        return algo.epsilon_start + fallen * (algo.epsilon_end - algo.epsilon_start)

    return DQNEngine(bench, algo, epsilon=epsilon)
