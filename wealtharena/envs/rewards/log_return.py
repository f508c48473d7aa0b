"""Log return of equity."""

from __future__ import annotations

import math

from wealtharena.envs.compiled import compiled


@compiled
def log_return(ratio: float) -> float:
    """Return log(V' / V); `ratio` is V' / V, at least 1e-6."""
    return math.log(ratio)
