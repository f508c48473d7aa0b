"""Simple policy optimisation (Xie et al. 2024): a ratio away from 1 is penalised and not clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wealtharena.agents import families
from wealtharena.agents.specs import OnPolicySpec

if TYPE_CHECKING:
    from torch import Tensor

    from wealtharena.agents.engine import Engine, Workbench

ACTIONS = families.EVERY_KIND


class AlgorithmSpec(OnPolicySpec):
    """SPO; `clip` is where the penalty turns the gradient."""

    name: Literal["spo"]


def objective(ratio: Tensor, advantages: Tensor, clip: float | None) -> Tensor:
    """Return what is to be large, row by row."""
    return advantages * ratio - advantages.abs() / (2.0 * (clip or 1.0)) * (ratio - 1.0) ** 2


def build(bench: Workbench) -> Engine:
    """Return the engine that trains this algorithm on the bench's market."""
    return families.on_policy(bench, objective=objective)
