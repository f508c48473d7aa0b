# ruff: noqa: E741 - o, h, l, c are the words of the trade
"""How each service writes dates, errors and rows."""

from __future__ import annotations

import datetime as dt
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
from starlette.responses import JSONResponse, Response

from tests.data.market_stub.table import DAY, UTC, Venue, venue_of


def fred_error(code: int, text: str, js: bool, headers: dict | None = None) -> Response:
    if js:
        return JSONResponse({"error_code": code, "error_message": text}, code, headers=headers)
    return Response(
        f'<?xml version="1.0" encoding="utf-8" ?>\n<error code="{code}" message={quoteattr(text)} />\n',
        code,
        headers=headers,
        media_type="text/xml",
    )


def fred_doc(root: str, head: dict, item: str, rows: list, js: bool) -> Response:
    if js:
        return JSONResponse({**head, root: rows})
    at = " ".join(f"{k}={quoteattr(str(v))}" for k, v in head.items())
    body = "\n".join(
        f"  <{item}>{r}</{item}>"
        if isinstance(r, str)
        else f"  <{item} " + " ".join(f"{k}={quoteattr(str(v))}" for k, v in r.items()) + " />"
        for r in rows
    )
    return Response(
        f'<?xml version="1.0" encoding="utf-8" ?>\n<{root} {at}>\n{body}\n</{root}>\n', media_type="text/xml"
    )


def refusal(provider: str, code: int, rule: dict) -> Response:
    h = {"retry-after": str(rule["retry_after"])} if "retry_after" in rule else {}
    if provider == "coingecko":
        if code == 429:
            return JSONResponse(
                {
                    "status": {
                        "error_code": 429,
                        "error_message": "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to subscribe to our API plans for higher rate limits.",
                    }
                },
                429,
                headers=h,
            )
        return JSONResponse({"status": {"error_code": code, "error_message": "stub"}}, code, headers=h)
    if provider == "fred":
        return (
            fred_error(
                code,
                "Too Many Requests.  Exceeded Rate Limit"
                if code == 429
                else ("Internal Server Error" if code >= 500 else "Bad Request."),
                False,
                h,
            )
            if not rule.get("as_html")
            else Response("<html><body>upstream</body></html>", code, headers=h, media_type="text/html")
        )
    if provider == "alpaca":
        m = {
            429: (42910000, "rate limit exceeded"),
            401: (40110000, "request is not authorized"),
            403: (40310000, "forbidden."),
        }.get(code, (50010000, "internal server error occurred"))
        return JSONResponse({"code": m[0], "message": m[1]}, code, headers=h)
    if provider == "alpaca_data":
        m = {
            429: "too many requests.",
            403: "subscription does not permit querying recent SIP data",
            401: "unauthorized.",
        }.get(code, "internal server error")
        return JSONResponse({"message": m}, code, headers=h)
    text = {429: "Edge: Too Many Requests", 401: "Unauthorized", 403: "Forbidden"}.get(code, "Internal Server Error")
    return Response(text, code, headers=h, media_type="text/plain" if code == 429 else "text/html")


def unix(s: str) -> int:
    try:
        return int(float(s))
    except ValueError:
        t = pd.Timestamp(s)
        return int((t.tz_localize("UTC") if t.tzinfo is None else t).timestamp())


def span_of(rng: str, now: int, first: int) -> int:
    t = dt.datetime.fromtimestamp(now, UTC)
    if rng == "max":
        return first
    if rng == "ytd":
        return int(dt.datetime(t.year, 1, 1, tzinfo=UTC).timestamp())
    n = int("".join(c for c in rng if c.isdigit()) or 1)
    unit = "".join(c for c in rng if c.isalpha())
    return now - {"d": DAY, "wk": 7 * DAY, "mo": 30 * DAY, "y": 365 * DAY}.get(unit, DAY) * n - DAY


def day_of(x, sym: str) -> dt.date:
    if "day" in x and isinstance(x["day"], dt.date):
        return x["day"]
    return dt.datetime.fromtimestamp(int(x["t"]), UTC).astimezone(venue_of(sym).zone).date()


def events_of(d: pd.DataFrame) -> dict:
    ev: dict[str, dict] = {}
    for t, dividend, n in zip(d["t"].tolist(), d["dividend"].tolist(), d["split"].tolist(), strict=True):
        if dividend:
            ev.setdefault("dividends", {})[str(t)] = {"amount": float(dividend), "date": t}
        if n not in (0.0, 1.0):
            num, den = (n, 1) if n >= 1 else (1, round(1 / n))
            ev.setdefault("splits", {})[str(t)] = {
                "date": t,
                "numerator": num,
                "denominator": den,
                "splitRatio": f"{num:g}:{den:g}",
            }
    return ev


def regroup(d: pd.DataFrame, interval: str, v: Venue) -> pd.DataFrame:
    if not len(d):
        return d
    at = pd.to_datetime(d["t"], unit="s", utc=True).dt.tz_convert(v.tz)
    if interval == "1wk":
        key = (at - pd.to_timedelta(at.dt.weekday, unit="D")).dt.date
    elif interval == "1mo":
        key = at.dt.strftime("%Y-%m")
    elif interval == "3mo":
        key = at.dt.year * 10 + at.dt.quarter
    elif interval == "5d":
        key = np.arange(len(d)) // 5
    else:
        sec = {"1m": 60, "2m": 120, "5m": 300, "15m": 900, "30m": 1800, "60m": 3600, "1h": 3600, "90m": 5400}.get(
            interval, 3600
        )
        key = d["t"] // sec
    return (
        d.groupby(np.asarray(key), sort=True)
        .agg(
            t=("t", "first"),
            open=("open", "first"),
            high=("high", "max"),
            low=("low", "min"),
            close=("close", "last"),
            volume=("volume", "sum"),
            adj_close=("adj_close", "last"),
            dividend=("dividend", "sum"),
            split=("split", "max"),
        )
        .reset_index(drop=True)
    )


def path_of(o, h, l, c, n: int) -> list[float]:
    """n+1 prices from open to close that touch the low and the high, so that candles over them add up to the day."""
    x, y = (l, h) if c >= o else (h, l)
    i, j = max(1, n // 3), max(2, 2 * n // 3)
    return list(np.interp(range(n + 1), [0, i, j, n], [o, x, y, c]))


def candles(d: pd.DataFrame, step: int):
    """(close time, [o,h,l,c]) the way CoinGecko cuts them, out of daily bars starting 00:00 UTC."""
    if step >= DAY:
        k = step // DAY
        rows = d[["t", "open", "high", "low", "close"]].values.tolist()
        for i in range(0, len(rows), k):
            c = rows[i : i + k]
            yield (
                int(c[-1][0]) + DAY,
                [
                    c[0][1],
                    max((r[2] for r in c), key=lambda z: -1e99 if z != z else z),
                    min((r[3] for r in c), key=lambda z: 1e99 if z != z else z),
                    c[-1][4],
                ],
            )
        return
    n = DAY // step
    for t, o, h, l, c in d[["t", "open", "high", "low", "close"]].values.tolist():
        if isinstance(c, str) or c != c:
            yield int(t) + step, [o, h, l, c]
            continue
        p = path_of(o, h, l, c, n)
        for i in range(n):
            yield int(t) + (i + 1) * step, [p[i], max(p[i], p[i + 1]), min(p[i], p[i + 1]), p[i + 1]]


def ticks(d: pd.DataFrame, step: int):
    """(time, price, trailing volume): the price standing at each grid point."""
    n = max(1, DAY // step)
    first = True
    for t, o, h, l, c, v in d[["t", "open", "high", "low", "close", "volume"]].values.tolist():
        if first:
            yield int(t), o, v
            first = False
        if n == 1 or isinstance(c, str) or c != c:
            yield int(t) + DAY, c, v
            continue
        p = path_of(o, h, l, c, n)
        for i in range(1, n + 1):
            yield int(t) + i * step, p[i], v
