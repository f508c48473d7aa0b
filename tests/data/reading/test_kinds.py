"""Files of other kinds than CSV and Parquet: Arrow is read, others are named with a way out; lists of trades are no bars; what a website calls a file."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.data.reading.test_cases import shares
from wealtharena.data.reading import read_path
from wealtharena.data.reading.identifiers import symbol_of_file
from wealtharena.errors import DataError


def _one() -> pd.DataFrame:
    return shares("AAA", bars=60).drop(columns="symbol")


def _stream(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame)
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize("name", ["AAA.feather", "AAA.arrow", "AAA.ipc", "AAA.csv", "AAA"])
def test_arrow_and_parquet_are_read_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    plain, other = tmp_path / "plain" / "AAA.csv", tmp_path / name
    plain.parent.mkdir()
    _one().to_csv(plain, index=False)
    if name.endswith(".arrow"):
        _stream(_one(), other)
    elif name == "AAA":
        _one().to_parquet(other)
    else:
        _one().to_feather(other)
    made = read_path(other).tables["AAA"]
    pd.testing.assert_frame_equal(made, read_path(plain).tables["AAA"], check_dtype=False)


@pytest.mark.parametrize("name", ["AAA.parquet", "AAA.pq", "AAA.feather"])
def test_text_is_read_under_the_name_of_another_kind(tmp_path: Path, name: str) -> None:
    content = _one().to_csv(index=False).encode()
    for written in (content, gzip.compress(content)):
        (tmp_path / name).write_bytes(written)
        assert len(read_path(tmp_path / name).tables["AAA"]) == 60


def _workbook(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")


def _bytes(content: bytes) -> bytes:
    return content + bytes(range(256)) * 8


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("AAA.pkl", pickle.dumps([1.0] * 99), r"is a pickle; .*pandas.read_pickle\('AAA.pkl'\).to_parquet\('AAA.parquet'\), if"),
        ("AAA.h5", _bytes(b"\x89HDF\r\n\x1a\n"), r"is an HDF5 file; .*read_hdf\('AAA.h5'\)"),
        ("AAA.xls", _bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), r"is a workbook; .*read_excel\('AAA.xls'\)"),
        ("AAA.dta", _bytes(b"<stata_dta>"), r"is a Stata file; .*read_stata"),
        ("AAA.orc", _bytes(b"ORC"), r"is an ORC file; .*read_orc"),
        ("AAA.db", _bytes(b"SQLite format 3\x00"), "is an SQLite database; write its rows as Parquet or CSV"),
        ("AAA.csv.zst", _bytes(b"\x28\xb5\x2f\xfd"), "is packed with Zstandard; unpack it"),
        ("AAA.csv.gz", gzip.compress(b"x" * 257 + b"ustar" + bytes(300), mtime=0), "is a tar archive; unpack it"),
        ("AAA.json", b'[{"date": "2024-01-02", "close": 1.0}]', "holds JSON, which is no table; .*pandas.read_json"),
        ("AAA.xml", b'<?xml version="1.0"?><bars/>', "holds XML, which is no table"),
        ("AAA.parquet", b"<!DOCTYPE html><html>Not found</html>", "AAA.parquet holds a web page, which is no table"),
        ("AAA.feather", b'[{"date": "2024-01-02", "close": 1.0}]', "AAA.feather holds JSON, which is no table"),
        ("AAA.parquet", b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "a pointer of Git LFS .*; run git lfs pull"),
        ("AAA.parquet", bytes(5000), "holds zeros alone, as a download does that failed; download it again"),
        ("AAA.parquet", _bytes(b"PAR1"), "begins as Parquet does, and lacks its end; download or write it again"),
        ("AAA.arrow", _bytes(b"ARROW1"), "begins as Arrow does, and lacks its end"),
        ("AAA.parquet", gzip.compress(_bytes(b"PAR1"), mtime=0), "is a packed Parquet file; unpack it"),
        ("AAA.parquet", _bytes(b""), "is neither Parquet, Arrow nor text: it holds bytes that are no text; download it again"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_named_with_a_way_out(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_path(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_workbooks_and_arrays_in_archives_are_named(tmp_path: Path) -> None:
    _workbook(tmp_path / "AAA.xlsx")
    with pytest.raises(DataError, match=r"is a workbook; .*read_excel\('AAA.xlsx'\)"):
        read_path(tmp_path / "AAA.xlsx")
    np.savez(tmp_path / "AAA.npz", close=np.ones(9))
    with pytest.raises(DataError, match=r"is an archive of NumPy arrays; .*numpy.load\('AAA.npz'\)"):
        read_path(tmp_path / "AAA.npz")


def test_text_of_two_bytes_a_letter_is_no_workbook_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "AAA.xls").write_text(_one().to_csv(index=False, sep="\t"), encoding="utf-16")
    assert len(read_path(tmp_path / "AAA.xls").tables["AAA"]) == 60


@pytest.mark.parametrize(
    ("side", "words"),
    [("Side", ("BUY", "SELL")), ("Action", ("Bought", "Sold")), ("B/S", ("B", "S")), ("Type", ("Buy", "Sell")),
     ("is_buyer_maker", ("true", "false")), ("Transaction Type", ("Buy", "Dividend"))],
)  # fmt: skip
def test_a_list_of_trades_is_no_table_of_bars(tmp_path: Path, side: str, words: tuple[str, str]) -> None:
    """Its prices were taken for closes."""
    rows = np.arange(60)
    trades = pd.DataFrame({"date": _one()["date"], "quantity": rows + 1, "price": 100.0 + rows})
    trades[side] = [words[row % 2] for row in rows]
    trades.to_csv(tmp_path / "trades.csv", index=False)
    with pytest.raises(DataError, match="holds trades, one a row, and no bars"):
        read_path(tmp_path / "trades.csv")


@pytest.mark.slow
def test_bars_beside_a_signal_are_no_trades(tmp_path: Path) -> None:
    closes = _one()[["date", "close", "volume"]].assign(signal=["buy", "sell"] * 30)
    closes.to_csv(tmp_path / "AAA.csv", index=False)
    assert len(read_path(tmp_path / "AAA.csv").tables["AAA"]) == 60
    _one().assign(side=["buy", "sell"] * 30).to_csv(tmp_path / "AAA.csv", index=False)
    assert len(read_path(tmp_path / "AAA.csv").tables["AAA"]) == 60
    closes.assign(signal=["", "Dividend", "Split"] * 20).rename(columns={"signal": "action"}).to_csv(
        tmp_path / "AAA.csv", index=False
    )
    assert len(read_path(tmp_path / "AAA.csv").tables["AAA"]) == 60


@pytest.mark.parametrize(
    ("stem", "symbol"),
    [("Quote-Equity-RELIANCE-EQ-01-01-2023-to-31-12-2023", "RELIANCE"), ("Quote-Equity-BAJAJ-AUTO-EQ-01-01-2023-to-31-12-2023 (1)", "BAJAJ-AUTO"),
     ("Bitcoin_1_1_2023-12_31_2023_historical_data_coinmarketcap", "Bitcoin"), ("Bitcoin_2023-01-01-2023-12-31_historical_data_coinmarketcap", "Bitcoin"),
     ("Download Data - STOCK_US_XNAS_AAPL", "AAPL"), ("'600519", "600519"), ("AAPL (1)", "AAPL"), ("EUR_USD Historical Data (2)", "EUR_USD"),
     ("Quote-Equity-RELIANCE", "Quote-Equity-RELIANCE"), ("'A'", "'A'")],
)  # fmt: skip
def test_names_of_files_that_a_website_gives_hold_the_symbol(stem: str, symbol: str) -> None:
    assert symbol_of_file(stem) == symbol
