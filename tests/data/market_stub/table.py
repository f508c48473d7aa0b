"""Bars, macro rows and the faults that can be laid on them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import fnmatch
import random
import threading
import time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

UTC = ZoneInfo("UTC")
DAY = 86_400

# kind -> what it does.  "times" (default: for ever), "match" (glob on symbol or path), "after" (skip first n)
# and the named parameters may be given with each rule.
FAULTS = {
    "http_429": "429 in the provider's own dialect; retry_after=seconds puts a Retry-After header",
    "http_500": "500; status=502/503/504 for another code",
    "http_401": "401 in the provider's dialect",
    "http_403": "403 in the provider's dialect",
    "slow": "answer after delay=seconds",
    "truncate": "200, valid HTTP, body cut at fraction=0.5",
    "short_read": "Content-Length promises more than is sent, then the connection closes",
    "html": "200 with an HTML page where data was due",
    "empty_body": "200 with no bytes",
    "empty_result": "200, well formed, no rows",
    "unknown_symbol": "the provider's answer for a symbol it does not know",
    "nan_rows": "n=3 rows with all-null prices (whole=False: only close is null)",
    "dup_ts": "n=2 rows repeated (drift=x: the copy's close differs by the factor 1+x)",
    "out_of_order": "rows shuffled (seed=0)",
    "unadjusted_split": "prices before fraction=0.5 of the rows are ratio=4 times too high, no split event",
    "malformed": "n=1 rows whose close is text such as 'N/A' or '1,234.5' (text=...)",
    "gap": "n=5 consecutive rows missing from the middle",
    "spike": "one row factor=100 times too high (pence for pounds)",
    "negative": "one row with a negative close and low",
    "high_below_low": "one row with high and low exchanged",
    "zero_volume": "all volumes 0",
    "stale": "the last n=5 rows missing",
    "future": "one extra row a day after the last",
    "live_row": "yahoo: the running day appended even though it is past period2",
    "crumb_429": "yahoo: only getcrumb answers 429",
    "crumb_html": "yahoo: getcrumb answers with an HTML page",
    "down_page": "yahoo: the 'Will be right back' page, HTTP 200",
    "consent": "yahoo: redirect to the consent page",
    "av_information": "alphavantage: daily limit notice, HTTP 200",
    "av_burst": "alphavantage: one-request-per-second notice, HTTP 200",
    "av_note": "alphavantage: the older 'Note' notice, HTTP 200",
    "av_premium": "alphavantage: premium endpoint notice, HTTP 200",
    "av_error": "alphavantage: 'Error Message', HTTP 200",
    "fred_vintages": "fred: more publication dates in the window than one answer may hold (most=2)",
    "fred_rows": "fred: fewer values in one answer than there are, which only its count tells (most=10)",
    "cg_365": "coingecko: 10012, allowed time range exceeded, HTTP 401",
}


@dataclasses.dataclass(frozen=True)
class Venue:
    kind: str  # equity, etf, index, fx, crypto, future
    tz: str
    open: tuple[int, int]
    close: tuple[int, int]
    exchange: str
    full_exchange: str
    currency: str
    instrument: str  # Yahoo's instrumentType

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)


def venue_of(sym: str) -> Venue:
    s = sym.upper()
    if s.endswith("=X"):
        return Venue(
            "fx", "Europe/London", (0, 0), (23, 59), "CCY", "CCY", s[3:6] if len(s) == 8 else "USD", "CURRENCY"
        )
    if s.endswith("=F"):
        return Venue("future", "America/New_York", (0, 0), (23, 59), "CME", "CME", "USD", "FUTURE")
    if "-" in s and s.rsplit("-", 1)[1] in {"USD", "EUR", "GBP", "AUD", "USDT"}:
        return Venue("crypto", "UTC", (0, 0), (23, 59), "CCC", "CCC", s.rsplit("-", 1)[1], "CRYPTOCURRENCY")
    if s.endswith(".AX"):
        return Venue("equity", "Australia/Sydney", (10, 0), (16, 0), "ASX", "ASX", "AUD", "EQUITY")
    if s.endswith(".L"):
        return Venue("equity", "Europe/London", (8, 0), (16, 30), "LSE", "LSE", "GBp", "EQUITY")
    if s.endswith(".DE"):
        return Venue("equity", "Europe/Berlin", (9, 0), (17, 30), "GER", "XETRA", "EUR", "EQUITY")
    if s in {"^AXJO", "^AORD"}:
        return Venue("index", "Australia/Sydney", (10, 0), (16, 0), "ASX", "ASX", "AUD", "INDEX")
    if s.startswith("^"):
        return Venue("index", "America/New_York", (9, 30), (16, 0), "SNP", "SNP", "USD", "INDEX")
    if s in {"SPY", "QQQ", "IWM", "DIA", "GLD", "TLT", "VTI", "VOO", "EEM", "XLF", "XLK"}:
        return Venue("etf", "America/New_York", (9, 30), (16, 0), "PCX", "NYSEArca", "USD", "ETF")
    return Venue("equity", "America/New_York", (9, 30), (16, 0), "NMS", "NasdaqGS", "USD", "EQUITY")


def read_table(src: Any) -> pd.DataFrame:
    if isinstance(src, pd.DataFrame):
        return src.copy()
    p = str(src)
    return pd.read_parquet(p) if p.endswith((".parquet", ".pq")) else pd.read_csv(p)


class BarStore:
    """Bars by symbol.  Daily bars are kept by date; intraday bars by the UTC second they start."""

    def __init__(self, src: Any):
        df = read_table(src)
        df.columns = [c.lower() for c in df.columns]
        ts = df["timestamp"]
        ts = (
            pd.to_datetime(ts, utc=True)
            if pd.api.types.is_datetime64_any_dtype(ts)
            else pd.to_datetime(ts.astype(str), utc=True, format="ISO8601")
        )
        df["t"] = ts.dt.as_unit("s").astype("int64")  # unit-safe: pandas 3 no longer gives ns
        df["symbol"] = df["symbol"].astype(str).str.upper()
        self.frames: dict[str, pd.DataFrame] = {}
        self.daily: dict[str, bool] = {}
        for sym, g in df.groupby("symbol", sort=True):
            g = g.sort_values("t").drop_duplicates("t").reset_index(drop=True)
            step = g["t"].diff().median() if len(g) > 1 else DAY
            daily = bool(step >= DAY * 0.9)
            if daily:
                v, days = venue_of(sym), []
                for t in g["t"]:
                    at = dt.datetime.fromtimestamp(int(t), UTC)
                    local = at if (at.hour, at.minute) == (0, 0) else at.astimezone(v.zone)
                    days.append(local.date())
                g["day"] = days
                g["t"] = [self.stamp(sym, d) for d in days]
            for c in ("dividend", "split"):
                if c not in g:
                    g[c] = 0.0
            g = g.fillna({"dividend": 0.0, "split": 0.0})
            if "adj_close" not in g or g["adj_close"].isna().all():
                g["adj_close"] = self._adjust(g)
            self.frames[sym], self.daily[sym] = g, daily
        self.last = max((int(g["t"].iloc[-1]) for g in self.frames.values()), default=int(time.time()))

    @staticmethod
    def stamp(sym: str, day: dt.date) -> int:
        """The second Yahoo puts on a daily bar: the session's open in the venue's own time."""
        v = venue_of(sym)
        return int(dt.datetime(day.year, day.month, day.day, *v.open, tzinfo=v.zone).timestamp())

    @staticmethod
    def _adjust(g: pd.DataFrame) -> np.ndarray:
        f, out = 1.0, np.empty(len(g))
        close, div = g["close"].to_numpy(float), g["dividend"].to_numpy(float)
        for i in range(len(g) - 1, -1, -1):
            out[i] = close[i] * f
            if div[i] and i:
                f *= 1.0 - div[i] / close[i - 1]
        return out

    def get(self, sym: str) -> pd.DataFrame | None:
        return self.frames.get(sym.upper())

    def as_traded(self, sym: str) -> pd.DataFrame:
        """Undo later splits: what TIME_SERIES_DAILY and Alpaca's adjustment=raw give."""
        g = self.frames[sym].copy()
        f, fac = 1.0, np.empty(len(g))
        sp = g["split"].to_numpy(float)
        for i in range(len(g) - 1, -1, -1):
            fac[i] = f
            if sp[i] not in (0.0, 1.0):
                f *= sp[i]
        for c in ("open", "high", "low", "close"):
            g[c] = g[c] * fac
        g["volume"] = g["volume"] / fac
        return g


class MacroStore:
    def __init__(self, src: Any = None):
        self.rows: dict[str, pd.DataFrame] = {}
        if src is None:
            return
        df = read_table(src)
        df.columns = [c.lower() for c in df.columns]
        for c, d in (("realtime_start", "1776-07-04"), ("realtime_end", "9999-12-31")):
            if c not in df:
                df[c] = d
        for c in ("date", "realtime_start", "realtime_end"):
            df[c] = df[c].astype(str).str[:10]
        for sid, g in df.groupby("series_id"):
            self.rows[str(sid).upper()] = g.sort_values(["date", "realtime_start"]).reset_index(drop=True)


class Faults:
    def __init__(self) -> None:
        self.rules: list[dict] = []
        self.lock = threading.Lock()

    def set(self, rules: list[dict], add: bool = False) -> None:
        for r in rules:
            if r.get("kind") not in FAULTS:
                raise ValueError(f"no such fault: {r.get('kind')!r}")
        with self.lock:
            self.rules = (self.rules if add else []) + [dict(r, seen=0, hit=0) for r in rules]

    def take(self, provider: str, path: str, symbol: str | None) -> list[dict]:
        out = []
        with self.lock:
            for r in self.rules:
                if r.get("provider", "*") not in ("*", provider):
                    continue
                m = r.get("match")
                if m and not (fnmatch.fnmatch(symbol or "", m) or fnmatch.fnmatch(path, m)):
                    continue
                if r["kind"].startswith("crumb") != path.endswith("getcrumb") and provider == "yahoo":
                    continue  # data faults leave the crumb alone, crumb faults leave data alone
                r["seen"] += 1
                if r["seen"] <= r.get("after", 0):
                    continue
                if r.get("times") is not None and r["hit"] >= r["times"]:
                    continue
                r["hit"] += 1
                out.append(r)
        return out


def spoil(df: pd.DataFrame, rules: list[dict]) -> pd.DataFrame:
    """Apply the row faults.  Text goes into an object column, so encoders must pass values through."""
    num = ["open", "high", "low", "close", "adj_close"]
    for r in rules:
        k, n = r["kind"], len(df)
        if k == "empty_result":
            df = df.iloc[:0]
        if not n:
            continue
        mid = n // 2
        df = df.reset_index(drop=True)
        if k == "nan_rows":
            at = list(range(mid, min(n, mid + r.get("n", 3))))
            cols = [*num, "volume"] if r.get("whole", True) else ["close", "adj_close"]
            df[cols] = df[cols].astype(float)
            df.loc[at, cols] = np.nan
        elif k == "dup_ts":
            c = df.iloc[mid : mid + r.get("n", 2)].copy()
            c[["close", "adj_close"]] *= 1 + r.get("drift", 0.0)
            df = pd.concat([df.iloc[: mid + r.get("n", 2)], c, df.iloc[mid + r.get("n", 2) :]])
        elif k == "out_of_order":
            o = list(range(n))
            random.Random(r.get("seed", 0)).shuffle(o)
            df = df.iloc[o]
        elif k == "unadjusted_split":
            cut, ratio = int(n * r.get("fraction", 0.5)), r.get("ratio", 4.0)
            df.loc[df.index < cut, num] = df.loc[df.index < cut, num] * ratio
            df.loc[df.index < cut, "volume"] = df.loc[df.index < cut, "volume"] / ratio
            df["split"] = 0.0
        elif k == "malformed":
            df["close"] = df["close"].astype(object)
            for i in range(mid, min(n, mid + r.get("n", 1))):
                df.at[i, "close"] = r.get("text", "N/A")
        elif k == "gap":
            df = df.drop(index=range(mid, min(n, mid + r.get("n", 5))))
        elif k == "spike":
            df.loc[mid, num] = df.loc[mid, num] * r.get("factor", 100.0)
        elif k == "negative":
            df.loc[mid, ["low", "close", "adj_close"]] = -df.loc[mid, ["low", "close", "adj_close"]].astype(float)
        elif k == "high_below_low":
            h, lo = df.at[mid, "high"], df.at[mid, "low"]
            df.loc[mid, ["high", "low"]] = [lo, h]
        elif k == "zero_volume":
            df["volume"] = 0.0
        elif k == "stale":
            df = df.iloc[: -r.get("n", 5)]
        elif k == "future":
            c = df.iloc[-1:].copy()
            c["t"] += DAY
            if "day" in c:
                c["day"] = [d + dt.timedelta(days=1) for d in c["day"]]
            df = pd.concat([df, c])
    return df.reset_index(drop=True)


def jnum(v: Any, f32: bool = False) -> Any:
    """A JSON value for a price: null for NaN, text passed through, Yahoo's float32 noise on request."""
    if isinstance(v, str):
        return v
    v = float(v)
    if not np.isfinite(v):
        return None
    return float(np.float32(v)) if f32 else v


def jnums(column: pd.Series) -> list[Any]:
    """A column of prices with Yahoo's float32 noise, as `jnum` writes each."""
    if column.dtype == object:
        return [jnum(one, True) for one in column]
    values = column.to_numpy(np.float32).astype(np.float64)
    return [one if known else None for one, known in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)]
