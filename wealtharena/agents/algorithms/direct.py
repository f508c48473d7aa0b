"""Learning through the market: the gradient of what an account earns (Moody and Saffell 2001; Lim et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wealtharena.agents.specs import DirectSpec
from wealtharena.envs.actions import Tilt, Weights

if TYPE_CHECKING:
    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = (Tilt.name, Weights.name)


class AlgorithmSpec(DirectSpec):
    """Direct reinforcement by the pathwise gradient."""

    name: Literal["direct"]


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    from wealtharena.agents.direct.engine import DirectEngine

    assert isinstance(bench.spec.algo, AlgorithmSpec)
    return DirectEngine(bench, bench.spec.algo)
