"""Differential Sharpe ratio."""

from __future__ import annotations

import math

from wealtharena.envs.compiled import Float64, compiled
from wealtharena.envs.vector import RULE


@compiled
def differential_sharpe(
    ratio: float, before: float, after: float, first: float, second: float, rules: Float64
) -> tuple[float, float, float]:
    """Return the differential Sharpe ratio D and the updated moments A and B.

    With R = ratio - 1, dA = R - A and dB = R^2 - B:  D = (B dA - A dB / 2) / (B - A^2)^(3/2), and A, B move by eta times
    dA, dB (Moody and Saffell 1998, equation 8). D is 0 while B - A^2 is below 1e-12, and clipped to +-10: the moments
    of the first bars of an episode are near zero, where the formula diverges.
    """
    eta = rules[RULE.eta]
    gain = ratio - 1.0
    d_first = gain - first
    d_second = gain * gain - second
    variance = second - first * first
    value = 0.0
    if variance > 1e-12:
        value = (second * d_first - 0.5 * first * d_second) / (variance * math.sqrt(variance))
        value = min(max(value, -10.0), 10.0)
    return value, first + eta * d_first, second + eta * d_second
