"""Layouts as people's files have them: what stands beside the bars, below them, or in place of a plain name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.reading.test_cases import load_written, shares
from wealtharena.data.loading import load_panel
from wealtharena.data.reading import Reading, read_path, split_symbols
from wealtharena.data.reading.adjustment import adjustments
from wealtharena.errors import DataError
from wealtharena.evaluation import outside


def _bars(bars: int = 30) -> pd.DataFrame:
    return shares(bars=bars).drop(columns="symbol")


def _read(text: str | pd.DataFrame, path: Path) -> Reading:
    path.write_text(text if isinstance(text, str) else text.to_csv(index=False), encoding="utf-8")
    return read_path(path)


def _first(reading: Reading) -> pd.DataFrame:
    return next(iter(reading.tables.values()))


@pytest.mark.parametrize(
    "name", ["Start Date", "event_date", "priceDate", "データ日付", "交易日期", "거래일자", "DATA DO PREGÃO"]
)
def test_a_date_of_another_name_is_the_time_where_no_other_column_is(tmp_path: Path, name: str) -> None:
    made = _first(_read(_bars().rename(columns={"date": name}), tmp_path / "AAA.csv"))
    assert str(made["timestamp"].iloc[0])[:10] == "2021-06-04"


def test_a_date_of_another_name_is_passed_over_beside_a_plain_one(tmp_path: Path) -> None:
    frame = _bars().assign(as_of_date="2024-01-01", start_date="1999-12-31")
    assert str(_first(_read(frame, tmp_path / "AAA.csv"))["timestamp"].iloc[0])[:10] == "2021-06-04"


def test_a_date_of_another_name_stands_beside_a_time_of_day(tmp_path: Path) -> None:
    frame = _bars(16).rename(columns={"date": "price_date"})
    frame["price_date"], frame["time"] = frame["price_date"].iloc[0], [f"{hour:02}:00" for hour in range(16)]
    read = _read(frame, tmp_path / "AAA.csv")
    assert dict(read.settled[0].facts)["time column"] == "price_date and time, joined"
    assert str(_first(read)["timestamp"].iloc[1])[:16] == "2021-06-04 01:00"


@pytest.mark.parametrize("count", ["Index", ""])
def test_a_count_of_rows_gives_way_to_dates_and_is_none(tmp_path: Path, count: str) -> None:
    frame = _bars().rename(columns={"date": "Start Date"})
    frame.insert(0, count, range(len(frame)))
    assert str(_first(_read(frame, tmp_path / "AAA.csv"))["timestamp"].iloc[0])[:10] == "2021-06-04"
    with pytest.raises(DataError, match=r"no column for timestamp: .*counts its rows"):
        _read(frame.drop(columns="Start Date"), tmp_path / "BBB.csv")


@pytest.mark.parametrize("form", ["%d%m%Y", "%m%d%Y", "%-d%m%Y"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_digits_that_end_in_the_year_are_dates(tmp_path: Path, form: str, suffix: str) -> None:
    frame = _bars()
    frame["date"] = pd.to_datetime(frame["date"]).dt.strftime(form).astype(int if suffix == ".parquet" else str)
    path = tmp_path / f"AAA{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    made = _first(read_path(path))["timestamp"]
    assert (made.dt.strftime("%Y-%m-%d") == _bars()["date"]).all()


def test_digits_that_end_in_the_year_and_leave_day_and_month_open_are_refused(tmp_path: Path) -> None:
    frame = _bars(6)
    frame["date"] = pd.to_datetime(frame["date"]).dt.strftime("%d%m%Y")
    with pytest.raises(DataError, match="day or month first"):
        _read(frame, tmp_path / "AAA.csv")


def test_empty_rows_of_a_spreadsheet_are_no_rows(tmp_path: Path) -> None:
    text = _bars().to_csv(index=False) + ",,,,,\n" * 9 + " , ,,,,\n"
    made = _read(text, tmp_path / "AAA.csv")
    assert len(_first(made)) == 30
    assert ("empty rows", "10, passed over") in made.settled[0].facts
    path = tmp_path / "BBB.parquet"
    pd.concat([_bars(), pd.DataFrame(index=range(9), columns=_bars().columns)], ignore_index=True).to_parquet(path)
    assert len(_first(read_path(path))) == 30


def test_a_table_of_empty_rows_alone_is_refused() -> None:
    with pytest.raises(DataError, match="the table holds nothing in any of its 3 rows"):
        load_panel(pd.DataFrame({"date": [None] * 3, "close": [np.nan] * 3}), asset="etf")


def test_a_file_of_copies_of_itself_is_read_once_and_few_copies_are_left_to_the_rules(tmp_path: Path) -> None:
    frame = _bars()
    made = _read(pd.concat([frame] * 3).sort_values("date"), tmp_path / "AAA.csv")
    assert len(_first(made)) == 30
    assert any("60 of 90 rows repeat time and numbers" in note for note in made.notes)
    assert len(_first(_read(pd.concat([frame, frame[:1]]), tmp_path / "BBB.csv"))) == 31
    other = frame.assign(close=frame["close"] + 0.01)
    with pytest.raises(DataError, match="the time of another one and other figures"):  # other numbers are no copies
        _read(pd.concat([frame, other]), tmp_path / "CCC.csv")


def test_bars_of_quantmod_are_read_beside_columns_of_other_things(tmp_path: Path) -> None:
    frame = _bars().rename(columns=lambda name: name if name == "date" else f"AAPL.{name.title()}")
    made = _read(frame.assign(dn=1.0, mavg=2.0, direction="Increasing"), tmp_path / "chart.csv")
    assert list(made.tables) == ["AAPL"]
    assert np.allclose(made.tables["AAPL"]["close"], _bars()["close"])
    assert any("passed over: dn, mavg, direction" in note for note in made.notes)


def test_closes_of_other_symbols_beside_a_close_are_said(tmp_path: Path) -> None:
    frame = _bars()[["date", "close"]].rename(columns={"close": "Price"})
    others = {f"{name}_Price": 1.0 + np.arange(30) for name in ("DAX", "Gold", "FTSE")}
    said = " ".join(_read(frame.assign(**others), tmp_path / "AAA.csv").notes)
    assert "DAX, FTSE, Gold may be closes of other symbols" in said
    quiet = _read(frame.assign(prev_price=1.0, Avg_Price=1.0, Last_Price=1.0), tmp_path / "BBB.csv")
    assert "other symbols" not in " ".join(quiet.notes)


def test_the_way_out_of_a_table_of_tickers_names_no_count_of_rows_and_reads_a_decimal_comma(tmp_path: Path) -> None:
    frame = pd.DataFrame({"rownames": range(1, 31), "Date": _bars()["date"], "AAA": 1.5 + np.arange(30), "BBB": 2.5})
    with pytest.raises(DataError) as refused:
        _read(frame, tmp_path / "a.csv")
    assert "Close_AAA, Close_BBB" in str(refused.value.hint)
    assert set(_read(frame.rename(columns={"AAA": "Close_AAA", "BBB": "Close_BBB"}), tmp_path / "b.csv").tables) == {
        "AAA",
        "BBB",
    }
    commas = frame[["Date", "AAA", "BBB"]].astype(str).replace(r"\.", ",", regex=True)
    with pytest.raises(DataError, match="one a name"):
        _read(commas, tmp_path / "c.csv")


def test_names_of_rows_that_r_writes_are_dates(tmp_path: Path) -> None:
    lines = _bars().to_csv(index=False, sep=";").split("\n")
    text = "\n".join([lines[0].removeprefix("date;"), *lines[1:]])
    read = _read(text, tmp_path / "AAA.csv")
    assert str(_first(read)["timestamp"].iloc[0])[:10] == "2021-06-04"
    assert dict(read.settled[0].facts)["time column"] == "the first column"
    decimals = "date,close\n" + "".join(f"2024-01-{day:02},100,5\n" for day in range(2, 30))
    with pytest.raises(DataError, match="every row has 3 cells and the header 2"):
        _read(decimals, tmp_path / "BBB.csv")


@pytest.mark.slow
def test_a_share_that_hardly_trades_has_a_volume_of_its_bars(tmp_path: Path) -> None:
    """Few volumes among noughts fall once each, days apart, as those do that count on within the day."""
    volume = np.where(np.arange(260) % 20 == 7, 5000, 0)
    assert load_written(shares().assign(volume=volume), tmp_path / "AAA.csv").volume is not None


def test_a_price_that_mostly_stands_still_says_nothing_of_dividends_beside_its_falls() -> None:
    bars = 400
    rng = np.random.default_rng(3)
    moves = np.where(np.arange(bars) % 5 == 2, rng.choice([-0.02, 0.02], bars), 0.0)
    paid = np.zeros(bars)
    paid[[101, 251]] = 3.0
    moves[[101, 251]], moves[[102, 252]] = 0.0, -0.02  # a tick after each date
    close = 100 * np.exp(np.cumsum(moves))
    stamps = pd.bdate_range("2019-01-07", periods=bars, tz="UTC")
    table = pd.DataFrame({"timestamp": stamps, "close": close, "dividend": paid})
    assert adjustments({"AAA": table}, setting="auto", known={})["AAA"].value == "all"


@pytest.mark.slow
def test_a_window_of_one_interval_is_read_from_a_file_of_several(tmp_path: Path) -> None:
    daily = shares(bars=120)
    weekly = shares(bars=30).assign(date=pd.date_range(end="2021-05-28", periods=30, freq="W-FRI").strftime("%Y-%m-%d"))
    both = pd.concat([weekly, daily])
    with pytest.raises(DataError, match="a stretch of 1w among bars of 1d, 2020-11-06 to 2021-") as refused:
        load_written(both, tmp_path / "AAA.csv")
    assert "data.start" in str(refused.value.hint)
    assert load_written(both, tmp_path / "AAA.csv", start="2021-06-04").bars == 120


@pytest.mark.slow
def test_a_volume_in_a_brazilian_table_may_be_money_which_is_said(tmp_path: Path) -> None:
    names = dict(zip(_bars().columns, ["Data", "Abertura", "Máximo", "Mínimo", "Fechamento", "Volume"], strict=True))
    assert any("in Brazil" in note for note in _read(_bars().rename(columns=names), tmp_path / "AAA.csv").notes)
    named = _bars().rename(columns=names | {"volume": "Volume Financeiro"})
    assert _read(named, tmp_path / "BBB.csv").volume_kind == {"BBB": "account"}


def test_the_records_of_b3_are_refused_with_the_places_of_their_columns(tmp_path: Path) -> None:
    lines = ["00COTAHIST.2021BOVESPA 20210625" + " " * 214, "012021062502AAAA3       010" + "0" * 218]
    with pytest.raises(DataError, match="fixed widths") as refused:
        _read("\n".join(lines), tmp_path / "COTAHIST_D25062021.TXT")
    assert "109-121" in str(refused.value.hint)


def test_text_of_a_parquet_file_in_another_encoding_is_read(tmp_path: Path) -> None:
    """R writes the bytes that it has, whatever encoding they are in; pandas stopped at the first of them."""
    cells = pa.array([None, *[b"Caf\xe9"] * 28, b"Tea"], type=pa.binary())
    text = pa.Array.from_buffers(pa.string(), 30, cells.buffers(), cells.null_count)
    table = pa.Table.from_pandas(_bars()).append_column("symbol", pa.array(["AAA"] * 30)).append_column("company", text)
    pq.write_table(table, tmp_path / "AAA.parquet")
    made = read_path(tmp_path / "AAA.parquet")
    assert len(_first(made)) == 30
    assert any("company holds text that is no UTF-8" in note for note in made.notes)
    pq.write_table(table.select(["date", "close", "company"]), tmp_path / "mine.parquet")
    assert len(outside.read(tmp_path / "mine.parquet").returns) == 29


def test_bytes_in_a_parquet_file_are_text_or_refused(tmp_path: Path) -> None:
    frame = _bars().assign(symbol=[b"AAA"] * 30, hash=[b"\xbe\x88"] * 30)
    frame.to_parquet(tmp_path / "a.parquet")
    made = read_path(tmp_path / "a.parquet")
    assert list(made.tables) == ["AAA"]
    assert any("hash holds bytes and is passed over" in note for note in made.notes)
    frame.assign(open=[b"\xbe\x88"] * 30).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="open holds bytes"):
        read_path(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    "packed", [list, lambda cell: {"of": cell}, lambda cell: {cell}], ids=["list", "record", "set"]
)
def test_lists_of_a_table_are_passed_over_or_refused(packed: Callable[[str], object]) -> None:
    """News, conditions or trades of a bar, as JSON has them; not every row has one."""
    cells = [packed("ab"), None, *[packed("c")] * 28]
    made = split_symbols(_bars().assign(news=cells), where="mine")
    assert len(_first(made)) == 30
    assert any("news holds lists or records and is passed over" in note for note in made.notes)
    with pytest.raises(DataError, match="close holds lists or records"):
        split_symbols(_bars().assign(close=cells), where="mine")


def test_lists_of_a_parquet_file_are_passed_over_or_refused(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(_bars(), preserve_index=False)
    tags = pa.array([["a", "b"], None, *[[]] * 28])
    pq.write_table(table.append_column("conditions", tags), tmp_path / "AAA.parquet")
    made = read_path(tmp_path / "AAA.parquet")
    assert len(_first(made)) == 30
    assert any("conditions holds lists or records and is passed over" in note for note in made.notes)
    pq.write_table(table.drop_columns(["open"]).append_column("open", tags), tmp_path / "AAA.parquet")
    with pytest.raises(DataError, match="open holds lists or records"):
        read_path(tmp_path / "AAA.parquet")


def test_lists_of_arrow_s_own_types_are_passed_over() -> None:
    tags = pd.Series([["a"]] * 30, dtype=pd.ArrowDtype(pa.list_(pa.string())))
    made = split_symbols(_bars().assign(tags=tags), where="mine")
    assert any("tags holds lists or records" in note for note in made.notes)
