"""A store, a clock and a source of made bars that a test moves on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from tests.data.specs import compose
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.collecting import Collector, Outcome
from wealtharena.data.provider import Provider
from wealtharena.errors import ProviderError

DAYS = pd.bdate_range("2024-01-01", "2026-06-30", tz="UTC")
MONDAY = datetime(2026, 5, 18, 15, tzinfo=UTC)  # the session of New York is under way


def history(days: pd.DatetimeIndex = DAYS, *, seed: int = 1) -> pd.DataFrame:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(days))))
    frame = {"timestamp": days, "open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 5e6}
    return raw_table(pd.DataFrame(frame))


class Source(Provider):
    """A source of made bars: of its whole table, as far back as it reaches, those that are over by its clock."""

    name = "yahoo"
    host = "https://yahoo.invalid"  # it stands for one that a network is asked for
    intervals: ClassVar = frozenset({"1d", "1h"})
    plan = ""

    def __init__(self, spec: Any, asset: Any, table: pd.DataFrame, clock: Callable[[], datetime]) -> None:
        super().__init__(spec, asset, clock=clock)
        self.table = table
        self.tables: dict[str, pd.DataFrame] = {}
        self.reach: date | None = None
        self.zone = "UTC"
        self.currency = "USD"
        self.asked: list[tuple[date | None, date | None]] = []

    @property
    def form(self) -> str:
        return self.plan

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        self.asked.append((start, end))
        if self.reach is not None and start is not None and start < self.reach:
            raise ProviderError(self.name, symbol, f"reaches back to {self.reach}", hint=f"set data.start={self.reach}")
        table = self.tables.get(self._spec.provider_symbols.get(symbol, symbol), self.table)
        local = table["timestamp"].dt.tz_convert(self.zone).dt.date  # the venue's own days, as Yahoo counts them
        length = pd.Timedelta(hours=21) if interval == "1d" else pd.Timedelta(hours=1)
        keep = table["timestamp"] + length <= pd.Timestamp(self._clock())
        first = max((day for day in (start, self.reach) if day), default=None)
        if first is not None:
            keep &= local >= first
        if end is not None:
            keep &= local <= end
        table = table[keep].reset_index(drop=True)
        return RawBars(self.name, symbol, interval, table, self.currency, "units", "splits", self._clock())


class Other(Source):
    name = "coingecko"


class Room:
    """A store, a clock and a source that a test moves on."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.now = MONDAY
        self.table = history()
        self.source: Source | None = None
        self.settings: dict[str, Any] = {}

    def collector(self, *, asset: tuple[str, ...] = ("asset=stocks", "universe=nyse"), **changes: Any) -> Collector:
        spec = compose([*asset, "data=yahoo"])
        options: dict[str, Any] = {name: changes.pop(name) for name in ("refresh", "compare_days") if name in changes}
        data = spec.data.model_copy(update={"root": self.root, **changes})
        made = Collector(spec.asset, data, spec.collect.model_copy(update=options), clock=lambda: self.now)
        self.source = Source(data, spec.asset, self.table, lambda: self.now)
        for name, value in self.settings.items():
            setattr(self.source, name, value)
        made._providers["yahoo"] = self.source
        return made

    def collect(self, **changes: Any) -> Outcome:
        return self.collector(**changes).collect("AAPL")

    def bars(self, interval: str = "1d", asset: str = "stocks") -> pd.DataFrame:
        return self.collector().store.read(asset, "AAPL", interval).table.set_index("timestamp")

    @property
    def entry(self) -> dict[str, Any]:
        found: dict[str, Any] = self.collector().store.catalog()["bars"]["stocks/AAPL/1d"]
        return found


def at(day: str) -> pd.Timestamp:
    return pd.Timestamp(day, tz="UTC")
