"""Cells as exporters write them: currencies before and behind prices, Indian grouping, words for thousands, absent values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.reading.test_cases import shares
from tests.data.specs import compose, with_data
from wealtharena.data import load
from wealtharena.data.panel import Panel
from wealtharena.data.reading.numbers import to_numbers
from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # hundreds of files are written and read

_PRICES = ("open", "high", "low", "close")


def _one() -> pd.DataFrame:
    return shares("AAA", bars=60).drop(columns="symbol").round(2)


def _load(frame: pd.DataFrame, path: Path, *, separator: str = ",") -> Panel:
    frame.to_csv(path, index=False, sep=separator)
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(path))
    return load(spec.asset, spec.data, seed=0)


def _written(form: str) -> pd.DataFrame:
    return _one().assign(**{name: [form.format(value) for value in _one()[name]] for name in _PRICES})


def _indian(value: int) -> str:
    head, tail = str(value)[:-3], str(value)[-3:]
    pairs = []
    while head:
        pairs.insert(0, head[-2:])
        head = head[:-2]
    return ",".join([*pairs, tail])


@pytest.mark.parametrize(("form", "money"), [
    ("\u20b9{:.2f}", "INR"), ("HK${:.2f}", "HKD"), ("A${:.2f}", "AUD"), ("R$ {:.2f}", "BRL"), ("Rs.{:.2f}", "INR"), ("EUR {:.2f}", "EUR"),
    ("{:.2f} \u20ac", "EUR"), ("{:.2f} EUR", "EUR"), ("{:.2f}p", "GBX"), ("\u00a3{:.2f}", "GBP"), ("US${:.2f}", "USD"), ("${:.2f}", "USD"),
])  # fmt: skip
def test_a_currency_beside_each_price_is_what_prices_are_in(tmp_path: Path, form: str, money: str) -> None:
    panel = _load(_written(form), tmp_path / "AAA.csv")
    stated = _load(_one().assign(currency=money), tmp_path / "AAA.csv")
    np.testing.assert_allclose(panel.close * panel.to_account, stated.close * stated.to_account)


def test_a_sign_of_yen_is_that_of_the_symbol_and_two_signs_are_refused(tmp_path: Path) -> None:
    tokyo, plain = _load(_written("\u00a5{:.2f}"), tmp_path / "7203.T.csv"), _load(_one(), tmp_path / "7203.T.csv")
    assert tokyo.fingerprint == plain.fingerprint
    with pytest.raises(DataError, match="JPY or CNY"):
        _load(_written("\u00a5{:.2f}"), tmp_path / "AAA.csv")
    mixed = _written("\u20ac{:.2f}").assign(open=_written("${:.2f}")["open"])
    with pytest.raises(DataError, match="two currencies"):
        _load(mixed, tmp_path / "AAA.csv")


@settings(max_examples=40)
@given(st.lists(st.integers(100_000, 10**12), min_size=1, max_size=20), st.booleans())
def test_numbers_in_lakhs_and_crores_are_read_as_grouped(values: list[int], decimals: bool) -> None:
    cells = pd.Series([_indian(value) + (".50" if decimals else "") for value in values], dtype="string")
    found = to_numbers({"volume": cells}, Ledger("file.csv"))["volume"]
    np.testing.assert_array_equal(found, np.array(values) + (0.5 if decimals else 0.0))


@pytest.mark.parametrize("absent", ["N.A.", "n.a.", "n. a.", "n.v.", "k.A.", "\u2013", "\u2014", "#N/A"])
def test_an_absent_value_is_no_decimal_mark(tmp_path: Path, absent: str) -> None:
    frame = _one().assign(close=lambda f: f["close"].astype(str), note="x")
    frame.loc[20, "close"] = absent
    panel = _load(frame, tmp_path / "AAA.csv")
    kept = np.delete(np.arange(60), 20)
    np.testing.assert_array_equal(panel.close[:, 0], _one()["close"].to_numpy()[kept])
    comma = frame.assign(**{name: frame[name].astype(str).str.replace(".", ",") for name in ("open", "high", "low")})
    comma["close"] = frame["close"].where(frame["close"] == absent, frame["close"].str.replace(".", ","))
    np.testing.assert_array_equal(_load(comma, tmp_path / "AAA.csv", separator=";").close, panel.close)


def test_an_absent_value_shows_no_decimal_point_where_points_may_be_of_thousands(tmp_path: Path) -> None:
    grouped = _one().assign(**dict.fromkeys(_PRICES, "12.345"))
    with pytest.raises(DataError, match=r"12\.345 may be 12345 or 12,345"):
        _load(grouped, tmp_path / "AAA.csv", separator=";")
    grouped.loc[20, "close"] = "N.A."
    with pytest.raises(DataError, match=r"12\.345 may be 12345 or 12,345"):
        _load(grouped, tmp_path / "AAA.csv", separator=";")


def test_no_thousands_mark_stands_behind_a_lone_zero() -> None:
    """0,386 is a decimal and shows what 1,234 beside it is; 1,234 alone stays open."""
    found = to_numbers({"close": pd.Series(["0,386", "-0,386", "1,234"], dtype="str")}, Ledger("a.csv"))
    assert found["close"].tolist() == [0.386, -0.386, 1.234]
    with pytest.raises(DataError, match=r"1,234 may be 1234 or 1\.234"):
        to_numbers({"close": pd.Series(["1,234", "10,386"], dtype="str")}, Ledger("a.csv"))


@pytest.mark.parametrize(("text", "value"), [
    ("1,5 Tsd.", 1.5e3), ("1.234,5 Tsd.", 1_234_500.0), ("12,3 Mio.", 12.3e6), ("1,2 Mrd.", 1.2e9), ("1,53 M", 1.53e6),
])  # fmt: skip
def test_german_words_for_thousands_are_scales(tmp_path: Path, text: str, value: float) -> None:
    frame = _one().assign(volume=text)
    for name in _PRICES:
        frame[name] = [f"{price:.2f}".replace(".", ",") for price in _one()[name]]
    panel = _load(frame, tmp_path / "AAA.csv", separator=";")
    assert panel.volume is not None
    np.testing.assert_array_equal(panel.volume[:, 0], np.full(60, value))


@pytest.mark.parametrize(
    ("text", "value"), [("1.5 lakh", 1.5e5), ("2.5 Cr", 2.5e7), ("3.1万", 3.1e4), ("0.5亿", 0.5e8), ("12.5 mn", 12.5e6)]
)
def test_other_words_behind_a_volume_are_scales(tmp_path: Path, text: str, value: float) -> None:
    panel = _load(_one().assign(volume=text), tmp_path / "AAA.csv")
    assert panel.volume is not None
    np.testing.assert_array_equal(panel.volume[:, 0], np.full(60, value))


@pytest.mark.parametrize("text", ["1.5 foo", "1.5T", "12 %"])
def test_a_word_that_is_no_scale_makes_no_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="not a number"):
        _load(_one().assign(volume=text), tmp_path / "AAA.csv")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(sign=st.sampled_from(["$", "US$", "USD "]), spot=st.sets(st.integers(0, 59), min_size=1))
def test_a_sign_before_some_prices_changes_no_price(tmp_path: Path, sign: str, spot: set[int]) -> None:
    made: dict[str, Any] = {
        name: [f"{sign if row in spot else ''}{value:.2f}" for row, value in enumerate(_one()[name])]
        for name in _PRICES
    }
    np.testing.assert_array_equal(_load(_one().assign(**made), tmp_path / "AAA.csv").close[:, 0], _one()["close"])


@pytest.mark.parametrize(
    "cells", [[1.0, float("inf"), 2.0], [1.0, -float("inf"), 2.0], ["1", "1e999", "2"], ["1", "inf", "2"]]
)
def test_what_has_no_end_is_no_number_in_any_format(cells: list[Any]) -> None:
    with pytest.raises(DataError, match=r"volume in row 2 is .*inf|1e999.*, not a number"):
        to_numbers({"volume": pd.Series(cells)}, Ledger("bars.parquet"))
