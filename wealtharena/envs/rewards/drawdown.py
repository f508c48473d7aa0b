"""Log return less what deepens the drawdown."""

from __future__ import annotations

from wealtharena.envs.compiled import Float64, compiled
from wealtharena.envs.logarithm import log
from wealtharena.envs.vector import RULE


@compiled
def drawdown(
    ratio: float, before: float, after: float, first: float, second: float, rules: Float64
) -> tuple[float, float, float]:
    """Return log(ratio) - penalty * max(0, before - after): what deepens the drawdown costs, what lasts does not."""
    return log(ratio) - rules[RULE.drawdown_penalty] * max(0.0, before - after), first, second
