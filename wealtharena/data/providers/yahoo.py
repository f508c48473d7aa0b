"""Yahoo Finance through yfinance: daily bars with dividends and splits, hourly bars for the last 730 days.

yfinance hides most failures behind empty frames and "possibly delisted"; here each symbol is asked for by itself, over
a session that keeps what really came back, and that evidence decides what an error says.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.spelling import as_key
from wealtharena.data import calendars, dividends, places, provider
from wealtharena.data.bars import RawBars, VolumeUnit, raw_table, window_mask
from wealtharena.data.manners import Manners, raise_for_busy
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError, UnreachableError, now
from wealtharena.data.providers import _yfinance
from wealtharena.data.quality import calendar_of
from wealtharena.data.reading.venues import Quote, quote_abroad, quote_in, untold
from wealtharena.errors import DataError, ProviderError

HOURLY_DAYS: Final = 730
_NO_CONNECTION: Final = ("ConnectionError", "DNSError", "ConnectError", "ProxyError")  # as curl_cffi names them
_COLUMNS: Final = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Dividends": "dividend",
    "Stock Splits": "split",
}


class Provider(provider.Provider):
    """Bars of one symbol at a time; prices are split-adjusted by Yahoo, dividends come beside them."""

    name = "yahoo"
    title = "Yahoo Finance"
    host = "https://query2.finance.yahoo.com"
    intervals = frozenset({"1d", "1h"})
    ends_with_date = {"CMES": "America/New_York"}  # noqa: RUF012 - a class variable by the contract
    caveats = (
        "Yahoo Finance: prices are split-adjusted by the source, dividends are cash on the ex-date,"
        " those in other money than the prices at the ECB's fixing of that date; capital gains that a fund pays out are not"
        " paid",
    )

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = now) -> None:
        super().__init__(spec, asset, clock=clock)
        self.manners = Manners(self.name, spec.manners)
        self._answers = _yfinance.Answers()
        self._session: Any = None
        self._converted: dict[str, str] = {}  # symbol -> what was done to its dividends

    def notes(self) -> tuple[str, ...]:
        return (*self.caveats, *(f"{symbol}: {words}" for symbol, words in self._converted.items()))

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the symbol's bars from `start` to `end`, both included; a bar that is not over is left out.

        Raises:
            ProviderError: Yahoo refused or failed, does not know the symbol, or has no rows in the window.
        """
        self._check_window(symbol, start, interval)
        frame, about = self.manners.call(lambda: self._attempt(symbol, start, end, interval))
        self.check_named(symbol, self.provider_symbol(symbol), about.get("symbol"))
        quote = self._quote(symbol, about)
        calendar = calendar_of(symbol, self._asset, currency=quote.currency)
        table = self._table(symbol, frame, quote, calendar, daily=interval == "1d")
        table = self._finished(table, about, interval, calendar)
        if interval == "1d":  # the service adds the price of now to any window
            table = table[window_mask(table["timestamp"], start, end).to_numpy()].reset_index(drop=True)
        if table.empty:
            raise ProviderError(
                self.name,
                symbol,
                f"has no finished bars between {start or 'the first'} and {end or 'now'}",
                hint="widen the dates",
            )
        return RawBars(
            provider=self.name,
            symbol=symbol,
            interval=interval,
            table=table,
            currency=quote.currency,
            volume_unit=self._volume_unit(),
            adjusted="splits",
            fetched_at=self._clock(),
        )

    def provider_symbol(self, symbol: str) -> str:
        """Return Yahoo's word for a symbol: EURUSD=X for EURUSD in forex; shares, coins and futures are the same."""
        if symbol in self._spec.provider_symbols:
            return self._spec.provider_symbols[symbol]
        if self._asset.market == "forex" and len(symbol) == 6 and symbol.isalpha():
            return f"{symbol.upper()}=X"
        return symbol

    def _check_window(self, symbol: str, start: date | None, interval: str) -> None:
        earliest = self._clock().date() - timedelta(days=HOURLY_DAYS - 1)
        if interval == "1h" and start is not None and start < earliest:
            raise ProviderError(
                self.name,
                symbol,
                f"hourly bars reach back {HOURLY_DAYS} days only, not to {start}",
                hint=f"set data.start={earliest} or later, or data.interval=1d",
            )

    def _attempt(self, symbol: str, start: date | None, end: date | None, interval: str) -> tuple[pd.DataFrame, Any]:
        """Return yfinance's frame and the metadata beside it; every failure is classified by what came over the wire."""
        import yfinance
        from yfinance.data import YfData

        self._prepare(symbol)
        window: dict[str, Any] = {"period": "max"} if start is None else {"start": start.isoformat()}
        if end is not None:
            window["end"] = (end + timedelta(days=1)).isoformat()
        failure = ""
        frame, about = pd.DataFrame(), {}
        YfData.cache_get.cache_clear()  # else a failed answer to a past window is repeated for ever
        with _yfinance.quiet():
            try:
                ticker = yfinance.Ticker(self.provider_symbol(symbol), session=self._session)
                frame = ticker.history(
                    interval=interval,
                    auto_adjust=False,
                    actions=True,
                    keepna=True,
                    timeout=self._spec.manners.timeout_seconds,
                    **window,
                )
                about = ticker.history_metadata
            except ProviderError as error:
                error.__context__ = error.__cause__ = None
                raise
            except Exception as error:  # noqa: BLE001 - yfinance raises whatever its parts raise; the wire decides what it was
                failure = f"{type(error).__name__}: {error}"
                _yfinance.forget_cookies_after(error)
            finally:
                _yfinance.close_cookies()
        self._judge(symbol, failure, empty=frame.empty)
        return frame, about

    def _prepare(self, symbol: str) -> None:
        import yfinance

        yfinance.config.debug.hide_exceptions = False
        yfinance.config.network.retries = 0
        self._answers = _yfinance.Answers()
        if self._session is None:
            self._session = _yfinance.make_session(self.manners, self._keep)
        try:
            _yfinance.keep_cookies_in(
                Path(self._spec.root).absolute() / ".cache" / "yfinance"
            )  # wherever this process goes
        except OSError as error:
            raise places.unusable(self._spec.root, error) from None
        self._session.symbol = symbol

    def _keep(self, answer: Any) -> None:
        self._answers.charts.append(answer)

    def _judge(self, symbol: str, failure: str, *, empty: bool) -> None:
        """Raise what the answers on the wire amount to; return if they are bars."""
        answer = self._answers.last
        if self.manners.requests >= self.manners.spec.requests_per_run and (failure or empty):
            self.manners.admit(symbol)
        if answer is None:
            if failure:
                away = failure.startswith(_NO_CONNECTION)
                kind = UnreachableError if away else BusyError
                raise kind(self.name, symbol, self._no_answer(failure), hint="check the network, then run it again")
            raise ProviderError(self.name, symbol, "sent nothing", hint="run it again")
        raise_for_busy(self.name, symbol, answer.status_code, answer.headers)
        text = answer.text
        if "consent" in urlsplit(str(answer.url)).path or "collectConsent" in text[:2000]:
            raise RefusalError(
                self.name,
                symbol,
                "answered with its cookie-consent page instead of data",
                hint="open finance.yahoo.com once from this network and accept, or use another data source",
            )
        if "Will be right back" in text[:2000]:
            raise BusyError(self.name, symbol, "is down ('Will be right back')", hint="run it again later")
        reason = _chart_error(text)
        if reason is not None:
            self._refused(symbol, answer.status_code, reason)
        if text.lstrip()[:1] == "<":
            raise ProviderError(
                self.name,
                symbol,
                "answered with a web page instead of data",
                hint="a proxy or a block: try from another network",
            )
        if answer.status_code in (401, 403):
            raise RefusalError(
                self.name, symbol, f"refused access (HTTP {answer.status_code})", hint="wait, then run it again"
            )
        if not failure and not empty:
            return
        if not _is_json(text):
            raise BusyError(self.name, symbol, f"sent a broken answer ({len(text)} bytes of JSON)", hint="run it again")
        if failure and not _no_rows(text):
            cause = f"sent values that are no numbers or no bars ({self.manners.clean(failure)})"
            raise ProviderError(self.name, symbol, cause, hint="the stored bars stay as they are; run it again later")
        raise ProviderError(
            self.name,
            symbol,
            "answered without rows for the window",
            hint="check data.start and data.end, or try again later",
        )

    def _refused(self, symbol: str, status: int, reason: str) -> None:
        told = self.manners.clean(reason)
        if status == 404:
            raise UnknownSymbolError(
                self.name,
                symbol,
                f"does not know {self.provider_symbol(symbol)} (HTTP 404)",
                hint=f"check the symbol, or name Yahoo's own: '+data.provider_symbols={{{as_key(symbol)}: <name>}}'",
            )
        if "Crumb" in reason or status in (401, 403):
            raise BusyError(self.name, symbol, f"refused the session's crumb (HTTP {status})", hint="run it again")
        if "doesn't exist for startDate" in reason:
            raise ProviderError(
                self.name, symbol, f"has no bars in the window ({told})", hint="widen data.start and data.end"
            )
        raise ProviderError(
            self.name, symbol, f"refused the request (HTTP {status}: {told})", hint="see the reason it gives"
        )

    def _no_answer(self, failure: str) -> str:
        kind = failure.split(":", 1)[0]
        limit = f" within {self._spec.manners.timeout_seconds:g} s" if "imeout" in kind else ""
        return f"no answer{limit} ({kind})"

    def _table(self, symbol: str, frame: pd.DataFrame, quote: Quote, calendar: str, *, daily: bool) -> pd.DataFrame:
        index = pd.DatetimeIndex(frame.index).as_unit("ns")
        # a daily bar is stamped with the session's open: its date is the one in the venue's own time zone
        stamps = index.tz_localize(None).normalize().tz_localize("UTC") if daily else index.tz_convert("UTC")
        named = frame.rename(columns=_COLUMNS).reset_index(drop=True)
        table = quote.whole(raw_table(named.assign(timestamp=stamps)))
        try:
            paid = dividends.of_yahoo(self._answers.last.text, daily=daily)
            table, words = dividends.in_money_of(
                quote, table, paid, calendar=calendar, hourly=not daily, data=self._spec
            )
            table = dividends.carried(self._answers.last.text, table, daily=daily)
        except DataError as error:
            raise ProviderError(self.name, symbol, error.message, hint=error.hint) from error
        if words:
            self._converted[symbol] = words
        return table

    def _quote(self, symbol: str, about: Any) -> Quote:
        """Return how the symbol is quoted: as Yahoo says, else as configured or as its name tells."""
        name = self.provider_symbol(symbol)
        if stated := about.get("currency"):
            # a future's cents stay: its multiplier in conf/asset/commodities.yaml counts the quote as it stands
            return quote_in("USD" if stated == "USX" and name.endswith("=F") else str(stated))
        quote = quote_abroad(symbol, self._asset, name=name)
        if quote is None:
            cause, way = untold(symbol, name)
            raise ProviderError(self.name, symbol, cause, hint=way)
        return quote

    def _finished(self, table: pd.DataFrame, about: Any, interval: str, calendar: str) -> pd.DataFrame:
        """Return the table without bars that were not over when they were fetched; some venues' prices are told late."""
        now = pd.Timestamp(self._clock())
        if interval != "1d":
            return table[(table["timestamp"] + pd.Timedelta(interval) + calendars.settling(calendar) <= now).to_numpy()]
        zone = str(about.get("exchangeTimezoneName") or "UTC")
        today = now.tz_convert(zone)
        close = _session_end(about)
        over = close is not None and close.date() == today.date() and close <= now
        last_day = today.date() if over else today.date() - timedelta(days=1)
        return table[(table["timestamp"] <= pd.Timestamp(last_day, tz="UTC")).to_numpy()]

    def _volume_unit(self) -> VolumeUnit:
        if self._asset.market == "forex":
            return "none"
        return "account" if self._asset.market == "crypto" else "units"


def _session_end(about: Any) -> pd.Timestamp | None:
    """Return when the trading day that Yahoo calls current ends, in the venue's time zone."""
    try:
        end = about["currentTradingPeriod"]["regular"]["end"]
    except (KeyError, TypeError):
        return None
    if hasattr(end, "tzinfo") and pd.Timestamp(end).tzinfo is not None:
        return pd.Timestamp(end)
    return pd.Timestamp(end, unit="s", tz="UTC").tz_convert(str(about.get("exchangeTimezoneName") or "UTC"))


def _chart_error(text: str) -> str | None:
    with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):
        content = json.loads(text)
        error = (content.get("chart") or content.get("finance") or {}).get("error")
        if error:
            return str(error.get("description") or error.get("code"))
    return None


def _is_json(text: str) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(text)
        return True
    return False


def _no_rows(text: str) -> bool:
    with contextlib.suppress(ValueError, AttributeError, TypeError, KeyError, IndexError, RecursionError):
        return not json.loads(text)["chart"]["result"][0].get("timestamp")
    return False
