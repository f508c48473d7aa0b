"""One position: its value over equity."""

from __future__ import annotations

import numpy as np

from wealtharena.config.specs.risk import SymbolWeightSpec
from wealtharena.trading.situation import Breach, Situation, capped


def check(now: Situation, rule: SymbolWeightSpec) -> Breach | None:
    """Return what may be opened until a position has its largest weight; None where none gets larger."""
    priced = now.marks > 0.0
    most = np.where(priced, rule.max_weight * now.equity / np.where(priced, now.marks, 1.0), 0.0)
    room = np.maximum(most - np.abs(now.units + now.reducing), 0.0)
    worst = float(np.max(np.abs(now.units + now.orders) * now.marks, initial=0.0) / now.equity)
    return capped(now, room, {"weight": worst, "max_weight": rule.max_weight})
