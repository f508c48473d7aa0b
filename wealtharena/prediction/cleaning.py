"""A request's bars through the rooms that a backtest's go through: judged, repaired, put on one axis."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from wealtharena.errors import ConfigError, DataError, ProviderError
from wealtharena.prediction.inputs import InputError
from wealtharena.registry.metadata import Metadata

if TYPE_CHECKING:
    from wealtharena.config.specs.asset import AssetSpec
    from wealtharena.config.specs.data import DataSpec
    from wealtharena.data.bars import Bars, RawBars
    from wealtharena.data.panel import Panel
    from wealtharena.prediction.bars import BarTable

SOURCE: Final = "request"
COLUMNS: Final = ("open", "high", "low", "close", "volume")
_AHEAD: Final = {
    True: 14 * 3_600_000_000_000,
    False: 300_000_000_000,
}  # ns, of dates (UTC+14) and of times (clocks differ)
_COMPOSING: Final = threading.Lock()  # a configuration is composed by one thread at a time


def panel_of(metadata: Metadata, table: BarTable, *, now: datetime) -> tuple[Panel, tuple[str, ...]]:
    """Return the panel that a backtest would have of these bars, known at `now`, and what was done to them.

    Raises:
        InputError: they lie in the future, are not of the agent's interval, or a rule of `data.quality` refuses them.
    """
    from wealtharena.data import intervals, quality
    from wealtharena.data.align import align

    asset, data = rules_of(metadata)
    if table.stamps.max() > now.timestamp() * 1e9 + _AHEAD[metadata.frequency in intervals.DATED]:
        raise InputError("bars.timestamp", "lies in the future", hint="timestamps are UTC")
    found: list[Bars] = []
    findings: list[quality.Finding] = []
    for symbol in metadata.symbols:
        raw = _raw(symbol, table, asset, data, now)
        try:
            intervals.check_interval(raw.table["timestamp"], metadata.frequency, where=symbol)
            bars, report = quality.inspect(raw, asset, data.quality, most_repaired=data.max_repaired_share)
            quality.check_repaired(bars, data.max_repaired_share)
        except ProviderError as error:
            raise InputError(f"bars.{symbol}", error.cause, hint="send bars as a backtest would take them") from error
        except DataError as error:
            words = error.message.removeprefix(f"{symbol}: ")
            raise InputError(
                f"bars.{symbol}", words, hint=f"the agent decides on bars of {metadata.frequency}"
            ) from error
        found.append(bars)
        findings += report.findings
    try:
        panel = align(found, asset, data, source=SOURCE, simulated=metadata.simulated)
    except (ConfigError, DataError) as error:
        raise InputError("bars", error.message, hint=error.hint) from error
    return panel, (*quality.finding_notes(findings), *panel.notes, *_lacking(panel))


def venue_dates(metadata: Metadata, table: BarTable) -> npt.NDArray[np.int64]:
    """Return the dates [n] of bars of days by their instants, ns since 1970: at each symbol's venue, by the rule for files.

    InputError names the symbol whose instants leave open which date they belong to.
    """
    from wealtharena.data.providers.files import venue_of
    from wealtharena.data.reading.moments import bar_times
    from wealtharena.data.reading.stamps import Stamps

    asset, _ = rules_of(metadata)
    dates, offset = table.stamps.copy(), bool((table.wall != table.stamps).any())
    for symbol in metadata.symbols:
        rows = np.flatnonzero(table.symbols == symbol)
        zone, weekdays = venue_of(symbol, asset)
        found = Stamps(table.wall[rows], table.stamps[rows], True, offset, "")
        try:
            times = bar_times(found, dated=True, zone=zone, weekdays=weekdays, where=symbol)
        except DataError as error:
            raise InputError(f"bars.{symbol}", error.message.removeprefix(f"{symbol}: "), hint=error.hint) from error
        dates[rows] = times.dt.tz_localize(None).astype("datetime64[ns]").astype("int64")
    return dates


def at_beginnings(metadata: Metadata, table: BarTable) -> tuple[BarTable, tuple[str, ...]]:
    """Return bars within the day at their beginnings in UTC, as a file's are, and what was done to them.

    Times may be the last moments of bars, or be written by the exchange's clock without a zone.
    """
    from wealtharena.data.reading.moments import from_beginnings
    from wealtharena.data.reading.settled import Ledger
    from wealtharena.data.reading.stamps import Stamps

    ledger, stamps = Ledger("bars"), table.stamps.copy()
    of = {symbol: np.flatnonzero(table.symbols == symbol) for symbol in metadata.symbols}
    for rows in of.values():
        found = Stamps(table.stamps[rows], table.stamps[rows], table.zoned, offset=False, form="")
        stamps[rows] = from_beginnings(found, ledger).instants
    told = () if table.zoned else _by_clocks(metadata, stamps, of)
    return replace(table, stamps=stamps), (*ledger.notes, *told)


def _by_clocks(
    metadata: Metadata, stamps: npt.NDArray[np.int64], of: Mapping[str, npt.NDArray[np.int64]]
) -> tuple[str, ...]:
    """Bring stamps, whose rows are `of` a symbol, from their exchange's clock to UTC where its hours tell that; return which."""
    from wealtharena.data import quality
    from wealtharena.data.reading import clocks, unzoned

    asset, _ = rules_of(metadata)
    walls = {name: (np.unique(stamps[rows]), quality.calendar_of(name, asset)) for name, rows in of.items()}
    try:
        zones = unzoned.zones(walls, where="bars")
    except DataError as error:
        raise InputError("bars.timestamp", error.message.removeprefix("bars: "), hint=error.hint) from error
    said = []
    for name, zone in zones.items():
        if zone != clocks.UTC:
            stamps[of[name]] = unzoned.in_utc(stamps[of[name]], zone)
            said.append(unzoned.words(name, zone, walls[name][1]))
    return tuple(said)


def _raw(symbol: str, table: BarTable, asset: AssetSpec, data: DataSpec, now: datetime) -> RawBars:
    import pandas as pd

    from wealtharena.data.bars import RawBars, raw_table

    rows = table.symbols == symbol
    columns = {name: column[rows] for name, column in table.values.items()}
    frame = pd.DataFrame({"timestamp": table.stamps[rows].astype("datetime64[ns]"), **columns})
    has_volume = "volume" in columns and bool(np.isfinite(columns["volume"]).any())
    return RawBars(
        provider=SOURCE,
        symbol=symbol,
        interval=data.interval,
        table=raw_table(frame),
        currency=asset.account_currency,  # nothing that is computed of a request depends on money's name
        volume_unit="units" if has_volume else "none",
        adjusted="splits",
        fetched_at=now,
    )


def _lacking(panel: Panel) -> tuple[str, ...]:
    """Return a sentence on the symbols that the last bar has no price of, at which they could be traded."""
    absent = [symbol for symbol, there in zip(panel.symbols, panel.tradable[-1], strict=True) if not there]
    when = str(panel.timestamps[-1].astype("datetime64[s]"))
    return (f"at {when} there is no price to trade at of {', '.join(absent)}",) if absent else ()


def rules_of(metadata: Metadata) -> tuple[AssetSpec, DataSpec]:
    """Return what is traded and how bars are judged: as it was in training, and the packaged rules where that is not said."""
    recipe = metadata.recipe
    said = json.dumps([recipe.asset, recipe.data], sort_keys=True)
    with _COMPOSING:
        return _rules(metadata.asset, metadata.frequency, said)


def warm(metadata: Metadata) -> None:
    """Do what the first question about bars of an agent would wait for: import, compose its rules, make its calendar."""
    import wealtharena.data.align
    import wealtharena.data.quality
    import wealtharena.envs.anchors
    import wealtharena.features.computing  # noqa: F401 - for its effect, as those above: the next import of it is free
    from wealtharena.data import calendars
    from wealtharena.data.quality import calendar_of

    asset, _ = rules_of(metadata)
    for calendar in {calendar_of(symbol, asset) for symbol in metadata.symbols}:
        calendars.time_zone(calendar)


@lru_cache(maxsize=64)
def _rules(asset: str, frequency: str, said: str) -> tuple[AssetSpec, DataSpec]:
    from wealtharena.config import compose
    from wealtharena.config.composition import overlaid
    from wealtharena.config.specs.asset import AssetSpec
    from wealtharena.config.specs.data import DataSpec

    own_asset, own_data = json.loads(said)
    try:
        packaged = compose([f"asset={asset}", "data=auto"])
    except ConfigError:  # a class of somebody's own, which is not here
        packaged = compose(["data=auto"])
    data = overlaid(packaged.data.model_dump(mode="json"), {**own_data, "interval": frequency})
    return (
        AssetSpec.model_validate(overlaid(packaged.asset.model_dump(mode="json"), own_asset)),
        DataSpec.model_validate(data),
    )
