"""A broker's server on loopback, for tests: speaks Alpaca's trading interface as its documents and its users tell it.

It knows sessions, holidays and half days as it is given them, queues orders while the market is closed, holds what open
orders need, takes coins' fees from what is received, and fails in every way that is asked of it, on one request or on a
share of all.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fnmatch
import json
import threading
import uuid
from bisect import bisect_right, insort
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from tests.trading.failing import BEFORE, KINDS, Fault
from tests.trading.hours import Hours

NEW_YORK = ZoneInfo("America/New_York")
TYPES = ("FILL", "SPLIT", "CIL", "DIV", "CSD", "CSW", "ACATS", "CFEE")  # as of this year
LIVE = ("new", "accepted", "partially_filled", "pending_cancel", "held")


def decimals(value: float) -> str:
    return format(Decimal(f"{value:.9f}").normalize(), "f")


@dataclass
class Exchange:
    """The broker's own books; what is not in them never was."""

    prices: dict[str, float]  # by the broker's names: AAPL, BRK.B, BTC/USD
    now: dt.datetime
    sessions: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)
    cash: float = 100_000.0
    number: str = "PA3STUB00001"
    margin: float = 4.0
    fee: float = 0.0  # of a coin's fill, taken from what is received
    least: float = 0.0  # dollars; what is bought for less is refused
    filling: float | None = 1.0  # share of what is left that a match fills; None: nothing
    cancels: bool = True  # at once; else a cancel stays pending until `settle`

    def __post_init__(self) -> None:
        self.hours = Hours(self.sessions)
        self.orders: dict[str, dict[str, Any]] = {}
        self._named: dict[str, dict[str, Any]] = {}  # the first of each client id
        self._live: list[dict[str, Any]] = []  # and those that have ended since they were looked through
        self.held: dict[str, float] = {}
        self.activities: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.share, self.rng, self.kinds = 0.0, None, KINDS
        self.log: list[tuple[str, str, str]] = []
        self.lock = threading.RLock()
        self.slow_seconds = 0.4
        self.listeners: list[Any] = []
        self.frames: list[str] = []
        self.muted = False
        self._answers: dict[str, str] = {}
        self._count = 0
        self.key = "KEY"

    # --- time

    def clock(self) -> dict[str, Any]:
        far = self.now + dt.timedelta(days=365)
        return {
            "timestamp": self.now.astimezone(NEW_YORK).isoformat(),
            "is_open": self.hours.is_open(self.now),
            "next_open": self.hours.next_open(self.now, default=far).astimezone(NEW_YORK).isoformat(),
            "next_close": self.hours.next_close(self.now, default=far).astimezone(NEW_YORK).isoformat(),
        }

    def go(self, now: dt.datetime, prices: dict[str, float] | None = None) -> None:
        """Go to a time, with the prices of then, and match what is due."""
        with self.lock:
            self.now = now
            self.prices.update(prices or {})
            self.match()

    def live(self) -> list[dict[str, Any]]:
        """Return the orders that may still be filled, oldest first."""
        self._live = [one for one in self._live if one["status"] in LIVE]
        return list(self._live)

    def match(self) -> None:
        is_open, opened, closing = (of(self.now) for of in (self.hours.is_open, self.hours.opening, self.hours.closing))
        closed = self.hours.closed_at(self.now)
        for order in self.live():
            tif, coin = order["time_in_force"], "/" in order["symbol"]
            due = coin or (tif == "day" and is_open) or (tif == "opg" and opened) or (tif == "cls" and closing)
            if due:
                self.fill(order)
            passed = closed is not None and dt.datetime.fromisoformat(order["submitted_at"]) < closed
            gone = (tif == "opg" and is_open) or (tif in ("day", "opg") and passed) or (tif == "cls" and closing)
            if not coin and gone and order["status"] in LIVE and (not due or tif in ("opg", "cls")):
                self.end(order, "expired")

    # --- books

    def left(self, order: dict[str, Any]) -> float:
        return float(order["qty"]) - float(order["filled_qty"])

    def fill(self, order: dict[str, Any], units: float | None = None, price: float | None = None) -> None:
        left = self.left(order)
        share = 1.0 if self.filling is None else self.filling
        if units is None and self.filling is None:
            return
        units = left * share if units is None else units
        if units < left and "/" not in order["symbol"] and float(order["qty"]).is_integer():
            units = float(int(units)) or left
        symbol, sign = order["symbol"], 1.0 if order["side"] == "buy" else -1.0
        price = self.prices[symbol] if price is None else price
        opens = sign > 0 and self.held.get(symbol, 0.0) >= 0.0 and order["filled_qty"] == "0"
        if opens and units * price > self.power() + 1e-6:
            self.end(order, "rejected")
            return
        coin = "/" in symbol
        fee = self.fee if coin else 0.0
        change = sign * units * (1.0 - fee if sign > 0 else 1.0)
        self.hold(symbol, change)
        self.cash -= sign * units * price * (1.0 if sign > 0 else 1.0 - fee)
        done = float(order["filled_qty"]) + units
        whole = done >= float(order["qty"]) - 1e-9
        order.update(filled_qty=decimals(done), status="filled" if whole else "partially_filled")
        row = {
            "activity_type": "FILL", "transaction_time": self.now.isoformat(), "price": repr(price),
            "qty": decimals(units), "side": order["side"], "symbol": symbol, "order_id": order["id"],
            "type": "fill" if whole else "partial_fill", "leaves_qty": decimals(self.left(order)),
        }  # fmt: skip
        self.act(row)
        self.tell("fill" if whole else "partial_fill", order)

    def hold(self, symbol: str, units: float) -> None:
        after = round(self.held.get(symbol, 0.0) + units, 9)
        if abs(after) < 1e-9:
            self.held.pop(symbol, None)
        else:
            self.held[symbol] = after

    def act(self, row: dict[str, Any]) -> None:
        """Book an activity; ids are in New York's time, executions to the millisecond, all else by the day."""
        self._count += 1
        at = self.now.astimezone(NEW_YORK) + dt.timedelta(milliseconds=self._count % 1000)
        day, time = at.strftime("%Y%m%d"), at.strftime("%H%M%S") + f"{at.microsecond // 1000:03d}"
        row["id"] = f"{day}{time if row['activity_type'] == 'FILL' else '0' * 9}::{uuid.UUID(int=self._count)}"
        insort(self.activities, row, key=itemgetter("id"))

    def end(self, order: dict[str, Any], status: str) -> None:
        order["status"] = status
        self.tell(status, order)

    def settle(self) -> None:
        """Let pending cancels come to their end."""
        with self.lock:
            for order in self.live():
                if order["status"] == "pending_cancel":
                    self.end(order, "canceled")

    def worth(self) -> float:
        return sum(units * self.prices[symbol] for symbol, units in self.held.items())

    def power(self) -> float:
        """What may still be bought for."""
        equity = self.cash + self.worth()
        gross = sum(abs(units) * self.prices[symbol] for symbol, units in self.held.items())
        coins = all("/" in symbol for symbol in self.prices)
        return self.cash if coins else equity * self.margin - gross

    def reserved(self, symbol: str, side: str) -> float:
        """What open orders need of a position."""
        return sum(self.left(one) for one in self.live() if one["symbol"] == symbol and one["side"] == side)

    def by_hand(self, symbol: str, units: float, *, client_id: str | None = None) -> None:
        """Trade as a person, or the broker itself, would: at once, under an id that is none of ours."""
        with self.lock:
            order = self.book(symbol, abs(units), "buy" if units > 0 else "sell", client_id or str(uuid.uuid4()), "day")
            self.fill(order, abs(units))

    def split(self, symbol: str, ratio: float, *, booked: bool = True) -> None:
        """Rescale a position, with the fraction of a share in cash; `booked` says whether an activity tells of it."""
        with self.lock:
            before, self.prices[symbol] = self.held.get(symbol, 0.0), self.prices[symbol] / ratio
            after = before * ratio
            whole = float(int(after))
            self.hold(symbol, whole - before)
            self.cash += (after - whole) * self.prices[symbol]
            if booked:
                self.act(
                    {"activity_type": "SPLIT", "symbol": symbol, "qty": decimals(whole - before), "net_amount": "0"}
                )
                if after != whole:
                    cash = decimals((after - whole) * self.prices[symbol])
                    self.act({"activity_type": "CIL", "symbol": symbol, "qty": "0", "net_amount": cash})

    def pay(self, kind: str, symbol: str, cash: float) -> None:
        with self.lock:
            self.cash += cash
            self.act({"activity_type": kind, "symbol": symbol, "qty": "5", "net_amount": decimals(cash)})

    # --- requests

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        """Return status and content; what the books say, without any fault."""
        if headers.get("apca-api-key-id") != self.key:
            return 401, {"code": 40110000, "message": "request is not authorized"}
        head, _, rest = path.removeprefix("/v2/").partition("/")
        if path == "/v2/account":
            return 200, self.account()
        if path == "/v2/clock":
            return 200, self.clock()
        if path.startswith("/v2/account/activities"):
            return self.list_activities(path.removeprefix("/v2/account/activities").strip("/"), query)
        if head == "positions":
            return 200, [self.position(symbol) for symbol in self.held]
        if head == "orders:by_client_order_id":
            found = self._named.get(query["client_order_id"])
            return (200, found) if found else (404, {"code": 40410000, "message": "order not found"})
        if head == "orders" and method == "POST":
            return self.submit(body)
        if head == "orders" and not rest:
            return self.list_orders(query)
        if head == "orders":
            return self.one_order(method, rest, body)
        return 404, {"code": 40410000, "message": "endpoint not found."}

    def account(self) -> dict[str, Any]:
        equity = decimals(self.cash + self.worth())
        return {
            "id": str(uuid.UUID(int=7)), "account_number": self.number, "status": "ACTIVE", "currency": "USD",
            "cash": decimals(self.cash), "equity": equity, "buying_power": decimals(max(0.0, self.power())),
            "trading_blocked": False, "account_blocked": False,
        }  # fmt: skip

    def position(self, symbol: str) -> dict[str, Any]:
        units = self.held[symbol]
        side = "long" if units > 0 else "short"
        free = abs(units) - self.reserved(symbol, "sell" if units > 0 else "buy")
        return {
            "symbol": symbol.replace("/", ""), "qty": decimals(units), "side": side,
            "qty_available": decimals(max(0.0, free)), "market_value": decimals(units * self.prices[symbol]),
        }  # fmt: skip

    def list_activities(self, kind: str, query: dict[str, str]) -> tuple[int, Any]:
        told = dt.datetime.fromisoformat(query["after"]).astimezone(NEW_YORK)
        after = told.strftime("%Y%m%d%H%M%S%f")[:17]
        token, kinds = query.get("page_token", ""), query.get("activity_types", kind).split(",")
        if not set(kinds) <= {"", *TYPES}:  # so that a type that is taken from their list ends no question of ours
            return 422, {"code": 40010001, "message": f"invalid activity type: {','.join(kinds)}"}
        first = bisect_right(self.activities, max(after, token), key=itemgetter("id"))
        found = [one for one in self.activities[first:] if kinds == [""] or one["activity_type"] in kinds]
        return 200, found[: int(query.get("page_size", 100))]

    def list_orders(self, query: dict[str, str]) -> tuple[int, Any]:
        status = query.get("status", "open")
        until = query.get("until", "9")
        found = [
            one
            for one in (self.live() if status == "open" else self.orders.values())
            if (status != "closed" or one["status"] not in LIVE) and one["submitted_at"] < until
        ]
        return 200, found[::-1][: int(query.get("limit", 50))]

    def one_order(self, method: str, name: str, body: Any) -> tuple[int, Any]:
        order = self.orders.get(name)
        if order is None:
            return 404, {"code": 40410000, "message": f"order not found for {name}"}
        if method == "GET":
            return 200, order
        if order["status"] not in LIVE:
            return 422, {"code": 42210000, "message": f'order is already in "{order["status"]}" state'}
        if method == "PATCH":
            self.end(order, "replaced")
            units = float(body.get("qty", order["qty"])) - float(order["filled_qty"])
            made = self.book(
                order["symbol"], units, order["side"], body.get("client_order_id") or str(uuid.uuid4()),
                body.get("time_in_force", order["time_in_force"]),
            )  # fmt: skip
            order["replaced_by"] = made["id"]
            return 200, made
        if self.cancels:
            self.end(order, "canceled")
        else:
            order["status"] = "pending_cancel"
        return 204, None

    def book(self, symbol: str, units: float, side: str, client_id: str, tif: str) -> dict[str, Any]:
        self._count += 1
        order = {
            "id": str(uuid.UUID(int=10**9 + self._count)), "client_order_id": client_id, "symbol": symbol,
            "qty": decimals(units), "filled_qty": "0", "side": side, "type": "market", "time_in_force": tif,
            "status": "accepted", "submitted_at": (self.now + dt.timedelta(microseconds=self._count)).isoformat(),
        }  # fmt: skip
        self.orders[order["id"]] = order
        self._named.setdefault(client_id, order)
        self._live.append(order)
        self.tell("new", order)
        return order

    def submit(self, body: Any) -> tuple[int, Any]:
        symbol, side, tif = body["symbol"], body["side"], body["time_in_force"]
        units, coin = float(body["qty"]), "/" in body["symbol"]
        refused = self.refusal(symbol, side, tif, units, coin)
        if refused is not None:
            return refused
        if body["client_order_id"] in self._named:
            return 422, {"code": 40010001, "message": "client_order_id must be unique"}
        order = self.book(symbol, units, side, body["client_order_id"], tif)
        answer = dict(order)  # accepted, whatever comes of it
        self.match()
        return 200, answer

    def refusal(self, symbol: str, side: str, tif: str, units: float, coin: bool) -> tuple[int, Any] | None:
        if symbol not in self.prices:
            return 422, {"code": 42210000, "message": f'asset "{symbol}" not found'}
        local, held = self.now.astimezone(NEW_YORK).time(), self.held.get(symbol, 0.0)
        if tif in ("opg", "cls") and units != int(units):
            return 422, {"code": 42210000, "message": "fractional orders must be DAY orders"}
        if tif == "opg" and dt.time(9, 28) <= local < dt.time(19, 0):
            return 422, {"code": 42210000, "message": "opg orders are only accepted after 7:00pm and before 9:28am"}
        if tif == "cls" and dt.time(15, 50) <= local < dt.time(19, 0):
            return 422, {"code": 42210000, "message": "cls orders are only accepted before 3:50pm or after 7:00pm"}
        if side == "sell":
            free = held - self.reserved(symbol, "sell")
            if held > 0 and units > free + 1e-12:
                words = f"insufficient qty available for order (requested: {units:g}, available: {free:g})"
                return 403, {"code": 40310000, "message": words}
            if coin and units > free + 1e-12:
                return 403, {"code": 40310000, "message": f"insufficient balance for {symbol.partition('/')[0]}"}
            if held <= 0 and units != int(units):
                return 422, {"code": 42210000, "message": "fractional orders cannot be sold short"}
        if side == "buy" and held < 0 and units > -held - self.reserved(symbol, "buy") + 1e-12:
            return 403, {"code": 40310000, "message": "insufficient qty available for order"}
        if side == "buy" and held >= 0 and units * self.prices[symbol] < self.least:
            words = f"cost basis must be >= minimal amount of order {self.least:g}"
            return 403, {"code": 40310000, "message": words}
        waiting = sum(self.left(one) * self.prices[one["symbol"]] for one in self.live() if one["side"] == "buy")
        if side == "buy" and held >= 0 and units * self.prices[symbol] + waiting > self.power() + 1e-6:
            return 403, {"code": 40310000, "message": "insufficient buying power"}
        return None

    # --- faults

    def fail(self, kind: str, **rule: Any) -> None:
        """Fail the next request, or so many, of a method and path."""
        self.faults.append(Fault(kind, **rule))

    def fault_of(self, method: str, path: str) -> Fault | None:
        for one in self.faults:
            if one.times > 0 and fnmatch.fnmatch(method, one.method) and fnmatch.fnmatch(path, one.path):
                one.times -= 1
                return one
        if self.rng is not None and self.rng.random() < self.share:
            return Fault(str(self.rng.choice(self.kinds)))
        return None

    def answer(self, method: str, url: str, body: Any, headers: Any) -> tuple[str, int, Any]:
        """Return how to fail ("" for not at all), status and content of one request."""
        parts = urlsplit(url)
        with self.lock:
            if parts.path == "/go":  # the tests' own door, for processes that are to be killed
                now = dt.datetime.fromisoformat(body["now"])
                if now > self.now:
                    self.go(now, body["prices"])
                return "", 200, {}
            fault = self.fault_of(method, parts.path)
            kind = "" if fault is None else fault.kind
            self.log.append((method, parts.path, kind))
            if kind == "refuse" and fault is not None and fault.answer is not None:
                return "", fault.answer[0], {"code": fault.answer[1], "message": fault.answer[2]}
            if kind in BEFORE:
                codes = {"429": 42910000, "500": 50010000, "401": 40110000}
                return "", int(kind), {"code": codes[kind], "message": "rate limit exceeded" if kind == "429" else "no"}
            if kind == "stale" and method == "GET" and url in self._answers:
                return "", *json.loads(self._answers[url])
            found = self.handle(method, parts.path, dict(parse_qsl(parts.query)), body, headers)
            if method == "GET":
                self._answers[url] = json.dumps(found)
            if kind == "504":
                return "", 504, {"code": 50410000, "message": "gateway timeout"}
            return kind, *found

    def tell(self, event: str, order: dict[str, Any]) -> None:
        frame = json.dumps({"stream": "trade_updates", "data": {"event": event, "order": order}})
        self.frames.append(frame)
        if not self.muted:
            self.broadcast(frame)

    def broadcast(self, frame: str) -> None:
        for one in list(self.listeners):
            with contextlib.suppress(Exception):  # a listener that has gone
                one.send(frame)
