"""FRED through fredapi: macro series with their vintages, so that a value is known from the day it was published.

As a source of bars, a series is its newest published value by the date of publication.
"""

from __future__ import annotations

import contextlib
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec, MannersSpec
from wealtharena.data import provider
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.manners import Manners, number
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError, now
from wealtharena.errors import ProviderError

BASE_URL: Final = "https://api.stlouisfed.org/fred"
_VINTAGES: Final = 1000  # publication dates asked for at once; FRED refuses more than 2000
_ROWS: Final = 100_000  # the most that one answer holds; fredapi does not turn pages
_FILL: Final = 0.9  # of an answer, that a part is meant to take: each begins with all that stands at its first vintage
_KEY_PAGE: Final = "a free one: https://fred.stlouisfed.org/docs/api/api_key.html"


class Provider(provider.Provider):
    """Macro series of the Federal Reserve Bank of St. Louis."""

    name = "fred"
    title = "FRED"
    opens = False
    host = "https://api.stlouisfed.org"
    markets = frozenset()
    """Nothing that can be traded: a series comes beside the bars of another source, by data.macro.series."""

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = now) -> None:
        super().__init__(spec, asset, clock=clock)
        manners = spec.manners if spec.source == self.name else spec.macro.manners
        self._manners_spec: MannersSpec = manners
        self._names = spec.provider_symbols
        where = "data.manners" if spec.source == self.name else "data.macro.manners"
        self.manners = Manners(self.name, manners, where=where)
        self._count = 0  # values that there are of what was asked for last, as FRED says

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the newest published value by publication date, as closes; nothing is known before it was out.

        Raises:
            ProviderError: see `releases`, or nothing was published in the window.
        """
        hint = "widen data.start and data.end"
        table = self.within(
            symbol, published(self.releases(symbol)), start, end, lacks="published nothing between", hint=hint
        )
        return RawBars(
            provider=self.name,
            symbol=symbol,
            interval=interval,
            table=table,
            currency="none",
            volume_unit="none",
            adjusted="splits",
            fetched_at=self._clock(),
        )

    def releases(self, series: str) -> pd.DataFrame:
        """Return every value that was ever published: columns series, date, realtime_start, value, in that order.

        `date` is the day or month described, `realtime_start` the day on which the value was out. A value that was
        taken back is NaN.

        Raises:
            ProviderError: no key, the key is refused, the series is unknown, or the service failed.
        """
        key = self.manners.require_key(series, where=_KEY_PAGE)
        named = self._names.get(series, series)
        client = _client(self, series, key)
        try:
            frame = self._all(client, series, named)
        except ValueError as error:  # fredapi turns texts into numbers without looking
            frame, failure = None, self.manners.clean(str(error))
        if frame is None:
            raise ProviderError(
                self.name,
                series,
                f"sent values that are no numbers ({failure})",
                hint="the stored series stays as it is",
            )
        if not len(frame):
            raise ProviderError(self.name, series, "has no observations", hint="check the series id")
        return _tidy(frame, series)

    def _all(self, client: Any, series: str, named: str) -> pd.DataFrame:
        """Return every release: in one answer, or in as many as hold the vintages and the values that there are."""
        self._count = 0
        with contextlib.suppress(_TooManyVintagesError):
            frame: pd.DataFrame = client.get_series_all_releases(named)
            if self._is_whole(frame):
                return frame
        dates = [stamp.date() for stamp in client.get_series_vintage_dates(named)]
        size = min(_VINTAGES, max(int(len(dates) * _FILL * _ROWS / max(self._count, 1)), 1))
        parts: list[pd.DataFrame] = []
        waiting = [dates[i : i + size] for i in range(0, len(dates), size)]
        while waiting:
            chunk = waiting.pop(0)
            frame = client.get_series_all_releases(named, str(chunk[0]), str(chunk[-1]))
            if self._is_whole(frame):
                parts.append(frame)
                continue
            if len(chunk) == 1:
                cause = f"has more values of {chunk[0]} than one answer holds ({len(frame)})"
                raise ProviderError(self.name, series, cause, hint="leave it out of data.macro.series")
            half = len(chunk) // 2
            waiting[:0] = [chunk[:half], chunk[half:]]
        return pd.concat(parts, ignore_index=True)

    def _is_whole(self, frame: pd.DataFrame) -> bool:
        """Return whether an answer holds all that there is of what it was asked for."""
        return len(frame) >= self._count if self._count else len(frame) < _ROWS

    def _request(self, series: str, key: str, url: str) -> ET.Element:
        return self.manners.call(lambda: self._attempt(series, key, url))

    def _attempt(self, series: str, key: str, url: str) -> ET.Element:
        parts = urlsplit(url)
        params = {**dict(parse_qsl(parts.query)), "api_key": key}
        response = self.manners.get(series, f"{parts.scheme}://{parts.netloc}{parts.path}", params=params)
        text = response.text
        if "<html" in text[:500].lower():
            raise ProviderError(
                self.name, series, "answered with a web page instead of data", hint="a proxy or a block: try later"
            )
        root: ET.Element | None = None
        with contextlib.suppress(ET.ParseError):
            root = ET.fromstring(text)
        if root is None:
            raise BusyError(self.name, series, f"sent a broken answer ({len(text)} bytes of XML)", hint="run it again")
        if response.status_code >= 400 or root.tag == "error":
            self._refused(series, response.status_code, root.get("message") or "")
        if root.tag == "observations":
            told = root.get("count") or ""
            self._count = int(told) if told.isdecimal() else 0
        for row in root.iter("observation"):
            self._check(series, row)
        return root

    def _check(self, series: str, row: ET.Element) -> None:
        """Refuse an observation that fredapi would fail on, or take for what it is not."""
        value = row.get("value")
        with contextlib.suppress(ValueError, TypeError):
            for name in ("date", "realtime_start"):
                pd.Timestamp(datetime.strptime(row.get(name) or "", "%Y-%m-%d")).as_unit("ns")
            if value == ".":
                return
            number(value)
            return
        told = self.manners.clean(" ".join(f"{name}={text}" for name, text in row.items()))
        raise ProviderError(
            self.name,
            series,
            f"sent values that are no numbers or no dates ({told})",
            hint="the stored series stays as it is; run it again later",
        )

    def _refused(self, series: str, status: int, message: str) -> None:
        told = self.manners.clean(message)
        if "vintage dates" in message.lower() and "exceed" in message.lower():
            raise _TooManyVintagesError(self.name, series, told)
        if "does not exist" in message:
            raise UnknownSymbolError(
                self.name,
                series,
                f"does not know the series (HTTP {status}: {told})",
                hint="check it on fred.stlouisfed.org",
            )
        if "api_key" in message or status in (401, 403):
            raise RefusalError(
                self.name,
                series,
                f"does not accept the key (HTTP {status}: {told})",
                hint=f"check the environment variable {self._manners_spec.key_env}",
            )
        raise ProviderError(
            self.name, series, f"refused the request (HTTP {status}: {told})", hint="see the reason it gives"
        )


class _TooManyVintagesError(ProviderError):
    """The series was published more often than one answer may hold."""


def published(releases: pd.DataFrame) -> pd.DataFrame:
    """Return bars of the newest observation's value by publication date (closes only)."""
    ordered = releases.dropna(subset=["value"]).sort_values(["realtime_start", "date"], kind="stable")
    newest = ordered["date"].cummax()
    current = ordered[ordered["date"] >= newest]  # a revision of an older observation does not change the newest
    current = current.drop_duplicates("realtime_start", keep="last")
    stamps = pd.DatetimeIndex(current["realtime_start"]).tz_localize("UTC")
    return raw_table(pd.DataFrame({"timestamp": stamps, "close": current["value"].to_numpy()}))


def _observations(root: ET.Element) -> pd.DataFrame:
    """Return the observations of an answer, which `_check` has passed, in the order in which they came."""
    rows = list(root.iter("observation"))
    dates = {
        name: pd.to_datetime([row.get(name) or "" for row in rows], format="%Y-%m-%d").as_unit("ns")
        for name in ("date", "realtime_start")
    }
    values = [math.nan if row.get("value") == "." else number(row.get("value")) for row in rows]
    return pd.DataFrame({**dates, "value": np.asarray(values, dtype=np.float64)})


def _tidy(frame: pd.DataFrame, series: str) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "series": series,
            "date": frame["date"],
            "realtime_start": frame["realtime_start"],
            "value": frame["value"],
        }
    )
    table = table.sort_values(["date", "realtime_start"], kind="stable", ignore_index=True)
    table = table.drop_duplicates(["date", "realtime_start"], keep="last")
    before = table.groupby("date")["value"].shift()
    first = ~table.duplicated("date")
    same = (table["value"] == before) | (table["value"].isna() & before.isna() & ~first)
    missing = first & table["value"].isna()  # announced without a value: nothing was published yet
    return table[~(same | missing)].reset_index(drop=True)


def _client(source: Provider, series: str, key: str) -> Any:
    """Return a fredapi client whose requests go through the provider's manners, with a timeout."""
    import fredapi

    class Client(fredapi.Fred):  # type: ignore[misc]  # fredapi has no types
        root_url = (source._manners_spec.base_url or BASE_URL).rstrip("/")

        def get_series_all_releases(
            self, series_id: str, realtime_start: str | None = None, realtime_end: str | None = None
        ) -> pd.DataFrame:
            """Return what fredapi does, in a hundredth of the time: of some series there are millions of values."""
            since, until = realtime_start or self.earliest_realtime_start, realtime_end or self.latest_realtime_end
            window = f"series_id={series_id}&realtime_start={since}&realtime_end={until}"
            return _observations(self._Fred__fetch_data(f"{self.root_url}/series/observations?{window}"))

        def _Fred__fetch_data(self, url: str) -> ET.Element:  # noqa: N802 - the name that fredapi calls
            return source._request(series, key, url)

    return Client(api_key=key)
