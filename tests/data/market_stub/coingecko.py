"""CoinGecko: price charts and candles."""

from __future__ import annotations

import datetime as dt

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.data.market_stub.table import DAY, UTC, jnum, spoil
from tests.data.market_stub.wire import candles, ticks, unix

COINS = {
    "bitcoin": "BTC",
    "ethereum": "ETH",
    "solana": "SOL",
    "cardano": "ADA",
    "ripple": "XRP",
    "dogecoin": "DOGE",
    "litecoin": "LTC",
    "polkadot": "DOT",
    "chainlink": "LINK",
    "binancecoin": "BNB",
    "avalanche-2": "AVAX",
}


class CoinGeckoFace:
    """The routes below /coingecko."""

    async def coingecko(self, req: Request) -> Response:
        q, tail = req.query_params, req.path_params["tail"].strip("/")
        parts = tail.split("/")
        coin = parts[1] if parts[0] == "coins" and len(parts) > 1 else ""
        vs = (q.get("vs_currency") or q.get("vs_currencies") or "usd").upper()
        sym = f"{COINS.get(coin, coin).upper()}-{vs}" if coin else None

        def plan():
            return JSONResponse(
                {
                    "error": {
                        "status": {
                            "timestamp": dt.datetime.now(UTC).isoformat(timespec="milliseconds"),
                            "error_code": 10012,
                            "error_message": "Your request exceeds the allowed time range. Public API users are limited to querying historical data within the past 365 days. "
                            "Upgrade to a paid plan to enjoy full historical data access: https://www.coingecko.com/en/api/pricing. ",
                        }
                    }
                },
                401,
            )

        def build(rules, kinds):
            key = self.cfg["cg_key"]
            if key and (req.headers.get("x-cg-demo-api-key") or q.get("x_cg_demo_api_key")) != key:
                return JSONResponse({"status": {"error_code": 10002, "error_message": "API Key Missing"}}, 401)
            if tail == "ping":
                return JSONResponse({"gecko_says": "(V3) To the Moon!"})
            if tail == "coins/list":
                have = [(c, s) for c, s in COINS.items() if f"{s}-USD" in self.bars.frames]
                return JSONResponse([{"id": c, "symbol": s.lower(), "name": c.title()} for c, s in have])
            if tail == "simple/price":
                out = {}
                for c in q.get("ids", "").split(","):
                    g = self.bars.get(f"{COINS.get(c, c)}-{vs}")
                    if g is not None:
                        out[c] = {vs.lower(): jnum(g["close"].iloc[-1])}
                return JSONResponse(out)  # an unknown id is simply absent
            g = self.bars.get(sym) if sym else None
            if g is None or "unknown_symbol" in kinds:
                return JSONResponse({"error": "coin not found"}, 404)
            if "cg_365" in kinds:
                return plan()
            now, kind = self.now, "/".join(parts[2:])
            if kind == "market_chart/range":
                try:
                    a, b = (unix(q["from"]), unix(q["to"]))
                except KeyError:
                    return JSONResponse({"error": "Missing parameter from or to"}, 422)
                if a < now - self.cfg["cg_days"] * DAY - DAY:
                    return plan()
                days = (b - a) / DAY
            else:
                raw = q.get("days", "")
                if kind == "ohlc" and raw not in {"1", "7", "14", "30", "90", "180", "365", "max"}:
                    return JSONResponse({"error": "Invalid days parameter"}, 422)
                days = float("inf") if raw == "max" else float(raw or 1)
                if days > self.cfg["cg_days"]:
                    return plan()
                a, b = now - int(days * DAY), now
            d = spoil(g, rules)
            if kind == "ohlc":
                step = 1800 if days <= 2 else (14400 if days <= 30 else 4 * DAY)
                rows = [[t * 1000, *(jnum(x) for x in o)] for t, o in candles(d, step) if a < t <= b]
                return JSONResponse(rows)  # [close time in ms, o, h, l, c]: no volume
            step = DAY if (days > 90 or q.get("interval") == "daily") else (3600 if days > 1 else 300)
            pts = [
                (t, p, v * p if isinstance(p, float) else v) for t, p, v in ticks(d, step) if a <= t <= b
            ]  # volume in vs_currency
            if pts and kind == "market_chart" and pts[-1][0] < now:
                pts.append((now - 7, pts[-1][1], pts[-1][2]))  # the running point, not on the grid

            def ms(i):
                return [[p[0] * 1000, jnum(p[i])] for p in pts]

            return JSONResponse(
                {
                    "prices": ms(1),
                    "market_caps": [
                        [p[0] * 1000, (jnum(p[1]) or 0) * 19_000_000 if not isinstance(p[1], str) else None]
                        for p in pts
                    ],
                    "total_volumes": ms(2),
                }
            )

        return await self.answer("coingecko", req, sym, build)
