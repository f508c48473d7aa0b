"""Mean-variance utility of a bar."""

from __future__ import annotations

from wealtharena.envs.compiled import compiled


@compiled
def mean_variance(ratio: float, risk_aversion: float) -> float:
    """Return R - lambda / 2 R^2 with R = ratio - 1 (Ritter 2017, with a mean of zero a bar)."""
    gain = ratio - 1.0
    return gain - 0.5 * risk_aversion * gain * gain
