"""HTTP within bounds: how long a head, an address or a request may be, how long it may take, how many may be open.

All of it holds before a request reaches the application, and so before its key is asked for. A connection that says
nothing gives way to a new one, so that silent sockets keep nobody out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_URL = 4096
MAX_HEAD = 16_384
MAX_LINES = 64
MAX_PIECES = 8192  # parts in which a body may come
MAX_PIPELINED = 8
MAX_OPEN = 1024  # connections of one worker
HEAD_SECONDS = 10.0
SILENT_SECONDS = 10.0  # before the first byte
ARRIVAL_SECONDS = 30.0  # head and body
ANSWER_SECONDS = 60.0  # from the first byte of the request to the last of the answer
SWEEP_SECONDS = 1.0
logger = logging.getLogger("wealtharena.deployment")


@dataclass
class Lobby:
    """The open connections of this process, by address, the oldest first."""

    per_address: int = 256
    _rooms: dict[str, dict[BoundedProtocol, None]] = field(default_factory=dict, init=False)
    _count: int = field(default=0, init=False)
    _sweeping: asyncio.TimerHandle | None = field(default=None, init=False)

    def enter(self, guest: BoundedProtocol) -> bool:
        """Let a connection in, at the cost of the oldest idle one where there are too many; return whether it may stay."""
        room = self._rooms.get(guest.address, {})
        if len(room) >= self.per_address and not self._make_place(room):
            return False
        if self._count >= MAX_OPEN and not self._make_place(max(self._rooms.values(), key=len)):
            return False
        self._rooms.setdefault(guest.address, {})[guest] = None
        self._count += 1
        if self._sweeping is None:
            self._sweeping = guest.loop.call_later(SWEEP_SECONDS, self._sweep, guest.loop)
        return True

    def leave(self, guest: BoundedProtocol) -> None:
        """Forget a connection; nothing happens where it is forgotten already."""
        room = self._rooms.get(guest.address, {})
        if guest in room:
            del room[guest]
            self._count -= 1
            if not room:
                del self._rooms[guest.address]

    def _make_place(self, room: dict[BoundedProtocol, None]) -> bool:
        for guest in room:
            if guest.idle:
                self.leave(guest)
                guest.transport.close()
                return True
        return False

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what takes too long."""
        now = loop.time()
        for guest in [guest for room in self._rooms.values() for guest in room]:
            guest.end_if_overdue(now)
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep, loop) if self._rooms else None


LOBBY = Lobby()  # a worker process has one listening socket


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.address = ""
        self.began: float | None = None  # first byte of the newest request
        self.opened = self.loop.time()
        self.headed = True  # its head is whole
        self.arrived = True  # all of it is
        self.head = self.lines = self.pieces = self.head_received = 0
        self.refusal = (400, "bad_request", "the request is not HTTP that can be read")

    @property
    def answering(self) -> bool:
        """Return whether an answer is under way."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def idle(self) -> bool:
        """Return whether nothing but a head in the making would be lost with this connection."""
        return not self.answering and (self.arrived or not self.headed)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not LOBBY.enter(self):
            self._end(503, "too_many_connections", "this address has too many connections open")

    def connection_lost(self, exc: Exception | None) -> None:
        LOBBY.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing() or self.parser is None:
            return
        super().data_received(data)
        if not self.headed:
            self.head_received += len(data)
            if self.head_received > MAX_HEAD + MAX_URL and not self.transport.is_closing():
                self._end(431, "head_too_large", f"the head is larger than {MAX_HEAD} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.began = self.loop.time()
        self.headed = self.arrived = False
        self.head = self.lines = self.pieces = self.head_received = 0
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(429, "too_many_requests", "too many requests at once on one connection")

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL:
            self._refuse(414, "url_too_long", f"the URL is longer than {MAX_URL} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head += len(name) + len(value) + 4
        self.lines += 1
        if self.head > MAX_HEAD or self.lines > MAX_LINES:
            self._refuse(431, "head_too_large", f"the head is larger than {MAX_HEAD} bytes or {MAX_LINES} lines")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.headed = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.pieces += 1
        if self.pieces > MAX_PIECES:
            self._refuse(400, "bad_request", f"the body comes in more than {MAX_PIECES} pieces")
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.arrived = True
        super().on_message_complete()

    def end_if_overdue(self, now: float) -> None:
        """Close the connection where its client is too slow, at saying something, asking or taking the answer."""
        if self.began is None:
            if now - self.opened > SILENT_SECONDS:
                self.transport.close()
            return
        took = now - self.began
        if not self.headed and took > HEAD_SECONDS:
            self._end(408, "too_slow", f"the head did not arrive within {HEAD_SECONDS:g} seconds")
        elif (not self.arrived and took > ARRIVAL_SECONDS) or (self.answering and took > ANSWER_SECONDS):
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what can't be read or is too much, in the shape of all errors, and close."""
        self._end(*self.refusal)

    def _refuse(self, status: int, code: str, text: str) -> None:
        """Stop the parser from within: uvicorn then asks for `send_400_response`."""
        self.refusal = (status, code, text)
        raise ValueError(text)

    def _end(self, status: int, code: str, text: str) -> None:
        begun = self.pipeline or (self.answering and self.cycle.response_started)
        if not begun:  # an answer under way can't be followed by one that the client would take for it
            body = json.dumps({"code": code, "message": text, "request_id": "", "problems": []}).encode()
            head = [
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                "cache-control: no-store",
                "x-content-type-options: nosniff",
                "connection: close",
            ]
            with contextlib.suppress(RuntimeError):  # the transport closed in this very moment
                self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        self.transport.close()
