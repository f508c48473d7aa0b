"""Your own bars: Parquet or CSV, one file or a folder, in long form or as yfinance writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Final

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import calendars, currency, provider, tables
from wealtharena.data.bars import RawBars, VolumeUnit, raw_table, window_mask
from wealtharena.errors import DataError, ProviderError

_CURRENCY_OF_SUFFIX: Final = {
    "AX": "AUD", "TO": "CAD", "HK": "HKD", "T": "JPY", "NZ": "NZD", "SW": "CHF", "ST": "SEK",
    "PA": "EUR", "DE": "EUR", "AS": "EUR", "MI": "EUR", "MC": "EUR",
}  # fmt: skip


class Provider(provider.Provider):
    """Bars from `data.path`; the file is read once, whatever the number of symbols."""

    name = "files"
    title = "local files"
    collected = False
    intervals = None

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = provider.now) -> None:
        super().__init__(spec, asset, clock=clock)
        if spec.path is None:
            raise DataError(
                "data=files needs to know which file", hint="set data.path=bars.parquet (a file or a folder)"
            )
        self._file = Path(spec.path).name
        self._tables: dict[str, pd.DataFrame] | None = None

    @classmethod
    def of(cls, tables_by_symbol: dict[str, pd.DataFrame], spec: DataSpec, asset: AssetSpec) -> Provider:
        """Return a provider of tables that are at hand, as `tables.split_symbols` makes them."""
        made = cls(spec.model_copy(update={"path": spec.path or "the table"}), asset)
        made._tables = _canonical(tables_by_symbol, asset.market)
        return made

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the file, in the platform's words, sorted."""
        return tuple(sorted(self._read()))

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the symbol's rows from `start` to `end` as they stand in the file.

        Raises:
            DataError: the file is missing, empty, has no rows, lacks a column, or its bars are not of `interval`.
            ProviderError: the file lacks the symbol, or has no rows of it in the window.
        """
        found = self._read()
        if symbol not in found:
            raise ProviderError(
                self.name,
                symbol,
                f"is not in {self._file}",
                hint=f"it has {_some(sorted(found))}; see data.symbols",
            )
        whole = found[symbol]
        tables.check_interval(whole["timestamp"], interval, where=f"{self._file}: {symbol}")
        table = raw_table(whole[window_mask(whole["timestamp"], start, end)])
        if table.empty:
            first, last = whole["timestamp"].min(), whole["timestamp"].max()
            raise ProviderError(
                self.name,
                symbol,
                f"has no rows between {start or 'the first'} and {end or 'the last'}",
                hint=f"its rows run from {first:%Y-%m-%d} to {last:%Y-%m-%d}; set data.start and data.end",
            )
        return RawBars(
            provider=self.name,
            symbol=symbol,
            interval=interval,
            table=table,
            currency=quote_currency(symbol, self._asset),
            volume_unit=volume_unit(table, self._asset),
            adjusted="splits",
            fetched_at=self._clock(),
        )

    def notes(self) -> tuple[str, ...]:
        """Return what a report must say about this source."""
        return (f"bars come from the file {self._file}, whose own adjustments are taken as they are",)

    def _read(self) -> dict[str, pd.DataFrame]:
        if self._tables is None:
            zone = calendars.time_zone(self._asset.universe.calendar)
            named = self._spec.symbols[0] if self._spec.symbols and len(self._spec.symbols) == 1 else None
            raw = tables.read_path(Path(self._spec.path or ""), zone=zone, only_symbol=named)
            self._tables = _canonical(raw, self._asset.market)
        return self._tables


def quote_currency(symbol: str, asset: AssetSpec) -> str:
    """Return the currency in which a symbol is quoted: as configured, a pair's own, its exchange's, the universe's."""
    if symbol in asset.instrument.currencies:
        return asset.instrument.currencies[symbol]
    if asset.market == "forex":
        pair = currency.split_pair(symbol)
        return pair[1] if pair else asset.universe.currency
    name, _, suffix = symbol.rpartition(".")
    return _CURRENCY_OF_SUFFIX.get(suffix, asset.universe.currency) if name else asset.universe.currency


def volume_unit(table: pd.DataFrame, asset: AssetSpec) -> VolumeUnit:
    """Return what volume is counted in: nothing where a table has none; dollars for crypto, as every public source does."""
    if not (table["volume"] > 0).any():
        return "none"
    return "account" if asset.market == "crypto" else "units"


def canonical_symbol(name: str, market: str) -> str:
    """Return a source's symbol in the platform's words: EURUSD for EURUSD=X or EUR/USD, BTC-USD for BTC/USD."""
    text = name.strip()
    if market == "forex":
        bare = text.upper().removesuffix("=X").replace("/", "").replace("_", "").replace("-", "")
        return f"USD{bare}" if len(bare) == 3 and text.upper().endswith("=X") else bare
    return text.replace("/", "-") if market == "crypto" else text


def _canonical(raw: dict[str, pd.DataFrame], market: str) -> dict[str, pd.DataFrame]:
    named: dict[str, pd.DataFrame] = {}
    for name, table in raw.items():
        symbol = canonical_symbol(name, market)
        if symbol in named:
            raise DataError(f"two symbols of the file are both {symbol}", hint=f"rename or remove {name}")
        named[symbol] = table
    return named


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
