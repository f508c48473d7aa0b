"""Tables of several securities without a column called symbol: what tells them apart is found, or said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load, _said
from wealtharena.data import load_panel
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # each test loads a file


def _two(*, one_after_the_other: bool) -> pd.DataFrame:
    first = shares("AAA", bars=60)
    return pd.concat(
        [first, shares("BBB", bars=60, start="2022-03-10" if one_after_the_other else "2021-06-04", seed=8)]
    )


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("name", ["", "level_0"])
def test_the_keys_of_a_concat_are_symbols(tmp_path: Path, name: str, apart: bool) -> None:
    frame = _two(one_after_the_other=apart)
    frame.insert(0, name, frame.pop("symbol"))
    panel = _load(frame, tmp_path / "bars.csv")
    assert panel.symbols == ("AAA", "BBB")
    assert _said(panel, "are taken for symbols")


def test_row_numbers_and_an_index_of_times_are_no_symbols(tmp_path: Path) -> None:
    frame = shares("AAA", bars=60).drop(columns="symbol")
    assert _load(frame.reset_index(names=""), tmp_path / "AAA.csv").symbols == ("AAA",)
    assert _load(frame.rename(columns={"date": ""}), tmp_path / "BBB.csv").symbols == ("BBB",)


def test_a_word_that_changes_once_is_said_where_no_column_is_of_symbols(tmp_path: Path) -> None:
    frame = _two(one_after_the_other=True)
    words = "changes from AAA to BBB on 2022-03-10 and is passed over: all rows are one series"
    assert _said(_load(frame.rename(columns={"symbol": "contract"}), tmp_path / "bars.csv"), f"contract {words}")
    quarters = frame.drop(columns="symbol").assign(quarter=frame["symbol"].map({"AAA": "2021Q2", "BBB": "2022Q1"}))
    panel = _load(quarters.assign(group="a"), tmp_path / "other.csv")
    assert not _said(panel, "all rows are one series")


def test_special_dividends_in_a_column_of_their_own_are_said(tmp_path: Path) -> None:
    frame = shares("AAA", bars=60).drop(columns="symbol").assign(dividend=0.0, special_dividend=0.0, dividend_yield=0.0)
    frame.loc[20, ["dividend", "dividend_yield"]] = 0.02
    frame.loc[40, "special_dividend"] = 0.02
    panel = _load(frame, tmp_path / "AAA.csv")
    assert _said(panel, "special_dividend may hold payouts and is passed over")
    assert not _said(panel, "dividend_yield may hold")


@pytest.mark.parametrize("name", ["Change", ""])
def test_two_columns_of_one_name_beside_a_value_are_no_traceback(tmp_path: Path, name: str) -> None:
    frame = shares("AAA", bars=60).drop(columns="symbol")
    frame["Value"], frame["a"], frame["b"] = frame["close"] * frame["volume"], "x", "y"
    panel = _load(frame.set_axis([*frame.columns[:-2], name, name], axis=1), tmp_path / "AAA.csv")
    assert panel.volume is not None


def test_a_volume_in_money_by_its_name_gives_way_to_the_quantity_beside_it(tmp_path: Path) -> None:
    frame = shares("AAA", bars=60).drop(columns="symbol")
    money = frame.assign(**{"Volume (R$)": frame["volume"] * frame["close"], "Quantidade": frame.pop("volume")})
    panel = _load(money, tmp_path / "AAA.csv")
    assert panel.volume_unit == "units"
    assert _said(panel, "Quantidade counts as the volume")


def test_rows_of_two_securities_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    """The way out was to raise data.max_repaired_share, which left one of the two in silence."""
    frame = pd.concat([shares("AAA", bars=60), shares("BBB", bars=50, seed=8)]).drop(columns="symbol")
    with pytest.raises(DataError, match="has no column of symbols, and 100 of its 110 rows have the time of another"):
        _load(frame, tmp_path / "bars.csv")
    twice = pd.concat([shares("AAA", bars=60)] * 2).drop(columns="symbol")
    with pytest.raises(DataError, match="60 duplicates"):
        _load(twice, tmp_path / "AAA.csv")


def _wide() -> pd.DataFrame:
    table = pd.concat([shares("AAA", bars=60), shares("BBB", bars=60, seed=8)]).set_index(["date", "symbol"])
    return table.unstack("symbol").rename_axis(columns=["Price", "Ticker"])


@pytest.mark.parametrize("named", [True, False])
def test_fields_that_pandas_stack_has_brought_to_rows_are_columns_again(named: bool) -> None:
    """A level called Price was taken for the closes: `close in row 1 is 'Open', not a number`."""
    wide = _wide()
    stacked = wide.stack(level=0, future_stack=True)
    if not named:
        stacked = stacked.rename_axis(index=[None, None], columns=None)
    assert load_panel(stacked, asset="etf").fingerprint == load_panel(wide, asset="etf").fingerprint


def test_a_row_of_names_that_says_how_columns_were_summed_up_is_passed_over() -> None:
    """`first` and `max` were taken for tickers."""
    ways = {"open": ["first"], "high": ["max"], "low": ["min"], "close": ["last"], "volume": ["sum"]}
    days = shares("AAA", bars=60).assign(date=lambda table: pd.to_datetime(table["date"])).set_index("date")
    weeks = days.groupby("symbol").resample("W-FRI")
    given = load_panel(weeks.agg(ways), asset="etf")
    plain = load_panel(weeks.agg({name: way[0] for name, way in ways.items()}), asset="etf")
    assert given.symbols == ("AAA",)
    assert given.fingerprint == plain.fingerprint
    assert any("first, max, min, last, sum" in note for note in given.notes)
