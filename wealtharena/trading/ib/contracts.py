"""Our symbols and orders as contracts and orders of Interactive Brokers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wealtharena.trading.situation import TOLERANCE

if TYPE_CHECKING:
    from wealtharena.trading.broker import Order

_VENUES: Final[Mapping[str, tuple[str, str]]] = {".AX": ("ASX", "AUD")}  # suffix -> primary exchange and currency
_UNITED_STATES: Final = ("", "USD")
_NOTICES: Final = (10349,)  # "Order TIF was set to DAY based on order preset"


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


def taken_of(one: Named, units: float) -> float:
    """Return what a gateway takes of an order, in units without a sign: of a share or a contract no part.

    A part may be held all the same, by a person's hand or a split; the whole ones can be closed then.

    >>> taken_of(named("SPY", "etf", {}), -10.5), taken_of(named("EURUSD", "forex", {}), 10.5)
    (10.0, 10.5)
    >>> taken_of(named("SPY", "etf", {}), 10.0 - 1e-9)  # ten, but for rounding
    10.0
    """
    return abs(units) if one.kind == "CASH" else float(int(abs(units) * (1.0 + TOLERANCE)))


def order_of(one: Named, order: Order, *, account: str, auctioned: bool, at_close: bool) -> Any:
    """Return an order as the package sends it: for an auction of shares, else at the market."""
    from ib_async import Order as Sent

    return Sent(
        action="BUY" if order.units > 0.0 else "SELL",
        totalQuantity=taken_of(one, order.units),
        orderType="MOC" if auctioned and at_close else "MKT",
        tif="OPG" if auctioned and not at_close else "DAY",
        orderRef=order.client_id,
        account=account,
        transmit=True,
    )


def leave_out_notices(wrapper: Any) -> None:
    """Keep messages from the package's receiver of them that it would take for the end of an order that lives on."""
    heard = wrapper.error

    def error(number: int, code: int, *told: Any) -> None:
        if code not in _NOTICES:
            heard(number, code, *told)

    wrapper.error = error
