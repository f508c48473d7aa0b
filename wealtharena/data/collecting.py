"""Bring the store up to a request, symbol by symbol: fetch what is missing, judge it, keep it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, cast

import numpy as np
import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.runs import CollectSpec
from wealtharena.data import calendars, provider
from wealtharena.data.bars import PRICE_COLUMNS, Bars, RawBars
from wealtharena.data.manners import redact
from wealtharena.data.provider import BusyError, Provider, RefusalError, UnknownSymbolError, UnreachableError
from wealtharena.data.providers import fred
from wealtharena.data.quality import calendar_of, check_repaired, inspect
from wealtharena.data.quality.report import summary_of
from wealtharena.data.quality.rows import bar_end
from wealtharena.data.store import Store, Window
from wealtharena.errors import ConfigError, DataError, ProviderError

Status = Literal["new", "updated", "refetched", "rejudged", "restored", "current", "failed"]
_SAME: Final = 1e-5  # relative difference of prices up to which history counts as unchanged
_KEPT_SHARE: Final = 0.9  # of the stored bars, that a history fetched anew must still have


@dataclass(frozen=True)
class Outcome:
    """What came of one symbol or macro series."""

    name: str
    status: Status
    provider: str
    bars: int = 0
    added: int = 0
    start: str = ""
    end: str = ""
    quality: str = ""
    cause: str = ""
    remedy: str = ""


class Collector:
    """Collects symbols of one asset class; a failure of one is an outcome, not an exception."""

    def __init__(
        self,
        asset: AssetSpec,
        data: DataSpec,
        collect: CollectSpec,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.asset = asset
        self.data = data
        self.options = collect
        self.store = Store(data.root)
        self.chain = _chain(asset, data)
        rules = f"{data.quality.model_dump_json()} {data.max_repaired_share}"
        self._rules = hashlib.sha256(rules.encode()).hexdigest()[:16]
        self._clock = clock
        self._providers: dict[str, Provider] = {}
        self._closed: dict[str, ProviderError] = {}
        self._busy: dict[str, int] = {}
        self._answered: set[str] = set()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return what is to be collected: `data.symbols`, else the universe's."""
        return self.data.symbols or self.asset.universe.symbols[: self.asset.universe.max_symbols]

    def collect(self, symbol: str) -> Outcome:
        """Bring one symbol up to date and return what came of it; on failure the stored bars stay as they were.

        The sources of the chain are asked in turn, the next one only where a source does not carry the symbol: another
        refusal is a failure, never a silent change of source.
        """
        error: ProviderError | None = None
        for name in self.chain:
            try:
                return self._update(name, symbol)
            except UnknownSymbolError as unknown:
                error = unknown
            except ProviderError as failed:
                error = failed
                break
            except DataError as damaged:
                error = ProviderError(name, symbol, redact(damaged.message), hint=damaged.hint)
                break
        assert error is not None  # the chain is never empty
        return self._failed(symbol, error)

    def collect_series(self, series: str) -> Outcome:
        """Bring one macro series up to date, with all its vintages, and return what came of it."""
        now = self._clock()
        entry = self.store.catalog()["macro"].get(series)
        fresh = entry is not None and datetime.fromisoformat(entry["fetched_at"]).date() == now.date()
        if entry and fresh and not self.options.refresh and self._has_series(series):
            return Outcome(series, "current", "fred", entry["rows"], 0, entry["start"], entry["end"])
        try:
            self._check_open("fred", series)
            frame = self._macro().releases(series)
        except ProviderError as error:
            self._note(error)
            return self._failed(series, error, note=False)
        written = self.store.write_macro(series, frame, fetched_at=now)
        before = entry["rows"] if entry else 0
        status: Status = "updated" if entry else "new"
        return Outcome(
            series, status, "fred", written["rows"], written["rows"] - before, written["start"], written["end"]
        )

    def _has_series(self, series: str) -> bool:
        try:
            self.store.read_macro(series)
        except DataError:
            return False
        return True

    # -- one symbol
    def _update(self, name: str, symbol: str) -> Outcome:
        entry = self.store.catalog()["bars"].get(f"{self.asset.name}/{symbol}/{self.data.interval}")
        if entry and entry["provider"] != name:
            entry = None  # another source's history is replaced as a whole, never continued
        if entry and not self.options.refresh and self._is_current(entry, symbol):
            whole = self.store.is_whole(self.asset.name, symbol, self.data.interval)
            if whole and entry["quality"].get("rules") == self._rules:
                quality = summary_of(entry["quality"])
                return Outcome(
                    symbol, "current", name, entry["rows"], 0, entry["start"][:10], entry["end"][:10], quality
                )
            raw = self.store.read_raw(self.asset.name, name, symbol, self.data.interval)
            if (
                raw is not None
            ):  # the rules changed or the clean bars are damaged, the raw ones are not: nothing is asked
                stored = entry["asked_start"]
                asked = Window(date.fromisoformat(stored) if stored else None, date.fromisoformat(entry["asked_end"]))
                return self._keep(raw, asked, "rejudged" if whole else "restored", entry)
        self._check_open(name, symbol)
        try:
            raw, asked, status = self._update_raw(self._provider(name), symbol, entry)
        except ProviderError as error:
            self._note(error)
            raise
        self._busy[name] = 0
        self._answered.add(name)
        return self._keep(raw, asked, status, entry)

    def _keep(self, raw: RawBars, asked: Window, status: Status, entry: dict[str, Any] | None) -> Outcome:
        """Judge raw bars and store both versions.

        Raises:
            ProviderError: a finding that `data.quality` refuses, or more repairs than `data.max_repaired_share`.
        """
        bars, report = inspect(raw, self.asset, self.data.quality)
        check_repaired(bars, self.data.max_repaired_share)
        quality = {"rules": self._rules, **report.to_dict()}
        written = self.store.write(self.asset.name, bars, raw=raw, asked=asked, quality=quality, changes=report.changes)
        return Outcome(
            raw.symbol,
            status,
            raw.provider,
            written["rows"],
            written["rows"] - (entry["rows"] if entry else 0),
            written["start"][:10],
            written["end"][:10],
            summary_of(quality),
        )

    def _update_raw(
        self, origin: Provider, symbol: str, entry: dict[str, Any] | None
    ) -> tuple[RawBars, Window, Status]:
        """Return the raw history up to date: the stored one continued where it has not changed, else all of it."""
        asked = self._asked(entry)
        old = self.store.read_raw(self.asset.name, origin.name, symbol, self.data.interval) if entry else None
        if entry and old is not None and not self.options.refresh and _starts_within(entry, asked):
            first = _overlap_start(old, self.options.overlap_bars)
            new = self._fetch(origin, symbol, Window(first, asked.end))
            if _continues(old, new, first):
                kept = old.table[old.table["timestamp"] < pd.Timestamp(first, tz="UTC")]
                table = pd.concat([kept, new.table], ignore_index=True)
                return replace(new, table=table), asked, "updated"
        raw = self._fetch(origin, symbol, asked)
        if old is not None and not self.options.refresh:
            _check_not_shrunk(old, raw)
        return raw, asked, "refetched" if entry else "new"

    def _fetch(self, origin: Provider, symbol: str, window: Window) -> RawBars:
        fetched = origin.fetch(symbol, window.start, window.end, self.data.interval)
        if isinstance(fetched, Bars):
            raise TypeError(f"{origin.name} is collected, so that its fetch must return RawBars")
        return fetched

    def _asked(self, entry: dict[str, Any] | None) -> Window:
        """Return the window to ask for: the request's, never less than what is stored."""
        start, end = self.data.start, self.data.end
        if entry:
            if start is not None:
                stored = entry["asked_start"]
                start = min(start, date.fromisoformat(stored)) if stored else None
            if end is not None:
                end = max(end, date.fromisoformat(entry["asked_end"]))
        return Window(start, end)

    def _is_current(self, entry: dict[str, Any], symbol: str) -> bool:
        """Return whether nothing can be missing: the window was asked for, and no bar has ended since."""
        if self.store.missing(self.asset.name, [symbol], self.data.interval, self.data.start, self.data.end):
            return False
        if self.store.read_raw(self.asset.name, entry["provider"], symbol, self.data.interval) is None:
            return False
        if self.data.end is not None:
            return True
        fetched = pd.Timestamp(datetime.fromisoformat(entry["fetched_at"]))
        calendar = calendar_of(symbol, self.asset, currency=entry["currency"])
        return not bar_ended_between(calendar, self.data.interval, fetched, pd.Timestamp(self._clock()))

    # -- providers
    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            kind = provider.find(name)
            self._providers[name] = kind(provider.with_manners(kind, self.data), self.asset)
        return self._providers[name]

    def _macro(self) -> fred.Provider:
        if "fred" not in self._providers:
            self._providers["fred"] = fred.Provider(self.data, self.asset)
        return cast(fred.Provider, self._providers["fred"])

    def _check_open(self, name: str, symbol: str) -> None:
        closed = self._closed.get(name)
        if closed is not None:
            raise ProviderError(name, symbol, f"not asked, since {closed.symbol} met: {closed.cause}", hint=closed.hint)

    def _note(self, error: ProviderError) -> None:
        """Close a provider that refuses the run, cannot be reached at all, or gave several symbols in a row no answer."""
        name = error.provider
        if isinstance(error, UnreachableError) and name not in self._answered:
            self._closed.setdefault(name, error)
        elif isinstance(error, BusyError):
            self._busy[name] = self._busy.get(name, 0) + 1
            if self._busy[name] >= self.options.give_up_after:
                self._closed.setdefault(name, error)
        elif isinstance(error, RefusalError):
            self._closed.setdefault(name, error)
        else:
            self._busy[name] = 0

    def _failed(self, symbol: str, error: ProviderError, *, note: bool = True) -> Outcome:
        if note:
            self.store.refuse(
                self.asset.name,
                symbol,
                self.data.interval,
                provider=error.provider,
                reason=error.cause,
                at=self._clock(),
            )
        cause = error.cause
        stored = self.store.processed_path(self.asset.name, symbol, self.data.interval).exists()
        if note and stored and not self.store.is_whole(self.asset.name, symbol, self.data.interval):
            cause += "; its stored bars are damaged, and lost until it is fetched"
        return Outcome(symbol, "failed", error.provider, cause=cause, remedy=error.hint)


def _chain(asset: AssetSpec, data: DataSpec) -> tuple[str, ...]:
    """Return the sources to ask, in their order; refuse those that nothing is collected from."""
    if data.source == "auto":
        chain = provider.serving(asset, data.interval)
    else:
        provider.check_serves(provider.find(data.source), asset.market, data.interval)
        chain = (data.source,)
    for name in chain:
        if not provider.find(name).collected:
            kept = [known for known in provider.names() if provider.find(known).collected]
            raise ConfigError(f"data={name} is not collected", hint=f"use auto, {', '.join(kept)}")
    return chain


def bar_ended_between(calendar: str, interval: str, since: pd.Timestamp, now: pd.Timestamp) -> bool:
    """Return whether a bar of the calendar ended after `since` and not after `now`."""
    if now - since > pd.Timedelta(days=14):
        return True
    if interval != "1d":
        return bool(now.floor("h") > since.floor("h"))
    days = calendars.sessions(calendar, (since - pd.Timedelta(days=2)).date(), now.date())
    return any(since < bar_end(day, interval, calendar) <= now for day in days)


def _starts_within(entry: dict[str, Any], asked: Window) -> bool:
    stored = entry["asked_start"]
    return stored is None or (asked.start is not None and asked.start >= date.fromisoformat(stored))


def _overlap_start(old: RawBars, bars: int) -> date:
    days = pd.DatetimeIndex(old.table["timestamp"].sort_values())
    start: date = days[max(len(days) - bars, 0)].date()
    return start


def _continues(old: RawBars, new: RawBars, first: date) -> bool:
    """Return whether `new` repeats the old bars from `first` on, and no split since rescaled those before."""
    if old.currency != new.currency or old.volume_unit != new.volume_unit:
        return False
    last = old.table["timestamp"].max()
    a = old.table[old.table["timestamp"] >= pd.Timestamp(first, tz="UTC")].sort_values("timestamp", kind="stable")
    b = new.table[new.table["timestamp"] <= last].sort_values("timestamp", kind="stable")
    if len(a) != len(b) or (a["timestamp"].to_numpy() != b["timestamp"].to_numpy()).any():
        return False
    columns = [*PRICE_COLUMNS, "dividend", "split"]
    same = np.allclose(a[columns].to_numpy(), b[columns].to_numpy(), rtol=_SAME, atol=0, equal_nan=True)
    later = new.table["timestamp"] > last
    rescaled = new.adjusted != "none" and bool((later & (new.table["split"] > 0) & (new.table["split"] != 1)).any())
    return bool(same) and not rescaled


def _check_not_shrunk(old: RawBars, new: RawBars) -> None:
    """Refuse a new history that has lost bars which the old one has."""
    times = set(new.table["timestamp"])
    kept = sum(stamp in times for stamp in set(old.table["timestamp"]))
    total = old.table["timestamp"].nunique()
    if kept < _KEPT_SHARE * total:
        raise ProviderError(
            new.provider,
            new.symbol,
            f"the history fetched anew has only {kept} of the {total} bars that are stored",
            hint="the stored bars stay as they are; collect.refresh=true takes the new ones",
        )
