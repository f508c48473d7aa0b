"""Log return of equity."""

from __future__ import annotations

from wealtharena.envs.compiled import Float64, compiled
from wealtharena.envs.logarithm import log


@compiled
def log_return(
    ratio: float, before: float, after: float, first: float, second: float, rules: Float64
) -> tuple[float, float, float]:
    """Return log(V' / V)."""
    return log(ratio), first, second
