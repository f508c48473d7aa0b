"""An account at Alpaca behind the contract of a broker."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from wealtharena.trading.alpaca.client import UNREADABLE, Client, StatusError, number, rows
from wealtharena.trading.alpaca.stream import Stream
from wealtharena.trading.alpaca.windows import Clock, Instruction, for_share
from wealtharena.trading.alpaca.words import (
    Symbols,
    booked_order,
    counts,
    event_of,
    executes,
    sequence_of,
    told_of_assets,
    told_of_steps,
)
from wealtharena.trading.broker import (
    Account,
    BookedOrder,
    Capabilities,
    Event,
    Fill,
    FillAt,
    NotYetError,
    Opening,
    Order,
    RejectedError,
    UnreachableError,
)
from wealtharena.trading.locks import Keys, Reported, check_account, check_currency

if TYPE_CHECKING:
    from wealtharena.envs.market import Market
    from wealtharena.trading.brokers.alpaca import Settings

T = TypeVar("T")
_PAGE: Final = 100
_ORDERS: Final = 500
_LOOK_BACK: Final = dt.timedelta(hours=1)  # what is told late may lie behind what is booked
_DAYS_BACK: Final = dt.timedelta(days=7)  # the same of what is dated by its day, and told when that is long over
_DECIMALS: Final = 9
_SAME: Final = 1e-6  # of an order; what differs by less is rounding
_NOT_FOUND: Final = 404
_NOT_UNIQUE: Final = 40010001  # and much else that is wrong with a request
_TAKEN: Final = "client_order_id must be unique"


class AlpacaBroker:
    """One account. Every fact is asked of the server; nothing is kept but names."""

    def __init__(self, opening: Opening, settings: Settings, keys: Keys) -> None:
        self._opening, self._settings, self._keys = opening, settings, keys
        self._symbols = Symbols(opening.symbols, coins=opening.market == "crypto")
        self._client = Client(
            keys, settings.endpoint,
            timeout_seconds=settings.timeout_seconds,
            attempts=settings.attempts,
            backoff_seconds=settings.backoff_seconds,
            wait=opening.wait,
        )  # fmt: skip
        coins = self._symbols.coins
        self.capabilities = Capabilities(
            sends=True, embedded=False, flips=False,
            fee_in_kind=settings.coin_fee if coins else 0.0,
            least=settings.least_coin_order if coins else settings.least_share_order,
            dust=1e-7,  # executions are told to nine digits, and what they lack adds up
        )  # fmt: skip
        self._owners: dict[str, str] = {}  # of orders, by Alpaca's id
        self._heard: Stream | None = None
        try:
            number_, currency = self._asked("/account", _named)
            self._check(number_)
            check_currency(opening.currency, currency)
        except BaseException:
            self._client.close()
            raise

    def _check(self, number_: str) -> None:
        """Raise RefusedError unless the account of this number is the one that may be traded."""
        check_account(
            self._settings, Reported(number_, live=not number_.startswith("PA")), allow_live=self._opening.allow_live
        )

    def keep(self) -> None:
        """Do nothing: what was acknowledged is kept there."""

    def close(self) -> None:
        """Let go of connections."""
        if self._heard is not None:
            self._heard.close()
        self._client.close()

    def advance(self, market: Market) -> None:
        """Do nothing: the market goes on by itself."""

    def announce(self, bar: str, weights: Mapping[str, float]) -> None:
        """Do nothing: orders are all that is wanted."""

    # --- what there is

    def account(self) -> Account:
        """Return the money; an account that may not trade is none to rely on."""

        def read(row: Mapping[str, Any]) -> Account:
            number_, currency = _named(row)
            self._check(number_)
            if currency != "USD":
                raise UnreachableError(f"alpaca: the account is kept in {currency}")
            shut = [name for name in ("trading_blocked", "account_blocked") if row[name]]
            if row["status"] != "ACTIVE" and not (self._symbols.coins and row.get("crypto_status") == "ACTIVE"):
                shut.append(f"status={row['status']}")  # of shares; that of coins has a name of its own
            if shut:
                raise UnreachableError(f"alpaca: the account is blocked ({', '.join(shut)}): ask Alpaca why")
            return Account(equity=number(row["equity"]), cash=number(row["cash"]), number=number_)

        return self._asked("/account", read)

    def charges(self, since: str) -> Mapping[str, float]:
        """Return nothing: no bars are known here."""
        return {}

    def positions(self) -> Mapping[str, float] | None:
        """Return the units held by symbol; UnreachableError where there is no answer, never an empty guess."""

        def read(answer: Any) -> dict[str, float]:
            found: dict[str, float] = {}
            for row in rows(answer):
                sign = {"long": 1.0, "short": -1.0}[row["side"]]
                name = self._symbols.ours(str(row["symbol"]))
                found[name] = found.get(name, 0.0) + sign * abs(number(row["qty"]))
            return {name: units for name, units in found.items() if units}

        return self._asked("/positions", read)

    def order_by_client_id(self, client_id: str) -> BookedOrder | None:
        """Return the order in whatever status, None where Alpaca itself says that there is none."""
        try:
            return self._client.get("/orders:by_client_order_id", self._booked, {"client_order_id": client_id})
        except StatusError as error:
            if error.status == _NOT_FOUND:
                return None
            raise UnreachableError(f"alpaca: {error}") from None

    def _booked(self, row: Mapping[str, Any], note: str = "") -> BookedOrder:
        booked = booked_order(row, self._symbols, note=note)
        self._owners[str(row["id"])] = booked.client_id
        return booked

    def open_orders(self) -> Sequence[BookedOrder]:
        """Return the orders that may still be filled."""
        found: dict[str, BookedOrder] = {}
        until: str | None = None
        while True:
            params = {"status": "open", "limit": _ORDERS, "direction": "desc"} | ({"until": until} if until else {})
            page = self._asked("/orders", lambda answer: [(row, self._booked(row)) for row in rows(answer)], params)
            before = len(found)
            found.update((str(row["id"]), booked) for row, booked in page)
            if len(page) < _ORDERS or len(found) == before:
                return list(found.values())
            until = str(page[-1][0]["submitted_at"])

    def warned(self) -> list[str]:
        """Return in words what cannot be traded now as it is to be; nothing where Alpaca does not say."""
        found: dict[str, Mapping[str, Any] | None] = {}
        for name in self._opening.symbols:
            try:
                found[name] = self._client.get(f"/assets/{self._symbols.theirs(name).replace('/', '')}", dict)
            except StatusError as error:
                if error.status != _NOT_FOUND or "asset not found" not in error.message.lower():
                    return []
                if not self._symbols.coins:  # asked for by a name that Alpaca may not know, though it trades the coin
                    found[name] = None
            except UnreachableError:
                return []
        env = self._opening.env
        steps = told_of_steps(found, lot=env.instrument.lot_of, finest=10**-_DECIMALS)
        return steps + told_of_assets(found, whole=env.instrument.is_whole, shorts=not env.limits.long_only)

    # --- orders

    def submit(self, order: Order) -> BookedOrder:
        """Send an order once; whatever is not a refusal of Alpaca's own leaves its outcome unknown."""
        instruction = self._instruction(order)
        units = f"{abs(order.units):.{_DECIMALS}f}".rstrip("0").rstrip(".")
        if units in ("0", ""):
            raise RejectedError(f"{order.symbol}: less than a billionth of a unit", hint="leave it")
        body = {
            "symbol": self._symbols.theirs(order.symbol),
            "qty": units,
            "side": "buy" if order.units > 0.0 else "sell",
            "type": "market",
            "time_in_force": instruction.time_in_force,
            "client_order_id": order.client_id,
        }
        try:
            return self._booked(self._client.once("POST", "/orders", body), instruction.note)
        except StatusError as error:
            refusal = error
        except UNREADABLE:
            raise UnreachableError("alpaca: the order was answered with something else") from None
        taken = _TAKEN in refusal.message.lower()
        booked = self.order_by_client_id(order.client_id) if taken or refusal.code == _NOT_UNIQUE else None
        if booked is not None and abs(booked.units - order.units) > max(_SAME * abs(order.units), 10**-_DECIMALS):
            raise RejectedError(
                f"alpaca: {order.symbol}: its client id is that of an order of {booked.units:+g}",
                hint="look who else trades this account under the names paper.account and asset.agent",
            )
        if booked is not None:
            return booked
        if taken:
            raise UnreachableError("alpaca: the client id is taken, and its order is not found")
        raise self._refusal(refusal, order)

    def _instruction(self, order: Order) -> Instruction:
        if self._symbols.coins:
            return Instruction("gtc")
        clock = self._asked("/clock", Clock.of)  # the server's own: ours may be wrong, and a minute old is too old
        fill: FillAt = "next_open" if order.urgent else self._opening.fill  # which is sent at once within a session
        return for_share(order.units, order.leg, fill=fill, daily=self._opening.daily, clock=clock)

    def _refusal(self, error: StatusError, order: Order) -> Exception:
        """Return what a refusal means for the order; a share such as CLS that it names is no word on a window."""
        words = re.sub(rf"\b{re.escape(self._symbols.theirs(order.symbol))}\b", "", error.message).lower()
        if error.status == 422 and ("opg" in words or "cls" in words):
            return NotYetError(f"alpaca: {error.message}")
        if error.status in (400, 403, 404, 422):
            funds = "buying power" in words or "insufficient balance for usd" in words
            return RejectedError(f"alpaca: {order.symbol}: {error.message}", funds=funds)
        return UnreachableError(f"alpaca: {error}")

    def cancel(self, client_id: str) -> None:
        """Ask for an order back; one that has ended is left alone."""
        try:
            found = self._client.get(
                "/orders:by_client_order_id", lambda row: (row["id"], self._booked(row)), {"client_order_id": client_id}
            )
            if found[1].status == "open":
                self._client.once("DELETE", f"/orders/{found[0]}", None)
        except StatusError as error:
            if error.status not in (404, 422):  # there is none, or it has ended
                raise UnreachableError(f"alpaca: {error}") from None

    # --- what happened

    def cursor(self) -> int:
        """Return the server's time, in microseconds."""
        return int(self._asked("/clock", Clock.of).now.timestamp() * 1_000_000)

    def fills(self, since: int) -> Sequence[Fill]:
        """Return the executions after `since`, with those shortly before it once more."""
        found = self._activities("/account/activities/FILL", since, _LOOK_BACK)
        return [self._fill(row) for row in found if executes(row)]

    def _fill(self, row: Mapping[str, Any]) -> Fill:
        sign = 1.0 if row["side"] == "buy" else -1.0
        price = number(row["price"])
        return Fill(
            sequence_of(row), str(row["id"]), self._owner(str(row["order_id"])), "",
            self._symbols.ours(str(row["symbol"])), sign * abs(number(row["qty"])), price, price, 0.0,
        )  # fmt: skip

    def _owner(self, order_id: str) -> str | None:
        """Return the client id of an order; None where Alpaca has no such order, or calls what an execution names none."""
        if order_id not in self._owners:
            try:
                self._client.get(f"/orders/{order_id}", self._booked)
            except StatusError as error:
                if error.status in (400, _NOT_FOUND, 422):
                    return None
                raise UnreachableError(f"alpaca: {error}") from None
        return self._owners[order_id]

    def events(self, since: int) -> Sequence[Event]:
        """Return what changed the account otherwise after `since`, with what was shortly before it once more."""
        found = self._activities("/account/activities", since, _DAYS_BACK, category="non_trade_activity")
        return [event_of(row, self._symbols) for row in found if counts(row)]

    def _activities(self, path: str, since: int, back: dt.timedelta, **kinds: str) -> list[Mapping[str, Any]]:
        """Return all pages of activities after `since` less `back`, oldest first, each with an id and its numbers readable."""
        first = max(dt.datetime.fromtimestamp(0, dt.UTC), dt.datetime.fromtimestamp(since / 1e6, dt.UTC) - back)
        after = first.isoformat().replace("+00:00", "Z")
        found: list[Mapping[str, Any]] = []
        while True:
            params = {"after": after, "direction": "asc", "page_size": _PAGE, **kinds}
            page = self._asked(path, _activities_of, params | ({"page_token": found[-1]["id"]} if found else {}))
            known = {row["id"] for row in found}
            if page and all(row["id"] in known for row in page):
                raise UnreachableError(f"alpaca: {path} answers the same page again and again")
            found += page
            if len(page) < _PAGE:
                return found

    def _asked(self, path: str, read: Callable[[Any], T], params: Mapping[str, Any] | None = None) -> T:
        """Return what is always there to be told."""
        try:
            return self._client.get(path, read, params)
        except StatusError as error:
            raise UnreachableError(f"alpaca: {error}") from None

    def stream(self, wake: Callable[[], None]) -> None:
        """Listen to trade updates; each is a reason to look, and so is each gap between two connections."""
        address = self._settings.stream_endpoint
        if self._heard is None and address is not None:
            self._heard = Stream(self._keys, address, wake)

    def silent_seconds(self) -> float | None:
        """Return how long the stream has said nothing; None without one."""
        return None if self._heard is None else self._heard.silent_seconds()


def _named(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return an account's number and currency; one of UNREADABLE for an answer that has none."""
    number_, currency = row["account_number"], row["currency"]
    if not (isinstance(number_, str) and number_ and isinstance(currency, str)):
        raise ValueError("no account")
    return number_, currency


def _activities_of(answer: Any) -> list[Mapping[str, Any]]:
    """Return activities that can be read, or none of them: half a page is an answer to nothing."""
    found = rows(answer)
    for row in found:
        if not (isinstance(row["id"], str) and row["id"]):
            raise ValueError("no id")
        sequence_of(row)
        if row["activity_type"] == "FILL" and executes(row):
            number(row["price"]), number(row["qty"]), str(row["order_id"]), str(row["symbol"])
            if row["side"] not in ("buy", "sell", "sell_short"):
                raise ValueError("no side")
        elif row["activity_type"] != "FILL":
            for name in ("qty", "net_amount", "per_share_amount"):
                number(row.get(name) or 0.0)
    return found
