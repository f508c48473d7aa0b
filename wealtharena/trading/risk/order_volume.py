"""An order against the volume of the bar that it is decided on."""

from __future__ import annotations

import numpy as np

from wealtharena.config.specs.risk import OrderVolumeSpec
from wealtharena.trading.situation import Breach, Situation, capped


def check(now: Situation, rule: OrderVolumeSpec) -> Breach | None:
    """Return what may be opened within a share of the volume; None where all may, or no volume is known."""
    most = rule.max_share * now.volume
    share = np.abs(now.increasing) / np.where(now.volume > 0.0, now.volume, 1.0)
    return capped(now, most, {"share": float(share.max(initial=0.0)), "max_share": rule.max_share})
