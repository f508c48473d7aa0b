"""What one client can do to a running service, bounded in count and time, over the loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
HERE = "127.0.0.2"  # the attacker's address; its victims ask from 127.0.0.1
BODY = 2_000_000


@dataclass(frozen=True)
class Target:
    """Where an attack goes, with what key, until when, and from which address."""

    host: str
    port: int
    key: str
    until: float
    source: str = HERE

    @property
    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, local_addr=(self.source, 0), limit=1 << 22)

    def post(self, body: bytes) -> bytes:
        """Return a whole request for a prediction."""
        return self.head(f"content-length: {len(body)}\r\n") + body

    def head(self, extra: str = "") -> bytes:
        return (
            f"POST /agents/cryptocurrencies/predict HTTP/1.1\r\nhost: localhost\r\nx-api-key: {self.key}\r\n"
            f"content-type: application/json\r\n{extra}\r\n"
        ).encode()


Attack = Callable[[Target], Awaitable[None]]


def many_items(items: bytes, around: tuple[bytes, bytes]) -> bytes:
    """Return a body of 2 MB that repeats `items`."""
    return around[0] + b",".join([items] * ((BODY - 100) // (len(items) + 1))) + around[1]


def bars(count: int) -> bytes:
    """Return a legal request of `count` bars a symbol."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        {"timestamp": (today - timedelta(days=count - 1 - i)).date().isoformat(), "symbol": symbol, "close": 100.0 + i}
        for i in range(count)
        for symbol in SYMBOLS
    ]
    return json.dumps({"bars": rows}, separators=(",", ":")).encode()


def posting(body: Callable[[], bytes], connections: int) -> Attack:
    """Return an attack that sends the same body again and again over some connections."""

    async def attack(target: Target) -> None:
        request = target.post(body())

        async def ask() -> None:
            while target.left:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    reader, writer = await target.connect()
                    try:
                        while target.left:
                            writer.write(request)
                            await writer.drain()
                            head = await reader.readuntil(b"\r\n\r\n")
                            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                            await reader.readexactly(size)
                            if b"connection: close" in head.lower():
                                break
                    finally:
                        writer.close()
                await asyncio.sleep(0.01)

        await asyncio.gather(*(ask() for _ in range(connections)))

    return attack


def dripping(first: Callable[[Target], bytes], drop: bytes, connections: int, every: float) -> Attack:
    """Return an attack that opens connections and sends little or nothing on each."""

    async def attack(target: Target) -> None:
        async def hold(n: int) -> None:
            await asyncio.sleep(n * 0.001)
            while target.left:
                with contextlib.suppress(OSError):
                    _, writer = await target.connect()
                    try:
                        writer.write(first(target))
                        while target.left and not writer.is_closing():
                            await asyncio.sleep(min(every, target.left + 0.01))
                            writer.write(drop)
                            await writer.drain()
                    finally:
                        writer.close()
                await asyncio.sleep(0.2)

        await asyncio.gather(*(hold(n) for n in range(connections)))

    return attack


def flooding(piece: Callable[[Target], bytes], connections: int, *, read: bool = True) -> Attack:
    """Return an attack that writes as fast as it is read, and reads what comes or nothing at all."""

    async def attack(target: Target) -> None:
        async def swallow(reader: asyncio.StreamReader) -> None:
            with contextlib.suppress(OSError):
                while await reader.read(1 << 16):
                    pass

        async def flood() -> None:
            while target.left:
                with contextlib.suppress(OSError, TimeoutError):
                    reader, writer = await target.connect()
                    swallowing = asyncio.create_task(swallow(reader)) if read else None
                    try:
                        while target.left and not writer.is_closing():
                            writer.write(piece(target))
                            await asyncio.wait_for(writer.drain(), target.left + 0.01)
                    finally:
                        if swallowing is not None:
                            swallowing.cancel()
                        writer.close()
                await asyncio.sleep(0.01)

        await asyncio.gather(*(flood() for _ in range(connections)))

    return attack


def get(path: str, *, key: bool = True) -> Callable[[Target], bytes]:
    """Return a request for a page."""
    return lambda target: (
        f"GET {path} HTTP/1.1\r\nhost: localhost\r\n" + (f"x-api-key: {target.key}\r\n" if key else "") + "\r\n"
    ).encode()


ATTACKS: dict[str, Attack] = {
    "2 MB of empty observations, 4 connections": posting(lambda: many_items(b"{}", (b'{"batch":[', b"]}")), 4),
    "2 MB of empty lists": posting(lambda: many_items(b"[]", (b'{"features":[', b"]}")), 4),
    "2 MB of wrong numbers": posting(lambda: many_items(b'"x"', (b'{"features":[[[', b"]]]}")), 4),
    "2 MB of unknown fields": posting(lambda: b"{" + b",".join(b'"k%d":0' % i for i in range(180_000)) + b"}", 4),
    "2 MB of symbols": posting(
        lambda: b'{"features":[],"portfolio":{"weights":{' + b",".join(b'"k%d":0' % i for i in range(180_000)) + b"}}}",
        4,
    ),
    "legal bars, 2 MB on 20 connections": posting(lambda: bars(11_000), 20),
    "legal bars, 15 kB on 20 connections": posting(lambda: bars(80), 20),
    "1,100 silent sockets": dripping(lambda _: b"", b"", 1100, 60),
    "200 heads, a byte a second": dripping(lambda _: b"GET /health HT", b"T", 200, 1.0),
    "60 bodies, a byte a second": dripping(lambda target: target.head("content-length: 1900000\r\n"), b" ", 60, 1.0),
    "an endless head": flooding(lambda _: b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 20_000, 4),
    "one header without an end": flooding(lambda _: b"GET / HTTP/1.1\r\na: " + b"x" * 200_000, 4),
    "a URL without an end": flooding(lambda _: b"GET /" + b"x" * 200_000, 4),
    "a body in chunks of one byte": flooding(
        lambda target: target.head("transfer-encoding: chunked\r\n") + b"1\r\n \r\n" * 100_000, 4
    ),
    "requests without a key, pipelined": flooding(lambda target: get("/agents", key=False)(target) * 400, 8),
    "pages, 20 connections": flooding(lambda target: get("/docs")(target) + get("/")(target), 20),
    "answers that nobody reads": flooding(get("/openapi.json"), 200, read=False),
}


def run(name: str, target: Target) -> None:
    """Carry out one attack, in a process of its own."""
    asyncio.run(ATTACKS[name](target))


@contextlib.contextmanager
def under(name: str, target: Target) -> Iterator[None]:
    """Carry out an attack while the block runs."""
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=run, args=(name, target), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()
