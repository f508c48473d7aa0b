"""Whether live bars can be converted to an account's money: the rates of exchange of an installation come to an end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.data import currency
from wealtharena.data.reading.venues import quote_abroad
from wealtharena.errors import DataError


def ended(symbols: Sequence[str], asset: AssetSpec, now: dt.datetime) -> str:
    """Return in words that bars of now cannot be converted, and the way out; nothing where they can.

    A pair among the symbols converts at its own price.
    """
    account = asset.account_currency
    for quote in sorted({_quoted(one, asset) for one in symbols} - {account, ""}):
        if {quote + account, account + quote} & set(symbols):
            continue
        try:
            currency.from_ecb(quote, account, closes=pd.DatetimeIndex([now]))
        except DataError as error:
            return f"No bar of now can be used: {error.message}. {error.hint[:1].upper()}{error.hint[1:]}."
    return ""


def _quoted(symbol: str, asset: AssetSpec) -> str:
    """Return the currency that a symbol is quoted in; nothing where its name does not tell."""
    pair = currency.split_pair(symbol) if asset.market == "forex" else None
    quote = quote_abroad(symbol, asset, name=symbol) if pair is None else None
    return pair[1] if pair is not None else "" if quote is None else quote.currency
