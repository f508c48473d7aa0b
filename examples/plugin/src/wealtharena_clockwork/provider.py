"""A market that rises and falls like clockwork: two coins, 700 days, no network."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from wealtharena.data import provider
from wealtharena.data.bars import RawBars, raw_table, window_mask
from wealtharena.data.provider import UnknownSymbolError

COINS = ("TICK-USD", "TOCK-USD")


class Provider(provider.Provider):
    """The Clockwork Exchange."""

    name = "clockwork"
    title = "Clockwork Exchange"
    markets = frozenset({"crypto"})
    caveats = ("clockwork runs too well to be true",)

    def symbols(self) -> tuple[str, ...]:
        """Return the two coins."""
        return COINS

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the days of one coin."""
        if symbol not in COINS:
            raise UnknownSymbolError(self.name, symbol, "is not listed", hint=f"take {' or '.join(COINS)}")
        days = pd.date_range("2020-01-01", periods=700, tz="UTC")
        rng = np.random.default_rng(COINS.index(symbol))
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, len(days))))
        table = raw_table(pd.DataFrame({"timestamp": days, "close": close}))
        table = table[window_mask(table["timestamp"], start, end)].reset_index(drop=True)
        return RawBars(self.name, symbol, interval, table, "USD", "none", "splits", self._clock())
