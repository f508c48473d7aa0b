"""Prices that moved too far in one bar to be believed."""

from __future__ import annotations

import numpy as np

from wealtharena.config.specs.risk import PriceJumpSpec
from wealtharena.trading.situation import Breach, Situation, of_symbols


def check(now: Situation, rule: PriceJumpSpec) -> Breach | None:
    """Return the symbols, held or wanted, whose price moved further than allowed since the bar before."""
    jumped = (np.abs(now.moves) > rule.max_move) & ((now.units != 0.0) | (now.orders != 0.0))
    worst = float(np.abs(now.moves[jumped]).max(initial=0.0))
    return of_symbols(now, jumped, {"move": worst, "max_move": rule.max_move})
