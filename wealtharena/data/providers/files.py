"""Your own bars: Parquet or CSV, one file or a folder, in any layout that the reading room knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import currency, intervals, provider
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import calendar_of
from wealtharena.data.reading import Reading, adjustment, clocks, mixed, payouts, read_path, units, unzoned
from wealtharena.data.reading.identifiers import canonical, canonical_symbol, dollar_pairs, symbol_of_file
from wealtharena.data.reading.stamps import IntArray
from wealtharena.data.reading.venues import Quote, quote_of, same_symbol, setting, suffix_of, without_venue, zone_of
from wealtharena.errors import DataError, ProviderError, UnknownFileError
from wealtharena.shown import some

_NO_COLUMN: Final = "(the file has no column of symbols)"
_NAMED: Final = 8  # symbols of which the same is to be said, and that are called by name
_ENDING: Final = re.compile(r"\.(csv(\.(gz|bz2|xz|zip))?|parquet|pq|txt|tsv|zip)$", re.IGNORECASE)
# where weeks run or ran from Sunday to Thursday: Tel Aviv (until 2026), Riyadh, Cairo, Doha, Kuwait
_SMALLEST_PAYOUT: Final = 0.0005  # of a price that is quoted in hundredths, by and large
_SUNDAY_ZONES: Final = frozenset({"Asia/Jerusalem", "Asia/Tel_Aviv", "Asia/Riyadh"})
_SUNDAY_VENUES: Final = frozenset({"CA", "QA", "KW"})


def require_path(spec: DataSpec) -> Path:
    """Return the file or folder that `data.path` names; raise UnknownFileError where it names none."""
    if spec.path is None or not spec.path.strip():
        raise UnknownFileError(
            "data=files needs to know which file", hint="set data.path=bars.parquet (a file or a folder)"
        )
    return Path(spec.path)


class Provider(provider.Provider):
    """Bars from `data.path`; the file is read once, whatever the number of symbols."""

    name = "files"
    title = "local files"
    collected = False
    intervals = None

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = provider.now) -> None:
        super().__init__(spec, asset, clock=clock)
        self._file = require_path(spec).name
        self._content: Content | None = None

    @classmethod
    def of(cls, reading: Reading, spec: DataSpec, asset: AssetSpec) -> Provider:
        """Return a provider of tables that are at hand, as `reading.split_symbols` makes them."""
        made = cls(spec.model_copy(update={"path": spec.path or "the table"}), asset)
        made._content = Content(reading, made._spec, asset)
        return made

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the file, in the platform's words, sorted."""
        return tuple(sorted(self.content().tables))

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the symbol's rows from `start` to `end` as they stand in the file; it may be named as the file names it.

        Raises:
            DataError: the file is missing, empty, has no rows, lacks a column, or its bars are not of `interval`; or
                what the symbol is quoted in is not known.
            ProviderError: the file lacks the symbol, or has no rows of it in the window.
        """
        found = self.content()
        name = found.name_of(symbol)
        if name is None:
            raise ProviderError(
                self.name,
                symbol,
                f"is not in {self._file}",
                hint=f"it has {some(sorted(found.tables), _NAMED)}; see data.symbols",
            )
        quote = found.quote_of(name)
        whole = found.tables[name]
        first, last = whole["timestamp"].min(), whole["timestamp"].max()
        hint = f"its rows run from {first:%Y-%m-%d} to {last:%Y-%m-%d}; set data.start and data.end"
        within = partial(self.within, symbol, whole, start, end, lacks="has no rows between", hint=hint)
        shown = intervals.spacing(whole["timestamp"])
        rows = within() if shown is not None and shown.mixed else whole  # of several intervals, the window may have one
        intervals.check_interval(rows["timestamp"], interval, where=f"{self._file}: {name}")
        table = raw_table(within())
        adjusted = adjustment.adjusted_as(found.adjustments[name])
        return RawBars(
            provider=self.name,
            symbol=name,
            interval=interval,
            table=quote.whole(table if adjusted != "all" else table.assign(dividend=0.0)),
            currency=quote.currency,
            volume_unit=units.as_unit(found.volumes[name]),
            adjusted=adjusted,
            fetched_at=self._clock(),
        )

    def notes(self) -> tuple[str, ...]:
        """Return what a report must say about this source."""
        content = self.content()
        return (f"bars come from the file {self._file}{content.summary()}", *content.notes())

    def content(self) -> Content:
        """Return what the file holds and what was settled about it; it is read at the first call.

        Raises:
            DataError: see `read_path`; or the file is named by another pair of currencies than the one that is asked for.
        """
        if self._content is None:
            spec, path = self._spec, Path(self._spec.path or "").expanduser()
            asked = spec.symbols[0] if spec.symbols and len(spec.symbols) == 1 else None
            reading = read_path(
                path,
                venue=lambda symbol: venue_of(symbol, self._asset),
                only_symbol=asked,
                max_dropped_share=spec.max_repaired_share,
            )
            said = _taken_as(asked, path, reading, self._asset.market) if asked and path.is_file() else ""
            self._content = Content(reading, spec, self._asset, said=said)
        return self._content


class Content:
    """A file's tables under the platform's names, and what its figures mean."""

    def __init__(self, reading: Reading, spec: DataSpec, asset: AssetSpec, *, said: str = "") -> None:
        self.reading = reading
        self._said = said
        self._asset, self._market = asset, asset.market
        self.names = canonical(reading.tables, asset.market)
        self.stand_ins: dict[str, str] = {}
        if asset.market == "crypto":
            own = {canonical_symbol(name, "crypto") for name in spec.symbols or ()}
            wanted = [*(spec.symbols or ()), *asset.universe.symbols]
            self.stand_ins = dollar_pairs((name for name in self.names.values() if name not in own), wanted)
        self.names = {name: self.stand_ins.get(symbol, symbol) for name, symbol in self.names.items()}
        self.tables = {self.names[name]: table for name, table in reading.tables.items()}
        self._stated = {self.names[name]: code for name, code in reading.currencies.items() if name in self.names}
        self.quotes: dict[str, Quote] = {}
        for name in self.tables:
            with suppress(DataError):  # what is never asked for need not be known
                self.quotes[name] = self.quote_of(name)
        self._brought = [words for name in reading.paid if (words := self._bring(name))]
        self.foreign = self._foreign(spec)
        kinds = {self.names[name]: kind for name, kind in reading.volume_kind.items()}
        self.volumes = self._volumes(spec.volume_unit, kinds)
        self._clocks = self._by_clocks(spec)
        known = {self.names[name]: kind for name, kind in reading.adjusted.items()}
        self.adjustments = adjustment.adjustments(self.tables, setting=spec.adjusted, known=known)

    def quote_of(self, name: str) -> Quote:
        """Return how a symbol of `tables` is quoted.

        Raises:
            DataError: that is not known; see `venues.quote_of`.
        """
        return self.quotes.get(name) or quote_of(name, self._asset, stated=self._stated.get(name, ""))

    def _bring(self, written: str) -> str:
        """Bring the dividends of a symbol, as the file writes it, to the money of its prices; return in words what was done."""
        name = self.names.get(written, "")
        if name not in self.quotes:
            return ""
        self.tables[name], words = payouts.brought(
            self.tables[name], name, paid=self.reading.paid[written], quote=self.quotes[name]
        )
        return words

    def _by_clocks(self, spec: DataSpec) -> list[str]:
        """Bring times behind which no zone is written to UTC where the hours of their exchange tell it; return in words what was done."""
        walls = {name: self._wall(name) for name in sorted(self.names[name] for name in self.reading.unzoned)}
        where = Path(spec.path or "").name
        told: dict[tuple[str, str], list[str]] = {}
        for name, zone in unzoned.zones(walls, where=where).items():
            told.setdefault((zone, walls[name][1] if zone != clocks.UTC else ""), []).append(name)
            if zone != clocks.UTC:
                shown = self.tables[name]["timestamp"]
                stamps = unzoned.in_utc(pd.DatetimeIndex(shown).as_unit("ns").asi8, zone)
                self.tables[name] = self.tables[name].assign(
                    timestamp=pd.DatetimeIndex(stamps, tz="UTC").astype(shown.dtype)
                )
        return [unzoned.words(some(names, _NAMED), zone, calendar) for (zone, calendar), names in told.items()]

    def _wall(self, name: str) -> tuple[IntArray, str]:
        """Return what a clock showed at the bars of a symbol, in ns, rising, and its calendar."""
        quote = self.quotes.get(name)
        shown = pd.DatetimeIndex(self.tables[name]["timestamp"]).as_unit("ns").asi8
        return np.unique(shown), calendar_of(name, self._asset, currency=quote.currency if quote else None)

    def _foreign(self, spec: DataSpec) -> dict[str, float]:
        """Return dollars for one unit of the quote, by and large, of each coin whose money is not the account's.

        They tell what a turnover is, where the volume's unit is left open; no figure is converted at them.
        """
        if self._market != "crypto" or spec.volume_unit != "auto":
            return {}
        found = {name: quote.currency for name, quote in self.quotes.items()}
        own = self._asset.account_currency
        return {name: currency.dollars_for(money) for name, money in found.items() if money != own}

    def _volumes(self, setting: str, kinds: Mapping[str, str]) -> dict[str, units.Answer]:
        """Return the unit of each symbol's volume, once one that changes inside the file is brought to money."""
        if self._market != "crypto" or setting == "none":
            made = units.volume_unit(self.tables, self._market, setting=setting, kinds=kinds)
            return _with_steps(made, self.tables)
        tables = {name: _scaled(table, self.foreign.get(name, 1.0)) for name, table in self.tables.items()}
        told = tables if setting != "auto" else {name: tables[name] for name in kinds if name in tables}
        open_ = {name: table for name, table in tables.items() if name not in told}
        changed = mixed.in_one_unit(open_)
        tables |= {name: one.table for name, one in changed.items()}
        self.tables |= {name: _scaled(one.table, 1 / self.foreign.get(name, 1.0)) for name, one in changed.items()}
        said = {name: one.words for name, one in changed.items()}
        made = units.volume_unit(tables, self._market, setting=setting, kinds=kinds, mixed=said)
        for name, table in told.items():
            if dates := mixed.dates(table):
                words = f"{made[name].words}; yet {name}'s seems to change its unit on {dates}"
                made[name] = units.Answer(made[name].value, words, note=True)
        return _with_steps(made, {name: table for name, table in self.tables.items() if name not in said})

    def name_of(self, symbol: str) -> str | None:
        """Return the platform's name of a symbol that may be written as the file writes it; None where it is absent."""
        for name in (symbol, self.names.get(symbol, ""), canonical_symbol(symbol, self._market)):
            if name in self.tables:
                return name
        return self.stand_ins.get(canonical_symbol(symbol, self._market))

    def summary(self) -> str:
        """Return in brackets what was settled of the first file, and how many more there are; nothing for a table."""
        settled = self.reading.settled
        facts = [f"{topic}: {answer}" for topic, answer in settled[0].facts if topic not in ("passed over", "symbol")]
        more = f", and {len(settled) - 1} more" if len(settled) > 1 else ""
        return f" ({'; '.join(facts)}{more})" if facts else ""

    def meanings(self) -> tuple[tuple[str, str], ...]:
        """Return what the figures mean: volume's unit, adjustment, currency, and symbols under another name."""
        money: dict[str, list[str]] = {}
        for name, quote in self.quotes.items():
            unit = quote.currency if quote.scale == 1.0 else f"hundredths of {quote.currency}"
            money.setdefault(unit, []).append(name)
        if unknown := [name for name in self.tables if name not in self.quotes]:
            money["money that is not known"] = unknown
        renamed = [f"{name} as {symbol}" for name, symbol in self.names.items() if name != symbol]
        facts = [("volume counts", words) for words in _by_answer(self.volumes)]
        facts += [("adjustment", words) for words in _by_answer(self.adjustments)]
        facts += [
            ("quoted in", unit if len(money) == 1 else f"{unit}: {some(names, _NAMED)}")
            for unit, names in money.items()
        ]
        return (*facts, *((("renamed", some(renamed, _NAMED)),) if renamed else ()))

    def _pounds_beside_pence(self, name: str) -> str:
        """Return a sentence where dividends are so small beside prices in hundredths that they may not be in hundredths."""
        table = self.tables[name]
        if self.quotes[name].scale == 1.0 or "dividend" not in table:
            return ""
        shares = (table["dividend"] / table["close"])[table["dividend"] > 0]
        if not len(shares) or not shares.median() < _SMALLEST_PAYOUT:
            return ""
        return (
            f"{name}: a dividend is {shares.median():.3%} of the price, as one in {self.quotes[name].currency} beside prices in hundredths"
            " is; it is taken in hundredths as well: multiply it by 100 if it is not"
        )

    @cached_property
    def _far_from_fixings(self) -> tuple[str, ...]:
        """What is far from the ECB's rates of the same dates, of pairs of currencies; asked once, since notes are asked for often."""
        if self._market != "forex":
            return ()
        found = (currency.far_from_fixings(name, table) for name, table in self.tables.items())
        return tuple(filter(None, found))

    def notes(self) -> tuple[str, ...]:
        """Return every sentence that a report must carry on what was settled."""
        said = [*self.reading.notes, *filter(None, [self._said])]
        said += [
            f"{name} stands for {symbol}: a dollar coin counts as a dollar" if "USD-" not in f"{name}-" or "USDT" in name
            else f"{name} is read as {symbol}"
            for name, symbol in self.stand_ins.items()
        ]  # fmt: skip
        said += [quote.said for quote in self.quotes.values() if quote.said]
        if bare := without_venue((name for name in self.tables if "|" in self._stated.get(name, "|")), self._asset):
            said.append(
                f"names that tell no venue: {some(bare, _NAMED)}; their quotes are taken as {self._asset.universe.currency},"
                f" the universe's; if they are not, set asset.instrument.currencies, as by {setting(bare[0], 'USD')}"
            )
        said += [*self._clocks, *self._brought, *self._far_from_fixings]
        said += [note for name in self.quotes if (note := self._pounds_beside_pence(name))]
        said += [answer.words for answer in self.volumes.values() if answer.note]
        said += _noted(self.adjustments)
        return tuple(dict.fromkeys(said))


def venue_of(symbol: str, asset: AssetSpec) -> tuple[str, bool]:
    """Return the time zone of a symbol's dates, and whether its venue rests on Saturdays and Sundays."""
    zone = zone_of(symbol, asset)
    return zone, asset.market != "crypto" and zone not in _SUNDAY_ZONES and suffix_of(symbol) not in _SUNDAY_VENUES


def _with_steps(made: Mapping[str, units.Answer], tables: Mapping[str, pd.DataFrame]) -> dict[str, units.Answer]:
    """Return the answers with a note where a volume that limits orders goes up or down as if its unit changed."""
    out = dict(made)
    for name, table in tables.items():
        answer = made[name]
        if answer.value == "none" or "seems to change its unit" in answer.words or not (steps := mixed.steps(table)):
            continue
        words = f"{answer.words}; {name}'s is {steps} and stays so: if its unit changes there, write one unit"
        out[name] = units.Answer(answer.value, words, note=True)
    return out


def _by_answer(answers: Mapping[str, units.Answer]) -> list[str]:
    """Return each answer with its words, and with the symbols where there are several answers."""
    found: dict[str, list[str]] = {}
    for name, answer in answers.items():
        found.setdefault(f"{answer.value} ({answer.words})", []).append(name)
    return [words if len(found) == 1 else f"{some(names, _NAMED)}: {words}" for words, names in found.items()]


def _noted(answers: Mapping[str, units.Answer]) -> list[str]:
    """Return what a report must say of adjustments, with the symbols where they are not adjusted alike."""
    alike = len({answer.value for answer in answers.values()}) == 1
    words: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if answer.note:
            words.setdefault(answer.words, []).append(name)
    contained = [name for name, answer in answers.items() if answer.value == "all"]
    if alike:
        return [*words, *([adjustment.CONTAINED] if contained else [])]
    said = [f"{some(names, _NAMED)}: {text}" for text, names in words.items()]
    return [*said, *([f"{some(contained, _NAMED)}: {adjustment.CONTAINED}"] if contained else [])]


def _scaled(table: pd.DataFrame, factor: float) -> pd.DataFrame:
    """Return the table with its volume times a factor."""
    return table if factor == 1.0 or "volume" not in table else table.assign(volume=table["volume"] * factor)


def _taken_as(asked: str, path: Path, reading: Reading, market: str) -> str:
    """Return the note on a file without symbols whose name is not the one that is asked for; nothing on any other.

    Raises:
        DataError: its name holds another pair of currencies.
    """
    if not any(topic == "symbol" and answer.endswith(_NO_COLUMN) for topic, answer in reading.settled[0].facts):
        return ""
    stem = _ENDING.sub("", path.name)
    if same_symbol(symbol_of_file(stem), asked, market):
        return ""
    pair = currency.pair_in(stem) if market == "forex" else None
    if pair is not None and pair != canonical_symbol(asked, market):
        raise DataError(
            f"{path.name} is named by {pair}, and data.symbols asks for {asked}",
            hint=f"set data.symbols=[{pair}], or rename the file if its name is wrong",
        )
    return f"{path.name} names no symbol; its bars are taken as {asked}'s, as data.symbols says"
