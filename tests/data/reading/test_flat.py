"""Columns named by a field and a ticker, by a ticker alone, or by nothing: the bars, or one line that says how to write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.reading import Reading, read_path
from wealtharena.errors import DataError

FIELDS = ["Open", "High", "Low", "Close", "Volume"]
SPELLED: dict[str, Callable[[str, str], str]] = {
    "Close_AAPL": "{}_{}".format, "Close AAPL": "{} {}".format, "AAPL_Close": lambda field, name: f"{name}_{field}",
    "AAPL Close": lambda field, name: f"{name} {field}", "tuple": lambda field, name: str((field, name)),
    "AAPL.Close": lambda field, name: f"{name}.{field}", "turned tuple": lambda field, name: str((name, field)), "close.AAPL": lambda field, name: f"{field.lower()}.{name}",
}  # fmt: skip


def _bars(seed: int = 0, count: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.02, count))), 3)
    first = np.round(np.r_[100.0, close[:-1]] * (1 + rng.normal(0, 0.002, count)), 3)
    high, low = np.round(np.maximum(first, close) + 0.5, 3), np.round(np.minimum(first, close) - 0.5, 3)
    dates = pd.bdate_range("2023-01-02", periods=count).strftime("%Y-%m-%d")
    volume = rng.integers(1000, 2000, count)
    return pd.DataFrame(dict(zip(["Date", *FIELDS], [dates, first, high, low, close, volume], strict=True)))


def _wide(names: list[str], spell: Callable[[str, str], str], fields: list[str] = FIELDS) -> pd.DataFrame:
    made = {"Date": _bars()["Date"]}
    for field in fields:
        made |= {spell(field, name): _bars(seed)[field] for seed, name in enumerate(names)}
    return pd.DataFrame(made)


def _read(frame: pd.DataFrame, path: Path, **how: object) -> Reading:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, **{"index": False} | how)
    return read_path(path)


def _same(made: Reading, folder: Path, names: list[str]) -> None:
    assert list(made.tables) == sorted(names)
    for seed, name in enumerate(names):
        plain = _read(_bars(seed), folder / "plain.csv").tables["plain"]
        pd.testing.assert_frame_equal(made.tables[name][plain.columns], plain, check_dtype=False)


@pytest.mark.parametrize("how", [{}, {"quoting": 2}, {"sep": " "}, {"sep": " ", "quoting": 2}], ids=str)
@pytest.mark.parametrize("name", ["AAPL", "BRK.B"])
def test_what_quantmod_writes_is_read(tmp_path: Path, name: str, how: dict[str, object]) -> None:
    """R's `write.zoo` of quantmod's bars: an index by that name, ticker and field joined by a point, `Adjusted` at the end."""
    bars = _bars()
    bars["Adjusted"] = (bars["Close"] * np.linspace(0.9, 1.0, len(bars))).round(3)
    named = bars.set_axis(["Index", *(f"{name}.{field}" for field in bars.columns[1:])], axis=1)
    made = _read(named, tmp_path / "quantmod.csv", **how)
    plain = _read(bars.rename(columns={"Adjusted": "Adj Close"}), tmp_path / "plain.csv")
    pd.testing.assert_frame_equal(made.tables[name], plain.tables["plain"], check_dtype=False)


@pytest.mark.parametrize("word", ["TRUE", "1", "splits", ""])
def test_a_column_that_says_whether_prices_are_adjusted_holds_none(tmp_path: Path, word: str) -> None:
    made = _read(_bars().assign(adjusted=word), tmp_path / "plain.csv")
    pd.testing.assert_frame_equal(made.tables["plain"], _read(_bars(), tmp_path / "plain.csv").tables["plain"])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("names", [["AAPL"], ["V", "MA", "LOW", "C"]])
@pytest.mark.parametrize("spelling", SPELLED)
def test_a_field_and_a_ticker_in_one_name_are_the_wide_layout(
    tmp_path: Path, spelling: str, names: list[str], suffix: str
) -> None:
    made = _read(_wide(names, SPELLED[spelling]), tmp_path / f"bars{suffix}")
    _same(made, tmp_path, names)
    assert any("are read as a field of a symbol" in note for note in made.notes)


def test_words_that_say_something_about_a_column_are_no_tickers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column for close"):
        _read(_wide(["bid", "ask"], SPELLED["AAPL_Close"]), tmp_path / "bars.csv")
    made = _read(
        _bars().rename(columns=lambda name: name if name in ("Date", "Volume") else f"{name}_USD"),
        tmp_path / "AAPL.csv",
    )
    assert (list(made.tables), made.currencies) == (["AAPL"], {"AAPL": "USD"})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("names", [["JPM", "V", "MA", "LOW", "XOM"], ["V", "MA"], ["Apple", "Visa"]])
def test_a_column_a_ticker_is_asked_what_it_holds_and_closes_are_read_by_that_word(
    tmp_path: Path, names: list[str], suffix: str
) -> None:
    frame = _wide(names, lambda _, name: name, ["Close"])
    with pytest.raises(
        DataError, match=f"no column for close, but one a name .{names[0]}, {names[1]}.* does not say what they hold"
    ) as refused:
        _read(frame, tmp_path / f"bars{suffix}")
    assert f"Close_{names[0]}" in refused.value.hint
    made = _read(_wide(names, SPELLED["Close_AAPL"], ["Close"]), tmp_path / f"bars{suffix}")
    assert list(made.tables) == sorted(names)
    assert list(made.tables[names[0]]["close"]) == list(_bars(0)["Close"])


def test_an_open_that_stands_without_a_close_is_no_table_of_tickers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column for close; it has Date, Open, High, Low, Foo, Volume"):
        _read(_bars().rename(columns={"Close": "Foo"}), tmp_path / "AAPL.csv")


@pytest.mark.parametrize("turn", [1, -1])
def test_prices_without_a_header_and_volume_stand_in_an_order_that_every_row_shows(tmp_path: Path, turn: int) -> None:
    frame = _bars().drop(columns="Volume")
    made = _read(frame[::turn], tmp_path / "EURUSD.csv", header=False)
    assert any("has no header" in note for note in made.notes)
    assert made.tables["EURUSD"].sort_values("timestamp")["open"].tolist() == frame["Open"].tolist()
    clock = frame.assign(Date=frame["Date"].str.replace("-", "."))
    clock.insert(1, "Time", "00:00")
    read = _read(clock[::turn], tmp_path / "EURUSD.csv", header=False).tables["EURUSD"]
    assert read.sort_values("timestamp")["close"].tolist() == frame["Close"].tolist()


@pytest.mark.parametrize("order", ["Open Low High Close", "Close High Low Open", "High Open Low Close"])
@pytest.mark.parametrize("turn", [1, -1])
def test_prices_without_a_header_in_another_order_are_refused(tmp_path: Path, order: str, turn: int) -> None:
    with pytest.raises(DataError, match="5 columns are not in the order of an exporter") as refused:
        _read(_bars()[["Date", *order.split()]][::turn], tmp_path / "EURUSD.csv", header=False)
    assert "write names above them" in refused.value.hint
    one_bad = _bars().drop(columns="Volume")
    one_bad.loc[7, "High"] = 1.0
    with pytest.raises(DataError, match="not in the order"):
        _read(one_bad, tmp_path / "EURUSD.csv", header=False)


def _by_field(suffix: str, folder: Path, *more: pd.DataFrame) -> Path:
    """Write bars of two symbols with a row for each field, an indicator among them, in any order."""
    long = pd.concat(
        [_bars(seed).assign(sma=1.0).melt("Date").assign(symbol=name) for seed, name in enumerate(("AAPL", "MSFT"))]
    )
    table = pd.concat([long.sample(frac=1.0, random_state=1), *more])
    path = folder / f"long.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_row_a_field_is_the_same_bars(tmp_path: Path, suffix: str) -> None:
    made = read_path(_by_field(suffix, tmp_path))
    assert ("layout", "one row a bar and field, by columns variable and value") in made.settled[0].facts
    for seed, name in enumerate(("AAPL", "MSFT")):
        table = made.tables[name].sort_values("timestamp")
        assert table["timestamp"].dt.strftime("%Y-%m-%d").tolist() == _bars(seed)["Date"].tolist()
        for field in FIELDS:
            np.testing.assert_array_equal(table[field.lower()], _bars(seed)[field])


def test_a_field_that_a_bar_has_twice_is_refused(tmp_path: Path) -> None:
    again = pd.DataFrame({"Date": ["2023-01-02"], "variable": ["Close"], "value": [1.0], "symbol": ["AAPL"]})
    with pytest.raises(DataError, match="has one already"):
        read_path(_by_field("csv", tmp_path, again))


@pytest.mark.parametrize("name", ["symbol", "variable"])
@pytest.mark.parametrize("tickers", [("C", "V", "LOW", "AAPL"), ("C", "V"), ("CLOSE", "AAPL", "MSFT", "LOW", "JPM")])
def test_tickers_that_are_words_for_prices_are_no_fields(tmp_path: Path, name: str, tickers: tuple[str, ...]) -> None:
    path = tmp_path / "long.csv"
    days = _bars()["Date"]
    pd.concat(
        [pd.DataFrame({"date": days, name: ticker, "value": 10.0 + place}) for place, ticker in enumerate(tickers)]
    ).to_csv(path, index=False)
    with pytest.raises(DataError, match="has no column for close"):
        read_path(path)
