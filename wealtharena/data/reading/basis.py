"""One basis a row: opens, highs and lows that are adjusted do not stand beside a close as traded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import is_adjusted
from wealtharena.data.reading.settled import Ledger


def bring_together(numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Bring adjusted opens, highs and lows, in place, to the basis of a close as traded, by its own adjusted close.

    Without an adjusted close nothing tells by how much they are adjusted, and they are left out.
    """
    roles = [role for role in ("open", "high", "low") if role in numbers and is_adjusted(found[role][0][0])]
    if not roles or is_adjusted(found["close"][0][0]):
        return
    shown = ", ".join(found[role][0][0] for role in roles)
    close = found["close"][0][0]
    if "adjclose" not in numbers:
        for role in roles:
            del numbers[role]
        ledger.note(f"{shown} {'is' if len(roles) == 1 else 'are'} adjusted and {close} is not: left out")
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = numbers["close"] / numbers["adjclose"]
    factor = factor.where(np.isfinite(factor) & (factor > 0))
    if (factor == 1.0).all():
        return
    numbers[roles] = numbers[roles].mul(factor, axis=0)
    ledger.note(
        f"{shown} are adjusted and are brought to the basis of {close}, by {close} over {found['adjclose'][0][0]}"
    )
