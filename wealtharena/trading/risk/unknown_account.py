"""A broker that does not say what is held. No order is sent at such a bar, with this rule or without."""

from __future__ import annotations

from wealtharena.config.specs.risk import UnknownAccountSpec


def blind(bars: int, rule: UnknownAccountSpec) -> bool:
    """Return whether the account has been unknown for more bars in a row than allowed."""
    return bars > rule.max_bars
