"""Loopback stand-in for Yahoo Finance, Alpha Vantage, FRED and CoinGecko, in their wire formats.

    with StubServer(bars, macro) as stub:
        stub.url("yahoo"); stub.fault("yahoo", "http_429", times=2); stub.log("yahoo")

`bars` is a table in long form (timestamp, symbol, open, high, low, close, volume; optional dividend, split, adj_close),
`macro` one of observations (date, series_id, value; optional realtime_start, realtime_end). Prices are split-adjusted,
which is what Yahoo calls close. Everything that can go wrong is a fault, see table.FAULTS.
"""

from __future__ import annotations

import asyncio
import collections
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.data.market_stub.alphavantage import AlphaVantageFace
from tests.data.market_stub.coingecko import CoinGeckoFace
from tests.data.market_stub.fred import FredFace
from tests.data.market_stub.table import DAY, BarStore, Faults, MacroStore
from tests.data.market_stub.wire import refusal
from tests.data.market_stub.yahoo import YahooFace


class Stub(YahooFace, AlphaVantageFace, FredFace, CoinGeckoFace):
    def __init__(self, bars: Any, macro: Any = None):
        self.bars, self.macro, self.faults = BarStore(bars), MacroStore(macro), Faults()
        self.requests: list[dict] = []
        self.stamps: dict[str, collections.deque] = collections.defaultdict(collections.deque)
        self.cfg: dict[str, Any] = {
            "now": None,  # default: a day after the last bar
            "limits": {},  # {"coingecko": {"per_minute": 30}, "alphavantage": {"per_day": 25, "per_second": 1}}
            "av_premium": False,  # outputsize=full and DAILY_ADJUSTED refused, as for a free key
            "av_need_key": True,
            "fred_need_key": True,
            "cg_key": None,
            "cg_days": 365,
            "require_crumb": False,
            "replay": {},  # {"yahoo:GC=F": "file.json"}: answer with a recorded body, whatever was asked
        }

    @property
    def now(self) -> int:
        n = self.cfg["now"]
        if n is None:
            return self.bars.last + DAY
        return int(pd.Timestamp(n, tz="UTC").timestamp()) if isinstance(n, str) else int(n)

    # -- plumbing
    def limited(self, provider: str) -> tuple[str, float] | None:
        lim = self.cfg["limits"].get(provider)
        if not lim:
            return None
        q, t = self.stamps[provider], time.time()
        for name, span in (("per_second", 1), ("per_minute", 60), ("per_day", DAY)):
            if name in lim:
                inside = [x for x in q if t - x < span]
                if len(inside) >= lim[name]:
                    return name, span - (t - inside[0])
        q.append(t)
        while q and t - q[0] > DAY:
            q.popleft()
        return None

    async def answer(self, provider: str, req: Request, symbol: str | None, build) -> Response:
        path = req.url.path
        rules = self.faults.take(provider, path, symbol)
        row = {
            "n": len(self.requests),
            "at": time.time(),
            "provider": provider,
            "method": req.method,
            "path": path,
            "query": dict(req.query_params),
            "symbol": symbol,
            "faults": [r["kind"] for r in rules],
            "status": None,
            "headers": {
                k: v
                for k, v in req.headers.items()
                if k
                in (
                    "user-agent",
                    "x-stub-host",
                    "x-cg-demo-api-key",
                    "x-cg-pro-api-key",
                    "apca-api-key-id",
                    "if-none-match",
                )
            },
        }
        self.requests.append(row)
        res = await self._answer(provider, req, symbol, build, rules)
        row["status"] = res.status_code
        return res

    async def _answer(self, provider, req, symbol, build, rules) -> Response:
        kinds = {r["kind"]: r for r in rules}
        if "slow" in kinds:
            await asyncio.sleep(kinds["slow"].get("delay", 5.0))
        hit = self.limited(provider)
        if hit:
            kinds.setdefault(
                "http_429"
                if provider != "alphavantage"
                else ("av_burst" if hit[0] == "per_second" else "av_information"),
                {"retry_after": max(1, int(hit[1]) + 1)},
            )
        for k, code in (("http_429", 429), ("http_500", 500), ("http_401", 401), ("http_403", 403), ("crumb_429", 429)):
            if k in kinds:
                return refusal(provider, kinds[k].get("status", code), kinds[k])
        if "html" in kinds or "crumb_html" in kinds:
            return Response(
                "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Sorry</h1></body></html>",
                media_type="text/html",
            )
        if "down_page" in kinds:
            return Response("<html><body>Will be right back...</body></html>", media_type="text/html")
        if "empty_body" in kinds:
            return Response(b"", media_type="application/json")
        if "consent" in kinds:
            return RedirectResponse("/yahoo/consent", 307)
        tape = self.cfg["replay"].get(f"{provider}:{symbol}")
        if tape:
            kind = "text/xml" if tape.endswith(".xml") else "application/json"
            res: Response = Response(Path(tape).read_bytes(), media_type=kind)
        else:
            res = build(rules, kinds)
        if "truncate" in kinds:
            b = bytes(res.body)
            res = Response(
                b[: int(len(b) * kinds["truncate"].get("fraction", 0.5))], res.status_code, media_type=res.media_type
            )
        if "short_read" in kinds:
            b = bytes(res.body)

            async def part():
                yield b[: max(1, len(b) // 2)]

            return StreamingResponse(
                part(), res.status_code, headers={"content-length": str(len(b))}, media_type=res.media_type
            )
        return res

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/yahoo/v1/test/getcrumb", self.yahoo_crumb),
                Route("/yahoo/v8/finance/chart/{symbol:path}", self.yahoo_chart),
                Route("/yahoo/consent", self.yahoo_consent, methods=["GET", "POST"]),
                Route("/yahoo/{rest:path}", self.yahoo_root, methods=["GET", "POST"]),
                Route("/av/query", self.alphavantage),
                Route("/fred/{what:path}", self.fred),
                Route("/coingecko/api/v3/{tail:path}", self.coingecko),
            ]
        )


class StubServer:
    """The stub in a thread of this process, on a free loopback port."""

    def __init__(self, bars: Any, macro: Any = None, port: int = 0, **cfg: Any):
        self.stub = Stub(bars, macro)
        self.stub.cfg.update(cfg)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port))
        self.port = self.sock.getsockname()[1]
        self.server = uvicorn.Server(
            uvicorn.Config(self.stub.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.sock]}, daemon=True)

    def url(self, provider: str = "") -> str:
        p = {
            "": "",
            "yahoo": "/yahoo",
            "alphavantage": "/av/query",
            "fred": "/fred",
            "coingecko": "/coingecko/api/v3",
        }[provider]
        return f"http://127.0.0.1:{self.port}{p}"

    def fault(self, provider: str, kind: str, **kw: Any) -> None:
        self.stub.faults.set([{"provider": provider, "kind": kind, **kw}], add=True)

    def clear(self) -> None:
        self.stub.faults.set([])
        self.stub.requests.clear()

    def log(self, provider: str | None = None) -> list[dict]:
        return [r for r in self.stub.requests if provider in (None, r["provider"])]

    def __enter__(self) -> StubServer:
        self.thread.start()
        for _ in range(400):
            if self.server.started:
                return self
            time.sleep(0.01)
        raise RuntimeError("stub did not start")

    def __exit__(self, *_: Any) -> None:
        self.server.should_exit = True
        self.thread.join(5)
