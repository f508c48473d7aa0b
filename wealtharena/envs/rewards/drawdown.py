"""Log return less what deepens the drawdown."""

from __future__ import annotations

import math

from wealtharena.envs.compiled import compiled


@compiled
def drawdown(ratio: float, before: float, after: float, penalty: float) -> float:
    """Return log(ratio) - penalty * max(0, before - after); `before` and `after` are V / peak - 1, never positive."""
    return math.log(ratio) - penalty * max(0.0, before - after)
