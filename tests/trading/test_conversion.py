"""Live bars in other money than the account's: who starts an account is told where the rates of this installation have ended."""

import datetime as dt

import pytest

from wealtharena.config import compose
from wealtharena.data import currency, fixings
from wealtharena.trading.feeds import conversion


def rates(overrides, symbols, moment, room):
    spec = compose([*overrides, f"data.root={room}"])
    return conversion.Rates(symbols, spec, lambda: moment)


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
def test_rates_that_have_ended_are_told_at_the_start_and_not_at_each_close(overrides, symbols, told, tmp_path):
    """An account in Australian dollars with shares of New York began, and found every session unusable."""
    last = currency.ecb_rates().index[-1].to_pydatetime()
    words = rates(overrides, symbols, last + dt.timedelta(days=40), tmp_path).ended()
    assert words.startswith(f"No bar of now can be used: the {told} rates in this installation end on") == bool(told)
    assert ("task=collect asset=forex data=ecb asks the ECB" in words) == bool(told)
    assert rates(overrides, symbols, last + dt.timedelta(days=3), tmp_path).ended() == ""


@pytest.mark.parametrize(
    ("symbols", "told", "asked"),
    [
        (("AAPL",), (), True),  # of New York, in Australian dollars
        (("AAPL", "AUDUSD"), (), False),
        (("BHP.AX",), (), False),
        (("BHP.AX",), ("AUD", "USD"), True),  # as its source says
    ],
)
def test_the_ecb_is_asked_where_bars_need_a_fixing_that_is_not_at_hand(symbols, told, asked, tmp_path, monkeypatch):
    renewed, last = [], currency.ecb_rates().index[-1].to_pydatetime()
    monkeypatch.setattr(fixings, "_next", [float("-inf")])
    monkeypatch.setattr(fixings, "renew", lambda data: renewed.append(data.root) or "")
    overrides = ("asset=stocks", "universe=nyse", "asset.account_currency=AUD")
    rates(overrides, symbols, last, tmp_path).renew(told)
    assert renewed == []
    rates(overrides, symbols, last + dt.timedelta(days=5), tmp_path).renew(told)
    assert renewed == [str(tmp_path)] * asked
