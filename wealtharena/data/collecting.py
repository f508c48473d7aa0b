"""Bring the store up to a request, symbol by symbol: fetch what is missing, judge it, keep it whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, cast

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.runs import CollectSpec
from wealtharena.data import calendars, catalog, fixings, histories, provider
from wealtharena.data.manners import redact
from wealtharena.data.provider import BusyError, Provider, RefusalError, UnknownSymbolError, UnreachableError
from wealtharena.data.providers import fred
from wealtharena.data.quality import calendar_of, check_repaired, inspect
from wealtharena.data.quality.report import summary_of
from wealtharena.data.quality.rows import bar_end
from wealtharena.data.renewing import Fetched, Renewal, Status
from wealtharena.data.store import ChangedError, Store, Window
from wealtharena.errors import ConfigError, DataError, ProviderError

_TRIES: Final = 3  # at a symbol whose bars another process replaces meanwhile


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
    note: str = ""


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
        self._renewal = Renewal(asset, data, collect, self.store, clock)
        self._rules = catalog.rules_of(data)
        self._clock = clock
        self._providers: dict[str, Provider] = {}
        self._closed: dict[str, ProviderError] = {}
        self._busy: dict[str, int] = {}
        self._answered: set[str] = set()
        self.lacking: list[str] = []
        """What could not be brought up to date beside the bars, in words."""
        fixings.take_kept(data.root)

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
        named = self.data.provider_symbols.get(series, series)
        other = entry is not None and (entry.get("source_symbol") or series) != named
        fresh = entry is not None and datetime.fromisoformat(entry["fetched_at"]).date() == now.date() and not other
        if entry and fresh and not self.options.refresh and self._has_series(series):
            return Outcome(series, "current", "fred", entry["rows"], 0, entry["start"], entry["end"])
        try:
            self._check_open("fred", series)
            frame = self._macro().releases(series)
            frame, note = (frame, "") if other else self._with_older(series, frame)
            lacking = 0 if other else self._lost_releases(series, frame)
        except ProviderError as error:
            self._note(error)
            return self._failed(series, error, note=False)
        written = self.store.write_macro(series, frame, fetched_at=now, named=named)
        before = entry["rows"] if entry else 0
        status: Status = "updated" if entry else "new"
        rows = written["rows"]
        if lacking:
            note = "; ".join(filter(None, [note, f"{lacking} of the {before} stored values are gone"]))
        if entry and other:
            note = f"replaces values of {entry.get('source_symbol') or series}"
        return Outcome(series, status, "fred", rows, rows - before, written["start"], written["end"], note=note)

    def renew_rates(self) -> None:
        """Bring the ECB's rates up to date where the bars of the request need them to be converted to the account's money."""
        stored, interval = self.store.catalog()["bars"], self.data.interval
        entries = (stored.get(catalog.key(self.asset.name, symbol, interval)) for symbol in self.symbols)
        quotes = {entry["currency"] for entry in entries if entry}
        if fixings.abroad(quotes, self.asset.account_currency, self.symbols) and fixings.behind(self._clock()):
            self.lacking += filter(None, [fixings.renew(self.data)])

    def _with_older(self, series: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        """Return what was sent behind older stored values that it reaches back to no more, and what is to be said of that.

        Some series are licensed to FRED for their last three or ten years only.
        """
        if self.options.refresh or not self._has_series(series):
            return frame, ""
        whole = histories.behind_older(self.store.read_macro(series), frame)
        if whole is None:
            return frame, ""
        return whole, f"what fred sent begins on {frame['date'].min().date()}; the older stored values stay before it"

    def _lost_releases(self, series: str, frame: pd.DataFrame) -> int:
        """Return how many of the stored values a new answer lacks.

        Raises:
            ProviderError: they are more than a tenth, and `collect.refresh` does not say that this is meant.
        """
        if not self._has_series(series):
            return 0
        keys = ["date", "realtime_start"]
        old, new = (pd.MultiIndex.from_frame(table[keys]) for table in (self.store.read_macro(series), frame))
        lacking = int((~old.isin(new)).sum())
        if lacking > (1 - histories.KEPT_SHARE) * len(old) and not self.options.refresh:
            raise ProviderError(
                "fred",
                series,
                f"the series fetched anew has only {len(old) - lacking} of the {len(old)} values that are stored",
                hint="the stored series stays as it is; collect.refresh=true takes the new one",
            )
        return lacking

    def _has_series(self, series: str) -> bool:
        try:
            self.store.read_macro(series)
        except DataError:
            return False
        return True

    # -- one symbol
    def _update(self, name: str, symbol: str) -> Outcome:
        for _ in range(_TRIES - 1):
            try:
                return self._try(name, symbol)
            except ChangedError:
                continue  # what the other process wrote is looked at like any other stored bars
        return self._try(name, symbol)

    def _try(self, name: str, symbol: str) -> Outcome:
        entry = self.store.catalog()["bars"].get(catalog.key(self.asset.name, symbol, self.data.interval))
        if entry and entry["provider"] == name and not self.options.refresh and self._is_current(entry, symbol):
            done = self._kept(entry, symbol)
            if done:
                return done
        self._check_open(name, symbol)
        try:
            found = self._renewal.renewed(self._provider(name), symbol, entry)
        except ProviderError as error:
            self._note(error)
            raise
        self._busy[name] = 0
        self._answered.add(name)
        return self._keep(found, self._renewal.facts(self._provider(name), symbol, found, entry), entry)

    def _kept(self, entry: dict[str, Any], symbol: str) -> Outcome | None:
        """Return the outcome of bars of which nothing has to be asked; None where they are lost.

        Where the rules changed or the clean bars are damaged and the raw ones are not, they are made of those again.
        """
        name = entry["provider"]
        whole = self.store.is_whole(self.asset.name, symbol, self.data.interval)
        if whole and entry["quality"].get("rules") == self._rules:
            quality = summary_of(entry["quality"])
            return Outcome(symbol, "current", name, entry["rows"], 0, entry["start"][:10], entry["end"][:10], quality)
        raw = self.store.read_raw(self.asset.name, name, symbol, self.data.interval)
        if raw is None:
            return None
        start = entry["asked_start"]
        asked = Window(date.fromisoformat(start) if start else None, catalog.asked_end(entry))
        request = {key: entry.get(key) for key in ("source_symbol", "form", "compared_at")}
        return self._keep(Fetched(raw, asked, "rejudged" if whole else "restored"), request, entry)

    def _keep(self, found: Fetched, request: dict[str, Any], entry: dict[str, Any] | None) -> Outcome:
        """Judge raw bars and store both versions.

        Raises:
            ProviderError: a finding that `data.quality` refuses, or more repairs than `data.max_repaired_share`.
            ChangedError: another process has written the symbol's bars meanwhile.
        """
        raw = found.raw
        bars, report = inspect(raw, self.asset, self.data.quality, most_repaired=self.data.max_repaired_share)
        check_repaired(bars, self.data.max_repaired_share)
        quality = {"rules": self._rules, **report.to_dict()}
        written = self.store.write(
            self.asset.name,
            bars,
            raw=raw,
            asked=found.asked,
            quality=quality,
            changes=report.changes,
            request=request,
            over=entry["sha256"] if entry else None,
        )
        before = entry["rows"] if entry and entry["provider"] == raw.provider else 0
        return Outcome(
            raw.symbol,
            found.status,
            raw.provider,
            written["rows"],
            written["rows"] - before,
            written["start"][:10],
            written["end"][:10],
            summary_of(quality),
            note=found.note,
        )

    def _is_current(self, entry: dict[str, Any], symbol: str) -> bool:
        """Return whether nothing can be missing: the window was asked for, and no bar has ended since."""
        if self.store.missing(self.asset.name, [symbol], self.data.interval, self.data.start, self.data.end):
            return False
        if self._renewal.is_ahead(entry) or not self._renewal.is_same(entry, self._provider(entry["provider"]), symbol):
            return False
        raw = self.store.read_raw(self.asset.name, entry["provider"], symbol, self.data.interval)
        if raw is None:
            return False
        if self.data.end is not None:
            return True
        if self._renewal.is_behind(entry, raw) or self._renewal.has_more(self._provider(entry["provider"]), raw):
            return False
        fetched = pd.Timestamp(datetime.fromisoformat(entry["fetched_at"]))
        calendar = calendar_of(symbol, self.asset, currency=entry["currency"])
        return not bar_ended_between(calendar, self.data.interval, fetched, pd.Timestamp(self._clock()))

    # -- providers
    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            kind = provider.find(name)
            made = kind(provider.with_manners(kind, self.data), self.asset)
            self.lacking += filter(None, [made.renew()])
            self._providers[name] = made
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
