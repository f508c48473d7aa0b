"""The contract of a broker. One that cannot say something answers None, or raises UnreachableError: never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from wealtharena.envs.market import Market
from wealtharena.errors import WealthArenaError

OrderStatus = Literal["open", "filled", "partly", "expired", "cancelled"]


class RejectedError(WealthArenaError):
    """The broker has refused an order for good: it is not booked and never will be."""


class UnreachableError(WealthArenaError):
    """No answer came: what was asked for may have been done or not."""


@dataclass(frozen=True)
class Capabilities:
    """What a broker can do."""

    sends: bool  # False: orders are recorded only
    embedded: bool  # its orders are filled by `advance`, from the bars of the feed


@dataclass(frozen=True)
class Account:
    """Money in an account at the last close, in account currency; charges are those of the last bar."""

    bar: str
    equity: float
    cash: float
    peak: float
    liquidated: bool
    traded: float = 0.0
    costs: float = 0.0
    financing: float = 0.0
    dividends: float = 0.0


@dataclass(frozen=True)
class Order:
    """An order at the next bar, in units with a sign."""

    client_id: str
    symbol: str
    units: float


@dataclass(frozen=True)
class BookedOrder:
    """An order as the broker has it."""

    client_id: str
    symbol: str
    units: float
    filled: float
    status: OrderStatus


@dataclass(frozen=True)
class Fill:
    """An execution; `client_id` is None where the broker closed something by itself."""

    sequence: int
    execution_id: str
    client_id: str | None
    bar: str
    symbol: str
    units: float
    price: float  # in account currency, what a unit is worth
    quote: float  # as the market quotes it
    cost: float


class Broker(Protocol):
    """Carries orders out. Every call but `submit` and `cancel` may be repeated at will."""

    @property
    def capabilities(self) -> Capabilities: ...

    def advance(self, market: Market) -> None:
        """Go to the last close of this market, filling what is due on the way; brokers outside do nothing."""

    def account(self) -> Account:
        """Return the money; UnreachableError where there is no answer."""

    def positions(self) -> Mapping[str, float] | None:
        """Return the units held by symbol, without zeros; None where that is not known."""

    def submit(self, order: Order) -> BookedOrder:
        """Book an order, once a client id however often it is asked; RejectedError, or UnreachableError where the outcome is unknown."""

    def cancel(self, client_id: str) -> None:
        """Take an order back that is still open; nothing happens to any other."""

    def order_by_client_id(self, client_id: str) -> BookedOrder | None:
        """Return the order in whatever status, None where it was never booked."""

    def open_orders(self) -> Sequence[BookedOrder]:
        """Return the orders that may still be filled."""

    def fills(self, since: int) -> Sequence[Fill]:
        """Return every execution after sequence number `since`, oldest first."""

    def close(self) -> None:
        """Let go of files and connections."""
