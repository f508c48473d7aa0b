"""A symbol's raw history brought up to date: continued, compared as a whole, or fetched anew, and never glued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.runs import CollectSpec
from wealtharena.data import calendars, catalog, histories, provider
from wealtharena.data.bars import Bars, RawBars, as_received
from wealtharena.data.provider import Provider
from wealtharena.data.quality import calendar_of
from wealtharena.data.quality.rows import bar_end
from wealtharena.data.store import Store, Window
from wealtharena.errors import ProviderError

Status = Literal["new", "updated", "refetched", "rejudged", "restored", "current", "failed"]
_AHEAD: Final = timedelta(minutes=5)  # of the clock: what was fetched later than that is of a clock set wrong
_SOME_SESSIONS: Final = 5  # without a bar at the end: a delisting, a halt, or a source that is behind
_LATE: Final = timedelta(days=1)  # after its end a bar that did not come is waited for no longer


@dataclass(frozen=True)
class Fetched:
    """A raw history brought up to date: the window that it answers, and what is to be said of how it came about."""

    raw: RawBars
    asked: Window
    status: Status
    whole: bool = True
    note: str = ""


class Renewal:
    """Decides, symbol by symbol, what a source is asked for, and what its answer is to the bars that are stored."""

    def __init__(
        self, asset: AssetSpec, data: DataSpec, options: CollectSpec, store: Store, clock: Callable[[], datetime]
    ) -> None:
        self._asset = asset
        self._data = data
        self._options = options
        self._store = store
        self._clock = clock

    def renewed(self, origin: Provider, symbol: str, entry: dict[str, Any] | None) -> Fetched:
        """Return the raw history up to date: the stored one continued where it has not changed, else all of it.

        Raises:
            ProviderError: the source failed, or its answer is poorer than what is stored.
        """
        found = self._found(origin, symbol, entry)
        asked = Window(found.asked.start, self._told_end(found.raw, found.asked.end))
        return replace(found, asked=asked, note=_sentence(found.note, self._told_late(found.raw, found.asked.end)))

    def facts(self, origin: Provider, symbol: str, found: Fetched, entry: dict[str, Any] | None) -> dict[str, Any]:
        """Return what the catalog says of the request."""
        compared = found.raw.fetched_at.isoformat() if found.whole or entry is None else entry.get("compared_at")
        return {**self._request(origin, symbol), "compared_at": compared}

    def is_same(self, entry: dict[str, Any], origin: Provider, symbol: str) -> bool:
        """Return whether an entry's bars were asked for in the same words, an older one's by the plain symbol."""
        named = entry.get("source_symbol") or symbol
        return named == self._named(symbol) and self._may_be_same(entry, origin, symbol)

    def is_ahead(self, entry: dict[str, Any]) -> bool:
        """Return whether an entry was written by a clock that was set ahead: its moment of fetching is yet to come."""
        return datetime.fromisoformat(entry["fetched_at"]) > self._clock() + _AHEAD

    def is_behind(self, entry: dict[str, Any], raw: RawBars) -> bool:
        """Return whether there are sessions by now up to which an entry's bars, which are those of `raw`, were not asked for.

        So it is with those of a request with an end, and those whose last bar was late.
        """
        until = self._told_end(replace(raw, fetched_at=self._clock()), None)
        first = catalog.asked_end(entry) + timedelta(days=1)
        calendar = calendar_of(raw.symbol, self._asset, currency=raw.currency)
        return first <= until and len(calendars.sessions(calendar, first, until)) > 0

    def has_more(self, origin: Provider, raw: RawBars) -> bool:
        """Return whether a source that asks no network has bars behind the last of `raw`, as once rates that it has were renewed."""
        if origin.host is not None:
            return False
        last = raw.table["timestamp"].max()
        return bool(self._fetch(origin, raw.symbol, Window(last.date(), None)).table["timestamp"].max() > last)

    # -- what is asked for
    def _found(self, origin: Provider, symbol: str, entry: dict[str, Any] | None) -> Fetched:
        if entry is None or entry["provider"] != origin.name:
            return self._replaced(origin, symbol, entry, Window(self._data.start, self._data.end))
        asked = self._window(entry)
        old = self._store.read_raw(self._asset.name, origin.name, symbol, self._data.interval)
        if old is None or not self._may_be_same(entry, origin, symbol):
            return self._replaced(origin, symbol, entry, asked)
        ahead = self.is_ahead(entry)
        continuing = not self._options.refresh and not ahead and _starts_within(entry, asked)
        due = self._is_due(entry)
        if continuing and not due and (found := self._within_reach(origin, symbol, old, asked)):
            return found
        try:
            raw, window = self._whole(origin, symbol, asked)
        except ProviderError as error:
            asks = continuing and due and _is_about(error)
            found = self._within_reach(origin, symbol, old, asked) if asks else None
            if found is None:
                raise
            return replace(found, whole=True)  # it reaches back no further, now and at the next update
        found = self._compared(old, raw, entry, window, continuing=continuing)
        told = f"the time of its last fetching, {entry['fetched_at'][:16]}, is yet to come" if ahead else ""
        return replace(found, note=_sentence(told, found.note))

    def _within_reach(self, origin: Provider, symbol: str, old: RawBars, asked: Window) -> Fetched | None:
        """Return the stored bars continued; None where they are not, or the source does not reach back to their end."""
        try:
            return self._continued(origin, symbol, old, asked)
        except ProviderError as error:
            if not _is_about(error):
                raise
        return None

    # -- what an answer is to the stored bars
    def _continued(self, origin: Provider, symbol: str, old: RawBars, asked: Window) -> Fetched | None:
        """Return the stored bars and those since; None where they are not what the source has now."""
        first = histories.overlap_start(old, self._options.overlap_bars)
        # a day more of shorter bars, since a source may begin with the venue's day, not with UTC's
        start = first.date() - timedelta(days=self._data.interval != "1d")
        new = histories.since(self._fetch(origin, symbol, Window(start, asked.end)), first)
        if not histories.continues(old, new, first):
            return None
        return Fetched(histories.joined(old, new, first), asked, "updated", whole=False)

    def _whole(self, origin: Provider, symbol: str, asked: Window) -> tuple[RawBars, Window]:
        """Return the history of a window; of the request's own where the source reaches back to that only."""
        own = Window(self._data.start, asked.end)
        try:
            return self._fetch(origin, symbol, asked), asked
        except ProviderError as error:
            if not _is_about(error) or own.start is None or own == asked:
                raise
        return self._fetch(origin, symbol, own), own

    def _compared(
        self, old: RawBars, new: RawBars, entry: dict[str, Any], asked: Window, *, continuing: bool
    ) -> Fetched:
        """Return a history fetched anew, behind older stored bars that it fits to.

        Raises:
            ProviderError: more than a tenth of what is stored is not in it, or it is of another instrument, and
                `collect.refresh` is off.
        """
        begin, first = old.table["timestamp"].min(), new.table["timestamp"].min()
        same = histories.continues(old, new, max(begin, first))
        note = ""
        if begin < first and histories.begins_alike(old, new, self._options.overlap_bars):
            stored = entry["asked_start"]
            asked = Window(date.fromisoformat(stored) if stored else None, asked.end)
            new = histories.joined(old, new, first)
            note = f"what {new.provider} sent begins on {first.date()}; the older stored bars stay before it"
        if not self._options.refresh:
            histories.check_not_poorer(old, new)
        note = _sentence(note, histories.told_changes(old, new))
        return Fetched(new, asked, "updated" if same and continuing else "refetched", note=note)

    def _replaced(self, origin: Provider, symbol: str, entry: dict[str, Any] | None, asked: Window) -> Fetched:
        """Return a history that nothing stored is continued by, which may be another source's or another form's.

        Raises:
            ProviderError: it is poorer than what it would replace, and nobody said that this is meant.
        """
        raw, window = self._whole(origin, symbol, asked)
        if entry is None:
            return Fetched(raw, window, "new")
        status: Status = "refetched" if entry["provider"] == origin.name else "new"
        named = entry.get("source_symbol")
        other = named if entry["provider"] == origin.name and named not in (None, self._named(symbol)) else None
        old, lost = self._stored(entry, symbol)
        told = f"replaces bars of {other}" if other else ""
        if old is None:
            return Fetched(raw, window, status, note=told)
        if not self._options.refresh:
            histories.check_not_poorer(old, raw, columns=not other and old.provider == raw.provider, named=other)
            if self._data.source == "auto":
                histories.check_has_opens(old, raw)
        if other:  # of which no figure has to be that of the old one
            return Fetched(raw, window, status, note=told)
        told = f"replaces bars of {old.provider}" if old.provider != raw.provider else ""
        return Fetched(raw, window, status, note=_sentence(told, lost, histories.told_changes(old, raw)))

    def _stored(self, entry: dict[str, Any], symbol: str) -> tuple[RawBars | None, str]:
        """Return the raw bars of an entry, or the clean ones where those are lost, and what is to be said of that.

        A disk that was full, or a kill, between the writes of both leaves raw bars that are not the entry's.
        """
        where = (symbol, self._data.interval)
        raw = self._store.read_raw(self._asset.name, entry["provider"], *where)
        if raw is not None or not self._store.is_whole(self._asset.name, *where):
            return raw, ""
        clean = as_received(self._store.read(self._asset.name, *where))
        return clean, "the raw bars that were stored are lost, so that it was compared with the clean ones"

    def _fetch(self, origin: Provider, symbol: str, window: Window) -> RawBars:
        fetched = provider.fetched(origin, symbol, window.start, window.end, self._data.interval)
        if isinstance(fetched, Bars):
            raise TypeError(f"{origin.name} is collected, so that its fetch must return RawBars")
        return fetched

    def _window(self, entry: dict[str, Any]) -> Window:
        """Return the window to ask for: the request's, never less than what is stored."""
        start, end = self._data.start, self._data.end
        if start is not None:
            stored = entry["asked_start"]
            start = min(start, date.fromisoformat(stored)) if stored else None
        if end is not None:
            end = max(end, catalog.asked_end(entry))
        return Window(start, end)

    def _request(self, origin: Provider, symbol: str) -> dict[str, Any]:
        """Return what the numbers depend on besides the dates; bars of two of these are never joined."""
        return {"source_symbol": self._named(symbol), "form": origin.form}

    def _named(self, symbol: str) -> str:
        return self._data.provider_symbols.get(symbol, symbol)

    def _may_be_same(self, entry: dict[str, Any], origin: Provider, symbol: str) -> bool:
        """Return whether nothing says that an entry's bars were asked for in other words; an older one says none."""
        return all(entry.get(key) in (None, told) for key, told in self._request(origin, symbol).items())

    def _is_due(self, entry: dict[str, Any]) -> bool:
        """Return whether it is time to compare the whole history."""
        told = entry.get("compared_at")
        now = self._clock()
        interval = timedelta(days=self._options.compare_days)
        return told is None or not timedelta() <= now - datetime.fromisoformat(told) < interval

    def _told_end(self, raw: RawBars, end: date | None) -> date:
        """Return the last date of which every bar can have come: one that is not over, or late, is asked for again.

        Of a source that asks no network, as an installed table of rates, no date beyond its last bar is.
        """
        source = provider.found(raw.provider)
        fetched = pd.Timestamp(raw.fetched_at)
        calendar = calendar_of(raw.symbol, self._asset, currency=raw.currency)
        if raw.interval == "1d":
            last = histories.last_told(raw)
            days = calendars.sessions(calendar, fetched.date() - timedelta(days=4), fetched.date())
            waited = (d for d in days if bar_end(d, "1d", calendar) > (fetched - _LATE if d > last else fetched))
            over = min(waited, default=fetched + _LATE).date() - timedelta(days=1)
        else:
            over = min(fetched.tz_convert(zone).date() for zone in ("UTC", calendars.time_zone(calendar)))
            over -= timedelta(days=1)
            over -= timedelta(days=_lacks_its_last_hours(raw, over, calendar))
        if raw.interval == "1d" and source is not None and source.host is None:  # asking it again costs nothing
            over = min(over, histories.last_told(raw).date())
        return min(over, end or over)

    def _told_late(self, raw: RawBars, end: date | None) -> str:
        """Return in words that daily bars end some sessions before those that were over when they were fetched."""
        fetched, last = raw.fetched_at.date(), histories.last_told(raw).date()
        if raw.interval != "1d":
            return ""
        until = min(fetched - timedelta(days=1), end or fetched)
        calendar = calendar_of(raw.symbol, self._asset, currency=raw.currency)
        lacking = len(calendars.sessions(calendar, last + timedelta(days=1), until)) if last < until else 0
        return f"the bars end on {last}, {lacking} sessions before {until}" if lacking > _SOME_SESSIONS else ""


def _lacks_its_last_hours(raw: RawBars, day: date, calendar: str) -> bool:
    """Return whether the bars of a market that never rests do not reach the end of a date that is over since not long."""
    if calendar != calendars.ALWAYS or not raw.interval.endswith(("m", "h")):
        return False
    end = pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)
    told = histories.last_told(raw) + pd.Timedelta(raw.interval)
    return bool(told < end and end > pd.Timestamp(raw.fetched_at) - _LATE)


def _starts_within(entry: dict[str, Any], asked: Window) -> bool:
    stored = entry["asked_start"]
    return stored is None or (asked.start is not None and asked.start >= date.fromisoformat(stored))


def _sentence(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _is_about(error: ProviderError) -> bool:
    """Return whether a source refused what was asked for, so that something else may be granted."""
    return type(error) is ProviderError
