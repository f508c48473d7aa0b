"""From a request to a panel: resolve the source, fetch, judge, align."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from typing import Any

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data.align import align
from wealtharena.data.bars import Bars, RawBars
from wealtharena.data.panel import Panel
from wealtharena.errors import ConfigError, DataError, ProviderError

logger = logging.getLogger(__name__)
SIMULATED = "simulated"


def load(asset: AssetSpec, data: DataSpec, *, seed: int) -> Panel:
    """Return the panel that `data` asks for; `seed` is the run's, for a simulator without a seed of its own.

    Raises:
        ConfigError: the source is unknown.
        DataError: the request is impossible, or what came back is not usable; the message says what to do.
    """
    check_request(data)
    source = data.source
    if source == "auto":
        from wealtharena.data import auto

        source = auto.resolve(asset, data)
    provider = make_provider(source, asset, data, seed=seed)
    symbols, notes = wanted_symbols(provider, asset, data)
    bars, missing = fetch_all(provider, symbols, asset, data)
    notes += missing
    panel = align(
        bars,
        asset,
        data,
        source=source,
        simulated=source == SIMULATED,
        notes=(*source_notes(provider), *notes, *universe_notes(asset)),
    )
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


def check_request(data: DataSpec) -> None:
    """Raise DataError where the window of the request is empty."""
    if data.start is not None and data.end is not None and data.start > data.end:
        raise DataError(
            f"data.start={data.start} is after data.end={data.end}",
            hint=f"swap them: data.start={data.end} data.end={data.start}",
        )


def make_provider(source: str, asset: AssetSpec, data: DataSpec, *, seed: int) -> Any:
    """Return the provider of that name, from wealtharena/data/providers/<name>.py.

    Raises:
        ConfigError: there is no such provider.
    """
    home = f"wealtharena.data.providers.{source}"
    try:
        module = importlib.import_module(home)
    except ModuleNotFoundError as error:
        if error.name != home:
            raise
        raise ConfigError(
            f"data.source={source} is not a known source",
            hint="use auto, ecb, files, simulated, yahoo, alpha_vantage or coingecko",
        ) from error
    return module.Provider(data, asset, seed=seed) if getattr(module, "SEEDED", False) else module.Provider(data, asset)


def wanted_symbols(provider: Any, asset: AssetSpec, data: DataSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the symbols to fetch and notes on how they were chosen.

    `data.symbols` where set, else the universe's. A file is asked what it has: the universe's symbols that are in it,
    or, where none is, all of them.
    """
    if data.symbols is not None:
        return data.symbols, ()
    universe = asset.universe.symbols[: asset.universe.max_symbols]
    if provider.name != "files":
        return universe, ()
    available = provider.symbols()
    common = tuple(symbol for symbol in universe if symbol in available)
    if len(common) == len(universe):
        return universe, ()
    if common:
        note = f"the file has {len(common)} of the {len(universe)} symbols of universe {asset.universe.name}: {', '.join(common)}"
    else:
        common = available[: asset.universe.max_symbols]
        note = f"the file has no symbol of universe {asset.universe.name}; all of its own are used: {', '.join(common)}"
    logger.warning("data: %s", note)
    return common, (note,)


def fetch_all(
    provider: Any, symbols: Sequence[str], asset: AssetSpec, data: DataSpec
) -> tuple[list[Bars], tuple[str, ...]]:
    """Return clean bars of the symbols that the source has, and a note on those that it lacks.

    Raises:
        DataError: more than `data.max_missing_share` of the symbols are lacking, or all are.
    """
    found: list[Bars] = []
    failures: list[ProviderError] = []
    for symbol in symbols:
        try:
            found.append(clean(provider.fetch(symbol, data.start, data.end, data.interval), asset, data))
        except ProviderError as error:
            failures.append(error)
    if not failures:
        return found, ()
    lacking = ", ".join(error.symbol for error in failures)
    if not found or len(failures) > data.max_missing_share * len(symbols):
        raise DataError(
            f"{provider.name} lacks {len(failures)} of {len(symbols)} symbols ({lacking}): {failures[0].message}",
            hint=failures[0].hint or "leave them out of data.symbols, or raise data.max_missing_share",
        )
    note = f"{provider.name} lacks {lacking}: {failures[0].cause}"
    logger.warning("data: %s", note)
    return found, (note,)


def clean(raw: RawBars, asset: AssetSpec, data: DataSpec) -> Bars:
    """Return the bars that the quality room makes of `raw`, its findings on the log; simulated bars need no judging.

    Raises:
        ProviderError: a finding that `data.quality` refuses.
    """
    if raw.provider == SIMULATED:
        return Bars.from_raw(raw)
    from wealtharena.data import quality

    bars, report = quality.inspect(raw, asset, data.quality)
    if report.findings:
        logger.info("data: %s: %s", raw.symbol, report.summary())
    return bars


def source_notes(provider: Any) -> tuple[str, ...]:
    """Return what a provider wants a report to say, where it says anything."""
    return tuple(provider.notes()) if hasattr(provider, "notes") else ()


def universe_notes(asset: AssetSpec) -> tuple[str, ...]:
    """Return what a report must say about the universe itself."""
    universe = asset.universe
    notes = [
        f"universe {universe.name} was chosen as of {universe.universe_as_of}: before it, its members are survivors"
    ]
    if asset.instrument.rolls == "unadjusted":
        notes.append(
            "futures are front months, not adjusted for rolls: a roll shows as a price move that nobody earned"
        )
    return tuple(notes)


def repeat_overrides(panel: Panel, data: DataSpec) -> str:
    """Return the overrides that repeat the panel's resolved source exactly, such as `data=ecb`."""
    parts = [f"data={panel.source}"]
    if data.path is not None and panel.source == "files":
        parts.append(f"data.path={data.path}")
    first, last = (str(stamp)[:10] for stamp in (panel.timestamps[0], panel.timestamps[-1]))
    if panel.source != SIMULATED:
        parts += [f"data.start={data.start or first}", f"data.end={data.end or last}"]
    return " ".join(parts)


def load_panel(frame: pd.DataFrame, *, asset: str | AssetSpec, data: DataSpec | None = None) -> Panel:
    """Return the panel of a table in long form: timestamp, symbol, open, high, low, close, volume (see docs/data.md).

    `asset` is a spec, or the name of a class of conf/asset. Columns may have any of their usual names; open, high,
    low and volume may be missing. `data` carries the quality rules and the interval; by default the packaged ones, with
    the interval that the timestamps show.

    Raises:
        DataError: the table is empty, lacks a column or fails a quality rule that refuses it.
    """
    from wealtharena.config import compose
    from wealtharena.data import calendars, tables
    from wealtharena.data.providers import files

    if isinstance(asset, str):
        spec = compose([f"asset={asset}", "data=files"])
        asset, data = spec.asset, data or spec.data
    if data is None:
        data = compose(["data=files"]).data
    if frame.empty:
        raise DataError("the table has no rows", hint="pass one row a bar and symbol")
    found = tables.split_symbols(frame, where="the table", zone=calendars.time_zone(asset.universe.calendar))
    provider = files.Provider.of(found, data, asset)
    bars, notes = fetch_all(provider, provider.symbols(), asset, data)
    return align(bars, asset, data, source="files", simulated=False, notes=(*notes, *universe_notes(asset)))
