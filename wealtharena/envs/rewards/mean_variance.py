"""Mean-variance utility of a bar."""

from __future__ import annotations

from wealtharena.envs.compiled import Float64, compiled
from wealtharena.envs.vector import RULE


@compiled
def mean_variance(
    ratio: float, before: float, after: float, first: float, second: float, rules: Float64
) -> tuple[float, float, float]:
    """Return R - lambda / 2 R^2 with R = ratio - 1 (Ritter 2017, with a mean of zero a bar)."""
    gain = ratio - 1.0
    return gain - 0.5 * rules[RULE.risk_aversion] * gain * gain, first, second
