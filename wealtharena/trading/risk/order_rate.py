"""Orders a day."""

from __future__ import annotations

import numpy as np

from wealtharena.config.specs.risk import OrderRateSpec
from wealtharena.trading.situation import Breach, Situation


def check(now: Situation, rule: OrderRateSpec) -> Breach | None:
    """Return which orders may still open something: those that reduce come first, then symbols in their order.

    Orders that are rounding, as a tilt at rest gives at each bar, pass and do not count.
    """
    given = now.counted
    left = rule.max_orders - now.sent
    reduces = given & (now.reducing != 0.0)  # one that goes through zero opens too, and is held to the limit for that
    opens = given & ~reduces
    room = max(0, left - int(reduces.sum()))
    over = opens & (np.cumsum(opens) > room)
    over |= reduces & (now.increasing != 0.0) & (np.cumsum(reduces) > left)
    if now.sent + int(given.sum()) <= rule.max_orders:
        return None
    numbers = {"orders": float(now.sent + given.sum()), "max_orders": float(rule.max_orders)}
    return Breach(over, numbers, np.where(over, 0.0, now.increasing))
