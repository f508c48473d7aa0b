"""Alpha Vantage over HTTP: daily bars of shares, currency pairs and coins. Hourly bars are a paid service and not served.

Errors arrive as HTTP 200 with a notice in the body; each is told apart from the others by its words.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.spelling import as_key
from wealtharena.data import calendars, provider
from wealtharena.data.bars import RawBars, VolumeUnit, raw_table
from wealtharena.data.manners import Manners, number
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError, now
from wealtharena.data.reading.venues import Quote, quote_abroad, untold
from wealtharena.errors import ProviderError

BASE_URL: Final = "https://www.alphavantage.co/query"
COMPACT_BARS: Final = 100  # what outputsize=compact, all that a free key gets of a share, contains
_NOT_A_NUMBER: Final = {"", "None", "null", "."}
_LABELS: Final = {  # of an answer's metadata -> the part of the query that it repeats
    "Symbol": "symbol",
    "Digital Currency Code": "symbol",
    "Market Code": "market",
    "From Symbol": "from_symbol",
    "To Symbol": "to_symbol",
}
_FIELDS: Final = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "dividend amount": "dividend",
    "split coefficient": "split",
}


class Provider(provider.Provider):
    """Daily bars as traded: a free key gets no splits and no dividends, which the quality room then has to find."""

    name = "alpha_vantage"
    title = "Alpha Vantage"
    host = "https://www.alphavantage.co"
    markets = frozenset({"stocks", "etf", "forex", "crypto"})
    ends_with_date = {calendars.WEEKDAYS: "UTC"}  # noqa: RUF012 - a class variable by the contract
    caveats = (
        "Alpha Vantage names no currency: quotes are taken as those of the symbol's venue, London's as pence,"
        " and as dollars where it names none",
    )

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = now) -> None:
        super().__init__(spec, asset, clock=clock)
        self.manners = Manners(self.name, spec.manners)

    @property
    def form(self) -> str:
        """The plan: a free one has neither splits nor dividends of shares."""
        return self._spec.manners.plan if self._asset.market in ("stocks", "etf") else ""

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the symbol's daily bars from `start` to `end`; the running UTC day of a coin or pair is left out.

        Raises:
            ProviderError: no key, a notice instead of data, an unknown symbol, a malformed number, or no rows.
        """
        quote = self._quote(symbol)
        key = self.manners.require_key(symbol, where="a free one: https://www.alphavantage.co/support/#api-key")
        query = self._query(symbol, start)
        content = self.manners.call(lambda: self._attempt(symbol, {**query, "apikey": key}))
        self._check_meant(symbol, content, query)
        table, adjusted = self._table(symbol, content, query)
        if self._asset.market in ("forex", "crypto"):
            table = table[(table["timestamp"] < pd.Timestamp(self._clock().date(), tz="UTC")).to_numpy()]
        self._check_reach(symbol, table, start, query)
        table = self.within(
            symbol, table, start, end, lacks="has no rows between", hint="check data.start and data.end"
        )
        return RawBars(
            provider=self.name,
            symbol=symbol,
            interval=interval,
            table=quote.whole(table),
            currency=quote.currency,
            volume_unit=self._volume_unit(),
            adjusted=adjusted,
            fetched_at=self._clock(),
        )

    def _name(self, symbol: str) -> str:
        """Return Alpha Vantage's word for a symbol."""
        return self._spec.provider_symbols.get(symbol, symbol)

    def _query(self, symbol: str, start: date | None) -> dict[str, str]:
        market, name = self._asset.market, self._name(symbol)
        if market == "forex":
            return {"function": "FX_DAILY", "from_symbol": name[:3], "to_symbol": name[3:6], "outputsize": "full"}
        if market == "crypto":
            coin, _, quote = name.partition("-")
            return {"function": "DIGITAL_CURRENCY_DAILY", "symbol": coin, "market": quote or "USD"}
        if self._spec.manners.plan == "paid":
            return {"function": "TIME_SERIES_DAILY_ADJUSTED", "symbol": name, "outputsize": "full"}
        recent = start is not None and start >= self._compact_start()
        return {"function": "TIME_SERIES_DAILY", "symbol": name, "outputsize": "compact" if recent else "full"}

    def _compact_start(self) -> date:
        """Return the date from which the last 100 bars surely reach back to."""
        return self._clock().date() - timedelta(days=int(COMPACT_BARS * 1.35))

    def _attempt(self, symbol: str, query: dict[str, str]) -> dict[str, Any]:
        response = self.manners.get(symbol, self._spec.manners.base_url or BASE_URL, params=query)
        text = response.text
        if response.status_code >= 400:
            cause = f"refused the request (HTTP {response.status_code}: {self.manners.clean(text)})"
            raise RefusalError(self.name, symbol, cause, hint="check the key and the plan")
        if text.lstrip()[:1] == "<":
            raise ProviderError(
                self.name, symbol, "answered with a web page instead of data", hint="a proxy or a block: try later"
            )
        content: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(text, object_pairs_hook=_keep_repeated)
        if not isinstance(content, dict):
            raise BusyError(self.name, symbol, f"sent a broken answer ({len(text)} bytes of JSON)", hint="run it again")
        for word in ("Information", "Note", "Error Message"):
            if word in content:
                raise self._notice(symbol, str(content[word]), query["function"], word)
        return content

    def _notice(self, symbol: str, text: str, function: str, word: str) -> ProviderError:
        """Return what a notice amounts to; only an error message may be about the symbol, so that another source is asked."""
        told = self.manners.clean(text)
        lower = text.lower()
        if "spreading out" in lower or "call frequency" in lower or "call volume" in lower:
            return BusyError(
                self.name, symbol, f"asks for fewer requests a second ({told})", hint="run it again in a minute"
            )
        if "premium endpoint" in lower or "premium feature" in lower:
            return ProviderError(
                self.name,
                symbol,
                f"{function} in full is a paid service ({told})",
                hint=f"a free key gets the last {COMPACT_BARS} bars: data.start={self._compact_start()}; or use data=yahoo",
            )
        if "requests per day" in lower or "rate limit" in lower:
            return RefusalError(
                self.name,
                symbol,
                f"the key's requests of the day are spent ({told})",
                hint="run it again tomorrow: only what is missing is fetched",
            )
        if "apikey" in lower or "api key" in lower:
            return RefusalError(
                self.name,
                symbol,
                f"does not accept the key ({told})",
                hint=f"check the environment variable {self._spec.manners.key_env}",
            )
        if word != "Error Message":
            return ProviderError(
                self.name,
                symbol,
                f"sent a notice in place of bars ({told})",
                hint="see what it says; run it again later",
            )
        return UnknownSymbolError(
            self.name,
            symbol,
            f"does not know the symbol ({told})",
            hint=f"it carries few exchanges outside the US; use data=yahoo, or say '+data.provider_symbols={{{as_key(symbol)}: <name>}}'",
        )

    def _check_meant(self, symbol: str, content: dict[str, Any], query: dict[str, str]) -> None:
        for name, told in _pairs(content.get("Meta Data")):
            asked = query.get(_LABELS.get(name.split(". ", 1)[-1], ""))
            if asked is not None:
                self.check_named(symbol, asked, told)

    def _table(self, symbol: str, content: dict[str, Any], query: dict[str, str]) -> tuple[pd.DataFrame, Any]:
        series = next((value for name, value in content.items() if name.startswith("Time Series")), None)
        if not series:
            raise ProviderError(
                self.name, symbol, "answered without rows", hint="check the symbol, or run it again later"
            )
        market = query.get("market", "")
        days = _pairs(series)
        if not days:
            raise self._malformed(symbol, series, "the series")
        rows = [
            {"timestamp": day, **self._row(symbol, day, values, market)} for day, values in reversed(days)
        ]  # newest first
        frame = pd.DataFrame(rows)
        stamps = pd.to_datetime(frame["timestamp"], format="%Y-%m-%d", errors="coerce", utc=True)
        if stamps.isna().any():
            raise ProviderError(self.name, symbol, "sent dates that are none", hint="run it again later")
        has_events = "split" in frame
        if has_events:
            frame["split"] = frame["split"].where(frame["split"] != 1.0, 0.0)
        return raw_table(frame.assign(timestamp=stamps)), "none"

    def _row(self, symbol: str, day: str, values: Any, market: str) -> dict[str, float]:
        """Return one bar's numbers; names are like `1. open`, or `1a. open (CNY)` beside `1b. open (USD)`."""
        row: dict[str, float] = {}
        fields = _pairs(values)
        if not fields:
            raise self._malformed(symbol, values, f"a bar on {day}")
        for name, text in fields:
            label = name.split(". ", 1)[-1]
            label, _, quoted = label.partition(" (")
            if label not in _FIELDS or (quoted and quoted.rstrip(")") != market):
                continue
            row[_FIELDS[label]] = self._number(symbol, day, text)
        return row

    def _number(self, symbol: str, day: str, text: Any) -> float:
        if text is None or (isinstance(text, str) and text in _NOT_A_NUMBER):
            return float("nan")
        try:
            return number(text)
        except ValueError:
            pass
        raise self._malformed(symbol, text, f"a number on {day}")

    def _malformed(self, symbol: str, sent: Any, wanted: str) -> ProviderError:
        cause = f"sent {self.manners.clean(str(sent))!r} for {wanted}"
        return ProviderError(self.name, symbol, cause, hint="the stored bars stay as they are; run it again later")

    def _check_reach(self, symbol: str, table: pd.DataFrame, start: date | None, query: dict[str, str]) -> None:
        """Refuse a compact answer that does not reach back to `start`: a gap would be glued over."""
        if query.get("outputsize") != "compact" or start is None or len(table) < COMPACT_BARS:
            return
        first = table["timestamp"].min().date()
        if first > start:
            raise ProviderError(
                self.name,
                symbol,
                f"a free key reaches back to {first} only",
                hint=f"set data.start={first}, or use data=yahoo",
            )

    def _quote(self, symbol: str) -> Quote:
        """Return how the symbol is quoted: the answer does not say."""
        name = self._name(symbol)
        if self._asset.market == "forex":
            return Quote(name[3:6])
        if self._asset.market == "crypto":
            return Quote(name.partition("-")[2] or "USD")
        quote = quote_abroad(symbol, self._asset, name=name)
        if quote is None:
            cause, way = untold(symbol, name)
            raise ProviderError(self.name, symbol, cause, hint=way)
        return quote

    def _volume_unit(self) -> VolumeUnit:
        return "none" if self._asset.market == "forex" else "units"


def _keep_repeated(pairs: list[tuple[str, Any]]) -> Any:
    """Return bars and series as lists of pairs, so that a repeated date is seen; other objects as dicts."""
    dated = bool(pairs) and (pairs[0][0][:4].isdigit() or pairs[0][0].split(".")[0].rstrip("ab").isdigit())
    return pairs if dated else dict(pairs)


def _pairs(content: Any) -> list[tuple[str, Any]]:
    """Return an object that was kept as pairs; nothing where it is none."""
    kept = isinstance(content, list) and all(isinstance(item, tuple) for item in content)
    return content if kept else []
