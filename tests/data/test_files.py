from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import Panel, load, load_panel, reading
from wealtharena.data.reading.venues import quote_of
from wealtharena.errors import DataError


def _frame(symbols: tuple[str, ...] = ("BTC-USD", "ETH-USD"), bars: int = 120, freq: str = "D") -> pd.DataFrame:
    rng = np.random.default_rng(7)
    parts = []
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, bars)))
        before = np.concatenate([[100.0], close[:-1]])
        parts.append(
            pd.DataFrame(
                {
                    "timestamp": pd.date_range("2024-01-01", periods=bars, freq=freq, tz="UTC"),
                    "symbol": symbol,
                    "open": before,
                    "high": np.maximum(close, before) * 1.01,
                    "low": np.minimum(close, before) * 0.99,
                    "close": close,
                    "volume": rng.uniform(1e6, 2e6, bars),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _data(spec: ExperimentSpec, path: Path, **changes: Any) -> DataSpec:
    return spec.data.model_copy(update={"path": str(path), **changes})


def _load(spec: ExperimentSpec, path: Path, **changes: Any) -> Panel:
    return load(spec.asset, _data(spec, path, **changes), seed=0)


@pytest.mark.slow
def test_parquet_and_csv_of_the_same_bars_are_the_same_panel(crypto: ExperimentSpec, tmp_path: Path) -> None:
    frame = _frame()
    frame.to_parquet(tmp_path / "bars.parquet")
    frame.to_csv(tmp_path / "bars.csv", index=False)
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "shuffled.parquet")
    prints = {_load(crypto, tmp_path / name).fingerprint for name in ("bars.parquet", "bars.csv", "shuffled.parquet")}
    assert len(prints) == 1


@pytest.mark.slow
def test_headers_may_have_their_usual_other_names(crypto: ExperimentSpec, tmp_path: Path) -> None:
    frame = _frame()
    frame.to_parquet(tmp_path / "a.parquet")
    other = frame.rename(
        columns={"timestamp": "Date", "symbol": "Ticker", "close": "Close", "volume": "Vol.", "open": " OPEN"}
    )
    other.to_csv(tmp_path / "b.csv", index=False)
    assert _load(crypto, tmp_path / "a.parquet").fingerprint == _load(crypto, tmp_path / "b.csv").fingerprint


@pytest.mark.slow
def test_a_folder_holds_one_symbol_a_file_named_by_its_stem(crypto: ExperimentSpec, tmp_path: Path) -> None:
    frame = _frame()
    frame.to_parquet(tmp_path / "all.parquet")
    folder = tmp_path / "folder"
    folder.mkdir()
    for symbol, part in frame.groupby("symbol"):
        part.drop(columns="symbol").to_csv(folder / f"{symbol}.csv", index=False)
    (folder / "README.md").write_text("not bars")
    assert _load(crypto, folder).fingerprint == _load(crypto, tmp_path / "all.parquet").fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["fields then tickers", "three rows", "tickers then fields", "two rows, no corner"])
def test_the_headers_that_yfinance_writes_are_read(crypto: ExperimentSpec, tmp_path: Path, layout: str) -> None:
    frame = _frame()
    wide = frame.rename(columns=str.capitalize).pivot(index="Timestamp", columns="Symbol")
    wide.columns.names = ["Price", "Ticker"]
    wide.index = pd.DatetimeIndex(wide.index.strftime("%Y-%m-%d"), name="Date")
    path = tmp_path / "wide.csv"
    if layout == "tickers then fields":
        wide.swaplevel(axis=1).sort_index(axis=1).to_csv(path)
    elif layout == "three rows":
        wide.to_csv(path)
    else:
        lines = wide.to_csv().splitlines()
        first = lines[0].replace("Price", "Date" if layout.startswith("two") else "Price")
        second = lines[1].replace("Ticker", "" if layout.startswith("two") else "Ticker")
        path.write_text("\n".join([first, second, *lines[3:]]) + "\n")
    frame.to_parquet(tmp_path / "long.parquet")
    assert _load(crypto, path).fingerprint == _load(crypto, tmp_path / "long.parquet").fingerprint


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2023-12-28 00:00:00+11:00", "2023-12-29 00:00:00+11:00"], ["2023-12-28", "2023-12-29"]),
        (["2023-12-27T13:00:00Z", "2023-12-28T13:00:00Z"], ["2023-12-28", "2023-12-29"]),
        (["2023-12-28", "2023-12-29"], ["2023-12-28", "2023-12-29"]),
    ],
)
def test_a_daily_bar_carries_its_date_at_the_venue(texts: list[str], expected: list[str]) -> None:
    stamps = pd.Series(texts) if "Z" not in texts[0] else pd.Series(pd.to_datetime(texts, utc=True))
    frame = pd.DataFrame({"date": stamps, "close": [1.0, 2.0]})
    read = reading.split_symbols(
        frame, where="x", venue=lambda _: ("Australia/Sydney", True), only_symbol="BHP.AX"
    ).tables["BHP.AX"]
    assert [str(stamp)[:10] for stamp in read["timestamp"]] == expected
    assert all(stamp.hour == 0 for stamp in read["timestamp"])


def test_hours_keep_their_instant_across_a_change_of_offset() -> None:
    texts = [
        "2021-10-31 00:00:00+01:00",
        "2021-10-31 01:00:00+01:00",
        "2021-10-31 01:00:00+00:00",
        "2021-10-31 02:00:00+00:00",
    ]
    frame = pd.DataFrame({"Datetime": texts, "Close": [1.0, 2.0, 3.0, 4.0]})
    read = reading.split_symbols(frame, where="x", only_symbol="A").tables["A"]
    assert [stamp.hour for stamp in read["timestamp"]] == [23, 0, 1, 2]


def test_symbols_of_the_universe_that_are_in_the_file_are_used_and_said(crypto: ExperimentSpec, tmp_path: Path) -> None:
    _frame(("ETH-USD", "XMR-USD", "BTC-USD")).to_parquet(tmp_path / "bars.parquet")
    panel = _load(crypto, tmp_path / "bars.parquet")
    assert panel.symbols == ("BTC-USD", "ETH-USD")  # the universe's order
    assert any("2 of the 10 symbols" in note for note in panel.notes)


@pytest.mark.slow
def test_a_file_of_other_symbols_is_used_whole(crypto: ExperimentSpec, tmp_path: Path) -> None:
    _frame(("MINE", "YOURS")).to_parquet(tmp_path / "bars.parquet")
    panel = _load(crypto, tmp_path / "bars.parquet")
    assert panel.symbols == ("MINE", "YOURS")
    assert any("no symbol of universe" in note for note in panel.notes)


@pytest.mark.slow
def test_a_symbol_asked_for_by_name_may_not_be_missing(crypto: ExperimentSpec, tmp_path: Path) -> None:
    _frame().to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataError, match=r"lacks 1 of 2 symbols \(XRP-USD\).*BTC-USD, ETH-USD"):
        _load(crypto, tmp_path / "bars.parquet", symbols=("BTC-USD", "XRP-USD"))
    panel = _load(crypto, tmp_path / "bars.parquet", symbols=("BTC-USD", "XRP-USD"), max_missing_share=0.5)
    assert panel.symbols == ("BTC-USD",)


def _write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("Date,Open,High,Low,Close,Volume\n", "header and no rows"),
        ("Price,Close,High\nTicker,SPY,SPY\nDate,,\n", "header and no rows"),
        ("date,symbol,open\n2024-01-01,A,1\n", "no column for close; it has date, symbol, open"),
        ("symbol,close\nA,1\n", "no column for timestamp"),
        ("date,close\n2024-01-01,1\n2024-01-02,oops\n", "close in row 2 is 'oops', not a number"),
        ("date,close\n2024-01-01,1\nyesterday,2\n", "a timestamp cannot be read"),
        ("date,close\n2024-01-01,1\n,2\n", "row 2 has no timestamp"),
        ("date,close\n2024-01-01,1\n2024-01-08,2\n2024-01-15,2\n", "bars are 7 days apart, not 1d"),
        ("date,close\n2024-01-01 00:00,1\n2024-01-01 00:15,2\n2024-01-01 00:30,2\n", "15 minutes apart"),
        ("date,close\n2024-01-01 00:00,1\n2024-01-01 01:00,2\n2024-01-01 02:00,2\n", r"not 1d; set data\.interval=1h"),
    ],
)
def test_a_bad_file_gives_one_error_with_a_way_out(
    crypto: ExperimentSpec, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        _load(crypto, _write_csv(tmp_path / "bad.csv", text))
    assert caught.value.hint


def test_a_missing_path_a_broken_parquet_and_an_empty_folder_are_named(crypto: ExperimentSpec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        _load(crypto, tmp_path / "nothing.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DataError, match=rf"not a readable Parquet file(?!.*{re.escape(str(tmp_path))})"):
        _load(crypto, tmp_path / "broken.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no Parquet, Arrow or CSV file"):
        _load(crypto, tmp_path / "empty")
    with pytest.raises(DataError, match=r"data\.path"):
        load(crypto.asset, crypto.data, seed=0)


def test_a_start_after_the_end_is_refused(crypto: ExperimentSpec, tmp_path: Path) -> None:
    _frame().to_parquet(tmp_path / "bars.parquet")
    window = compose(["asset=crypto", "data=files", "data.start=2024-03-01", "data.end=2024-02-01"]).data
    with pytest.raises(DataError, match="is after"):
        load(crypto.asset, window.model_copy(update={"path": str(tmp_path / "bars.parquet")}), seed=0)


def test_one_symbol_without_rows_in_the_window_is_named_with_its_dates(crypto: ExperimentSpec, tmp_path: Path) -> None:
    frame = _frame()
    late = frame[(frame["symbol"] == "BTC-USD") | (frame["timestamp"] >= pd.Timestamp("2024-04-01", tz="UTC"))]
    late.to_parquet(tmp_path / "bars.parquet")
    window = compose(["asset=crypto", "data=files", "data.start=2024-01-01", "data.end=2024-03-01"]).data
    with pytest.raises(DataError, match=r"ETH-USD.*no rows between.*2024-04-01 to 2024-04-29"):
        load(crypto.asset, window.model_copy(update={"path": str(tmp_path / "bars.parquet")}), seed=0)


def test_nan_rows_are_absent_and_negative_prices_are_marks_that_nothing_fills_at(tmp_path: Path) -> None:
    spec = compose(["asset=commodities", "data=files"])
    frame = _frame(("CL=F", "GC=F"))
    frame.loc[10, ["open", "high", "low", "close"]] = np.nan
    frame.loc[30, ["open", "high", "low", "close"]] = [20.0, 20.0, -40.0, -37.63]
    frame.to_parquet(tmp_path / "bars.parquet")
    panel = _load(spec, tmp_path / "bars.parquet")
    oil = panel.symbols.index("CL=F")
    assert np.isnan(panel.close[10, oil])
    assert not panel.tradable[10, oil]
    assert panel.close[30, oil] == -37.63
    assert not panel.tradable[30, oil]
    assert panel.tradable[[9, 11, 29, 31], oil].all()


def test_load_panel_takes_a_table_at_hand() -> None:
    frame = _frame()
    panel = load_panel(frame, asset="crypto")
    assert panel.symbols == ("BTC-USD", "ETH-USD")
    assert panel.bars == 120
    assert panel.volume_unit == "account"
    np.testing.assert_array_equal(panel.close[:, 0], frame.loc[frame["symbol"] == "BTC-USD", "close"].to_numpy())
    with pytest.raises(DataError, match="no rows"):
        load_panel(frame.iloc[:0], asset="crypto")


@pytest.mark.parametrize(
    ("asset", "symbol", "currency"),
    [
        ("etf", "T", "USD"),
        ("etf", "NDQ.AX", "AUD"),
        ("etf", "BRK.B", "USD"),
        ("forex", "EURGBP", "GBP"),
        ("forex", "USDJPY", "JPY"),
    ],
)
def test_a_symbol_is_quoted_in_the_money_of_its_exchange(asset: str, symbol: str, currency: str) -> None:
    assert quote_of(symbol, compose([f"asset={asset}"]).asset).currency == currency


def test_load_panel_finds_the_interval_in_the_timestamps() -> None:
    assert load_panel(_frame(freq="h"), asset="crypto").frequency == "1h"


def test_the_input_table_is_not_changed() -> None:
    frame = _frame()
    before = frame.copy(deep=True)
    load_panel(frame, asset="crypto")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.slow
@pytest.mark.parametrize("label", [lambda name: (name,), lambda name: (name, "")], ids=["alone", "blank"])
def test_names_that_are_tuples_are_read_like_words(label: Any) -> None:
    frame = _frame()
    named = frame.set_axis(pd.Index([label(name) for name in frame.columns], tupleize_cols=False), axis=1)
    assert load_panel(named, asset="crypto").fingerprint == load_panel(frame, asset="crypto").fingerprint
