"""Yahoo Finance: chart, crumb, cookie and consent page."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.data.market_stub.table import UTC, jnum, jnums, spoil, venue_of
from tests.data.market_stub.wire import events_of, regroup, span_of


class YahooFace:
    """The routes below /yahoo."""

    async def yahoo_root(self, req: Request) -> Response:  # fc.yahoo.com: 404, but it sets the A3 cookie
        def build(rules, kinds):
            r = PlainTextResponse("Not Found", 404)
            r.headers["set-cookie"] = "A3=d=STUB; Max-Age=31557600; Path=/; HttpOnly"
            return r

        return await self.answer("yahoo_cookie", req, None, build)

    async def yahoo_crumb(self, req: Request) -> Response:
        return await self.answer("yahoo", req, None, lambda rules, kinds: PlainTextResponse("StubCrumb.1"))

    async def yahoo_consent(self, req: Request) -> Response:
        page = (
            '<html><body><form method="post" action="/yahoo/consent"><input type="hidden" name="csrfToken" value="t0k"/>'
            '<input type="hidden" name="sessionId" value="s1"/><button name="agree" value="agree">Accept</button></form></body></html>'
        )
        return await self.answer("yahoo_cookie", req, None, lambda rules, kinds: Response(page, media_type="text/html"))

    async def yahoo_chart(self, req: Request) -> Response:
        sym = req.path_params["symbol"].upper()

        def err(status, code, text):
            return JSONResponse({"chart": {"result": None, "error": {"code": code, "description": text}}}, status)

        def build(rules, kinds):
            q = req.query_params
            if self.cfg["require_crumb"] and q.get("crumb") != "StubCrumb.1":
                return JSONResponse(
                    {"finance": {"result": None, "error": {"code": "Unauthorized", "description": "Invalid Crumb"}}},
                    401,
                )
            g = self.bars.get(sym)
            if g is None or "unknown_symbol" in kinds:
                return err(404, "Not Found", "No data found, symbol may be delisted")
            v, interval, now = venue_of(sym), q.get("interval", "1d"), self.now
            if "period1" in q or "period2" in q:
                a, b = int(float(q.get("period1", 0))), int(float(q.get("period2", now)))
            else:
                a, b = span_of(q.get("range", "1mo"), now, int(g["t"].iloc[0])), now
            if b < int(g["t"].iloc[0]):
                return err(400, "Bad Request", f"Data doesn't exist for startDate = {a}, endDate = {b}")
            intraday = interval.endswith(("m", "h")) and interval[-2:] != "mo" and not interval.endswith("mo")
            if intraday and self.bars.daily[sym]:
                return err(
                    422,
                    "Unprocessable Entity",
                    f"{interval} data not available for startTime={a} and endTime={b}. "
                    "The requested range must be within the last 60 days.",
                )
            d = g[(g["t"] >= a) & (g["t"] <= b)]  # the real service also answers with a bar standing on period2
            if "live_row" in kinds:
                after = g[g["t"] > b].head(1)
                d = pd.concat([d, after])
            if intraday or interval in ("1wk", "5d", "1mo", "3mo"):
                d = regroup(d, interval, v)
            d = spoil(d, rules)
            body: dict[str, Any] = {
                "meta": self.yahoo_meta(sym, g, v, interval, q.get("range", ""), now, a, b, intraday)
            }
            if len(d):
                body["timestamp"] = [int(x) for x in d["t"]]
                ev = events_of(d)
                if ev and "events" in q:
                    body["events"] = ev
                cols = {c: jnums(d[c]) for c in ("low", "open", "close", "high")}
                cols["volume"] = [None if pd.isna(x) else int(x) for x in d["volume"]]
                body["indicators"] = {"quote": [cols]}
                if not intraday:
                    body["indicators"]["adjclose"] = [{"adjclose": jnums(d["adj_close"])}]
            else:
                body["indicators"] = {"quote": [{}]}  # no "timestamp" key at all: how a closed market looks
            return JSONResponse({"chart": {"result": [body], "error": None}})

        return await self.answer("yahoo", req, sym, build)

    def yahoo_meta(self, sym, g, v, interval, rng, now, a, b, intraday):
        known = g[g["t"] <= now]
        last = (known if len(known) else g).iloc[-1]

        def off(t):
            return int(dt.datetime.fromtimestamp(t, UTC).astimezone(v.zone).utcoffset().total_seconds())

        def name(t):
            return dt.datetime.fromtimestamp(t, UTC).astimezone(v.zone).tzname()

        day = dt.datetime.fromtimestamp(int(last["t"]), UTC).astimezone(v.zone).date()

        def session(d):
            s = int(dt.datetime(d.year, d.month, d.day, *v.open, tzinfo=v.zone).timestamp())
            e = int(dt.datetime(d.year, d.month, d.day, *v.close, tzinfo=v.zone).timestamp())
            return {"timezone": name(s), "start": s, "end": e, "gmtoffset": off(s)}

        reg = session(day)
        m = {
            "currency": v.currency,
            "symbol": sym,
            "exchangeName": v.exchange,
            "fullExchangeName": v.full_exchange,
            "instrumentType": v.instrument,
            "firstTradeDate": int(g["t"].iloc[0]),
            "regularMarketTime": int(last["t"]) + 60,
            "hasPrePostMarketData": v.kind in ("equity", "etf") and v.exchange in ("NMS", "PCX"),
            "gmtoffset": off(int(last["t"])),
            "timezone": name(int(last["t"])),
            "exchangeTimezoneName": v.tz,
            "regularMarketPrice": jnum(last["close"], True),
            "regularMarketVolume": int(last["volume"]) if v.kind != "fx" else 0,
            "longName": f"{sym} (stub)",
            "shortName": f"{sym} (stub)",
            "chartPreviousClose": jnum(g["close"].iloc[0], True),
            "priceHint": 4 if v.kind == "fx" else 2,
            "currentTradingPeriod": {
                "pre": {**reg, "end": reg["start"]},
                "regular": reg,
                "post": {**reg, "start": reg["end"]},
            },
            "dataGranularity": interval,
            "range": rng,
            "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
        }
        if intraday:
            days = sorted(
                {dt.datetime.fromtimestamp(int(t), UTC).astimezone(v.zone).date() for t in g["t"] if a <= t <= b}
            )
            m["tradingPeriods"] = [[session(d)] for d in days]
        return m
