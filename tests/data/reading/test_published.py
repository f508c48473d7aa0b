"""Series of statistics offices, stacked tables without names and Finam's rows without a header are the plain table's bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from wealtharena.data.reading import Reading, read_path
from wealtharena.data.reading.files import split_symbols
from wealtharena.errors import DataError

FIELDS = ["open", "high", "low", "close", "volume"]


def _one(symbol: str = "AAA") -> pd.DataFrame:
    return shares(symbol, bars=60).drop(columns="symbol")


def _read(content: str, path: Path) -> Reading:
    path.write_text(content)
    return read_path(path)


def _same(made: pd.DataFrame, frame: pd.DataFrame, fields: list[str]) -> None:
    np.testing.assert_allclose(made[fields], frame[fields])
    np.testing.assert_array_equal(made["timestamp"].dt.strftime("%Y-%m-%d"), frame["date"])


@pytest.mark.parametrize(("header", "name"), [("observation_date", "fredgraph.csv"), ("DATE", "DEXUSEU.csv")])
def test_fred_s_series_is_a_close_whose_absent_cells_are_no_bars(tmp_path: Path, header: str, name: str) -> None:
    frame = _one()
    cells = [f"{close:.4f}" if row % 9 else "." for row, close in enumerate(frame["close"])]
    text = pd.DataFrame({header: frame["date"], "DEXUSEU": cells}).to_csv(index=False)
    made = _read(text, tmp_path / name)
    there = frame[np.arange(60) % 9 > 0]
    _same(made.tables["DEXUSEU"], there.round(4), ["close"])
    assert any("DEXUSEU is taken for closes" in note for note in made.notes)


@pytest.mark.parametrize(("name", "shift", "file"), [("GOLD", 0.0, "xyz.csv"), ("GOLD", -100.0, "GOLD.csv"), ("gold", 0.0, "gold.csv"),
                                                     ("returns", 0.0, "returns.csv"), ("EQUITY", 0.0, "curve.csv")])  # fmt: skip
def test_one_column_that_may_be_anything_is_no_close(tmp_path: Path, name: str, shift: float, file: str) -> None:
    text = pd.DataFrame({"date": _one()["date"], name: _one()["close"] + shift}).to_csv(index=False)
    with pytest.raises(DataError, match="has no column for close"):
        _read(text, tmp_path / file)


def _sdmx(code: str, closes: pd.Series) -> pd.DataFrame:
    told = {
        "KEY": f"EXR.D.{code}.EUR.SP00.A",
        "FREQ": "D",
        "CURRENCY": code,
        "CURRENCY_DENOM": "EUR",
        "EXR_TYPE": "SP00",
        "EXR_SUFFIX": "A",
    }
    return pd.DataFrame(told | {"TIME_PERIOD": _one()["date"], "OBS_VALUE": closes, "UNIT_MULT": 0})


@pytest.mark.slow
def test_the_ecb_s_series_are_closes_of_pairs(tmp_path: Path) -> None:
    frame = _one()
    both = pd.concat([_sdmx("USD", frame["close"] / 100), _sdmx("JPY", frame["close"])])
    tables = _read(both.to_csv(index=False), tmp_path / "data.csv").tables
    _same(tables["EURJPY"], frame, ["close"])
    _same(tables["EURUSD"], frame.assign(close=frame["close"] / 100), ["close"])
    named = pd.DataFrame({"DATE": frame["date"], "TIME PERIOD": frame["date"],
                          "Yen/Euro (EXR.D.JPY.EUR.SP00.A)": frame["close"]})  # fmt: skip
    _same(_read(named.to_csv(index=False), tmp_path / "portal.csv").tables["EURJPY"], frame, ["close"])
    wide = pd.DataFrame({"Date": frame["date"], "JPY": frame["close"], "BGN": "N/A", "USD": frame["close"], "": ""})[
        ::-1
    ]
    tables = _read(wide.to_csv(index=False), tmp_path / "eurofxref-hist.csv").tables
    assert set(tables) == {"EURJPY", "EURUSD"}
    _same(tables["EURJPY"].sort_values("timestamp"), frame, ["close"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"KEY": "EXR.M.JPY.EUR.SP00.E"}, "several series of EURJPY"), ({"UNIT_MULT": 3}, "powers of ten")],
)
def test_two_series_of_a_pair_and_scaled_values_are_refused(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    first = _sdmx("JPY", _one()["close"])
    with pytest.raises(DataError, match=words):
        _read(pd.concat([first[:30], first[30:].assign(**changed)]).to_csv(index=False), tmp_path / "data.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names", [(None, None, None), ("date", None, None), (None, "ticker", None), ("date", "ticker", None)]
)
def test_a_stacked_table_without_names_is_the_table(tmp_path: Path, names: tuple[str | None, ...]) -> None:
    frames = {symbol: _one(symbol) for symbol in ("C", "LOW")}
    parts = pd.concat([frame.assign(symbol=symbol) for symbol, frame in frames.items()])
    stacked = parts.set_index(["date", "symbol"])[FIELDS].stack()
    stacked.index = stacked.index.set_names(names)
    made = _read(stacked.to_csv(), tmp_path / "bars.csv").tables
    assert set(made) == set(frames)
    for symbol, frame in frames.items():
        _same(made[symbol], frame, FIELDS)
    parts.set_index(["date", "symbol"])[FIELDS].rename_axis([None, None]).to_csv(tmp_path / "two.csv")
    for symbol, table in read_path(tmp_path / "two.csv").tables.items():
        _same(table, frames[symbol], FIELDS)


@pytest.mark.parametrize(
    "order", [("field", "symbol", "date"), ("date", "field", "symbol"), ("symbol", "date", "field")]
)
def test_a_stacked_table_without_names_is_the_table_as_parquet_too(tmp_path: Path, order: tuple[str, ...]) -> None:
    """Two levels of words were both called symbol: a traceback, or one row twice."""
    frames = {symbol: _one(symbol) for symbol in ("AAA", "BBB")}
    parts = pd.concat([frame.assign(symbol=symbol) for symbol, frame in frames.items()])
    parts["date"] = pd.to_datetime(parts["date"])
    stacked = parts.set_index(["date", "symbol"])[FIELDS].rename_axis(columns="field").stack().reorder_levels(order)
    stacked.rename_axis([None] * 3).to_frame("0").to_parquet(tmp_path / "bars.parquet")
    for symbol, table in read_path(tmp_path / "bars.parquet").tables.items():
        _same(table.sort_values("timestamp"), frames[symbol], FIELDS)


@pytest.mark.slow
def test_closes_alone_behind_levels_without_names_are_read(tmp_path: Path) -> None:
    frames = {symbol: _one(symbol) for symbol in ("AAA", "BBB")}
    closes = pd.DataFrame({symbol: frame.set_index("date")["close"] for symbol, frame in frames.items()})
    for made in (closes.rename_axis(None).stack(), closes.rename_axis(None).unstack()):
        for separator in ",;":
            tables = _read(made.rename("close").to_csv(sep=separator), tmp_path / "bars.csv").tables
            for symbol, frame in frames.items():
                _same(tables[symbol].sort_values("timestamp"), frame, ["close"])
    alone = _read(closes["AAA"].rename_axis(None).rename("Adj Close").to_csv(), tmp_path / "AAA.csv").tables["AAA"]
    _same(alone, frames["AAA"], ["close"])


def test_levels_of_one_name_are_no_traceback(tmp_path: Path) -> None:
    twice = _one().assign(again=lambda f: f["date"]).set_index(["date", "again"])[FIELDS].rename_axis(["date", "date"])
    assert len(split_symbols(twice, where="bars", only_symbol="AAA").tables["AAA"]) == len(twice)


def test_stacked_numbers_of_which_nothing_says_that_they_are_closes_are_refused(tmp_path: Path) -> None:
    wide = pd.DataFrame({"AAA": _one()["close"].to_numpy(), "BBB": 5.0}, index=_one()["date"].rename(None))
    with pytest.raises(DataError, match="has no column for close"):
        _read(wide.stack().to_csv(), tmp_path / "bars.csv")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["%Y%m%d", "%d/%m/%y"])
@pytest.mark.parametrize("clock", ["000000", "00:00", "0"])
def test_finam_s_rows_without_a_header_are_bars(tmp_path: Path, form: str, clock: str) -> None:
    frame = _one()
    rows = frame.assign(symbol="SBER", per="D", date=pd.to_datetime(frame["date"]).dt.strftime(form), time=clock)
    text = rows[["symbol", "per", "date", "time", *FIELDS]].to_csv(index=False, header=False)
    _same(_read(text, tmp_path / "SBER.csv").tables["SBER"], frame, FIELDS)
    text = rows[["symbol", "per", "date", "time", *FIELDS[:4]]].to_csv(index=False, header=False, sep=";")
    _same(_read(text, tmp_path / "SBER.txt").tables["SBER"], frame, FIELDS[:4])


@pytest.mark.parametrize(
    "header",
    ["Date,NAV", "Date,Net Asset Value", "Datum;Anteilwert", "Date;Valeur liquidative", "Date,NAV per share (EUR)"],
)
def test_a_fund_s_net_asset_values_are_its_closes(tmp_path: Path, header: str) -> None:
    frame, separator = _one().round(2), ";" if ";" in header else ","
    rows = [f"{day}{separator}{close}" for day, close in zip(frame["date"], frame["close"], strict=True)]
    _same(_read("\n".join([header, *rows]), tmp_path / "FUND.csv").tables["FUND"], frame, ["close"])


def test_a_net_asset_value_beside_a_close_or_among_tickers_is_none(tmp_path: Path) -> None:
    frame = _one().round(2)
    beside = frame[["date", "close"]].assign(NAV=frame["close"] * 1.01, **{"Net Asset Value": frame["close"] * 1.02})
    _same(_read(beside.to_csv(index=False), tmp_path / "FUND.csv").tables["FUND"], frame, ["close"])
    tickers = frame[["date"]].assign(AAPL=1.5, NAV=2.5, MSFT=3.5)
    with pytest.raises(DataError, match="does not say what they hold"):
        _read(tickers.to_csv(index=False), tmp_path / "closes.csv")
