"""Money and units that came into an account from outside, or went: neither profit nor loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wealtharena.trading.broker import Account, Fill
from wealtharena.trading.guard import Intervention

RULE: Final = "flow"
_LEAST: Final = 0.02  # of equity; less may be a dividend, interest, a fee that the broker does not tell
_APART: Final = 0.25  # of a jump, by which cash as it is told and cash as equity and marks have it may be apart


def told(events: Sequence[Mapping[str, Any]], marks: Mapping[str, float]) -> float:
    """Return what the transfers among a bar's events came to, in account currency, with a sign."""
    return float(
        sum(one["cash"] + one["units"] * marks.get(one["symbol"], 0.0) for one in events if one["kind"] == "transfer")
    )


def valued(now: Account) -> dict[str, tuple[float, float]]:
    """Return an account's cash in other currencies and its rates, by currency."""
    return {name: (cash, now.rates[name]) for name, cash in sorted(now.foreign.items()) if name in now.rates}


def revalued(before: Mapping[str, Sequence[float]], now: Account) -> float:
    """Return what rates of exchange made of cash in other currencies since the close before: a profit or loss, and no flow.

    `before` is what was `valued` then.
    """
    return sum(cash * (now.rates[name] - rate) for name, (cash, rate) in before.items() if name in now.rates)


def untold(
    before: Mapping[str, Any] | None,
    now: Account,
    fills: Sequence[Fill],
    events: Sequence[Mapping[str, Any]],
    *,
    gaps: Mapping[str, float],
    marks: Mapping[str, float],
    abroad: float = 0.0,
) -> float:
    """Return the flow since the close before that no event tells of: a jump of cash that nothing explains; 0 for none.

    It has to stand in the cash that the broker tells and in what equity has beside the marks. A loss that the broker sees
    before our prices do stands in the second only, the settlement of a future in the first, and neither is a flow. Units
    that no execution explains (`gaps`) count at their marks, so that what was bought with the cash that went is none; those
    that an event told of and that never came have not gone either.
    Nor is what rates made of cash in other currencies (`abroad`).
    What is told later as a transfer is taken back here then.
    """
    if before is None or before["told"] is None or now.told is None:
        return 0.0
    explained = abroad + sum(one["cash"] for one in events) - sum(one.units * one.price + one.cost for one in fills)
    jumps = (now.told - before["told"] - explained, now.cash - before["cash"] - explained)
    smaller, larger = sorted(jumps, key=abs)
    agreed = smaller if abs(larger - smaller) <= _APART * abs(larger) else 0.0
    moved = _moved(gaps, events)
    jump = float(agreed + sum(units * marks.get(name, 0.0) for name, units in moved.items()))
    return jump if abs(jump) > _LEAST * abs(now.equity) else 0.0


def _moved(gaps: Mapping[str, float], events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the gaps less what takes back units of an event, which a transfer alone counts as a flow: they were never held."""
    told: dict[str, float] = {}
    for one in events if gaps else ():
        if one["kind"] != "transfer":
            told[one["symbol"]] = told.get(one["symbol"], 0.0) + one["units"]
    never = {name: abs(told.get(name, 0.0)) if gap * told.get(name, 0.0) < 0.0 else 0.0 for name, gap in gaps.items()}
    return {name: math.copysign(max(0.0, abs(gap) - never[name]), gap) for name, gap in gaps.items()}


def noted(jump: float) -> list[Intervention]:
    """Return what is written of a flow that no event tells of."""
    return [Intervention(RULE, "came" if jump > 0.0 else "went", (), {"cash": jump})] if jump else []


def words(one: Intervention) -> str:
    """Return what people are told of it."""
    return (
        f"{abs(one.numbers['cash']):,.2f} that no execution, dividend, interest or fee explains. It counts as a deposit or "
        "a withdrawal, not as profit or loss."
    )
