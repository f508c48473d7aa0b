"""When Alpaca takes which order: auctions with their cut-off times, and what stands in for them.

The auction at the open (`opg`) is refused from 9:28 to 19:00 in New York, that at the close (`cls`) from 15:50, ten
minutes before the close on a half day, to 19:00; both take whole shares only. What is not an auction is said in the
order's note, and its price is recorded beside the one that the backtest would have paid.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from wealtharena.trading.broker import FillAt, NotYetError

NEW_YORK: Final = ZoneInfo("America/New_York")
_OPG_FROM, _OPG_TO = dt.time(9, 28), dt.time(19, 0)
_OPEN: Final = dt.time(9, 30)
_CLS_BEFORE_CLOSE: Final = dt.timedelta(minutes=10)
_NEAR_CLOSE: Final = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Clock:
    """The market's own clock."""

    now: dt.datetime
    is_open: bool
    next_close: dt.datetime

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Clock:
        """Return what /v2/clock answers."""
        now, close = (dt.datetime.fromisoformat(row[name]) for name in ("timestamp", "next_close"))
        if now.tzinfo is None or close.tzinfo is None or not isinstance(row["is_open"], bool):
            raise ValueError("a clock without a zone")
        return cls(now.astimezone(NEW_YORK), row["is_open"], close.astimezone(NEW_YORK))


@dataclass(frozen=True)
class Instruction:
    """How an order is sent."""

    time_in_force: str
    note: str = ""


def for_share(units: float, leg: int, *, fill: FillAt, daily: bool, clock: Clock) -> Instruction:
    """Return how a market order in a share is sent now; NotYetError until its window opens."""
    if not daily:
        return Instruction("day", "at once, for the open of the next bar")
    whole = units == int(units)
    return _at_open(whole, leg, clock) if fill == "next_open" else _at_close(whole, clock)


def _at_open(whole: bool, leg: int, clock: Clock) -> Instruction:
    if clock.is_open:
        return Instruction("day", "at once, for the second half" if leg > 1 else "at once: the open has passed")
    if not whole:
        return Instruction("day", "at the open without its auction, which takes whole shares")
    if _OPG_FROM <= clock.now.time() < _OPEN:
        return Instruction("day", "at the open without its auction, which is shut from 9:28")
    if _OPEN <= clock.now.time() < _OPG_TO:
        raise NotYetError("the auction at the open takes orders from 19:00 in New York")
    return Instruction("opg")


def _at_close(whole: bool, clock: Clock) -> Instruction:
    left = clock.next_close - clock.now
    if not whole:
        if clock.is_open and left <= _NEAR_CLOSE:
            return Instruction("day", "minutes before the close, whose auction takes whole shares")
        raise NotYetError("a part of a share is sent five minutes before the close")
    shut = left <= _CLS_BEFORE_CLOSE if clock.is_open else _OPEN <= clock.now.time() < _OPG_TO
    if shut:
        raise NotYetError("the auction at the close takes orders from 19:00 to ten minutes before it")
    return Instruction("cls")
