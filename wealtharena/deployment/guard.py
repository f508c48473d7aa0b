"""The door of the service: who may come in, how often, with how much; and what every answer carries.

One plain ASGI layer around the application. It authenticates, limits, counts, writes one audit line a request, sets
the security headers, and turns whatever goes wrong inside into an answer without a stack trace or a path.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wealtharena.deployment.fairness import Doorway
from wealtharena.deployment.keys import Keys, secret_of
from wealtharena.deployment.limits import RateLimiter
from wealtharena.deployment.lines import Lines
from wealtharena.deployment.meters import Meters
from wealtharena.deployment.script import SCRIPT_HASH
from wealtharena.deployment.style import STYLE_HASH
from wealtharena.errors import ConfigError
from wealtharena.shown import without_home

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("wealtharena.deployment")
OPEN = frozenset({"/health", "/ready"})
_REST = f"style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY = f"default-src 'none'; {_REST}".encode()
LIVE_PAGE = "/trading"  # the one page with a script, which asks this service alone
LIVE_POLICY = f"default-src 'none'; script-src '{SCRIPT_HASH}'; connect-src 'self'; {_REST}".encode()
PAUSE_SECONDS = 0.5  # before a refusal for asking too often: asking on without an end costs the asker, and nobody else
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own, reached from this machine only."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None)
    return (inner or address).is_loopback


class BodyTooLargeError(Exception):
    """The client sent more than it may."""


class Audit:
    """One JSON line a request, appended in order and without waiting; no key, no body, no query."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.lines = Lines(
            self._open, lambda count: json.dumps({"time": round(time.time(), 3), "lost_lines": count}).encode() + b"\n"
        )

    def write(self, **facts: Any) -> None:
        """Hand over one line."""
        self.lines.put(json.dumps(facts, ensure_ascii=True).encode() + b"\n")

    def _open(self) -> int:
        return sys.stdout.fileno() if self.path is None else _opened(self.path)


def check_audit(path: Path) -> None:
    """Raise ConfigError for a file of audit lines that cannot be written: a service would answer without a record of it."""
    try:
        os.close(_opened(path, os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.ENXIO:  # a pipe whose reader has yet to come
            return
        raise ConfigError(
            f"serve.audit_file={without_home(str(path))} cannot be written: {error.strerror}",
            hint="name another file, or leave serve.audit_file out: the lines go to standard output",
        ) from error


def _opened(path: Path, flags: int = 0) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, flags | os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


@dataclass
class Guard:
    """The ASGI layer."""

    app: App
    keys: Keys
    limiter: RateLimiter
    meters: Meters
    audit: Audit
    max_body_bytes: int
    doorway: Doorway = field(default_factory=Doorway, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self.max_body_bytes, self.doorway)
        try:
            refusal = self._refusal(exchange)
            if refusal is not None and refusal[0] == 429:
                await asyncio.sleep(PAUSE_SECONDS)
            await exchange.come_in()
            if refusal is not None:
                await exchange.refuse(*refusal)
            else:
                await self.app(exchange.scope, exchange.receive, exchange.send)
        except Exception:  # the outermost door: whatever it was goes to the log, and only its id to the client
            logger.exception("request %s failed", exchange.id)
            await exchange.refuse(500, "internal", "the service failed; its log has the request id")
        finally:
            exchange.go()
            self._account(exchange)

    def _refusal(self, exchange: _Exchange) -> tuple[int, str, str] | None:
        """Return why a request may not come in, None where it may."""
        stranger = self._stranger(exchange)
        if exchange.path in OPEN:
            exchange.scope["state"]["known"] = stranger is None
            return None
        if stranger is not None:
            if stranger[0] == 401:
                wait = self.limiter.take("strangers")
                if wait:
                    return self._later(exchange, wait)
                exchange.extra.append((b"www-authenticate", b'Basic realm="wealtharena", charset="UTF-8"'))
            return stranger
        wait = self.limiter.take(exchange.owner)
        if wait:
            return self._later(exchange, wait)
        length = exchange.headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > self.max_body_bytes:
            return 413, "too_large", f"the body is larger than {self.max_body_bytes} bytes"
        return None

    def _stranger(self, exchange: _Exchange) -> tuple[int, str, str] | None:
        """Return why the client is nobody that the service knows, None where it is; name the owner of what it spends."""
        ring = self.keys.ring
        if not ring.keyed:
            if not is_loopback((exchange.scope.get("client") or ("", 0))[0]):
                return 403, "forbidden", "without API keys the service answers this machine only"
            if not is_loopback(exchange.host):
                return 421, "wrong_host", "without API keys the service answers to localhost only"
            return None
        owner = ring.owner(secret_of(exchange.headers))
        if owner is None:
            return 401, "unauthorized", "an API key is needed: Authorization: Bearer <key>"
        exchange.key, exchange.owner = owner.name, owner.id
        exchange.scope["state"]["owner"] = owner.id
        return None

    @staticmethod
    def _later(exchange: _Exchange, wait: float) -> tuple[int, str, str]:
        exchange.extra.append((b"retry-after", str(int(wait) + 1).encode()))
        return 429, "too_many_requests", "this key has used up its requests for now"

    def _account(self, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        route = exchange.scope.get("route")
        template = str(getattr(route, "path", "")) or (
            "refused" if exchange.status in (401, 403, 413, 421, 429) else "unknown"
        )
        method = exchange.method if exchange.method in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        self.meters.request(template, method, exchange.status, seconds)
        self.audit.write(
            time=round(time.time(), 3),
            request_id=exchange.id,
            key=exchange.key,
            client=(exchange.scope.get("client") or ("", 0))[0],
            method=exchange.method[:16],
            path=exchange.path[:256],
            status=exchange.status,
            ms=round(seconds * 1000, 2),
            bytes=exchange.received,
            **exchange.scope.get("state", {}).get("audit", {}),
        )


class _Exchange:
    """One request and its answer as they pass the door."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int, doorway: Doorway) -> None:
        self._receive, self._send, self._limit, self._doorway = receive, send, limit, doorway
        self.began = time.perf_counter()
        self.id = secrets.token_hex(8)
        self.key: str | None = None
        self.owner = "loopback"  # whose requests these are: a key, or all of this machine
        self.status = 0
        self.received = 0
        self.started = False
        self.method: str = scope["method"]
        # HEAD asks for what GET answers, whose body the server leaves out
        self.scope = {**scope, "method": "GET"} if self.method == "HEAD" else scope
        self.path: str = scope["path"]
        self.headers = dict(scope["headers"])
        self._left: Callable[[], None] | None = None
        self.extra: list[tuple[bytes, bytes]] = [(b"x-request-id", self.id.encode())]
        self.scope.setdefault("state", {}).update(request_id=self.id, owner=self.owner)

    @property
    def host(self) -> str:
        """Return the Host header without its port."""
        host: str = self.headers.get(b"host", b"").decode("latin-1").lower()
        if host.startswith("["):
            return host[1:].partition("]")[0]
        return host.partition(":")[0]

    async def come_in(self) -> None:
        """Wait for a place among the requests of the same key, or of the same address where there is none, and hold it."""
        who = self.owner if self.key is not None else str((self.scope.get("client") or ("",))[0])
        await self._doorway.enter(who)
        self._left = lambda: self._doorway.leave(who)

    def go(self) -> None:
        """Give the place back: while nothing is done for the client but waiting for it to send, or to read its answer."""
        if self._left is not None:
            left, self._left = self._left, None
            left()

    async def receive(self) -> Message:
        self.go()
        message = await self._receive()
        if not self.started:
            await self.come_in()
        self.received += len(message.get("body", b""))
        if self.received > self._limit:
            raise BodyTooLargeError(f"the body is larger than {self._limit} bytes")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.go()
            self.status = message["status"]
            policy = LIVE_POLICY if self.path == LIVE_PAGE else PAGE_POLICY
            own = (b"content-security-policy", policy)
            message["headers"] = [*message.get("headers", ()), own, *HEADERS, *self.extra]
        await self._send(message)

    async def refuse(self, status: int, code: str, text: str) -> None:
        """Answer with an error, unless an answer is under way already: then its connection is all that is left to cut."""
        if self.started:
            self.status = status
            return
        body = json.dumps({"code": code, "message": text, "request_id": self.id, "problems": []}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 413:
            headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
