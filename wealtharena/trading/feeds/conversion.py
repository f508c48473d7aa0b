"""The rates of exchange that live bars are converted at to an account's money: those of an installation come to an end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import currency, fixings
from wealtharena.data.reading.venues import quote_abroad
from wealtharena.errors import DataError


class Rates:
    """The ECB's rates that convert the bars of an account, kept up to date; a pair among its symbols converts at its own price."""

    def __init__(self, symbols: Sequence[str], spec: ExperimentSpec, now: Callable[[], dt.datetime]) -> None:
        self._symbols, self._spec, self._now = symbols, spec, now
        fixings.take_kept(spec.data.root)

    def renew(self, currencies: Iterable[str] = ()) -> None:
        """Ask the ECB for the latest fixing where it is needed and not in use; `currencies` are those that sources told of bars."""
        account, data = self._spec.asset.account_currency, self._spec.data
        fixings.reach(self._quotes(currencies), account, self._now(), data, symbols=self._symbols)

    def ended(self) -> str:
        """Return in words that bars of now cannot be converted, and the way out; nothing where they can."""
        moment = pd.DatetimeIndex([self._now()])
        account = self._spec.asset.account_currency
        for quote in sorted(fixings.abroad(self._quotes(), account, self._symbols)):
            try:
                currency.from_ecb(quote, account, closes=moment)
            except DataError as error:
                return f"No bar of now can be used: {error.message}. The way out: {error.hint}."
        return ""

    def _quotes(self, currencies: Iterable[str] = ()) -> set[str]:
        return {*currencies, *(_quoted(one, self._spec.asset) for one in self._symbols)} - {""}


def _quoted(symbol: str, asset: AssetSpec) -> str:
    """Return the currency that a symbol is quoted in; nothing where its name does not tell."""
    pair = currency.split_pair(symbol) if asset.market == "forex" else None
    quote = quote_abroad(symbol, asset, name=symbol) if pair is None else None
    return pair[1] if pair is not None else "" if quote is None else quote.currency
