"""A risk rule: no more symbols held at once than a person can watch."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from wealtharena.config.specs.risk import RuleSpec
from wealtharena.trading.situation import Breach, Situation, of_symbols


class Rule(RuleSpec):
    """What `risk.own.few` is asked for."""

    action: Literal["skip"]
    symbols: int = Field(ge=1, description="held at once")


def check(now: Situation, rule: Rule) -> Breach | None:
    """Return a breach by the symbols that would be opened beyond the number; None where there are none."""
    opened = (now.units == 0.0) & (now.increasing != 0.0)
    room = rule.symbols - int((now.units != 0.0).sum())
    order = np.argsort(-np.abs(now.increasing) * now.marks, kind="stable")
    over = np.zeros(len(now.symbols), dtype=np.bool_)
    over[[place for place in order if opened[place]][max(room, 0) :]] = True
    return of_symbols(
        now, over, {"symbols": float((now.units != 0.0).sum() + opened.sum()), "limit": float(rule.symbols)}
    )
