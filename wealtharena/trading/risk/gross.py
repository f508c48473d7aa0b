"""All positions together: gross and net value over equity."""

from __future__ import annotations

import numpy as np

from wealtharena.config.specs.risk import GrossSpec
from wealtharena.trading.situation import TOLERANCE, Breach, Situation


def check(now: Situation, rule: GrossSpec) -> Breach | None:
    """Return what may be opened within the gross and the net limit; None where all may."""
    kept = (now.units + now.reducing) * now.marks
    added = now.increasing * now.marks
    gross, net = float(np.abs(kept).sum() + np.abs(added).sum()), float((kept + added).sum())
    share = _share(rule.max_gross * now.equity, float(np.abs(kept).sum()), float(np.abs(added).sum()))
    side = np.sign(net)
    same = np.sign(added) == side
    ahead, other = float(added[same].sum() * side), float((kept.sum() + added[~same].sum() * share) * side)
    net_share = _share(rule.max_net * now.equity, other, ahead)
    shares = np.where(same, min(share, net_share), share)
    if (shares == 1.0).all() or not added.any():
        return None
    numbers = {
        "gross": gross / now.equity, "max_gross": rule.max_gross, "net": net / now.equity, "max_net": rule.max_net,
    }  # fmt: skip
    return Breach(added != 0.0, numbers, now.increasing * shares)


def _share(limit: float, kept: float, added: float) -> float:
    """Return the share of what is added that stays within the limit, from 0 to 1."""
    if kept + added <= limit * (1.0 + TOLERANCE):
        return 1.0
    return max(0.0, (limit - kept) / added) if added > 0.0 else 1.0
