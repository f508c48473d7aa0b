"""Tables as programs and people really write them: each is the honest panel, another with a note, or one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.reading import honest
from tests.data.reading.test_cases import load_written, shares
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, load
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # hundreds of files are written and read

PRICES = ("open", "high", "low", "close")


def _one(*, bars: int = 60) -> pd.DataFrame:
    return shares("AAA", bars=bars).drop(columns="symbol")


def _load(content: str | pd.DataFrame, path: Path, *overrides: str, **changes: Any) -> Panel:
    """Return the panel of a text, or of a table written as CSV."""
    path.write_text(content if isinstance(content, str) else content.to_csv(index=False))
    spec = with_data(compose(["data=files", *(overrides or ("asset=etf",))]), path=str(path), **changes)
    return load(spec.asset, spec.data, seed=0)


def _refused(content: str | pd.DataFrame, path: Path, words: str, *overrides: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        _load(content, path, *overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def _said(panel: Panel, words: str) -> bool:
    return any(words in note for note in panel.notes)


@pytest.mark.parametrize("rows", [(40,), (20, 25), (20, 21), (59,)])
@pytest.mark.parametrize("place", [0, 2, 6])
def test_rows_that_a_stray_quote_takes_in_are_never_lost(tmp_path: Path, rows: tuple[int, ...], place: int) -> None:
    cells = [line.split(",") for line in _one().assign(name="pipe").to_csv(index=False).splitlines()]
    for row in rows:
        cells[row][place] = f'"{cells[row][place]}'
    text = "\n".join(",".join(line) for line in cells) + "\n"
    _refused(text, tmp_path / "bars.csv", rf"a quote that opens in row {rows[0]} takes in")


def test_a_remark_over_two_lines_and_doubled_quotes_are_cells(tmp_path: Path) -> None:
    frame = _one().assign(note="plain")
    frame.loc[5, "note"], frame.loc[6, "note"] = "first line,\nsecond", 'a "quoted" word'
    assert _load(frame, tmp_path / "AAA.csv").fingerprint == _load(_one(), tmp_path / "AAA.csv").fingerprint


@pytest.mark.parametrize("name", ["Volume MA", "vol_20", "volume_change", "volume_zscore", "VolumeMA", "Vol 5d"])
def test_a_column_that_only_sounds_like_a_volume_is_passed_over(tmp_path: Path, name: str) -> None:
    honestly = load_written(honest.honest_bars(), tmp_path / "plain.csv", "asset=crypto")
    for where in ("before", "after"):
        frame = honest.honest_bars()
        frame.insert(2 if where == "before" else len(frame.columns), name, np.linspace(-1, 1, len(frame)))
        panel = load_written(frame, tmp_path / "bars.csv", "asset=crypto")
        np.testing.assert_array_equal(panel.volume, honestly.volume)
    alone = load_written(frame.drop(columns="volume"), tmp_path / "none.csv", "asset=crypto")
    assert alone.volume is None


@pytest.mark.parametrize(
    "name",
    [
        *("Volume Traded", "Volume Shares", "volume_units", "Volume Lots"),
        *(
            "TOTTRDQTY",
            "No.of Shares",
            "No. of Shares",
            "TTL_TRD_QNTY",
            "Total Traded Quantity",
            "Shares Traded",
        ),  # India's
    ],
)
def test_the_only_volume_is_one_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    panel = _load(_one().rename(columns={"volume": name}), tmp_path / "AAA.csv")
    assert panel.volume is not None
    np.testing.assert_array_equal(panel.volume[:, 0], _one()["volume"])


@pytest.mark.parametrize("names", [("c",), ("c", "v"), ("o", "c", "v"), ("o", "h", "l", "c", "v")])
def test_fields_of_one_letter_are_fields_where_no_ticker_stands_beside_them(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    full = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
    frame = _one()[["date", *(full[name] for name in names)]].set_axis(["date", *names], axis=1)
    np.testing.assert_array_equal(_load(frame, tmp_path / "AAA.csv").close[:, 0], _one()["close"])


@pytest.mark.parametrize(
    ("word", "money"),
    [("US$", "USD"), ("US Dollar", "USD"), ("Euro", "EUR"), ("gbx", "GBX"), ("p", "GBX"), ("$", "USD")],
)
def test_money_is_known_by_its_usual_words_and_another_word_is_said(tmp_path: Path, word: str, money: str) -> None:
    coded = _load(_one().assign(currency=money), tmp_path / "AAA.csv")
    np.testing.assert_array_equal(
        _load(_one().assign(currency=word), tmp_path / "AAA.csv").to_account, coded.to_account
    )
    panel = _load(_one().assign(currency="Bitcoin"), tmp_path / "AAA.csv")
    assert _said(panel, "holds Bitcoin, which is no code of a currency")


def test_volumes_of_zeros_contradict_nobody_and_times_by_symbol_tell_no_rows_apart(tmp_path: Path) -> None:
    none = _one().rename(columns={"volume": "Volume BTC"}).assign(**{"Volume BTC": 0.0, "Volume USD": 0.0})
    assert _load(none, tmp_path / "BTC-USD.csv", "asset=crypto").volume is None
    frame = shares("AAA", "BBB", bars=60)
    timed = frame.assign(time=np.where(frame["symbol"] == "AAA", "4 PM", "close"))
    assert load_written(timed, tmp_path / "bars.csv").symbols == ("AAA", "BBB")


def test_a_volume_in_the_coin_of_its_table_counts_coins_and_must_fit_the_one_in_money(tmp_path: Path) -> None:
    frame = honest.honest_bars().query("symbol == 'BTC-USD'")
    named = frame.rename(columns={"volume": "Volume BTC"})
    assert load_written(named, tmp_path / "a.csv", "asset=crypto").volume_unit == "units"
    assert load_written(named.drop(columns="symbol"), tmp_path / "BTCUSDT.csv", "asset=crypto").volume_unit == "units"
    with pytest.raises(DataError, match="Volume USD is not Volume BTC times the price"):
        load_written(named.assign(**{"Volume USD": frame["volume"]}), tmp_path / "b.csv", "asset=crypto")


def _wide(frame: pd.DataFrame, *, by_ticker: bool, more: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the table of yfinance.download, with `more` columns of zeros a ticker."""
    named = frame.rename(columns=str.capitalize).assign(**dict.fromkeys(more, 0.0))
    wide = named.pivot(index="Date", columns="Symbol")
    wide.columns.names = ["Price", "Ticker"]
    wide.index = pd.DatetimeIndex(wide.index, name="Date")
    return wide.swaplevel(axis=1).sort_index(axis=1) if by_ticker else wide


@pytest.mark.parametrize("by_ticker", [True, False])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("tickers", [("C", "V"), ("C", "H", "L", "LOW", "MAX", "O", "V"), ("OPEN", "LAST")])
def test_tickers_that_are_words_of_prices_stay_tickers(
    tmp_path: Path, tickers: tuple[str, ...], suffix: str, by_ticker: bool
) -> None:
    frame = shares(*tickers, bars=30)
    wide, path = _wide(frame, by_ticker=by_ticker), tmp_path / f"bars{suffix}"
    wide.to_csv(path) if suffix == ".csv" else wide.to_parquet(path)
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(path))
    panel = load(spec.asset, spec.data, seed=0)
    plain = load_written(frame, tmp_path / "plain.csv")
    assert panel.symbols == plain.symbols == tuple(sorted(tickers))
    np.testing.assert_allclose(panel.close, plain.close)
    np.testing.assert_allclose(panel.volume, plain.volume)


@pytest.mark.parametrize("header", ["Date,AAPL,C,MSFT,V", "Date,C,V", "Date,C,H,MSFT"])
def test_a_table_of_closes_by_ticker_is_refused_whatever_the_tickers(tmp_path: Path, header: str) -> None:
    width = header.count(",")
    days = pd.bdate_range("2023-01-02", periods=30).strftime("%Y-%m-%d")
    rows = [",".join([day, *(f"{100 + i + k}.5" for k in range(width))]) for i, day in enumerate(days)]
    _refused("\n".join([header, *rows]) + "\n", tmp_path / "closes.csv", "no column for close, but one a name")
    bars = _one().rename(columns={"date": "t", **{name: name[0] for name in PRICES}, "volume": "v"})
    assert load_written(bars.rename(columns={"t": "date"}), tmp_path / "letters.csv").bars == 60


@pytest.mark.parametrize("layout", ["capital gains", "repaired", "reset", "reset with index"])
def test_what_yfinance_adds_to_its_table_does_not_hide_the_prices(tmp_path: Path, layout: str) -> None:
    frame = shares("QQQ", "SPY", bars=30)
    plain = load_written(frame, tmp_path / "plain.csv")
    more = {"capital gains": ("Capital Gains", "Dividends"), "repaired": ("Repaired?",)}.get(layout, ())
    wide = _wide(frame, by_ticker=False, more=more)
    for path in (tmp_path / "bars.csv", tmp_path / "bars.parquet"):
        made = wide.reset_index() if layout.startswith("reset") else wide
        if path.suffix == ".parquet":
            made.to_parquet(path)
        else:
            made.to_csv(path, index=layout != "reset")
        spec = with_data(compose(["data=files", "asset=etf"]), path=str(path))
        np.testing.assert_allclose(load(spec.asset, spec.data, seed=0).close, plain.close)


def test_a_ticker_or_symbol_without_any_price_is_named(tmp_path: Path) -> None:
    frame = shares("AAA", "DEAD", bars=30)
    frame.loc[frame["symbol"] == "DEAD", [*PRICES, "volume"]] = np.nan
    wide = _wide(frame, by_ticker=False)
    wide.to_csv(tmp_path / "wide.csv")
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "wide.csv"))
    assert _said(load(spec.asset, spec.data, seed=0), "DEAD has no value in any row")
    for suffix in (".csv", ".parquet"):
        panel = load_written(frame, tmp_path / f"long{suffix}")
        assert panel.symbols == ("AAA",)
        assert _said(panel, "DEAD has no price in any row")
        with pytest.raises(DataError, match="DEAD: is not in long"):
            load_written(frame, tmp_path / f"long{suffix}", symbols=("DEAD",))
    none = frame.assign(**dict.fromkeys(PRICES, np.nan))
    with pytest.raises(DataError, match="close holds nothing in any row"):
        load_written(none, tmp_path / "none.csv")


@pytest.mark.parametrize("units", [",USD,USD,USD,USD,shares", "yyyy-mm-dd,usd,usd,usd,usd,", ",EUR,EUR,EUR,EUR,Shares"])
def test_a_row_of_units_below_the_header_is_no_row_of_tickers(tmp_path: Path, units: str) -> None:
    lines = _one().to_csv(index=False).splitlines()
    panel = _load("\n".join([lines[0], units, *lines[1:]]) + "\n", tmp_path / "AAA.csv")
    assert (panel.symbols, panel.bars) == (("AAA",), 60)
    assert _said(panel, "holds units")
    mixed = "\n".join([lines[0], ",USD,EUR,USD,USD,shares", *lines[1:]]) + "\n"
    _refused(mixed, tmp_path / "AAA.csv", "two currencies")


@pytest.mark.parametrize(("name", "scale"), [("Volume (000s)", 1e3), ("Vol (M)", 1e6), ("Volume [thousands]", 1e3),
                                             ("Volume (shares)", 1.0), ("volume (mn)", 1e6)])  # fmt: skip
def test_a_scale_in_a_volumes_name_counts(tmp_path: Path, name: str, scale: float) -> None:
    frame = _one().assign(volume=lambda f: f["volume"].astype(float) / scale).rename(columns={"volume": name})
    panel = _load(frame, tmp_path / "AAA.csv")
    assert panel.volume is not None
    np.testing.assert_allclose(panel.volume[:, 0], _one()["volume"])
    assert _said(panel, "multiplied by") == (scale != 1.0)


@pytest.mark.parametrize(
    ("text", "value"), [("1,500K", 1.5e6), ("1,500.49K", 1_500_490), ("1.53M", 1.53e6), ("2 b", 2e9)]
)
def test_volumes_with_a_letter_for_thousands_are_numbers(tmp_path: Path, text: str, value: float) -> None:
    frame = _one().assign(volume=text)
    panel = _load(frame, tmp_path / "AAA.csv")
    assert panel.volume is not None
    np.testing.assert_array_equal(panel.volume[:, 0], np.full(60, value))


def _marked(frame: pd.DataFrame, names: tuple[str, ...], write: Callable[[float], str]) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].map(write) for name in names})


def test_points_that_may_be_of_thousands_are_asked_about_where_semicolons_separate(tmp_path: Path) -> None:
    whole = _one().assign(**{name: (_one()[name] * 300).round().astype(int) for name in PRICES})
    thousands = _marked(whole, PRICES, lambda v: f"{v:,}".replace(",", "."))
    for frame in (thousands.drop(columns="volume"), whole.assign(volume="4.579")):
        _refused(frame.to_csv(index=False, sep=";"), tmp_path / "AAA.csv", r"\d+\.\d{3} may be \d+ or \d+,\d{3}")
    cents = _marked(_one(), PRICES, lambda v: f"{v:.2f}").to_csv(index=False, sep=";")
    assert _load(cents, tmp_path / "AAA.csv").bars == 60
    by_tab = _marked(_one(), PRICES, lambda v: f"{v:.3f}").to_csv(index=False, sep="\t")  # a pair of MetaTrader's
    assert _load(by_tab, tmp_path / "AAA.csv").bars == 60


def test_thirty_seconds_are_no_thousands_and_swiss_thousands_are(tmp_path: Path) -> None:
    bonds = _marked(_one(), PRICES, lambda v: f"{int(v)}'{int(v % 1 * 32):02d}{'05'[int(v * 64) % 2]}")
    _refused(bonds, tmp_path / "ZN.csv", "thirty-seconds")
    for mark in "'\u2019":
        swiss = _marked(_one(), PRICES, lambda v, mark=mark: f"{v * 30:,.2f}".replace(",", mark))
        panel = _load(swiss, tmp_path / "NESN.csv")
        np.testing.assert_allclose(panel.close[:, 0], (_one()["close"] * 30).round(2), atol=0.011)


@pytest.mark.parametrize("ratio", [4.0, 1.5, 2.5, 0.1])
@pytest.mark.parametrize("told_by", ["Adj Close", "Adjusted_close", "adj_factor"])
def test_a_split_that_an_adjusted_close_or_a_factor_proves_is_applied(
    tmp_path: Path, told_by: str, ratio: float
) -> None:
    frame = _one(bars=120)
    raw = frame.copy()
    raw.loc[:59, list(PRICES)] *= ratio
    raw[told_by] = frame["close"].round(4) if told_by != "adj_factor" else np.where(raw.index < 60, 1.0, ratio)
    panel = _load(raw, tmp_path / "AAA.csv")
    np.testing.assert_allclose(panel.close[:, 0], frame["close"], rtol=1e-9)
    assert _said(panel, f"{told_by} shows splits, or payouts as large, that no column names: AAA ")
    smooth = _load(frame.assign(**{told_by: raw[told_by]}), tmp_path / "AAA.csv")  # closes that have it already
    np.testing.assert_array_equal(smooth.close[:, 0], frame["close"])


def test_dividends_in_an_adjusted_close_are_no_splits(tmp_path: Path) -> None:
    frame = _one(bars=120)
    paid = frame.assign(Dividends=np.where(frame.index == 60, 30.0, 0.0))  # a special dividend of some 30 %
    fall = np.where(frame.index < 60, 1.0, 0.7)
    paid[list(PRICES)] = paid[list(PRICES)].mul(fall, axis=0)
    paid["Adj Close"] = paid["close"] / fall * 0.7
    assert not _said(_load(paid, tmp_path / "AAA.csv"), "shows splits,")


def test_tables_without_names_are_told_apart_by_what_their_columns_hold(tmp_path: Path) -> None:
    frame = _one()
    plain = _load(frame, tmp_path / "AAA.csv")
    order = ["date", *PRICES]
    yahoo = frame.assign(adj=frame["close"] * 0.9)[[*order, "adj", "volume"]]
    history = frame.assign(div=0.0, split=0.0)[[*order, "volume", "div", "split"]]
    for table, name in ((yahoo, "Yahoo's history"), (history, "yfinance's history")):
        panel = _load(table.to_csv(index=False, header=False), tmp_path / "AAA.csv")
        np.testing.assert_array_equal(panel.volume, plain.volume)
        assert _said(panel, name)
    epoch = pd.DatetimeIndex(frame["date"]).as_unit("s").asi8
    kraken = frame.assign(date=epoch, trades=3)[[*order, "volume", "trades"]]
    assert _said(_load(kraken.to_csv(index=False, header=False), tmp_path / "AAA.csv"), "Kraken OHLCVT")
    odd = kraken.assign(trades=0.5)
    _refused(odd.to_csv(index=False, header=False), tmp_path / "AAA.csv", "not in the order of an exporter")


def test_a_header_one_name_short_is_refused_and_numbers_of_rows_are_passed_over(tmp_path: Path) -> None:
    digits = _one()[["date", "close", "volume"]].assign(date=lambda f: f["date"].str.replace("-", ""))
    text = "date,close\n" + digits.to_csv(index=False, header=False)
    _refused(text, tmp_path / "AAA.csv", "every row has 3 cells and the header 2")
    lines = _one().to_csv().splitlines()
    numbered = "\n".join([lines[0].removeprefix(","), *lines[1:]]) + "\n"
    assert _load(numbered, tmp_path / "AAA.csv").fingerprint == _load(_one(), tmp_path / "AAA.csv").fingerprint


@pytest.mark.parametrize("column", ["Name", "ric", "ISIN"])
def test_securities_that_only_a_name_tells_apart_are_apart_or_asked_about(tmp_path: Path, column: str) -> None:
    frame = shares("AAL", "AAPL", bars=60).rename(columns={"symbol": column})
    panel = load_written(frame, tmp_path / "all.csv")
    assert panel.symbols == ("AAL", "AAPL")
    assert _said(panel, f"{column} tells its securities apart")
    lives = pd.concat([shares("OLD", bars=60), shares("NEW", bars=60, start="2021-09-01")])
    with pytest.raises(DataError, match="2 names, one after the other"):
        load_written(lives.rename(columns={"symbol": column}), tmp_path / "two.csv")
    both = shares("AAL", "AAPL", bars=60).assign(**{column: "a company"})
    assert load_written(both, tmp_path / "both.csv").symbols == ("AAL", "AAPL")


def test_a_part_of_a_partitioned_set_has_the_symbol_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "symbol=AAA").mkdir()
    assert load_written(_one(), tmp_path / "symbol=AAA" / "part-0.parquet").symbols == ("AAA",)


def test_capital_gains_are_said_not_to_be_paid(tmp_path: Path) -> None:
    frame = _one().assign(Dividends=0.0, **{"Capital Gains": np.where(np.arange(60) == 30, 1.5, 0.0)})
    assert _said(_load(frame, tmp_path / "FUND.csv"), "capital gains of 1 dates are not paid")
    assert not _said(_load(frame.assign(**{"Capital Gains": 0.0}), tmp_path / "FUND.csv"), "capital gains")


@pytest.mark.parametrize(("state", "money"), [
    (lambda f: f.assign(currency="EUR"), "EUR"), (lambda f: f.assign(Ccy="GBX"), "GBX"),
    (lambda f: f.rename(columns={"close": "Close (EUR)"}), "EUR"), (lambda f: f.rename(columns={"close": "close [GBX]"}), "GBX"),
    (lambda f: f.assign(**{name: "\u20ac" + f[name].astype(str) for name in PRICES}), "EUR"),
    (lambda f: f.assign(**{name: "\u00a3" + f[name].astype(str) for name in PRICES}), "GBP"),
    (lambda f: f.assign(currency="USD"), "USD"),
])  # fmt: skip
def test_a_currency_that_the_file_states_is_the_one_that_counts(
    tmp_path: Path, state: Callable[[pd.DataFrame], pd.DataFrame], money: str
) -> None:
    panel = _load(state(_one()), tmp_path / "AAA.csv")
    worth = (panel.close * panel.to_account)[-1, 0] / _one()["close"].iloc[-1]
    low, high = {"EUR": (0.9, 1.3), "GBX": (0.01, 0.015), "GBP": (1.0, 1.5), "USD": (1.0, 1.0)}[money]
    assert low <= worth <= high
    assert _said(panel, "as the file states") == (money != "USD")


def test_pounds_in_cells_are_no_pence_and_two_currencies_of_one_symbol_are_refused(tmp_path: Path) -> None:
    pounds = _one().assign(**{name: "\u00a3" + _one()[name].astype(str) for name in PRICES})
    assert _load(pounds, tmp_path / "SHEL.L.csv").close[-1, 0] == pytest.approx(_one()["close"].iloc[-1])
    both = _one().assign(currency=["EUR"] * 30 + ["USD"] * 30)
    _refused(both, tmp_path / "AAA.csv", "AAA is in EUR and in USD")
    _refused(
        _one().rename(columns={"open": "Open (EUR)", "close": "Close (USD)"}), tmp_path / "AAA.csv", "two currencies"
    )
    each = pd.concat([shares("ONE", bars=60).assign(currency="EUR"), shares("TWO", bars=60).assign(currency="USD")])
    panel = load_written(each, tmp_path / "two.csv")
    assert panel.to_account[-1, 1] == 1.0 != panel.to_account[-1, 0]


@pytest.mark.parametrize("named", ["Ex-Dividend", "cash_dividend", "Dividend Per Share"])
def test_dividends_are_paid_under_their_other_names(tmp_path: Path, named: str) -> None:
    frame = shares(bars=200)
    frame.loc[100:, ["open", "high", "low", "close"]] *= 0.9
    frame[named] = np.where(frame.index == 100, frame["close"] / 9.0, 0.0)
    panel = load_written(frame, tmp_path / "bars.csv")
    assert panel.dividends.sum() == pytest.approx(frame[named].sum())
    usual = load_written(frame.rename(columns={named: "Dividends"}), tmp_path / "usual.csv")
    assert panel.fingerprint == usual.fingerprint


def test_a_ric_and_a_folder_further_up_name_the_security(tmp_path: Path) -> None:
    one = shares(bars=60).drop(columns="symbol")
    named = load_written(one.assign(RIC="VOD.L"), tmp_path / "prices.csv")
    deep = tmp_path / "symbol=VOD.L" / "year=2023"
    deep.mkdir(parents=True)
    parted = load_written(one, deep / "data_0.csv")
    assert (named.symbols, parted.symbols) == (("VOD.L",), ("VOD.L",))
    np.testing.assert_array_equal(named.close, parted.close)
    both = load_written(one.assign(symbol="AAA", RIC="AAA.N"), tmp_path / "both.csv")
    assert both.symbols == ("AAA",)


def test_prices_of_both_sides_of_the_market_are_called_so(tmp_path: Path) -> None:
    frame = _one().drop(columns="volume")
    sides = {f"{side}{name.title()}": frame[name] for side in ("Bid", "Ask") for name in PRICES}
    _refused(
        pd.DataFrame({"DateTime": frame["date"], **sides}),
        tmp_path / "AAA.csv",
        "has prices of both sides of the market",
    )
