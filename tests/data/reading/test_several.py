"""Several rows of one symbol and time: the column that tells them apart is named, and copies are left to the repairs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load, _refused
from wealtharena.errors import DataError


def _kinds(column: str, *values: object, symbol: bool = True) -> pd.DataFrame:
    parts = [
        shares(bars=60).assign(**{column: value}, close=lambda f, by=place: f["close"] * (1 + by / 1000))
        for place, value in enumerate(values)
    ]
    table = pd.concat(parts)
    return table if symbol else table.drop(columns="symbol")


@pytest.mark.parametrize(("column", "values"), [
    ("SERIES", ("EQ", "BE")), ("iid", ("01", "02")), ("type", ("bid", "ask")), ("strike", (90, 100, 110)), ("isin", ("A", "B")),
    ("expiry", ("2021-09-17", "2021-12-17")), ("interval", ("1d", "1h")), ("<PER>", ("D", "W")),
])  # fmt: skip
@pytest.mark.parametrize("symbol", [True, False])
def test_the_column_that_tells_rows_of_one_time_apart_is_named(
    tmp_path: Path, column: str, values: tuple[object, ...], symbol: bool
) -> None:
    if column == "isin" and not symbol:  # it names the securities then
        return
    with pytest.raises(DataError) as refused:
        _load(_kinds(column, *values, symbol=symbol), tmp_path / "AAA.csv")
    assert f"AAA has several rows of one time, which {column} ({', '.join(map(str, values))}) tells apart" in str(
        refused.value
    )
    assert f"those where {column} is {values[0]}" in refused.value.hint
    assert f"call {column} symbol" in refused.value.hint
    assert "max_repaired_share" not in str(refused.value)


def test_two_columns_that_tell_apart_together_are_named_both(tmp_path: Path) -> None:
    table = pd.concat([_kinds("strike", 90, 100).assign(expiry=expiry) for expiry in ("2021-09-17", "2021-12-17")])
    _refused(table, tmp_path / "AAA.csv", r"strike \(90, 100\) and expiry \(2021-09-17, 2021-12-17\) tell apart")


def test_a_row_a_field_is_called_so(tmp_path: Path) -> None:
    long = shares(bars=60).drop(columns=["symbol", "volume"]).melt("date", var_name="field", value_name="price")
    _refused(long, tmp_path / "AAA.csv", r"has a row a field: field \(open, high, low, close\)")


@pytest.mark.slow
def test_copies_are_left_to_the_repairs_whatever_else_they_hold(tmp_path: Path) -> None:
    frame = shares(bars=60)
    for table in (
        pd.concat([frame, frame]),
        pd.concat([frame.assign(vwap=frame["close"]), frame.assign(vwap=frame["open"])]),
    ):
        _refused(table, tmp_path / "AAA.csv", "60 duplicates")
    few = pd.concat([frame.assign(source="A"), frame.iloc[:1].assign(source="B")])
    assert _load(few, tmp_path / "AAA.csv").bars == 60


@pytest.mark.parametrize(("names", "missing"), [
    (("Date", "Foo", "Open"), "close"), (("Foo", "Close", "Bar"), "timestamp"), (("Foo", "Bar", "Baz"), "timestamp and close"),
])  # fmt: skip
def test_only_what_is_missing_is_said_to_be(tmp_path: Path, names: tuple[str, ...], missing: str) -> None:
    table = shares(bars=30)[["date", "close", "open"]].set_axis(list(names), axis=1)
    _refused(table, tmp_path / "AAA.csv", f"has no column for {missing}; it has {', '.join(names)}")
