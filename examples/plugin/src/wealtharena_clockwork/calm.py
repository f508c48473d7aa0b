"""Log return, losses counted more: `reward.parameter` says how much more."""

from __future__ import annotations

from wealtharena.envs.compiled import Float64, compiled
from wealtharena.envs.logarithm import log
from wealtharena.envs.vector import PARAMETER


@compiled
def calm(
    ratio: float, before: float, after: float, first: float, second: float, rules: Float64
) -> tuple[float, float, float]:
    """Return log(ratio), 1 + parameter times where it is a loss."""
    value = log(ratio)
    return value * (1.0 + rules[PARAMETER] * (value < 0.0)), first, second
