"""From a request to a panel: resolve the source, fetch, judge, align."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from wealtharena.config import plugins, speech
from wealtharena.config.composition import chosen_on, members_of
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.spelling import override
from wealtharena.data import cache, cash, catalog, currency, fixings, macro, provider
from wealtharena.data.align import align
from wealtharena.data.bars import Bars, RawBars
from wealtharena.data.panel import Panel
from wealtharena.data.provider import Provider, RefusalError
from wealtharena.data.store import Store
from wealtharena.errors import DataError, EmptyWindowError, ProviderError, kind_of, require_kind, table_hint
from wealtharena.shown import some

if TYPE_CHECKING:
    from wealtharena.data.quality import Finding

logger = logging.getLogger(__name__)
_LONGEST_REST_DAYS: Final = 12  # of an exchange, in which no bar can have come
_NAMED: Final = 5  # symbols of which the same is to be said, and that are called by name
PANEL_VERSION: Final = 7  # raise it when the same bars make another panel, or other notes


def load(asset: AssetSpec, data: DataSpec, *, seed: int) -> Panel:
    """Return the panel that `data` asks for; `seed` is the run's, for a simulator without a seed of its own.

    Raises:
        ConfigError: the source is unknown.
        DataError: the request is impossible, or what came back is not usable; the message says what to do.
    """
    check_request(data)
    fixings.take_kept(data.root)
    source = data.source
    reasons: tuple[str, ...] = ()
    if source == "auto":
        from wealtharena.data import auto

        resolution = auto.resolve(asset, data)
        source, reasons = resolution.source, (f"data=auto took {resolution.source}, since {resolution.reason}",)
    place = cache_path(source, asset, data)
    panel = cache.load_panel(place) if place else None
    if panel is None:
        panel = _fresh(source, asset, data, seed=seed, reasons=reasons)
        if place:
            cache.save_panel(place, panel)
    if source == "store":
        panel = replace(panel, notes=(*panel.notes, *_behind(panel, asset, data)))  # not kept: it is of today
    logger.info(
        "data: %s, %d symbols, %d bars of %s from %s to %s%s",
        source,
        len(panel.symbols),
        panel.bars,
        panel.frequency,
        str(panel.timestamps[0])[:10],
        str(panel.timestamps[-1])[:10],
        " SIMULATED" if panel.simulated else "",
    )
    return panel


def _fresh(source: str, asset: AssetSpec, data: DataSpec, *, seed: int, reasons: tuple[str, ...]) -> Panel:
    return panel_of(make_provider(source, asset, data, seed=seed), asset, data, reasons=reasons)


def panel_of(origin: Provider, asset: AssetSpec, data: DataSpec, *, reasons: tuple[str, ...] = ()) -> Panel:
    """Return the panel of what a provider has of the request; `reasons` are notes on why it was asked.

    Raises:
        DataError: see `fetch_all` and `align`.
    """
    symbols, chosen = wanted_symbols(origin, asset, data)
    return _joined(origin, symbols, asset, data, said=lambda: (*reasons, *provider.noted(origin), *chosen))


def _joined(
    origin: Provider, symbols: Sequence[str], asset: AssetSpec, data: DataSpec, *, said: Callable[[], tuple[str, ...]]
) -> Panel:
    """Return the panel of these symbols, with macro series and cash rates where they are asked for.

    `said` returns its first notes; it is asked when the bars are there, since a source may not know before.
    """
    bars, lacking = fetch_all(origin, symbols, asset, data)
    if origin.host is not None:
        end = max(one.table["timestamp"].iloc[-1] for one in bars) + pd.Timedelta(days=1)
        fixings.reach({one.currency for one in bars}, asset.account_currency, end, data, symbols=symbols)
    simulated = any(is_simulated(name) for name in {item.provider for item in bars})
    notes = (*said(), *lacking, *asset_notes(asset, symbols, simulated=simulated))
    panel = align(bars, asset, data, source=origin.name, simulated=simulated, notes=notes)
    panel = replace(panel, notes=(*panel.notes, *_early_end(panel, data), *_early_ends(panel)))
    panel = macro.join(panel, data) if data.macro.series else panel
    panel = cash.join(panel, asset, data)
    return _tested(panel, data)


def _warned(note: str) -> tuple[str, ...]:
    """Warn of what a note says, and return it."""
    logger.warning("data: %s", note)
    return (note,)


def _early_end(panel: Panel, data: DataSpec) -> tuple[str, ...]:
    """Return a note where bars end long before the end that was asked for, as those of an old store do."""
    last = panel.timestamps[-1].astype("datetime64[D]").item()
    if panel.simulated or data.end is None or (days := (data.end - last).days) <= _LONGEST_REST_DAYS:
        return ()
    note = f"the bars end on {last}, {days} days before data.end={data.end}"
    return _warned(note)


def _behind(panel: Panel, asset: AssetSpec, data: DataSpec) -> tuple[str, ...]:
    """Return a note where all that is stored was asked for, and it ends long before today: nothing collects by itself."""
    last = panel.timestamps[-1].astype("datetime64[D]").item()
    if panel.simulated or data.end is not None or (days := (provider.now().date() - last).days) <= _LONGEST_REST_DAYS:
        return ()
    note = f"the stored bars end on {last}, {days} days ago; {speech.COMMAND} task=collect asset={asset.name} goes on with them"
    return _warned(note)


def _early_ends(panel: Panel) -> tuple[str, ...]:
    """Return a note on symbols whose bars end long before those of others: by the rules of the account they are delisted."""
    if panel.simulated:
        return ()
    days = panel.timestamps.astype("datetime64[D]")
    lasts = days[panel.bars - 1 - np.isfinite(panel.close[::-1]).argmax(axis=0)]
    early = (days[-1] - lasts).astype(int) > _LONGEST_REST_DAYS
    ended = [f"{symbol} {last}" for symbol, last, is_one in zip(panel.symbols, lasts, early, strict=True) if is_one]
    if not ended:
        return ()
    note = (
        f"bars end early: {some(ended, _NAMED)}, while others go on to {days[-1]}; what is held of them is closed"
        " as delisted after asset.limits.delisting_bars bars, also where their later bars are only not at hand"
    )
    return _warned(note)


def _tested(panel: Panel, data: DataSpec) -> Panel:
    """Return the panel after the leak test, which names what it suspects and refuses what is sure."""
    from wealtharena.data.quality import leaks

    tested = leaks.checked(panel, data.quality)
    for leak in tested.leaks:
        logger.warning("data: this may know the future: %s", leak)
    return tested


def cache_path(source: str, asset: AssetSpec, data: DataSpec) -> Path | None:
    """Return where the aligned panel of a request to the store is kept; None for other sources.

    The name is a hash of the request, of the stored files' checksums and what could not be collected, of the rules that judge them, of the ECB's rates of this
    installation and of the form of the panel, so that an entry is never out of date: a changed store, request or judge has
    another name.
    """
    if source != "store":
        return None
    known = Store(data.root).catalog()
    entries = {key: entry["sha256"] for key, entry in known["bars"].items() if key.startswith(f"{asset.name}/")}
    failed = {key: catalog.failed_since(known, key) for key in entries}
    names = {*data.macro.series, *filter(None, [asset.costs.cash_series])}
    series = {name: known["macro"].get(name, {}).get("sha256") for name in sorted(names)}
    asked = [asset.model_dump(mode="json"), data.model_dump(mode="json")]
    request = [PANEL_VERSION, catalog.rules_of(data), *asked, entries, failed, series, currency.edition()]
    return Path(data.root) / "cache" / f"{cache.key_of(request)}.panel.npz"


def check_request(data: DataSpec) -> None:
    """Raise EmptyWindowError where the window of the request is empty."""
    if data.start is not None and data.end is not None and data.start > data.end:
        raise EmptyWindowError(
            f"data.start={data.start} is after data.end={data.end}",
            hint=f"swap them: data.start={data.end} data.end={data.start}",
        )


def make_provider(source: str, asset: AssetSpec, data: DataSpec, *, seed: int) -> Provider:
    """Return the provider of that name, with its own manners where data=auto chose it.

    Raises:
        ConfigError: there is no such provider, or it has nothing of the market or the interval.
    """
    kind: Callable[..., Provider] = (found := provider.find(source))
    provider.check_serves(found, asset.market, data.interval)
    named = provider.with_manners(found, data)
    return kind(named, asset, seed=seed) if found.seeded else kind(named, asset)


def wanted_symbols(origin: Provider, asset: AssetSpec, data: DataSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the symbols to fetch and notes on how they were chosen.

    `data.symbols` where set, else the universe's. A source that can tell is asked what it has: the universe's symbols
    that are in it, or, where none is, all of its own.
    """
    if data.symbols is not None:
        return data.symbols, ()
    universe = asset.universe.symbols[: asset.universe.max_symbols]
    available: Any = origin.symbols()  # of a package it may be anything
    if available is None:
        return universe, ()
    if not provider.are_texts(available):
        told = f"symbols returned {available!r}"[:80] + ", and no tuple of names"
        raise plugins.misused(provider.ROOM, origin.name, told)
    common = tuple(symbol for symbol in universe if symbol in available)
    who = "the file" if origin.name == "files" else origin.title
    if len(common) == len(universe):
        return universe, ()
    if common:
        note = f"{who} has {len(common)} of the {len(universe)} symbols of universe {asset.universe.name}: {', '.join(common)}"
        if others := [symbol for symbol in available if symbol not in common]:
            note += f"; of it are not used: {some(others, _NAMED)} (data.symbols names what is)"
    else:
        common = tuple(available[: asset.universe.max_symbols])
        note = f"{who} has no symbol of universe {asset.universe.name}; all of its own are used: {', '.join(common)}"
    logger.info("data: %s", note)
    return common, (note,)


def fetch_all(
    origin: Provider, symbols: Sequence[str], asset: AssetSpec, data: DataSpec
) -> tuple[list[Bars], tuple[str, ...]]:
    """Return clean bars of the symbols that the source has, and notes on their quality and on those that it lacks.

    Raises:
        DataError: more than `data.max_missing_share` of the symbols are lacking, or all are; more than
            `data.max_repaired_share` of the rows of one had to be repaired.
    """
    from wealtharena.data import quality

    found: list[Bars] = []
    failures: list[ProviderError] = []
    findings: list[Finding] = []
    for symbol in symbols:
        try:
            bars, judged = clean(provider.fetched(origin, symbol, data.start, data.end, data.interval), asset, data)
        except RefusalError:
            raise
        except ProviderError as error:
            failures.append(error)
            continue
        quality.check_repaired(bars, data.max_repaired_share)
        found.append(bars)
        findings.extend(judged)
    notes = quality.finding_notes(findings)
    for note in notes:
        logger.info("data: %s", note)
    if not failures:
        return found, notes
    lacking = ", ".join(error.symbol for error in failures)
    if not found or len(failures) > data.max_missing_share * len(symbols):
        raise DataError(
            f"{origin.name} lacks {len(failures)} of {len(symbols)} symbols ({lacking}): {failures[0].message}",
            hint=failures[0].hint or "leave them out of data.symbols, or raise data.max_missing_share",
        )
    note = f"{origin.name} lacks {lacking}: {failures[0].cause}"
    logger.info("data: %s", note)
    return found, (*notes, note)


def clean(fetched: RawBars | Bars, asset: AssetSpec, data: DataSpec) -> tuple[Bars, tuple[Finding, ...]]:
    """Return the bars that the quality room makes of raw ones, and its findings; Bars have been judged.

    Raises:
        ProviderError: a finding that `data.quality` refuses.
    """
    if isinstance(fetched, Bars):
        return fetched, ()
    from wealtharena.data import quality

    bars, report = quality.inspect(fetched, asset, data.quality, most_repaired=data.max_repaired_share)
    return bars, report.findings


def is_simulated(source: str) -> bool:
    """Return whether bars of this source were drawn from a seed; also those that have lain in the store since."""
    kind = provider.found(source)
    return kind is not None and kind.seeded


def asset_notes(asset: AssetSpec, symbols: Sequence[str], *, simulated: bool) -> tuple[str, ...]:
    """Return what a report must say about what is traded, where it is true of these symbols.

    Symbols of one's own have no date of the universe, and simulated ones neither survived anything nor roll.
    """
    universe = asset.universe
    listed = members_of(universe)
    members, others = [s for s in symbols if s in listed], [s for s in symbols if s not in listed]
    notes = []
    if members and not simulated:
        of = f" ({', '.join(members)})" if others else ""
        notes.append(
            f"universe {universe.name}{of} was chosen as of {chosen_on(universe)}: before it, its members are survivors"
        )
    if asset.instrument.rolls == "unadjusted" and not simulated:
        notes.append(
            "futures are front months, not adjusted for rolls: a roll shows as a price move that nobody earned"
        )
    if asset.market == "forex":
        flat = asset.costs.carry_bps_per_year
        notes.append(
            f"carry is a flat {flat:g} bps a year of a pair's value, not its dated rate differential"
            if flat
            else "carry, the difference of two currencies' interest rates, is left out"
        )
    return tuple(notes)


def repeat_overrides(panel: Panel, data: DataSpec) -> str:
    """Return the overrides that ask for the panel's source again, such as `data=ecb data.end=2026-10-30`, for a shell.

    The end is pinned, since sources grow; the start only where the request set one, since histories begin where they
    do and `panel` may have lost its warm-up rows.
    """
    parts = [f"data={panel.source}"]
    if data.path is not None and panel.source == "files":
        parts.append(override("data.path", data.path))
        parts += [f"data.volume_unit={data.volume_unit}"] if data.volume_unit != "auto" else []
        parts += [f"data.adjusted={data.adjusted}"] if data.adjusted != "auto" else []
    if panel.source == "store" and data.root != "data":
        parts.append(override("data.root", data.root))
    if not is_simulated(panel.source):
        parts += [f"data.start={data.start}"] if data.start else []
        parts.append(f"data.end={data.end or str(panel.timestamps[-1])[:10]}")
    return shlex.join(parts)


def load_panel(
    frame: pd.DataFrame, *, asset: str | AssetSpec, data: DataSpec | None = None, find_interval: bool = False
) -> Panel:
    """Return the panel of a table in long form: timestamp, symbol, open, high, low, close, volume (see docs/data.md).

    `asset` is a spec, or the name of a class of conf/asset. Columns may have any of their usual names; open, high,
    low and volume may be missing. `data` is the request: its dates, symbols, interval, what volume and prices are, and the quality
    rules; by default the packaged one. Without it, or with `find_interval`, the interval is what the timestamps show. All symbols of the
    table are taken where `data.symbols` names none, in alphabetical order, which is that of the panel's columns; at most
    `universe.max_symbols`.

    Raises:
        ConfigError: `asset` or `data` is of another kind, or names no class.
        DataError: the table is empty, lacks a column, a symbol or the dates that are asked for, or fails a quality rule
            that refuses it.
    """
    from wealtharena.config import compose
    from wealtharena.data import intervals, reading
    from wealtharena.data.providers import files

    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"bars are a {kind_of(frame)}, not a table of pandas", hint=table_hint(frame))
    require_kind("asset", asset, (str, AssetSpec), hint='pass the name of a class, such as "etf"')
    require_kind("data", data, (DataSpec, type(None)), hint="pass compose([...]).data, or leave it out")
    if frame.empty:
        raise DataError("the table has no rows", hint="pass one row a bar and symbol")
    if isinstance(asset, str):
        asset = compose([f"asset={asset}", "data=files"]).asset
    market = asset
    request = compose(["data=files"]).data if data is None else data
    check_request(request)
    found = reading.split_symbols(
        frame,
        where="the table",
        venue=lambda symbol: files.venue_of(symbol, market),
        max_dropped_share=request.max_repaired_share,
    )
    if data is None or find_interval:
        longest = max(found.tables.values(), key=len)
        shown = intervals.found_interval(longest["timestamp"]) or request.interval
        request = request.model_copy(update={"interval": shown})
    origin = files.Provider.of(found, request, asset)
    symbols = request.symbols or origin.symbols()[: asset.universe.max_symbols]
    return _joined(origin, symbols, asset, request, said=lambda: origin.content().notes())
