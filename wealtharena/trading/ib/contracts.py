"""Our symbols as contracts of Interactive Brokers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_VENUES: Final[Mapping[str, tuple[str, str]]] = {".AX": ("ASX", "AUD")}  # suffix -> primary exchange and currency
_UNITED_STATES: Final = ("", "USD")


@dataclass(frozen=True)
class Named:
    """A contract by what tells it apart from others in orders, positions and executions."""

    symbol: str
    kind: str  # STK, CASH, FUT
    currency: str
    exchange: str = "SMART"
    primary: str = ""
    month: str = ""
    multiplier: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Return what a position names; the day of expiry, where it is told, counts as its month."""
        return self.symbol, self.kind, self.currency, self.month[:6]


def named(name: str, market: str, futures: Mapping[str, str]) -> Named | None:
    """Return the contract of a symbol; None where it is a future whose month is not set.

    `futures` holds lines such as `GC/COMEX/USD/202606/100`: symbol, exchange, currency, month, multiplier.

    >>> named("BHP.AX", "stocks", {}).key, named("EURUSD", "forex", {}).key
    (('BHP', 'STK', 'AUD', ''), ('EUR', 'CASH', 'USD', ''))
    """
    if market == "forex":
        return Named(name[:3], "CASH", name[3:6], "IDEALPRO")
    if market == "commodities":
        if name not in futures:
            return None
        symbol, exchange, currency, month, multiplier = futures[name].split("/")
        return Named(symbol, "FUT", currency, exchange, "", month, multiplier)
    suffix = name[name.rfind(".") :] if "." in name else ""
    primary, currency = _VENUES.get(suffix, _UNITED_STATES)
    return Named(name.removesuffix(suffix).replace("-", " "), "STK", currency, "SMART", primary)


def contract_of(one: Named) -> Any:
    """Return a contract as the package sends it."""
    from ib_async import Contract

    return Contract(
        secType=one.kind, symbol=one.symbol, currency=one.currency, exchange=one.exchange,
        primaryExchange=one.primary, lastTradeDateOrContractMonth=one.month, multiplier=one.multiplier,
    )  # fmt: skip
