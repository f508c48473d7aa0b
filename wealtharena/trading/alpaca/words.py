"""Alpaca's names for things in ours: symbols, statuses of orders, activities."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from wealtharena.trading.alpaca.client import number
from wealtharena.trading.alpaca.windows import NEW_YORK
from wealtharena.trading.broker import BookedOrder, Event, EventKind, OrderStatus

_ENDED: Final[Mapping[str, OrderStatus]] = {
    "filled": "filled", "canceled": "cancelled", "expired": "expired", "rejected": "rejected", "replaced": "cancelled",
}  # fmt: skip
_DONE: Final = ("done_for_day", "calculated")  # nothing more is executed today: the end of what is good for the day
# https://docs.alpaca.markets/docs/account-activities; what is none of these is kept as it is told.
_KINDS: Final[Mapping[str, EventKind]] = {
    "CGD": "dividend", "DIVFEE": "fee", "FEE": "fee", "PTC": "fee", "PTR": "fee",
    "INT": "interest", "INTNRA": "interest", "INTTW": "interest", "SPLIT": "split", "SSP": "split", "CIL": "split",
    "CSD": "transfer", "CSW": "transfer", "JNL": "transfer", "JNLC": "transfer", "JNLS": "transfer", "OCT": "transfer",
    "TRANS": "transfer", "ACATC": "transfer", "ACATS": "transfer", "FOPT": "transfer", "MEM": "transfer",
    "MA": "other", "NC": "other", "REO": "other", "REORG": "other", "SC": "other", "SPIN": "other", "SSO": "other",
}  # fmt: skip
# Executions are asked for by themselves, coins' fees are seen in what is held when they are taken, and listed at the day's end.
_TOLD_ELSEWHERE: Final = ("FILL", "CFEE")
_NO_EXECUTIONS: Final = ("trade_bust", "trade_correct")  # words on one that was told before, under ids of their own
_MONEY: Final = "USD"
_NEARLY: Final = 1e-9


class Symbols:
    """Our symbols and Alpaca's: BRK-B is BRK.B, BTC-USD is BTC/USD in orders, BTCUSD in positions and BTC on its chain."""

    def __init__(self, ours: Iterable[str], *, coins: bool) -> None:
        self.coins = coins
        self._theirs = {name: name.replace("-", "/" if coins else ".") for name in ours}
        self._ours = {theirs: name for name, theirs in self._theirs.items()}
        self._ours |= {theirs.replace("/", ""): name for name, theirs in self._theirs.items()}
        self._ours |= {theirs.partition("/")[0]: name for name, theirs in self._theirs.items() if coins}

    def theirs(self, name: str) -> str:
        """Return Alpaca's name; ours where it is not one of those that are traded."""
        return self._theirs.get(name, name)

    def ours(self, name: str) -> str:
        """Return our name of either of Alpaca's; a stranger keeps its own."""
        return self._ours.get(name, name)


def told_of_assets(
    found: Mapping[str, Mapping[str, Any] | None], *, whole: Callable[[str], bool], shorts: bool
) -> list[str]:
    """Return in words which shares Alpaca does not trade as they are to be traded, a sentence a reason.

    `found` holds what it tells of each by our name, None of one that it does not know; `whole` says of which only whole ones are
    ordered, `shorts` whether any may be sold short.
    """
    unknown = [name for name, row in found.items() if row is None]
    known = {name: row for name, row in found.items() if row is not None}
    halted = [
        name for name, row in known.items() if row.get("tradable") is False or row.get("status", "active") != "active"
    ]
    parts = [name for name, row in known.items() if row.get("fractionable") is False and not whole(name)]
    kept = [name for name, row in known.items() if row.get("shortable") is False] if shorts else []
    lots = ", ".join(f"{name}: 1" for name in parts)
    told = (
        (unknown, "does not know {}: each order is refused; leave it out of data.symbols"),
        (halted, "does not trade {} at present: each order is refused"),
        (
            parts,
            f"trades {{}} in whole shares only: orders for parts are refused; add '+asset.instrument.lot_sizes={{{{{lots}}}}}'",
        ),
        (kept, "lends no {} at present: orders to sell short are refused"),
    )
    return [f"Alpaca {words.format(', '.join(names))}." for names, words in told if names]


def told_of_steps(
    found: Mapping[str, Mapping[str, Any] | None], *, lot: Callable[[str], float], finest: float
) -> list[str]:
    """Return in words which symbols Alpaca trades in steps that our lots do not fit; nothing where it tells no step."""
    steps: dict[str, float] = {}
    for name, row in found.items():
        try:
            step = number((row or {}).get("min_trade_increment") or 0.0)
        except (TypeError, ValueError):
            continue
        steps_a_lot = (lot(name) or finest) / step if step > 0.0 else 1.0
        if abs(steps_a_lot - round(steps_a_lot)) > _NEARLY * steps_a_lot:
            steps[name] = step
    lots = ", ".join(f"{name}: {step:.9f}".rstrip("0").rstrip(".") for name, step in steps.items())
    way = f"'+asset.instrument.lot_sizes={{{lots}}}'"
    return (
        [f"Alpaca trades {', '.join(steps)} in larger steps: orders between them are refused; add {way}."]
        if steps
        else []
    )


def booked_order(row: Mapping[str, Any], symbols: Symbols, *, note: str = "") -> BookedOrder:
    """Return an order as Alpaca tells it, its sign that of its side; KeyError or ValueError where it is not one.

    One of several legs, such as a person's spread of options, has a side and a symbol in each leg only: it is named by them.
    """
    if row.get("order_class") == "mleg":
        names = " ".join(str(leg["symbol"]) for leg in row.get("legs") or ())
        row = {**row, "side": row.get("side") or "buy", "symbol": row.get("symbol") or names or "several legs"}
    sign = {"buy": 1.0, "sell": -1.0}[row["side"]]
    filled, status = abs(number(row["filled_qty"] or 0.0)), str(row["status"])
    ended = _ENDED.get(status)
    units = abs(number(row["qty"])) if row["qty"] is not None else filled
    if status in _DONE and row.get("time_in_force") != "gtc":
        ended = "filled" if filled >= units else "expired"
    if ended not in (None, "filled") and filled > 0.0:
        ended = "partly"
    return BookedOrder(
        str(row["client_order_id"]),
        symbols.ours(str(row["symbol"])),
        sign * units,
        sign * filled,
        ended or "open",
        note,
    )


def sequence_of(row: Mapping[str, Any]) -> int:
    """Return when an activity happened, in microseconds since 1970: as an execution says, else as its id begins.

    Ids such as 20220202135509981::... are in New York's time and sort by it, which is how pages of them are asked for; that
    of a deposit, a dividend or a fee is the midnight at which its day begins, however late on that day it was booked.
    """
    if row.get("transaction_time"):
        told = dt.datetime.fromisoformat(row["transaction_time"])
        if told.tzinfo is None:
            raise ValueError("a time without a zone")
        return int(told.timestamp() * 1_000_000)
    stamp = str(row["id"]).partition("::")[0]
    at = dt.datetime.strptime(stamp[:14], "%Y%m%d%H%M%S").replace(tzinfo=NEW_YORK)
    return int(at.timestamp()) * 1_000_000 + int(stamp[14:17] or 0) * 1_000


def counts(row: Mapping[str, Any]) -> bool:
    """Return whether an activity is an event that has changed the account, or did until it was taken back: not one to come."""
    return row["activity_type"] not in _TOLD_ELSEWHERE and row.get("status") != "pending"


def executes(row: Mapping[str, Any]) -> bool:
    """Return whether an activity is an execution of its own: not one that was broken, or told with another price, afterwards."""
    return row.get("type") not in _NO_EXECUTIONS


def event_of(row: Mapping[str, Any], symbols: Symbols) -> Event:
    """Return an activity that is no execution; a kind that is not known keeps its units and its cash.

    Cash in another currency is no number of dollars, and Alpaca tells no rate: what it came to is seen in the account.
    """
    kind = _kind_of(row)
    cash = number(row.get("net_amount") or 0.0) if (row.get("currency") or _MONEY) == _MONEY else 0.0
    moves = kind in ("split", "transfer", "other")  # a dividend names the units that it was paid on
    return Event(
        sequence_of(row),
        str(row["id"]),
        kind,
        symbols.ours(str(row.get("symbol") or "")),
        number(row.get("qty") or 0.0) if moves and row.get("symbol") else 0.0,
        cash,
        taken_back=row.get("status") == "canceled",
    )


def _kind_of(row: Mapping[str, Any]) -> EventKind:
    """Return the kind of an activity; new types of dividends begin as the old ones do, or tell what was paid on a share."""
    told = str(row["activity_type"])
    if row.get("activity_sub_type") == "SDIV" and not number(row.get("net_amount") or 0.0):
        return "split"  # a dividend in shares, which come as those of a split do
    paid = told.startswith("DIV") or number(row.get("per_share_amount") or 0.0) != 0.0
    return _KINDS.get(told, "dividend" if paid else "other")
