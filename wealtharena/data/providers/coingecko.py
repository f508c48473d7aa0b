"""CoinGecko over HTTP: daily and hourly closes of coins.

Its candles are 30 minutes, four hours or four days long, so that daily open, high and low cannot be had; the closes
come from the price chart, whose point at the end of a day is that day's close.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import provider
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.manners import Manners, number, raise_for_busy
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError, now
from wealtharena.errors import ProviderError

BASE_URL: Final = "https://api.coingecko.com/api/v3"
PAID_URL: Final = "https://pro-api.coingecko.com/api/v3"
FREE_DAYS: Final = 365
HOURLY_DAYS: Final = 90  # the longest window that CoinGecko cuts into hours
_EARLIEST_MS: Final = 1_000_000_000_000  # in 2001, before there were coins
_DAY_MS: Final = 86_400_000
_OFF_MS: Final = 300_000
_COINS: Final = {
    "BTC": "bitcoin",
    "ETH": "ethereum",
    "SOL": "solana",
    "ADA": "cardano",
    "XRP": "ripple",
    "DOGE": "dogecoin",
    "LTC": "litecoin",
    "DOT": "polkadot",
    "LINK": "chainlink",
    "BNB": "binancecoin",
    "AVAX": "avalanche-2",
    "BCH": "bitcoin-cash",
    "XLM": "stellar",
    "TRX": "tron",
    "XMR": "monero",
    "ETC": "ethereum-classic",
    "EOS": "eos",
    "NEO": "neo",
    "DASH": "dash",
    "ZEC": "zcash",
    "DCR": "decred",
    "ALGO": "algorand",
    "ATOM": "cosmos",
    "UNI": "uniswap",
    "MATIC": "matic-network",
    "POL": "polygon-ecosystem-token",
}


class Provider(provider.Provider):
    """Closes only: open, high and low are absent, so that orders fill at the next close."""

    name = "coingecko"
    title = "CoinGecko"
    opens = False
    host = "https://api.coingecko.com"
    intervals = frozenset({"1d", "1h"})
    markets = frozenset({"crypto"})
    caveats = ("CoinGecko prices are averages over exchanges: closes only, no open, high or low",)

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = now) -> None:
        super().__init__(spec, asset, clock=clock)
        self.manners = Manners(self.name, spec.manners)

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the coin's closes from `start` to `end`, stamped with the start of their bar; the running bar is left out.

        Daily volume is in the quote currency; hourly bars have none, since the source gives the last 24 hours'.

        Raises:
            ProviderError: the window is longer than the plan allows, the coin is unknown, or the source failed.
        """
        coin, quote = self._coin(symbol)
        days = self._days(symbol, start, interval)
        content = self.manners.call(lambda: self._attempt(symbol, coin, quote, days, interval))
        table = self._table(symbol, content, interval)
        table = self.within(
            symbol, table, start, end, lacks="has no rows between", hint="check data.start and data.end"
        )
        return RawBars(
            provider=self.name,
            symbol=symbol,
            interval=interval,
            table=table,
            currency=quote,
            volume_unit="account" if interval == "1d" else "none",
            adjusted="splits",
            fetched_at=self._clock(),
        )

    def _coin(self, symbol: str) -> tuple[str, str]:
        coin, _, quote = symbol.partition("-")
        named = self._spec.provider_symbols.get(symbol) or _COINS.get(coin.upper())
        if named is None or not quote:
            raise UnknownSymbolError(
                self.name,
                symbol,
                "its coin id is not known",
                hint=f"look it up on coingecko.com and say '+data.provider_symbols={{{symbol}: <id>}}'",
            )
        return named, quote.upper()

    def _days(self, symbol: str, start: date | None, interval: str) -> str:
        """Return the length of the window in days, as the service wants it; longer than the plan allows is refused."""
        free = self._spec.manners.plan == "free"
        allowed = HOURLY_DAYS if interval == "1h" else FREE_DAYS if free else None
        if start is None:
            return str(allowed) if allowed is not None else "max"
        days = (self._clock().date() - start).days + 1
        if allowed is not None and days > allowed:
            limit = (
                f"hourly points reach back {HOURLY_DAYS} days"
                if interval == "1h"
                else f"the free plan reaches back {FREE_DAYS} days"
            )
            earliest = self._clock().date() - pd.Timedelta(days=allowed - 1)
            raise ProviderError(
                self.name,
                symbol,
                f"{limit}, not to {start}",
                hint=f"set data.start={earliest} or later, or use data=yahoo",
            )
        return str(max(days, 2))

    def _attempt(self, symbol: str, coin: str, quote: str, days: str, interval: str) -> Any:
        settings = self._spec.manners
        params = {"vs_currency": quote.lower(), "days": days}
        if interval == "1d":
            params["interval"] = "daily"
        paid = settings.plan == "paid"
        headers = {"x-cg-pro-api-key" if paid else "x-cg-demo-api-key": self.manners.key} if self.manners.key else {}
        base = (settings.base_url or (PAID_URL if paid else BASE_URL)).rstrip("/")
        response = self.manners.get(symbol, f"{base}/coins/{coin}/market_chart", params=params, headers=headers)
        text = response.text
        if text.lstrip()[:1] == "<":
            raise ProviderError(
                self.name, symbol, "answered with a web page instead of data", hint="a proxy or a block: try later"
            )
        content: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            content = response.json()
        if not isinstance(content, dict):
            raise BusyError(self.name, symbol, f"sent a broken answer ({len(text)} bytes of JSON)", hint="run it again")
        self._judge(symbol, coin, response.status_code, content)
        return content

    def _judge(self, symbol: str, coin: str, status: int, content: dict[str, Any]) -> None:
        error = content.get("error")
        about = content.get("status") or (error.get("status") if isinstance(error, dict) else None) or {}
        about = about if isinstance(about, dict) else {"error_message": about}
        code, told = about.get("error_code"), self.manners.clean(str(about.get("error_message") or error or ""))
        if code == 429:  # also under another status
            raise_for_busy(self.name, symbol, 429, {})
        if code == 10012:
            raise ProviderError(
                self.name,
                symbol,
                f"the plan reaches back {FREE_DAYS} days only ({told})",
                hint="set a later data.start, or use data=yahoo",
            )
        if error == "coin not found" or status == 404:
            raise UnknownSymbolError(
                self.name,
                symbol,
                f"does not know the coin {coin}",
                hint=f"say '+data.provider_symbols={{{symbol}: <id on coingecko.com>}}'",
            )
        if status in (401, 403) or code in (10002, 10010, 10011):
            raise RefusalError(
                self.name,
                symbol,
                f"does not accept the key (HTTP {status}: {told})",
                hint=f"check the environment variable {self._spec.manners.key_env} and data.manners.plan",
            )
        if status >= 400 or error:
            raise ProviderError(
                self.name, symbol, f"refused the request (HTTP {status}: {told})", hint="see the reason it gives"
            )

    def _table(self, symbol: str, content: dict[str, Any], interval: str) -> pd.DataFrame:
        """Return bars of points [milliseconds, value]: a point on the grid is the close of the bar that ends there."""
        step = _DAY_MS if interval == "1d" else 3_600_000
        prices = self._points(symbol, content.get("prices"))
        volumes = dict(self._points(symbol, content.get("total_volumes") or []))
        closes = _on_grid(prices, step, now=int(self._clock().timestamp() * 1000))
        ends = np.array([end for end, _, _ in closes], dtype=np.int64)
        frame = pd.DataFrame(
            {
                "timestamp": pd.to_datetime(ends - step, unit="ms", utc=True),
                "close": [value for _, _, value in closes],
                "volume": [volumes.get(at, math.nan) if interval == "1d" else math.nan for _, at, _ in closes],
            }
        )
        return raw_table(frame)

    def _points(self, symbol: str, points: Any) -> list[tuple[int, float]]:
        if not isinstance(points, list):
            cause = f"sent {self.manners.clean(repr(points))} for the points of the price chart"
            raise ProviderError(self.name, symbol, cause, hint="the stored bars stay as they are; run it again later")
        found: list[tuple[int, float]] = []
        for point in points:
            try:
                at, value = point[:2]
                found.append((_milliseconds(at), math.nan if value is None else number(value)))
            except (TypeError, ValueError, KeyError):
                shown = self.manners.clean(repr(point))
                break
        else:
            return found
        cause = f"sent {shown} for a point of the price chart"
        raise ProviderError(self.name, symbol, cause, hint="the stored bars stay as they are; run it again later")


def _on_grid(points: list[tuple[int, float]], step: int, *, now: int) -> list[tuple[int, int, float]]:
    """Return end of the bar, time and value of the points next to the ends of bars that are over, at most five minutes off.

    Points of hours lie some seconds behind them. The newest point is the price of now: it ends no day that it does not
    stand on, and no hour that another point is nearer to.
    """
    newest = max((at for at, _ in points), default=0)
    ends = [(math.floor(at / step + 0.5) * step, at, value) for at, value in points]
    near: dict[int, int] = {}
    for end, at, _ in ends:
        off = abs(at - end)
        if off < _OFF_MS and not (off and at == newest and step == _DAY_MS):
            near[end] = min(off, near.get(end, _OFF_MS))
    return [
        (end, at, value)
        for end, at, value in ends
        if abs(at - end) == near.get(end) and end <= min(now, newest + _OFF_MS)
    ]


def _milliseconds(at: object) -> int:
    moment = number(at)
    if not moment >= _EARLIEST_MS:  # seconds, most likely
        raise ValueError("not a time")
    return int(moment)
