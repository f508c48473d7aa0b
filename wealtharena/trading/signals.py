"""Signals that come in, such as TradingView's alerts: they confirm an order, they never make one."""

from __future__ import annotations

import hmac
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from wealtharena.errors import ConfigError

LARGEST: Final = 16_384  # bytes of an alert
_SECONDS: Final = 5.0  # for one to arrive


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over who hangs up in the middle; the rest is an error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Signals:
    """Listens while it is open. A signal is JSON: {"secret": "...", "symbol": "BTCUSD", "side": "buy"}.

    TradingView cannot sign what it sends, so that the secret stands in the message: let it come through a proxy with TLS.
    ConfigError where the address cannot be listened at.
    """

    def __init__(
        self, host: str, port: int, secret: str, *, seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._secret, self._seconds, self._now = secret, seconds, now
        self._heard: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        signals = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _SECONDS

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: a request may carry the secret."""

            def do_POST(self) -> None:
                status = 413
                length = self.headers.get("content-length", "")
                if re.fullmatch("[0-9]{1,8}", length) and int(length) <= LARGEST:
                    status = signals.hear(self.rfile.read(int(length)))
                self.send_response_only(status)
                self.send_header("content-length", "0")
                self.end_headers()

        try:
            self._server = _Server((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"broker.listen={host}:{port} cannot be had: {getattr(error, 'strerror', None) or error}",
                hint="name a free port of this machine",
            ) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="signals", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10.0)

    def hear(self, body: bytes) -> int:
        """Keep the signal of a message and return the HTTP status of the answer; the newest of a symbol counts."""
        try:
            content = json.loads(body)
            secret, symbol, side = (str(content[name]) for name in ("secret", "symbol", "side"))
            told = secret.encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            return 400
        if not hmac.compare_digest(told, self._secret.encode()):
            return 401
        if side not in ("buy", "sell", "flat"):
            return 400
        with self._lock:
            self._heard[plain(symbol)] = (side, self._now())
        return 200

    def confirms(self, symbol: str, units: float) -> bool:
        """Return whether the newest signal of the symbol is not too old and says to do the same."""
        with self._lock:
            side, at = self._heard.get(plain(symbol), ("", 0.0))
        fresh = bool(side) and self._now() - at <= self._seconds
        return fresh and side == ("buy" if units > 0.0 else "sell")


def plain(symbol: str) -> str:
    """Return a symbol as TradingView and we both may write it: without venue and marks, in capitals.

    >>> plain("BINANCE:BTCUSD"), plain("BTC-USD"), plain("BRK.B")
    ('BTCUSD', 'BTCUSD', 'BRKB')
    """
    return re.sub(r"[^A-Z0-9]", "", symbol.rpartition(":")[2].upper())
