"""The contract of a broker. One that cannot say something answers None, or raises UnreachableError: never a guess."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from wealtharena.errors import WealthArenaError

if TYPE_CHECKING:
    from wealtharena.config.specs.broker import BrokerSpec
    from wealtharena.config.specs.env import EnvSpec
    from wealtharena.envs.market import Market

OrderStatus = Literal["open", "filled", "partly", "expired", "cancelled", "rejected"]
EventKind = Literal["split", "dividend", "fee", "interest", "transfer", "other"]
FillAt = Literal["next_open", "next_close"]


class RejectedError(WealthArenaError):
    """The broker has refused an order for good: it is not booked and never will be.

    `funds` says that the money was not enough, so that a smaller one may pass.
    """

    def __init__(self, message: str, *, hint: str = "", funds: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.funds = funds


class UnreachableError(WealthArenaError):
    """No answer came: what was asked for may have been done or not."""


class UntoldError(UnreachableError):
    """The broker does not say whether it has an order, now or ever: it may have been carried out or not."""


class NotYetError(WealthArenaError):
    """The venue takes this order at another time: it is not booked, and may be sent again then."""


class RefusedError(WealthArenaError):
    """The server at the other end is not the one that may be traded with, or does not know us."""

    exit_code = 2


@dataclass(frozen=True)
class Capabilities:
    """What a broker can do."""

    sends: bool  # False: orders are recorded only
    embedded: bool  # its orders are filled by `advance`, from the bars of the feed
    keeps: bool = False  # what it acknowledges is kept by `keep`, with the bar; else at once
    flips: bool = True  # one order may go through zero; else it takes two, the second once the first is filled
    announces: bool = False  # is told the weights of every decision
    fee_in_kind: float = 0.0  # largest share of what is bought that is kept as a fee without being told as a fill
    dust: float = 0.0  # units; what differs by less is rounding
    least: float = 0.0  # account currency; an order that opens something and is worth less is refused there


@dataclass(frozen=True)
class Account:
    """Money in an account at the last close, in account currency; charges are those since the close before.

    A broker leaves the charges to `charges`. One outside knows no bars: it leaves `bar` and `peak` empty too, and the
    ledger fills them in.
    """

    equity: float
    cash: float
    bar: str = ""
    peak: float = 0.0
    liquidated: bool = False
    traded: float = 0.0
    costs: float = 0.0
    financing: float = 0.0
    dividends: float = 0.0
    flow: float = 0.0  # what came into the account from outside, or went, with a sign
    told: float | None = None  # cash as a broker outside tells it, where `cash` is what equity has beside the marks
    number: str = ""  # that a broker outside has given it
    foreign: Mapping[str, float] = field(
        default_factory=dict
    )  # cash in other currencies, in their own, where it is told
    rates: Mapping[str, float] = field(default_factory=dict)  # of those in account currency


@dataclass(frozen=True)
class Order:
    """An order at the next bar, in units with a sign; `leg` is 2 for the second half of one that goes through zero.

    One that is `urgent` waits for no bar and no auction that could be waited for: everything is to be closed.
    """

    client_id: str
    symbol: str
    units: float
    leg: int = 1
    urgent: bool = False


@dataclass(frozen=True)
class BookedOrder:
    """An order as the broker has it; `note` says where it was carried out otherwise than the backtest assumes."""

    client_id: str
    symbol: str
    units: float
    filled: float
    status: OrderStatus
    note: str = ""


@dataclass(frozen=True)
class Fill:
    """An execution; `client_id` is None where the broker closed something by itself, `bar` is empty where it knows none."""

    sequence: int
    execution_id: str
    client_id: str | None
    bar: str
    symbol: str
    units: float
    price: float  # in account currency, what a unit is worth
    quote: float  # as the market quotes it
    cost: float


@dataclass(frozen=True)
class Event:
    """What changed an account without an execution: `units` of `symbol` and `cash`, both with a sign.

    One that was `taken_back` since changes it no more, and undoes what is booked of it.
    """

    sequence: int
    event_id: str
    kind: EventKind
    symbol: str
    units: float
    cash: float
    taken_back: bool = False


BROKER_METHODS: Final = (
    "advance account charges positions submit cancel order_by_client_id open_orders fills events cursor announce stream"
    " keep close"
)


class Broker(Protocol):
    """Carries orders out. Every call but `submit` and `cancel` may be repeated at will.

    An implementer holds: an order is booked once a client id, whatever is asked how often; an answer is complete or it
    is UnreachableError; nothing it says carries a key; calls come one at a time, from whatever thread. A caller may assume
    nothing of an order whose `submit` raised UnreachableError, and asks `order_by_client_id`, which knows orders in every
    status. It may have one method more, `warned`, for whoever starts an account: sentences on what of its symbols is not
    traded there as it is to be.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def advance(self, market: Market) -> None:
        """Go to the last close of this market, filling what is due on the way; brokers outside do nothing."""

    def account(self) -> Account:
        """Return the money; UnreachableError where there is no answer."""

    def charges(self, since: str) -> Mapping[str, float]:
        """Return what was charged at the bars after `since`, by the names that Account has for it.

        Nothing at brokers outside, which know no bars: there it follows from executions and events.
        """

    def positions(self) -> Mapping[str, float] | None:
        """Return the units held by symbol, without zeros; None where that is not known."""

    def submit(self, order: Order) -> BookedOrder:
        """Book an order, once a client id however often it is asked.

        RejectedError for good, NotYetError until the venue takes it, UnreachableError where the outcome is unknown.
        """

    def cancel(self, client_id: str) -> None:
        """Ask for an order back that is still open; a fill may win. Nothing happens to any other."""

    def order_by_client_id(self, client_id: str) -> BookedOrder | None:
        """Return the order in whatever status, None where it was never booked; UntoldError where that is never said."""

    def open_orders(self) -> Sequence[BookedOrder]:
        """Return the orders that may still be filled, whoever gave them."""

    def fills(self, since: int) -> Sequence[Fill]:
        """Return every execution after sequence number `since`, oldest first; some of before may be told again."""

    def events(self, since: int) -> Sequence[Event]:
        """Return what changed the account otherwise after sequence number `since`, oldest first, likewise."""

    def cursor(self) -> int:
        """Return the sequence number of now: what `fills` and `events` tell for it now belongs to no account that opens here."""

    def announce(self, bar: str, weights: Mapping[str, float]) -> None:
        """Tell the weights that were decided on; brokers that take orders only do nothing."""

    def stream(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from another thread, whenever the broker says that something happened.

        A hint and no more: what counts is asked for. Brokers that say nothing by themselves do nothing.
        """

    def keep(self) -> None:
        """Keep what was acknowledged, over a kill and a loss of power; brokers outside have done so."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, eq=False)
class Opening:
    """What a broker is opened with; `symbols` and `fill` are empty only where nothing but the books is asked for."""

    folder: Path  # of the account
    env: EnvSpec
    epoch: int
    synchronous: str
    spec: BrokerSpec | None = None
    symbols: tuple[str, ...] = ()
    market: str = ""  # class of the assets
    currency: str = ""  # in which the account is counted here
    fill: FillAt = "next_open"
    daily: bool = True  # a bar is a session
    allow_live: bool = False
    wait: Callable[[float], None] = field(default=time.sleep)


FINAL: Final = ("filled", "partly", "expired", "cancelled", "rejected")  # statuses that no broker changes any more
