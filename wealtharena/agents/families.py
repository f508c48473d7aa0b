"""What an algorithm's file takes from its family: the kinds of action that it can use, and how its engine is built.

Nothing heavy is imported before an engine is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wealtharena.agents.specs import AsyncSpec, OnPolicySpec
from wealtharena.config import plugins
from wealtharena.envs.actions import CONTINUOUS, DISCRETE

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench
    from wealtharena.agents.on_policy.learner import Objective

EVERY_KIND: Final = (*CONTINUOUS, *DISCRETE)


def on_policy(bench: Workbench, *, objective: Objective | None = None) -> Engine:
    """Return the engine of an algorithm that learns from its latest rollout; without an `objective`, PPO's."""
    from wealtharena.agents.on_policy.engine import OnPolicyEngine

    if objective is not None and not plugins.takes(objective, ["ratio", "advantages", "clip"]):
        name, told = bench.spec.algo.name, "its objective cannot be called as objective(ratio, advantages, clip)"
        raise plugins.misused("agents.algorithms", name, told)
    assert isinstance(bench.spec.algo, OnPolicySpec)
    return OnPolicyEngine(bench, bench.spec.algo, objective=objective)


def asynchronous(bench: Workbench) -> Engine:
    """Return the engine of an algorithm of RLlib's that learns from runners which may be a few updates behind."""
    from wealtharena.agents.on_policy.asynchronous import AsyncEngine

    assert isinstance(bench.spec.algo, AsyncSpec)
    return AsyncEngine(bench, bench.spec.algo)
