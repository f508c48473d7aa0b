"""A user's bridge on loopback: checks signatures in its own words, does an order once, and says which it knows."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.trading.serving import listening

SECRET = "between-us"


@dataclass
class Bridge:
    """What arrived, and how it answers."""

    answers: list[int] = field(default_factory=list)  # to the next messages; 200 once they are used up
    loses: bool = False  # what it answers with a failure it has not done
    mute: bool = False  # says nothing of what it knows
    raw: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    nonces: set[str] = field(default_factory=set)

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and content of the answer."""
        nonce = headers["x-wealtharena-nonce"]
        text = headers["x-wealtharena-timestamp"].encode() + b"." + nonce.encode() + b"." + body
        right = "sha256=" + hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
        if headers["x-wealtharena-signature"] != right or nonce in self.nonces:
            return 401, {}
        self.nonces.add(nonce)
        message = json.loads(body)
        self.raw.append((headers, body))
        self.messages.append(message)
        status = self.answers.pop(0) if self.answers else 200
        if message["kind"] == "order" and not (self.loses and status != 200):
            self.known.add(message["id"])
        known = {"known": message["id"] in self.known} if message["kind"] == "status" and not self.mute else {}
        return status, known


@contextlib.contextmanager
def bridging(bridge: Bridge) -> Iterator[str]:
    """Serve the bridge from a thread of this process; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, content = bridge.take({name.lower(): value for name, value in self.headers.items()}, body)
            text = json.dumps(content).encode()
            self.send_response_only(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    with listening(Handler) as url:
        yield f"{url}/"
