"""A scripted gateway of Interactive Brokers on loopback: as much of its wire as an account needs, version 157.

Messages are fields that end in a zero byte, behind their length. Orders of other days are forgotten, as a gateway does.
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

VERSION = "157"
STANDING = ("Submitted", "Inactive")


@dataclass
class Placed:
    """An order as the gateway has it."""

    number: int
    client: int
    contract: tuple[str, str, str, str, str, str]  # symbol, kind, month, multiplier, exchange, currency
    action: str
    units: float
    kind: str
    tif: str
    reference: str
    status: str = "Submitted"
    filled: float = 0.0
    account: str = ""  # where it is another than the gateway's own

    @property
    def permanent(self) -> int:
        return 10_000 + self.number


@dataclass
class Gateway:
    """The account behind the gateway, and how it misbehaves."""

    prices: dict[str, float]
    number: str = "DU1234567"
    cash: float = 100_000.0
    currency: str = "AUD"
    commission: float = 6.0
    charged_in: str = "AUD"
    rates: dict[str, float] = field(default_factory=dict)  # of other currencies, in the account's
    lent: dict[str, float] = field(default_factory=dict)  # cash in them, in their own
    orders: list[Placed] = field(default_factory=list)
    held: dict[tuple[str, str, str, str, str, str], float] = field(default_factory=dict)
    executions: list[dict[str, Any]] = field(default_factory=list)
    refuses: str = ""  # the next order, in these words
    code: int = 201  # of that refusal
    warns: tuple[int, str] | None = None  # of each order that it takes, before it says so
    says: tuple[int, str] | None = None  # the same, behind that
    idles: bool = False  # takes orders as inactive
    drops: bool = False  # the connection, once the next order has been booked
    mute: bool = False
    late: bool = False  # commissions, behind their executions
    refusing: int = 0  # code of the error that questions with a number are answered with; 0: none
    now: float = 1_770_000_000.0

    def __post_init__(self) -> None:
        self.lock = threading.RLock()

    def worth(self) -> float:
        return self.money() + sum(units * self.prices[contract[0]] for contract, units in self.held.items())

    def money(self) -> float:
        return self.cash + sum(amount * self.rates[currency] for currency, amount in self.lent.items())

    def tick(self) -> None:
        """Fill what is open."""
        with self.lock:
            self.now += 3600.0
            for order in self.orders:
                if order.status == "Submitted":
                    self.fill(order)

    def fill(self, order: Placed) -> None:
        sign = 1.0 if order.action == "BUY" else -1.0
        price = self.prices[order.contract[0]]
        self.held[order.contract] = self.held.get(order.contract, 0.0) + sign * order.units
        if not self.held[order.contract]:
            del self.held[order.contract]
        self.cash -= sign * order.units * price + self.commission
        order.filled, order.status = order.units, "Filled"
        row = {"id": f"0000e0d5.{order.number:08d}.01", "order": order, "price": price, "at": self.now}
        self.executions.append(row)


class _Connection(socketserver.BaseRequestHandler):
    gateway: Gateway

    def handle(self) -> None:
        self.request.settimeout(60.0)
        self.summaries: set[str] = set()  # questions for the account's summary that have not been taken back
        with contextlib.suppress(OSError, EOFError):
            self._exactly(4)  # API and a zero byte
            self._frame()
            self._send(VERSION, "20260302 10:00:00 UTC")
            while True:
                fields = self._frame().decode().split("\0")[:-1]
                with self.gateway.lock:
                    if not self._answer(fields):
                        return

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.request.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _frame(self) -> bytes:
        return self._exactly(struct.unpack(">I", self._exactly(4))[0])

    def _send(self, *fields: Any) -> None:
        text = "".join(f"{one}\0" for one in fields).encode()
        self.request.sendall(struct.pack(">I", len(text)) + text)

    def _answer(self, fields: list[str]) -> bool:
        """Answer one message; return whether the connection lives on."""
        gateway, kind = self.gateway, fields[0]
        if gateway.mute:
            return True
        if gateway.refusing and kind in ("62", "7"):
            self._send(4, 2, fields[2], gateway.refusing, "not now")
            return True
        if kind == "71":
            self.client = int(fields[2])
            self._send(15, 1, gateway.number)
            self._send(9, 1, 1 + max((one.number for one in gateway.orders), default=0))
        elif kind == "61":
            for contract, units in gateway.held.items():
                self._send(61, 3, gateway.number, *self._contract(contract), units, 0.0)
            self._send(62, 1)
        elif kind == "63":
            self.summaries.discard(fields[2])
        elif kind == "62" and len(self.summaries) >= 2:
            self._send(4, 2, fields[2], 322, "Maximum number of account summary requests exceeded")
        elif kind == "62":
            self.summaries.add(fields[2])
            for tag, value in (("NetLiquidation", gateway.worth()), ("TotalCashValue", gateway.money())):
                self._send(63, 1, fields[2], gateway.number, tag, value, gateway.currency)
            for currency, rate in gateway.rates.items():
                self._send(63, 1, fields[2], gateway.number, "ExchangeRate", rate, currency)
            for currency, amount in {**gateway.lent, "BASE": gateway.money()}.items():
                self._send(63, 1, fields[2], gateway.number, "CashBalance", amount, currency)
            self._send(64, 1, fields[2])
        elif kind == "49":
            self._send(49, 1, int(gateway.now))
        elif kind == "16":
            for order in gateway.orders:
                if order.status in STANDING:
                    self._open(order)
            self._send(53, 1)
        elif kind == "99":
            for order in gateway.orders:
                if order.status not in STANDING:
                    self._completed(order)
            self._send(102)
        elif kind == "7":
            for row in gateway.executions:
                self._execution(fields[2], row)
            self._send(55, 1, fields[2])
        elif kind == "4":
            for order in gateway.orders:
                if order.number == int(fields[2]) and order.status in STANDING:
                    order.status = "Cancelled"
                    self._status(order)
        elif kind == "3":
            return self._place(fields)
        return True

    def _place(self, fields: list[str]) -> bool:
        gateway = self.gateway
        number = int(fields[1])
        symbol, kind, month, multiplier, exchange, currency = (fields[n] for n in (3, 4, 5, 8, 9, 11))
        if gateway.refuses or symbol not in gateway.prices:
            self._send(4, 2, number, gateway.code, f"Order rejected - reason: {gateway.refuses or 'no such contract'}")
            gateway.refuses = ""
            return True
        order = Placed(
            number, self.client, (symbol, kind, month, multiplier, exchange, currency),
            fields[16], float(fields[17]), fields[18], fields[21], fields[26],
        )  # fmt: skip
        order.status = "Inactive" if gateway.idles else order.status
        gateway.orders.append(order)
        if gateway.drops:
            gateway.drops = False
            return False
        if gateway.warns is not None:
            self._send(4, 2, number, *gateway.warns)
        self._open(order)
        if gateway.says is not None:
            self._send(4, 2, number, *gateway.says)
        return True

    def _contract(self, one: tuple[str, str, str, str, str, str]) -> tuple[Any, ...]:
        symbol, kind, month, multiplier, exchange, currency = one
        number = zlib.crc32("/".join(one).encode()) >> 1  # a contract has its own
        return (number, symbol, kind, month, 0.0, "", multiplier, exchange, currency, symbol, symbol)

    def _status(self, order: Placed) -> None:
        left = order.units - order.filled
        self._send(
            3, order.number, order.status, order.filled, left, 0.0, order.permanent, 0, 0.0, order.client, "", 0.0
        )

    def _open(self, order: Placed) -> None:
        blank = [""]
        self._send(
            5, order.number, *self._contract(order.contract), order.action, order.units, order.kind, 0.0, 0.0,
            order.tif, "", order.account or self.gateway.number, "", 0, order.reference, order.client, order.permanent, 0, 0, 0.0,
            *blank * 6, *blank * 29, *blank * 7, 0, 0, 0, "", "", "", "", 0, "", "", 0, 0, "", 0, 0,
            order.status, *blank * 14, 0, 0, 0, *blank * 8, *blank * 3, 0.0, *blank * 4,
        )  # fmt: skip
        self._status(order)

    def _completed(self, order: Placed) -> None:
        blank = [""]
        self._send(
            101, *self._contract(order.contract), order.action, 0.0, order.kind, 0.0, 0.0, order.tif, "",
            order.account or self.gateway.number, "", 0, order.reference, order.permanent, 0, 0, 0.0, "", *blank * 4, *blank * 23,
            *blank * 5, 0, 0, 0, "", "", "", "", "", "", 0, 0, "", 0, order.status, 0, 0, 0,
            *blank * 2, 0.0, *blank * 3, order.filled, *blank * 8,
        )  # fmt: skip

    def _execution(self, request: str, row: dict[str, Any]) -> None:
        order: Placed = row["order"]
        at = time.strftime("%Y%m%d %H:%M:%S", time.gmtime(row["at"]))
        side = "BOT" if order.action == "BUY" else "SLD"
        self._send(
            11, request, order.number, *self._contract(order.contract), row["id"], f"{at} UTC",
            order.account or self.gateway.number, "ASX", side, order.units, row["price"], order.permanent, order.client, 0, order.units, row["price"],
            order.reference, "", 0.0, "", 0,
        )  # fmt: skip
        if not self.gateway.late:
            self._send(59, 1, row["id"], self.gateway.commission, self.gateway.charged_in, 0.0, "", "")


@contextlib.contextmanager
def gating(gateway: Gateway) -> Iterator[int]:
    """Serve the gateway from a thread of this process; yields its port."""
    handler = type("Handler", (_Connection,), {"gateway": gateway})

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads, block_on_close = True, True, False

    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
