"""The local store as a source: bars that task=collect has fetched and judged."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from wealtharena.config import speech
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import calendars, catalog, provider
from wealtharena.data.bars import Bars, window_mask
from wealtharena.data.quality import calendar_of, counted_notes, inspect
from wealtharena.data.store import Store
from wealtharena.errors import DataError, ProviderError
from wealtharena.shown import some

_NAMED: Final = 5  # symbols that could not be collected, and are called by name


class Provider(provider.Provider):
    """Processed bars of the store in `data.root`; nothing is fetched, and judged again where this run's rules differ."""

    name = "store"
    title = "local store"
    collected = False
    intervals = None

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = provider.now) -> None:
        super().__init__(spec, asset, clock=clock)
        self._store = Store(spec.root)
        self._origins: dict[str, str] = {}  # of each symbol: the source, and when it was asked
        self._caveats: dict[str, None] = {}
        self._judged: dict[str, list[str]] = {}
        self._findings: dict[str, list[tuple[str, str, int]]] = {}  # of each symbol: kind, action, rows
        self._failed: dict[str, str] = {}  # of symbols that could not be collected since: why

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> Bars:
        """Return the stored bars from `start` to `end`, which for bars shorter than a day are the venue's own dates.

        Raises:
            ProviderError: the store lacks the symbol, or has no bars of it in the window; its bars were asked for by
                another name than `data.provider_symbols` gives it; `data.quality` refuses them.
        """
        try:
            whole = self._store.read(self._asset.name, symbol, interval)
            known = self._store.catalog()
        except DataError as error:
            raise ProviderError(self.name, symbol, error.message, hint=error.hint) from error
        key = catalog.key(self._asset.name, symbol, interval)
        if (entry := known["bars"].get(key)) is not None:
            self._check_name(symbol, entry)
            whole = self._by_our_rules(whole, entry)
        if why := catalog.failed_since(known, key):
            self._failed[symbol] = f"{symbol} ({why})"
        kept = self._between(whole, start, end)
        if kept.table.empty:
            raise ProviderError(
                self.name,
                symbol,
                f"has no bars between {start or 'the first'} and {end or 'the last'}",
                hint="collect them, or change data.start and data.end",
            )
        self._origins[symbol] = f"{whole.provider}, fetched {whole.fetched_at:%Y-%m-%d}"
        origin = provider.found(whole.provider)
        self._caveats |= dict.fromkeys(origin.caveats if origin else ())
        return kept

    def notes(self) -> tuple[str, ...]:
        """Return which provider the bars came from and when, that provider's own caveats, and what is to be said of them."""
        origins = "; ".join(dict.fromkeys(self._origins.values()))
        judged = (f"{how}: {', '.join(symbols)}" for how, symbols in self._judged.items())
        found = counted_notes("quality of the stored bars", itertools.chain(*self._findings.values()))
        lacking = some(list(self._failed.values()), _NAMED)
        failed = (f"collecting has failed since then of {lacking}",) if lacking else ()
        return (f"bars come from the local store ({origins})", *failed, *self._caveats, *judged, *found)

    def _check_name(self, symbol: str, entry: dict[str, Any]) -> None:
        named = self._spec.provider_symbols.get(symbol)
        if not catalog.is_of(entry, named):
            cause = f"its stored bars were asked for as {entry['source_symbol']}, not as {named}"
            hint = f"{speech.COMMAND} task=collect asset={self._asset.name} with the same data.provider_symbols"
            raise ProviderError(self.name, symbol, cause, hint=hint)

    def _by_our_rules(self, whole: Bars, entry: dict[str, Any]) -> Bars:
        """Return the bars as this run's rules have them: made of the raw ones again where others held at collecting."""
        rules = entry["quality"].get("rules")
        told = entry["quality"].get("findings", ())
        self._findings[whole.symbol] = [(item["kind"], item["action"], item["rows"]) for item in told]
        if rules is None or rules == catalog.rules_of(self._spec):
            return whole
        raw = self._store.read_raw(self._asset.name, whole.provider, whole.symbol, whole.interval)
        if raw is None:
            self._judged.setdefault("judged when they were collected, by other rules", []).append(whole.symbol)
            return whole
        bars, report = inspect(raw, self._asset, self._spec.quality, most_repaired=self._spec.max_repaired_share)
        self._findings[whole.symbol] = [(item.kind, item.action, item.rows) for item in report.findings]
        self._judged.setdefault("judged again, by this run's rules", []).append(whole.symbol)
        return bars

    def _between(self, bars: Bars, start: date | None, end: date | None) -> Bars:
        if bars.interval == "1d" or bars.table.empty:
            return bars.between(start, end)
        zone = calendars.time_zone(calendar_of(bars.symbol, self._asset, currency=bars.currency))
        venue = bars.table["timestamp"].dt.tz_convert(zone).dt.tz_localize(None).dt.tz_localize("UTC")
        return replace(bars, table=bars.table[window_mask(venue, start, end)].reset_index(drop=True))
