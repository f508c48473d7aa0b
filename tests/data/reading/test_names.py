"""What the names of files and symbols tell: the pair, the venue and the money, as exporters and brokers write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading import honest
from tests.data.reading.test_cases import load_written, shares
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, currency, load, load_panel
from wealtharena.data.reading.identifiers import canonical_symbol, symbol_of_file
from wealtharena.data.reading.venues import Quote, quote_of, zone_of
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # hundreds of files are written and read

MT5 = "USDJPY_Daily_202301010000_202412310000"
DUKASCOPY = "USDJPY_Candlestick_1_D_BID_01.01.2020-31.12.2022"
YEN = [
    MT5,
    DUKASCOPY,
    "USDJPY1440",
    "USDJPY_D1",
    "USDJPY_M15",
    "USDJPY_H1",
    "USDJPYm",
    "USDJPY.a",
    "USDJPY_BID",
    "USDJPY-2023",
    "usdjpy",
    "USD_JPY",
    "USD-JPY",
    "USDJPY=X",
    "FX:USDJPY",
    "FX_IDC_USDJPY",
    "DAT_MT_USDJPY_M1_2022",
    "#USDJPY",
    "USDJPY+",
    "C:USDJPY",
]


def pair(name: str = "USDJPY", level: float = 1.5) -> pd.DataFrame:
    """Return bars of a pair without a column of symbols."""
    frame = shares(name, bars=60, start="2023-01-02").drop(columns=["symbol", "volume"])
    prices = ["open", "high", "low", "close"]
    return frame.assign(**(frame[prices] * level))


def load_path(path: Path, *overrides: str) -> Panel:
    spec = compose(["data=files", *overrides])
    return load(spec.asset, with_data(spec, path=str(path)).data, seed=0)


def test_a_pair_is_the_one_that_stands_in_the_name() -> None:
    assert {canonical_symbol(name, "forex") for name in (*YEN, "FX_USDJPY, 1D", "USD JPY", "USD/JPY")} == {"USDJPY"}
    assert canonical_symbol("EURJPY.pro", "forex") == "EURJPY"
    assert canonical_symbol("XAUUSDm", "forex") == "XAUUSD"
    assert canonical_symbol("JPY=X", "forex") == "USDJPY"
    assert canonical_symbol("EURXXX", "forex") == "EURXXX"  # six letters are a pair already
    for name in ("GER40", "GOLD", "GBPUSD_EURUSD", "EURUSDCAD"):
        assert currency.pair_in(name) is None


def test_money_of_every_fixing_and_metals_can_be_in_a_pair() -> None:
    assert set(currency.ecb_rates().columns) < currency.codes()
    assert all(currency.pair_in(f"{code}CHF.x") == f"{code}CHF" for code in ("XAU", "CNH", "KWD", "USD"))


@pytest.mark.parametrize("name", [MT5, DUKASCOPY, "USDJPY1440", "USDJPY_D1", "USDJPYm", "USDJPY.a", "FX_USDJPY, 1D"])
def test_the_same_bytes_are_the_same_panel_under_any_exporters_name(tmp_path: Path, name: str) -> None:
    for stem in ("USDJPY", name):
        pair().to_csv(tmp_path / f"{stem}.csv", index=False)
    plain, other = (load_path(tmp_path / f"{stem}.csv", "asset=forex") for stem in ("USDJPY", name))
    assert other.symbols == ("USDJPY",)
    assert other.fingerprint == plain.fingerprint
    assert (other.to_account < 0.01).all()  # dollars for a yen


def test_metatraders_own_file_is_the_pair_that_it_is_named_by(tmp_path: Path) -> None:
    frame = pair().assign(date=lambda rows: rows["date"].str.replace("-", "."), tickvol=900, vol=0, spread=3)
    frame.columns = [f"<{name.upper()}>" for name in frame.columns]
    for stem in ("USDJPY", MT5):
        frame.to_csv(tmp_path / f"{stem}.csv", sep="\t", index=False)
    plain, other = (load_path(tmp_path / f"{stem}.csv", "asset=forex") for stem in ("USDJPY", MT5))
    assert (other.symbols, other.fingerprint) == (("USDJPY",), plain.fingerprint)


def test_a_brokers_ending_in_the_column_of_symbols_is_no_part_of_the_pair(tmp_path: Path) -> None:
    frame = pd.concat([pair().assign(symbol="USDJPY.pro"), pair("B").assign(symbol="EURGBPm")])
    panel = load_written(frame, tmp_path / "bars.csv", "asset=forex")
    assert panel.symbols == ("USDJPY", "EURGBP")
    assert (panel.to_account[:, 0] < 0.01).all()
    assert (panel.to_account[:, 1] > 1.0).all()
    twice = pd.concat([pair().assign(symbol="USDJPY.pro"), pair("B").assign(symbol="USDJPYm")])
    with pytest.raises(DataError, match="are both USDJPY"):
        load_written(twice, tmp_path / "bars.csv", "asset=forex")


@pytest.mark.parametrize("name", ["GER40", "GOLD", "SILVER", "bars", "GER40.cash", "EURUSDCAD"])
def test_what_a_name_without_a_pair_is_quoted_in_is_asked(tmp_path: Path, name: str) -> None:
    pair().to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(DataError, match="names no pair of currencies") as refused:
        load_path(tmp_path / f"{name}.csv", "asset=forex")
    assert "\n" not in str(refused.value)
    override = refused.value.hint.removeprefix("set ").partition(", ")[0].strip("'")
    panel = load_path(tmp_path / f"{name}.csv", "asset=forex", override)
    assert (panel.to_account > 1.0).all()  # dollars for a euro
    assert "data.symbols=[EURUSD]" in refused.value.hint
    assert load_path(tmp_path / f"{name}.csv", "asset=forex", "data.symbols=[EURUSD]").symbols == ("EURUSD",)


def test_a_symbol_of_unknown_money_costs_nothing_where_it_is_not_asked_for(tmp_path: Path) -> None:
    frame = pd.concat([pair().assign(symbol="GER40"), pair("B").assign(symbol="EURSEK")])
    panel = load_written(frame, tmp_path / "bars.csv", "asset=forex", symbols=("EURSEK",))
    assert panel.symbols == ("EURSEK",)
    with pytest.raises(DataError, match="GER40 names no pair"):
        load_written(frame, tmp_path / "bars.csv", "asset=forex")
    with pytest.raises(DataError, match="GER40 names no pair"):
        load_panel(frame, asset="forex")


@pytest.mark.parametrize("behind", [
    "_D1", "_H1", "_H4", "_M1", "_M5", "_M15", "_M30", "_W1", "_MN1", "_MN", "_Daily", "-weekly", " Monthly", "_m15", "_1440",
    "_202301010000_202412310000", "_20230101_20241231", "-20230101", "_Daily_202301010000_202412310000", "_D1_20230101",
    "_2023-01-01_2024-12-31", ", 1D", ", 60", ", D", ", 1W (2)", ", 1D_5d8b1", " (1)", "(12)", "_D1 (1)", " - Copy", " copy",
    "_01.01.2020-31.12.2022", "_Candlestick_1_D_BID_01.01.2020-31.12.2022", "_M1_2022", "-1d-2024-01"])  # fmt: skip
def test_intervals_dates_and_numbers_of_copies_are_no_part_of_a_symbol(behind: str) -> None:
    for symbol in ("AAPL", "BRK-B", "SH600000", "7203.T", "BTC-USD", "ES_F", "600000", "NASDAQ_AAPL"):
        assert symbol_of_file(symbol + behind) == symbol


@pytest.mark.parametrize(("stem", "symbol"), [
    ("daily_adjusted_AAPL", "AAPL"), ("weekly_IBM", "IBM"), ("currency_daily_BTC_EUR", "BTC_EUR"), ("ES 03-24.Last", "ES 03-24"),
    ("AAPL_full_1day_adjsplitdiv", "AAPL"), ("AAPL_full_1min_UNADJUSTED", "AAPL"), ("SHEL.L", "SHEL.L"), ("US 500 Historical Data", "US 500"), ("Historical Data", "Historical Data"), ("daily_bars", "daily_bars"),
    ("spy_price-history-08-08-2024", "spy"), ("NYMEX_CL1!, 1D", "NYMEX_CL1!"), ("CME_MINI_ES1!, 60_a1b2c (1)", "CME_MINI_ES1!"),
    ("aapl_daily_historical-data-03-01-2023", "aapl"), ("aapl_intraday-5min_historical-data-03-01-2023", "aapl"),
])  # fmt: skip
def test_what_an_exporter_writes_around_a_symbol_is_no_part_of_it(stem: str, symbol: str) -> None:
    assert symbol_of_file(stem) == symbol


@pytest.mark.parametrize("name", [
    "BRK-B", "SH600000", "7203.T", "BTC-USD", "ES_F", "600000", "20240101", "_D1", "-1d", " (1)", ", 1D", "D1", "M15", "MN",
    "1440", "(1)", "USDJPY1440", "AAPL_B", "RDS-A", "BF.B", "000001.SZ", "CL_1", "^GSPC", "0700.HK", "BTC-USD-240329"])  # fmt: skip
def test_a_name_that_is_all_symbol_stays(name: str) -> None:
    assert symbol_of_file(name) == name


def test_a_browsers_second_download_is_the_same_symbol(tmp_path: Path) -> None:
    for name in ("AAPL.csv", "AAPL (1).csv"):
        pair("AAPL").to_csv(tmp_path / name, index=False)
    with pytest.raises(DataError, match=r"AAPL stands in .*AAPL \(1\)\.csv"):
        load_path(tmp_path, "asset=etf")
    pair("AAPL")[:30].to_csv(tmp_path / "AAPL.csv", index=False)
    pair("AAPL")[30:].to_csv(tmp_path / "AAPL (1).csv", index=False)
    joined = load_path(tmp_path, "asset=etf")
    assert (joined.symbols, joined.bars) == (("AAPL",), 60)


def test_years_of_one_pair_are_joined(tmp_path: Path) -> None:
    for year, part in (("2021", pair()[:30]), ("2022", pair()[30:])):
        part.to_csv(tmp_path / f"DAT_MT_USDJPY_M1_{year}.csv", index=False)
    assert load_path(tmp_path, "asset=forex").bars == 60


COINS = compose(["asset=crypto", "data=files"]).asset


@pytest.mark.parametrize(("money", "names"), [
    ("EUR", "BTC/EUR BTC-EUR BTC_EUR BTCEUR XBTEUR XBTEUR_1440 XXBTZEUR BTC-EUR-SWAP BTC/EUR:EUR BITSTAMP:BTCEUR"
     " BITSTAMP_BTCEUR KRAKEN:BTC/EUR USDTEUR 1INCH-EUR btceur"),
    ("JPY", "BTC-JPY BTCJPY ETH/JPY"), ("KRW", "BTC-KRW XRPKRW"), ("TRY", "USDTTRY BTC-TRY"),
    ("USD", "BTC WBTC STETH CBETH BTC-PERP BTC/USDT:USDT BTC-USD-SWAP BTC/USD:BTC BTC-USDT BTCUSDC DOTUSD BTCUSD_PERP"
     " ETH-FDUSD BTC-USD-240329 OPEN MARS TRON BINANCE:BTCUSDT EURUSDT B-BTC_USDT tBTCUSD 1000PEPE-PERP BTC-PYUSD"),
])  # fmt: skip
def test_a_coin_counts_in_the_money_that_its_name_ends_with(money: str, names: str) -> None:
    for name in names.split():
        quote = quote_of(name, COINS)
        assert (name, quote.currency, quote.said) == (name, money, "")


def test_what_a_coins_name_leaves_open_is_said() -> None:
    for name, money in {
        "AGEUR": "EUR",
        "KRW-BTC": "KRW",
        "WBTCBTCX/ZZZ": "USD",
        "crypto_BTC": "USD",
        "SOLVBTC": "USD",
    }.items():
        quote = quote_of(name, COINS)
        assert quote.currency == money
        assert f"{name}: its quotes are taken as {money}; if they are not, set " in quote.said


@pytest.mark.parametrize(
    "name", ["ETH/BTC", "ETHBTC", "SOL-ETH", "SOLETH", "XETHXXBT", "BINANCE:ETHBTC", "LTC_BTC", "tETHBTC", "FOO/BTC"]
)
def test_a_coin_quoted_in_a_coin_is_refused_with_ways_out(name: str) -> None:
    with pytest.raises(DataError, match="a coin, and nothing tells") as refused:
        quote_of(name, COINS)
    override = refused.value.hint.partition("set ")[2].partition(" where")[0].strip("'")
    assert quote_of(name, compose(["asset=crypto", "data=files", override]).asset).currency == "USD"


def _coins(name: str, rate: float = 1.0) -> pd.DataFrame:
    frame = honest.honest_bars(bars=60).query("symbol == 'BTC-USD'")
    prices = ["open", "high", "low", "close"]
    return frame.assign(symbol=name, **(frame[prices] * rate))


@pytest.mark.parametrize(("name", "rate"), [("BTC/EUR", 0.92), ("BTC-JPY", 150.0), ("BTC-KRW", 1350.0)])
def test_a_coin_in_other_money_is_worth_in_dollars_what_it_is_also_on_weekends(
    tmp_path: Path, name: str, rate: float
) -> None:
    plain = load_written(_coins("BTC-USD"), tmp_path / "plain.csv", "asset=crypto")
    panel = load_written(_coins(name, rate), tmp_path / "other.csv", "asset=crypto")
    np.testing.assert_allclose(panel.close * panel.to_account, plain.close, rtol=0.06)
    assert (panel.bars, panel.volume_unit) == (60, "units")
    assert np.isfinite(panel.to_account).all()


def test_a_volume_in_other_money_is_brought_to_the_accounts(tmp_path: Path) -> None:
    frame = _coins("BTC-KRW", 1350.0)
    money = frame.assign(volume=frame["volume"] * frame["close"])
    panel = load_written(money, tmp_path / "won.csv", "asset=crypto")
    coins = panel.volume / (panel.close * panel.to_account)
    assert panel.volume_unit == "account"
    np.testing.assert_allclose(coins[:, 0], frame["volume"], rtol=1e-9)


def test_krakens_euros_are_euros(tmp_path: Path) -> None:
    _coins("", 0.92).drop(columns="symbol").to_csv(tmp_path / "XBTEUR_1440.csv", index=False)
    panel = load_path(tmp_path / "XBTEUR_1440.csv", "asset=crypto")
    assert panel.symbols == ("XBTEUR",)
    assert (panel.to_account > 1.0).all()


def test_a_coin_in_a_coin_costs_nothing_where_it_is_not_asked_for(tmp_path: Path) -> None:
    frame = pd.concat([_coins("ETH/BTC", 1e-6), _coins("BTC/EUR")])
    assert load_written(frame, tmp_path / "bars.csv", "asset=crypto", symbols=("BTC/EUR",)).symbols == ("BTC-EUR",)
    with pytest.raises(DataError, match="ETH-BTC is quoted in BTC"):
        load_written(frame, tmp_path / "bars.csv", "asset=crypto")


SHARES = compose(["asset=stocks", "data=files"]).asset


@pytest.mark.parametrize(("money", "scale", "zone", "names"), [
    ("GBP", 0.01, "Europe/London", ["LSE:SHEL", "LON:SHEL", "LSE_SHEL", "SHEL LN", "SHEL LN Equity", "SHEL.L", "XLON:SHEL"]),
    ("CAD", 1.0, "America/Toronto", ["TSX:RY", "RY CN", "RY CT Equity", "RY.TO", "TSX_RY"]),
    ("AUD", 1.0, "Australia/Sydney", ["ASX:BHP", "BHP AU Equity", "BHP AU", "BHP AT", "ASX_BHP", "BHP.AX", "BHP:AU"]),
    ("USD", 1.0, "America/New_York", ["NASDAQ:AAPL", "NYSE:IBM", "AMEX:SPY", "NYSE:BRK.B", "NASDAQ_AAPL", "AAPL US", "AAPL UW Equity",
                                      "aapl.us", "AAPL:US", "BRK/B US Equity"]),
    ("JPY", 1.0, "Asia/Tokyo", ["TSE:7203", "TYO:7203", "7203 JT", "7203 JP Equity", "7203.T", "TSE_7203", "TSE:130A"]),
    ("HKD", 1.0, "Asia/Hong_Kong", ["HKEX:700", "700 HK", "HKG:0700", "0700.HK"]),
    ("EUR", 1.0, "Europe/Berlin", ["XETR:SAP", "SAP GR", "SAP GY Equity", "XETR_SAP"]),
    ("SEK", 1.0, "Europe/Stockholm", ["VOLVB SS Equity", "OMXSTO:VOLV_B", "OMXSTO_VOLV_B"]),
    ("ZAR", 0.01, "Africa/Johannesburg", ["JSE:NPN", "NPN SJ Equity"]),
    ("CNY", 1.0, "Asia/Shanghai", ["SSE:600000", "SH600000", "sh.600000", "600000 CH", "SZSE:000001"]),
])  # fmt: skip
def test_a_venue_may_stand_before_a_symbol_or_be_bloombergs_code(
    money: str, scale: float, zone: str, names: list[str]
) -> None:
    for name in names:
        quote = quote_of(name, SHARES)
        assert (name, quote.currency, quote.scale, zone_of(name, SHARES)) == (name, money, scale, zone)
        assert ("hundredths" in quote.said) == (scale != 1.0)


@pytest.mark.parametrize(("name", "venue"), [
    ("EURONEXT:MC", "EURONEXT"), ("TSE:RY", "TSE"), ("NOWHERE:X", "NOWHERE"), ("ABC ZZ Equity", "ZZ Equity"), ("ABC SA Equity", "SA Equity"), ("ABC.QQ", ".QQ")])  # fmt: skip
def test_a_venue_that_is_not_known_is_said(name: str, venue: str) -> None:
    quote = quote_of(name, SHARES)
    override = quote.said.rpartition("set ")[2].strip("'")
    assert quote_of(name, compose(["asset=stocks", "data=files", override]).asset) == Quote("USD")
    assert quote.currency == "AUD"
    assert f"{name}: the venue {venue} is not known, its quotes are taken as AUD" in quote.said
    assert zone_of(name, SHARES) == "Australia/Sydney"


METALS = compose(["asset=commodities", "data=files"]).asset


def test_a_pair_of_metal_and_currency_is_quoted_in_the_latter() -> None:
    moneys = {"XAUEUR": "EUR", "XAG/GBP": "GBP", "XAUUSDm": "USD", "OANDA:XAU_JPY": "JPY", "XPTAUD.pro": "AUD"}
    moneys |= {"EURGBP": "GBP", "GC=F": "USD", "COPPER": "USD", "GOLD": "USD", "NICKEL": "USD", "EURUSD_OIL": "USD"}
    assert {name: quote_of(name, METALS).currency for name in moneys} == moneys
    told = compose(["asset=commodities", "data=files", "+asset.instrument.currencies.XAUEUR=CHF"]).asset
    assert quote_of("XAUEUR", told).currency == "CHF"


def test_gold_in_euros_counts_in_euros(tmp_path: Path) -> None:
    panel = load_written(shares("XAUEUR", bars=60), tmp_path / "bars.csv", "asset=commodities")
    assert (panel.to_account > 1.0).all()  # dollars for a euro


@pytest.mark.parametrize(
    "name",
    ["ES_F", "AAA_B", "EURONEXT_MC", "BRK B", "AAC WS", "BRK-B", "ABC_", "US_", "GC=F", "^GSPC", "my_LSE", "asx_x"],
)
def test_a_name_without_a_known_venue_tells_none(name: str) -> None:
    assert quote_of(name, SHARES).said == ""
    assert zone_of(name, SHARES) == "Australia/Sydney"


def test_a_file_named_by_tradingview_is_quoted_as_its_exchange_does(tmp_path: Path) -> None:
    frame = shares("SHEL.L", bars=60)
    frame.to_csv(tmp_path / "plain.csv", index=False)
    frame.drop(columns="symbol").to_csv(tmp_path / "LSE_SHEL, 1D.csv", index=False)
    plain, other = (load_path(tmp_path / name, "asset=etf") for name in ("plain.csv", "LSE_SHEL, 1D.csv"))
    assert other.symbols == ("LSE_SHEL",)
    np.testing.assert_array_equal(other.close, plain.close)
    np.testing.assert_array_equal(other.to_account, plain.to_account)
    assert any("LSE_SHEL: quotes of .L are taken as hundredths" in note for note in other.notes)


def test_names_without_a_venue_among_those_with_one_are_said_once(tmp_path: Path) -> None:
    frame = shares("AAPL", "MSFT", "BHP.AX", "ASX:RIO", "BRK.B", bars=60)
    untold = [note for note in load_written(frame, tmp_path / "bars.csv", "asset=stocks").notes if "no venue" in note]
    said = load_written(frame, tmp_path / "bars.csv", "asset=stocks", symbols=("AAPL",)).notes
    assert untold == [note for note in said if "no venue" in note]
    assert len(untold) == 1
    assert "AAPL, BRK.B, MSFT; their quotes are taken as AUD, the universe's" in untold[0]
    override = untold[0].rpartition("as by ")[2]
    known = load_written(
        frame[frame["symbol"].isin(["AAPL", "BHP.AX"])], tmp_path / "bars.csv", "asset=stocks", override
    )
    assert not any("no venue" in note for note in known.notes)
    funds = load_written(frame, tmp_path / "bars.csv", "asset=etf")
    assert not any("no venue" in note for note in funds.notes)


def _asked(path: Path, asked: str, *overrides: str) -> list[str]:
    """Return the notes on a file that was taken for another symbol's than it is named by."""
    spec = compose(["data=files", *overrides])
    panel = load(spec.asset, with_data(spec, path=str(path), symbols=(asked,)).data, seed=0)
    return [note for note in panel.notes if "names no symbol" in note]


@pytest.mark.parametrize(
    ("stem", "asked"), [("AAPL", "MSFT"), ("bars", "MSFT"), ("BHP.L", "BHP.AX"), ("AAPL_D1", "MSFT")]
)
def test_bars_under_another_symbol_than_the_file_is_named_by_are_said(tmp_path: Path, stem: str, asked: str) -> None:
    for ending in (".csv", ".CSV", ".csv.gz", ".parquet"):
        path = tmp_path / f"{stem}{ending}"
        frame = pair("AAPL")
        frame.to_parquet(path) if ending == ".parquet" else frame.to_csv(path, index=False)
        words = f"{path.name} names no symbol; its bars are taken as {asked}'s, as data.symbols says"
        assert _asked(path, asked, "asset=etf") == [words]


@pytest.mark.parametrize(("stem", "asked"), [
    ("AAPL", "AAPL"), ("aapl_D1", "AAPL"), ("AAPL (1)", "AAPL"), ("BHP", "BHP.AX"), ("ASX_BHP, 1D", "BHP.AX"), ("BHP_AX", "BHP.AX"),
    ("brk_b", "BRK.B"), ("700.HK", "0700.HK"), ("NASDAQ_AAPL", "AAPL")])  # fmt: skip
def test_the_same_name_in_another_spelling_needs_no_word(tmp_path: Path, stem: str, asked: str) -> None:
    pair("AAPL").to_csv(tmp_path / f"{stem}.csv", index=False)
    assert _asked(tmp_path / f"{stem}.csv", asked, "asset=stocks") == []


@pytest.mark.parametrize(("stem", "asked", "words"), [
    ("BTCUSDT-1d-2024-01", "BTC-USD", 0), ("XBTUSD_1440", "BTC-USD", 0), ("BINANCE_BTCUSDT, 1D", "BTC-USD", 0), ("BTC", "BTC-USD", 0),
    ("BTC_EUR", "BTC/EUR", 0), ("ETHUSDT", "BTC-USD", 1), ("bars", "BTC-USD", 1)])  # fmt: skip
def test_a_coins_file_is_asked_for_by_any_spelling(tmp_path: Path, stem: str, asked: str, words: int) -> None:
    _coins("").drop(columns="symbol").to_csv(tmp_path / f"{stem}.csv", index=False)
    assert len(_asked(tmp_path / f"{stem}.csv", asked, "asset=crypto")) == words


def test_a_file_of_another_pair_is_refused(tmp_path: Path) -> None:
    for stem, asked, words in ((MT5, "USDJPY", 0), ("USDJPY1440", "USD/JPY", 0), ("bars", "USDJPY", 1)):
        pair().to_csv(tmp_path / f"{stem}.csv", index=False)
        assert len(_asked(tmp_path / f"{stem}.csv", asked, "asset=forex")) == words
    for stem, asked in ((MT5, "EURUSD"), ("USDJPY1440", "USDCHF")):
        pair().to_csv(tmp_path / f"{stem}.csv", index=False)
        with pytest.raises(
            DataError, match=f"{stem}.csv is named by USDJPY, and data.symbols asks for {asked}"
        ) as refused:
            _asked(tmp_path / f"{stem}.csv", asked, "asset=forex")
        assert "data.symbols=[USDJPY]" in refused.value.hint


def test_a_file_with_a_column_of_symbols_may_have_any_name(tmp_path: Path) -> None:
    pair().assign(symbol="EURUSD").to_csv(tmp_path / "USDJPY.csv", index=False)
    assert _asked(tmp_path / "USDJPY.csv", "EURUSD", "asset=forex") == []
