"""Loss since the highest equity."""

from __future__ import annotations

from wealtharena.config.specs.risk import DrawdownSpec
from wealtharena.trading.situation import Breach, Situation, everything, lost


def check(now: Situation, rule: DrawdownSpec) -> Breach | None:
    """Return a breach of the whole account where it is further below its peak than allowed."""
    depth = lost(now.equity, now.peak)
    return (
        everything(now, {"drawdown": depth, "max_drawdown": rule.max_drawdown}) if depth > rule.max_drawdown else None
    )
