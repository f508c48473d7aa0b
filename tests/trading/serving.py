"""The exchange's doors on loopback: its interface over HTTP, and its stream of trade updates."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.trading.exchange import Exchange


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    exchange: Exchange

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def parse_request(self) -> bool:
        """Read the head of a request as clients of ours write it; the parser of mail that stands in for this takes as long as the answer."""
        self.command, self.path, _ = self.raw_requestline.decode("ascii").split()
        lines = iter(lambda: self.rfile.readline().decode("latin-1").strip(), "")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.close_connection = self.headers.get("connection", "").lower() == "close"
        return True

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(raw) if raw else None
        kind, status, content = self.exchange.answer(self.command, self.path, body, self.headers)
        if kind == "slow":
            time.sleep(self.exchange.slow_seconds)
        text = b"" if content is None else json.dumps(content).encode()
        if kind == "html":
            status, text = 200, b"<html><body>We will be right back</body></html>"
        length = len(text) + (kind == "truncated")
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
        if kind == "truncated":
            text, self.close_connection = text[: len(text) // 2], True
            head += "connection: close\r\n"
        with contextlib.suppress(OSError):  # who has timed out is gone
            self.wfile.write(head.encode() + b"\r\n" + text)

    do_GET = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815 - http.server looks for these names


@contextlib.contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer requests from threads of this process; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda request, address: None  # a client that has gone
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def endless() -> Iterator[str]:
    """Serve what takes every message and goes on answering it; yields its address."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response_only(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while not over.wait(0.02):
                    self.wfile.write(b" ")

    with listening(Handler) as url:
        try:
            yield f"{url}/"
        finally:
            over.set()


@contextlib.contextmanager
def serving(exchange: Exchange) -> Iterator[str]:
    """Serve the exchange; yields its address."""
    with listening(type("Handler", (_Handler,), {"exchange": exchange, "disable_nagle_algorithm": True})) as url:
        yield url


@contextlib.contextmanager
def streaming(exchange: Exchange) -> Iterator[str]:
    """Serve the exchange's trade updates; yields their address."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    def listen(socket: Any) -> None:
        try:
            json.loads(socket.recv())
            told = {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
            socket.send(json.dumps(told))
            socket.recv()
            socket.send(json.dumps({"stream": "listening", "data": {"streams": ["trade_updates"]}}))
            exchange.listeners.append(socket)
            for _ in socket:
                pass
        except ConnectionClosed:
            pass
        finally:
            if socket in exchange.listeners:
                exchange.listeners.remove(socket)

    with serve(listen, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            for one in list(exchange.listeners):
                one.close()
            server.shutdown()
            thread.join(10)
