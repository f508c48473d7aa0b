"""What of a name is a venue or a quote, and what is only a word, a future's month or a file's source."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.reading.test_cases import load_written, shares
from tests.data.specs import compose
from wealtharena.data.quality import calendar_of
from wealtharena.data.reading.venues import Quote, quote_of, suffix_of, without_venue, zone_of
from wealtharena.errors import ConfigError, DataError

SHARES = compose(["asset=stocks", "data=files"]).asset
COINS = compose(["asset=crypto", "data=files"]).asset
METALS = compose(["asset=commodities", "data=files"]).asset


@pytest.mark.parametrize("name", [
    "Boeing Co", "Nestle SA", "SAP SE", "BAC PR", "MSCI IT", "Vanguard SP", "Siemens AG", "BOEING CO", "NESTLE SA", "Volvo AB",
    "SKF AB", "ABC ZZ", "SP500 IT", "Toyota JP", "STOCK ID", "S&P US"])  # fmt: skip
def test_a_companys_name_is_no_venue(name: str) -> None:
    assert quote_of(name, SHARES) == Quote("AUD")
    assert without_venue([name], SHARES) == [name]


def test_bloombergs_code_stands_behind_a_ticker_or_before_equity() -> None:
    known = {"BHP AU": "AX", "7203 JT": "T", "BRK/B US": "US", "D05 SP": "SI", "C6L SP": "SI", "BT/A LN": "L"}
    known |= {"POLI IT Equity": "TA", "DBS SP Equity": "SI", "aapl us equity": "US", "RELIANCE IN": "NS"}
    assert {name: suffix_of(name) for name in known} == known


@pytest.mark.slow
def test_a_pair_needs_no_size_of_a_contract_and_a_word_of_six_letters_does(tmp_path: Path) -> None:
    for name in ("XAUUSD", "XAU/USD", "OANDA:XAUUSD", "xauusd", "XAGEUR.pro"):
        panel = load_written(shares(name, bars=60), tmp_path / "bars.csv", "asset=commodities")
        assert (panel.symbols, panel.multipliers.tolist()) == ((name,), [1.0])
    for name in ("COPPER", "SILVER", "COFFEE"):
        with pytest.raises(ConfigError, match=f"multipliers has no size of {name}"):
            load_written(shares(name, bars=60), tmp_path / "bars.csv", "asset=commodities")


@pytest.mark.parametrize("name", ["CL.F", "GC.F", "BRENT.CO", "LSE:GC", "NYMEX:CL1!", "GOLD US"])
def test_a_future_has_no_venue_of_shares(name: str) -> None:
    assert quote_of(name, METALS) == Quote("USD")
    assert calendar_of(name, METALS) == METALS.universe.calendar
    assert zone_of(name, METALS) == zone_of("GOLD", METALS)


@pytest.mark.parametrize("name", ["binance-btc", "kraken-eth", "data-eth", "coinbase_sol", "BITSTAMP-BTC"])
def test_a_coin_behind_the_word_of_its_source_is_no_quote(name: str) -> None:
    quote = quote_of(name, COINS)
    assert quote.currency == "USD"
    assert f"{name}: its quotes are taken as USD; if they are not, set " in quote.said


@pytest.mark.parametrize("name", ["ETH-BTC", "eth-btc", "FOO/BTC", "binance-eth-btc"])
def test_a_coin_behind_a_coin_or_a_stroke_is_its_quote(name: str) -> None:
    with pytest.raises(DataError, match="is quoted in BTC, a coin"):
        quote_of(name, COINS)


def test_dollars_that_a_coins_file_states_count_where_its_name_tells_nothing() -> None:
    european = compose(["asset=crypto", "data=files", "universe.currency=EUR"]).asset
    assert quote_of("BTC", european).currency == "EUR"
    for name in ("BTC", "binance-btc"):
        quote = quote_of(name, european, stated="USD")
        assert quote == Quote("USD", said=f"{name}: prices are in USD, as the file states")
    for name, money in {"BTC-EUR": "EUR", "AGEUR": "EUR", "BTCUSDT": "USD"}.items():
        assert quote_of(name, european, stated="USD").currency == money


@pytest.mark.parametrize(("name", "stated", "words"), [
    ("BHP.AX", "AUD", ""), ("ASX:BHP", "AUD", ""), ("BHP", "AUD", ""), ("AAPL.US", "USD", ""), ("7203.T", "JPY", ""),
    ("BHP.AX", "USD", "USD"), ("AAPL", "USD", "USD"), ("SHEL.L", "GBP", "GBP"), ("AAPL.US", "AUD", "AUD"),
    ("SHEL.L", "GBX", "hundredths of GBP, divided by 100")])  # fmt: skip
def test_stated_money_is_said_where_the_name_does_not_tell_it(name: str, stated: str, words: str) -> None:
    said = quote_of(name, SHARES, stated=stated).said
    assert said == (words and f"{name}: prices are in {words}, as the file states")
