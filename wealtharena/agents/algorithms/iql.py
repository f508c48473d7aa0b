"""Implicit Q-learning (Kostrikov et al. 2022) from a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wealtharena.agents.specs import CRITICS_KEPT, OfflineSpec
from wealtharena.envs.actions import Weights

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = (Weights.name,)  # which a recording holds


class AlgorithmSpec(OfflineSpec):
    """IQL."""

    name: Literal["iql"]
    expectile: float = Field(
        gt=0, lt=1, description="of Q that the value follows; above 0.5 leans to the better actions"
    )
    beta: float = Field(ge=0, description="how strongly the actor follows the advantage; 0 imitates")

    def weights_kept(self, *, recurrent: bool) -> int:
        """Return those of an actor, a value network and two critics that learn, and of two that follow them."""
        return super().weights_kept(recurrent=recurrent) + 4 + CRITICS_KEPT


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.off_policy.offline import IQLUpdate, OfflineEngine

    algo = bench.spec.algo
    assert isinstance(algo, AlgorithmSpec)
    return OfflineEngine(bench, algo, lambda: IQLUpdate(bench, algo))
