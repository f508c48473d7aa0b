"""Alpha Vantage: one route, notices under HTTP 200."""

from __future__ import annotations

import csv as csvmod
import io
import json

import pandas as pd
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.data.market_stub.table import spoil
from tests.data.market_stub.wire import day_of


class AlphaVantageFace:
    """The route /av/query."""

    async def alphavantage(self, req: Request) -> Response:
        q = req.query_params
        fn = q.get("function", "").upper()
        doc = "https://www.alphavantage.co/documentation/"
        prem = "https://www.alphavantage.co/premium/"
        if fn.startswith("FX") or fn == "CURRENCY_EXCHANGE_RATE":
            fr, to = (
                (q.get("from_symbol") or q.get("from_currency") or ""),
                (q.get("to_symbol") or q.get("to_currency") or ""),
            )
            sym = f"{fr}{to}=X".upper()
            if sym not in self.bars.frames and f"{fr}-{to}".upper() in self.bars.frames:
                sym = f"{fr}-{to}".upper()
        elif fn.startswith(("DIGITAL", "CRYPTO")):
            sym = f"{q.get('symbol', '')}-{q.get('market', 'USD')}".upper()
        else:
            sym = q.get("symbol", "").upper()

        def say(key, text):
            return JSONResponse({key: text})

        def build(rules, kinds):
            if "av_information" in kinds:
                return say(
                    "Information",
                    f"We have detected your API key as {q.get('apikey')} and our standard API rate limit is 25 requests per day. "
                    f"Please subscribe to any of the premium plans at {prem} to instantly remove all daily rate limits.",
                )
            if "av_burst" in kinds:
                return say(
                    "Information",
                    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request per second). "
                    f"You may subscribe to any of the premium plans at {prem} to lift the free key rate limit (25 requests per day).",
                )
            if "av_note" in kinds:
                return say(
                    "Note",
                    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls per day. "
                    f"Please visit {prem} if you would like to target a higher API call frequency.",
                )
            if "av_premium" in kinds or (fn == "TIME_SERIES_DAILY_ADJUSTED" and not self.cfg["av_premium"]):
                return say(
                    "Information",
                    f"Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at {prem} to instantly unlock all premium endpoints",
                )
            if (
                fn in ("TIME_SERIES_DAILY", "DIGITAL_CURRENCY_DAILY")
                and q.get("outputsize") == "full"
                and not self.cfg["av_premium"]
                and fn == "TIME_SERIES_DAILY"
            ):
                return say(
                    "Information",
                    f"Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the {fn} endpoint. You may subscribe to any of the premium plans at {prem} to instantly unlock all premium features",
                )
            if self.cfg["av_need_key"] and not q.get("apikey"):
                return say(
                    "Error Message",
                    "the parameter apikey is invalid or missing. Please claim your free API key on (https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds.",
                )
            g = self.bars.get(sym)
            if g is None or "av_error" in kinds or "unknown_symbol" in kinds:
                return say(
                    "Error Message", f"Invalid API call. Please retry or visit the documentation ({doc}) for {fn}."
                )
            d = g if fn.startswith(("FX", "DIGITAL")) else self.bars.as_traded(sym)
            if fn not in (
                "TIME_SERIES_DAILY",
                "TIME_SERIES_DAILY_ADJUSTED",
                "FX_DAILY",
                "DIGITAL_CURRENCY_DAILY",
                "GLOBAL_QUOTE",
                "CURRENCY_EXCHANGE_RATE",
            ):
                return say("Error Message", f"This API function ({fn}) does not exist.")
            if fn == "GLOBAL_QUOTE":
                x = d.iloc[-1]
                return JSONResponse(
                    {
                        "Global Quote": {
                            "01. symbol": sym,
                            "02. open": f"{x['open']:.4f}",
                            "03. high": f"{x['high']:.4f}",
                            "04. low": f"{x['low']:.4f}",
                            "05. price": f"{x['close']:.4f}",
                            "06. volume": str(int(x["volume"])),
                            "07. latest trading day": str(day_of(x, sym)),
                        }
                    }
                )
            if fn == "CURRENCY_EXCHANGE_RATE":
                return JSONResponse(
                    {
                        "Realtime Currency Exchange Rate": {
                            "1. From_Currency Code": sym[:3],
                            "3. To_Currency Code": sym[3:6],
                            "5. Exchange Rate": f"{d['close'].iloc[-1]:.8f}",
                            "6. Last Refreshed": str(day_of(d.iloc[-1], sym)),
                            "7. Time Zone": "UTC",
                        }
                    }
                )
            if q.get("outputsize", "compact") != "full" and fn != "DIGITAL_CURRENCY_DAILY":
                d = d.tail(100)
            elif fn == "DIGITAL_CURRENCY_DAILY":
                d = d.tail(350)
            d = spoil(d, rules).iloc[::-1]  # newest first
            p = {"FX_DAILY": 5, "DIGITAL_CURRENCY_DAILY": 8}.get(fn, 4)

            def fmt(x):
                return x if isinstance(x, str) else ("None" if pd.isna(x) else f"{float(x):.{p}f}")

            def vol(x):
                return "0" if pd.isna(x) else (f"{float(x):.8f}" if fn.startswith("DIGITAL") else str(int(x)))

            rows = []
            for _, x in d.iterrows():
                o = [
                    ("1. open", fmt(x["open"])),
                    ("2. high", fmt(x["high"])),
                    ("3. low", fmt(x["low"])),
                    ("4. close", fmt(x["close"])),
                ]
                if fn == "TIME_SERIES_DAILY_ADJUSTED":
                    o += [
                        ("5. adjusted close", fmt(x["adj_close"])),
                        ("6. volume", vol(x["volume"])),
                        ("7. dividend amount", f"{x['dividend']:.4f}"),
                        ("8. split coefficient", f"{x['split'] or 1.0:.1f}"),
                    ]
                elif not fn.startswith("FX"):
                    o.append(("5. volume", vol(x["volume"])))
                rows.append((str(day_of(x, sym)), o))
            if q.get("datatype") == "csv":
                out = io.StringIO()
                w = csvmod.writer(out, lineterminator="\r\n")
                head = (
                    [k.split(". ")[1].replace(" ", "_") for k, _ in rows[0][1]]
                    if rows
                    else ["open", "high", "low", "close"]
                )
                w.writerow(["timestamp", *head])
                [w.writerow([t, *(v for _, v in o)]) for t, o in rows]
                return Response(out.getvalue(), media_type="application/x-download")
            last = rows[0][0] if rows else ""
            size = "Full size" if q.get("outputsize") == "full" else "Compact"
            if fn == "FX_DAILY":
                meta = {
                    "1. Information": "Forex Daily Prices (open, high, low, close)",
                    "2. From Symbol": sym[:3],
                    "3. To Symbol": sym[3:6],
                    "4. Output Size": size,
                    "5. Last Refreshed": f"{last} 21:55:00",
                    "6. Time Zone": "UTC",
                }
                key = "Time Series FX (Daily)"
            elif fn == "DIGITAL_CURRENCY_DAILY":
                base, mk = sym.rsplit("-", 1)
                meta = {
                    "1. Information": "Daily Prices and Volumes for Digital Currency",
                    "2. Digital Currency Code": base,
                    "3. Digital Currency Name": base,
                    "4. Market Code": mk,
                    "5. Market Name": mk,
                    "6. Last Refreshed": f"{last} 00:00:00",
                    "7. Time Zone": "UTC",
                }
                key = "Time Series (Digital Currency Daily)"
            else:
                info = (
                    "Daily Time Series with Splits and Dividend Events"
                    if "ADJUSTED" in fn
                    else "Daily Prices (open, high, low, close) and Volumes"
                )
                meta = {
                    "1. Information": info,
                    "2. Symbol": sym,
                    "3. Last Refreshed": last,
                    "4. Output Size": size,
                    "5. Time Zone": "US/Eastern",
                }
                key = "Time Series (Daily)"
            # written by hand so that a repeated date stays a repeated JSON key
            series = ",\n".join(f"  {json.dumps(t)}: {json.dumps(dict(o))}" for t, o in rows)
            return Response(
                f'{{"Meta Data": {json.dumps(meta)},\n{json.dumps(key)}: {{\n{series}\n}}}}',
                media_type="application/json",
            )

        return await self.answer("alphavantage", req, sym, build)
