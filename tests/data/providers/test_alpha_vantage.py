import json
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub import sample
from tests.data.specs import compose
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError
from wealtharena.data.providers.alpha_vantage import Provider
from wealtharena.errors import ProviderError

PAYLOADS = Path(__file__).parents[4] / "shared" / "market_stub" / "payloads"
LATER = datetime(2024, 11, 22, 12, tzinfo=UTC)
RECENT = date(2024, 7, 15)


def provider_for(make_spec, asset="stocks", plan="free"):
    spec = make_spec(asset, "alpha_vantage")
    data = spec.data.model_copy(update={"manners": spec.data.manners.model_copy(update={"plan": plan})})
    return Provider(data, spec.asset, clock=lambda: LATER)


def wanted(symbol):
    frame = sample.bars()
    return frame[frame["symbol"] == symbol].set_index("timestamp")


def test_shares_arrive_as_traded(make_spec):
    raw = provider_for(make_spec).fetch("ACME", RECENT, None, "1d")
    table = raw.table.set_index("timestamp")
    assert table.index.is_monotonic_increasing
    np.testing.assert_allclose(table["close"], wanted("ACME")["close"].reindex(table.index), atol=1e-4)
    assert raw.adjusted == "none"
    assert table.index[0] == pd.Timestamp(RECENT, tz="UTC")


def test_a_paid_key_gets_splits_and_dividends(make_spec, stub):
    stub.stub.cfg["av_premium"] = True
    table = provider_for(make_spec, plan="paid").fetch("ACME", None, None, "1d").table
    assert table["dividend"].sum() == 0.5
    assert (table["split"] == 0).all()
    assert len(table) == sample.DAYS


@pytest.mark.parametrize(
    ("asset", "symbol", "known", "unit"),
    [("forex", "EURUSD", "EURUSD=X", "none"), ("crypto", "BTC-USD", "BTC-USD", "units")],
)
def test_pairs_and_coins_have_their_own_services(make_spec, asset, symbol, known, unit):
    raw = provider_for(make_spec, asset).fetch(symbol, None, None, "1d")
    table = raw.table.set_index("timestamp").sort_index()
    np.testing.assert_allclose(table["close"], wanted(known)["close"].reindex(table.index), rtol=1e-4)
    assert raw.volume_unit == unit


def test_the_running_day_of_a_coin_is_left_out(make_spec):
    spec = make_spec("crypto", "alpha_vantage")
    last = wanted("BTC-USD").index[-1]
    raw = Provider(spec.data, spec.asset, clock=last.to_pydatetime).fetch("BTC-USD", None, None, "1d")
    assert raw.table["timestamp"].max() == last - pd.Timedelta(days=1)


def test_without_a_key_nothing_is_asked(make_spec, stub, monkeypatch):
    monkeypatch.delenv("ALPHAVANTAGE_API_KEY")
    with pytest.raises(RefusalError, match="needs a key") as raised:
        provider_for(make_spec).fetch("ACME", RECENT, None, "1d")
    assert "ALPHAVANTAGE_API_KEY" in raised.value.hint
    assert not stub.log()


def test_full_history_of_a_share_needs_a_paid_key(make_spec, stub):
    with pytest.raises(ProviderError, match="paid service") as raised:
        provider_for(make_spec).fetch("ACME", date(2023, 10, 2), None, "1d")
    assert "data.start=" in raised.value.hint
    assert len(stub.log()) == 1


@pytest.mark.parametrize("word", ["Information", "Note"])
@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (
            "Please contact premium@alphavantage.co if you are targeting a higher API call volume.",
            BusyError,
            "fewer requests",
        ),
        ("We are under maintenance.", ProviderError, "notice in place of bars"),
    ],
)
def test_a_notice_about_no_symbol_asks_no_other_source(make_spec, stub, tmp_path, word, text, error, words):
    path = tmp_path / "notice.json"
    path.write_text(json.dumps({word: text}))
    stub.stub.cfg["replay"] = {"alphavantage:BETA": str(path)}
    spec = make_spec("stocks", "alpha_vantage")
    with pytest.raises(ProviderError, match=words) as raised:
        Provider(spec.data, spec.asset).fetch("BETA", None, None, "1d")
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("kind", "error", "words", "requests"),
    [
        ("av_information", RefusalError, "of the day are spent", 1),
        ("av_premium", ProviderError, "paid service", 1),
        ("av_error", UnknownSymbolError, "does not know", 1),
        ("av_burst", BusyError, "fewer requests", 3),
        ("av_note", BusyError, "fewer requests", 3),
        ("malformed", ProviderError, "'N/A' for a number on 2024-", 1),
        ("html", ProviderError, "web page", 1),
        ("empty_result", ProviderError, "without rows", 1),
        ("http_429", BusyError, "429", 3),
        ("truncate", BusyError, "broken answer", 3),
    ],
)
def test_a_notice_under_200_is_told_from_data(make_spec, stub, kind, error, words, requests):
    stub.fault("alphavantage", kind)
    with pytest.raises(error, match=words) as raised:
        provider_for(make_spec).fetch("ACME", RECENT, None, "1d")
    assert raised.value.message.startswith("alpha_vantage: ACME: ")
    assert raised.value.hint
    assert len(stub.log()) == requests


def test_a_repeated_date_is_kept_for_the_quality_room(make_spec, stub):
    stub.fault("alphavantage", "dup_ts", n=2)
    table = provider_for(make_spec).fetch("ACME", RECENT, None, "1d").table
    assert table["timestamp"].duplicated().sum() == 2


@pytest.mark.parametrize(
    ("series", "shown"),
    [
        ('"none"', "'none' for the series"),
        ("[1, 2]", "for the series"),
        ('{"a": "b"}', "for the series"),
        ('{"2024-10-21": null}', "'None' for a bar on 2024-10-21"),
        ('{"2024-10-21": "x"}', "'x' for a bar on 2024-10-21"),
        ('{"2024-10-21": {}}', "for a bar on 2024-10-21"),
        ('{"2024-10-21": {"close": "1"}}', "for a bar on 2024-10-21"),
        ('{"2024-10-21": {"4. close": [1]}}', "for a number on 2024-10-21"),
        ('{"2024-10-21": {"4. close": true}}', "for a number on 2024-10-21"),
        ('{"2024-10-21": {"4. close": "1_0"}}', "for a number on 2024-10-21"),
        ('{"2024-10-21": {"4. close": "Infinity"}}', "for a number on 2024-10-21"),
    ],
)
def test_an_odd_answer_is_an_error_of_its_symbol(make_spec, stub, tmp_path, series, shown):
    path = tmp_path / "odd.json"
    path.write_text(f'{{"Time Series (Daily)": {series}}}')
    stub.stub.cfg["replay"] = {"alphavantage:ACME": str(path)}
    with pytest.raises(ProviderError) as raised:
        provider_for(make_spec).fetch("ACME", RECENT, None, "1d")
    assert shown in raised.value.message


@pytest.mark.skipif(not PAYLOADS.exists(), reason="recorded payloads are not part of the project")
@pytest.mark.parametrize(
    ("asset", "symbol", "file", "close"),
    [
        ("stocks", "TSLA", "time_series_daily.json", 729.4),
        ("stocks", "TSLA", "time_series_daily_adjusted.json", 729.4),
        ("forex", "EURUSD", "forex_daily.json", 1.20965),
    ],
)
def test_recorded_payloads_parse_to_their_dates(make_spec, stub, asset, symbol, file, close):
    name = f"{symbol}=X" if asset == "forex" else symbol
    stub.stub.cfg["replay"] = {f"alphavantage:{name}": str(PAYLOADS / "alphavantage" / file)}
    table = provider_for(make_spec, asset).fetch(symbol, None, None, "1d").table
    assert table["timestamp"].dt.date.tolist() == [date(2021, 4, 22), date(2021, 4, 23)]
    assert table["close"].iloc[-1] == close


@pytest.mark.skipif(not PAYLOADS.exists(), reason="recorded payloads are not part of the project")
def test_of_two_quote_currencies_the_one_asked_for_is_taken(make_spec, stub):
    stub.stub.cfg["replay"] = {"alphavantage:BTC-CNY": str(PAYLOADS / "alphavantage" / "crypto_daily.json")}
    raw = provider_for(make_spec, "crypto").fetch("BTC-CNY", None, None, "1d")
    assert raw.table["close"].iloc[-1] == 325812.480818
    assert raw.currency == "CNY"


@pytest.fixture
def listed(stub, monkeypatch):
    """Return `listed(symbol)`: have the stub carry ACME's bars under another name."""

    def name(symbol):
        for held in (stub.stub.bars.frames, stub.stub.bars.daily):
            monkeypatch.setitem(held, symbol, held["ACME"])

    return name


@pytest.mark.slow
@pytest.mark.parametrize("universe", ["nyse", "asx_large"])
@pytest.mark.parametrize(
    ("symbol", "currency", "parts"),
    [
        ("AAPL", "USD", 1),
        ("BRK.B", "USD", 1),
        ("SHOP.TRT", "CAD", 1),
        ("GPV.TRV", "CAD", 1),
        ("MBG.DEX", "EUR", 1),
        ("BMW.FRK", "EUR", 1),
        ("RELIANCE.BSE", "INR", 1),
        ("600104.SHH", "CNY", 1),
        ("000002.SHZ", "CNY", 1),
        ("PETR4.SAO", "BRL", 1),
        ("TSCO.LON", "GBP", 100),
        ("BHP.AX", "AUD", 1),
    ],
)
def test_a_share_is_quoted_as_its_venue_does_whatever_the_universe(
    make_spec, listed, universe, symbol, currency, parts
):
    listed(symbol)
    spec = make_spec("stocks", "alpha_vantage", universe=universe)
    raw = Provider(spec.data, spec.asset, clock=lambda: LATER).fetch(symbol, RECENT, None, "1d")
    table = raw.table.set_index("timestamp")
    assert raw.currency == currency
    np.testing.assert_allclose(table["close"] * parts, wanted("ACME")["close"].reindex(table.index), atol=1e-4)


def test_a_dividend_in_pence_becomes_pounds(make_spec, stub, listed):
    stub.stub.cfg["av_premium"] = True
    listed("TSCO.LON")
    table = provider_for(make_spec, plan="paid").fetch("TSCO.LON", None, None, "1d").table
    assert table["dividend"].sum() == pytest.approx(0.005)


@pytest.mark.slow
def test_what_is_configured_decides_and_an_unknown_venue_is_asked_for_it(make_spec, stub, listed):
    listed("ABC.QQQ")
    listed("TSCO.LON")
    spec = make_spec("stocks", "alpha_vantage", universe="nyse")
    with pytest.raises(ProviderError, match=r"does not say what ABC\.QQQ is quoted in") as raised:
        Provider(spec.data, spec.asset).fetch("ABC.QQQ", RECENT, None, "1d")
    assert not stub.log()
    override = raised.value.hint.removeprefix("set ").partition(" if")[0].strip("'")
    told = compose(["asset=stocks", "data=alpha_vantage", override])
    whole = compose(["asset=stocks", "data=alpha_vantage", "+asset.instrument.currencies={TSCO.LON: GBP}"])
    for symbol, currency, spoken in (("ABC.QQQ", "EUR", told), ("TSCO.LON", "GBP", whole)):
        raw = Provider(spec.data, spoken.asset, clock=lambda: LATER).fetch(symbol, RECENT, None, "1d")
        assert raw.currency == currency
        assert raw.table["close"].max() > 10  # as it came, not hundredths


def test_the_name_that_is_asked_for_tells_the_venue(make_spec, listed):
    listed("SHOP.TRT")
    spec = make_spec("stocks", "alpha_vantage", universe="nyse")
    data = spec.data.model_copy(update={"provider_symbols": {"SHOP": "SHOP.TRT"}})
    raw = Provider(data, spec.asset, clock=lambda: LATER).fetch("SHOP", RECENT, None, "1d")
    assert (raw.symbol, raw.currency) == ("SHOP", "CAD")


@pytest.mark.parametrize(
    ("asset", "symbol", "about", "taken"),
    [
        ("stocks", "ACME", '"2. Symbol": "OTHER"', False),
        ("stocks", "ACME", '"2. Symbol": "acme"', True),
        ("stocks", "ACME", '"1. Information": "x"', True),
        ("forex", "EURUSD", '"2. From Symbol": "EUR", "3. To Symbol": "JPY"', False),
        ("crypto", "BTC-USD", '"2. Digital Currency Code": "ETH", "4. Market Code": "USD"', False),
        ("crypto", "BTC-USD", '"2. Digital Currency Code": "BTC", "4. Market Code": "EUR"', False),
    ],
)
def test_bars_of_another_instrument_are_not_taken_for_the_one_asked_for(
    make_spec, stub, tmp_path, asset, symbol, about, taken
):
    path = tmp_path / "answer.json"
    bar = '"1. open": "1", "2. high": "1", "3. low": "1", "4. close": "1", "5. volume": "1"'
    path.write_text(f'{{"Meta Data": {{{about}}}, "Time Series (Daily)": {{"2024-10-21": {{{bar}}}}}}}')
    stub.stub.cfg["replay"] = {f"alphavantage:{symbol}{'=X' if asset == 'forex' else ''}": str(path)}
    ask = provider_for(make_spec, asset)
    if taken:
        assert len(ask.fetch(symbol, RECENT, None, "1d").table) == 1
        return
    with pytest.raises(ProviderError, match=r"was asked for \w+ and sent \w+"):
        ask.fetch(symbol, RECENT, None, "1d")
