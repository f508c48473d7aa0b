"""Prices that are too old to trade on."""

from __future__ import annotations

from wealtharena.config.specs.risk import StaleDataSpec
from wealtharena.trading.situation import Breach, Situation, of_symbols


def check(now: Situation, rule: StaleDataSpec) -> Breach | None:
    """Return the symbols, held or wanted, that have had no price for more bars than allowed."""
    old = (now.age > rule.max_bars) & ((now.units != 0.0) | (now.orders != 0.0))
    return of_symbols(now, old, {"bars": float(now.age[old].max(initial=0)), "max_bars": float(rule.max_bars)})
