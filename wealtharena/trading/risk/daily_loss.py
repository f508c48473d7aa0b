"""Loss since the last close of the day before."""

from __future__ import annotations

from wealtharena.config.specs.risk import DailyLossSpec
from wealtharena.trading.situation import Breach, Situation, everything, lost


def check(now: Situation, rule: DailyLossSpec) -> Breach | None:
    """Return a breach of the whole account where the day has lost more than its limit."""
    loss = lost(now.equity, now.opening)
    return everything(now, {"loss": loss, "max_loss": rule.max_loss}) if loss > rule.max_loss else None
