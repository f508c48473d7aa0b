"""Negative numbers as accounts write them: a number in parentheses, or with a minus behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.reading.test_cases import shares
from tests.data.specs import compose, with_data
from wealtharena.data import load
from wealtharena.data.reading.numbers import to_numbers
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.signs import with_minus
from wealtharena.errors import DataError

FORMS = ("({})", "( {} )", "{}-", "(${})", "$({})", "€ ({})", "({} €)", "({} EUR)", "EUR ({})", "(A${})", "\uff08{}\uff09")  # fmt: skip
CENTS = st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=20)


def _spelled(value: int, form: str, *, comma: bool) -> str:
    text = f"{abs(value) / 100:,.2f}"
    text = text.translate(str.maketrans(",.", ".,")) if comma else text
    return form.format(text) if value < 0 else text


@pytest.mark.slow
@given(CENTS, st.sampled_from(FORMS), st.booleans())
def test_a_number_in_parentheses_is_its_negative_in_every_spelling(values: list[int], form: str, comma: bool) -> None:
    cells = pd.Series([*(_spelled(value, form, comma=comma) for value in values), "0,25" if comma else "0.25"])
    ledger = Ledger("file.csv", facts={"separator": "tab"})
    found = to_numbers({"close": cells.astype("string")}, ledger)["close"]
    np.testing.assert_allclose(found, np.array([*values, 25]) / 100)
    said = [note for note in ledger.notes if "taken as negative" in note]
    assert len(said) == any(value < 0 for value in values)


@pytest.mark.slow
@given(st.text(alphabet="()-+$%.,1 5aE", max_size=8))
def test_what_is_no_number_in_one_pair_of_parentheses_stays_as_it_is(cell: str) -> None:
    found = str(with_minus(pd.Series([cell], dtype="string")).iloc[0])
    if found == cell:
        return
    assert found[0] == "-"
    assert not set("()-+") & set(found[1:])
    inner = cell.removesuffix("-") if cell.endswith("-") else cell
    assert sorted(found[1:].replace(" ", "")) == sorted(inner.replace("(", "").replace(")", "").replace(" ", ""))


@pytest.mark.parametrize("cell", ["(1", "1)", "(-1)", "-(1)", "((1))", "(1)(2)", "(1)2", "1(2)", "()", "(a)", "(n/a)", "1--", "-1-", "(1e-5)"])  # fmt: skip
def test_what_parentheses_leave_open_is_no_number(cell: str) -> None:
    with pytest.raises(DataError, match="not a number"):
        to_numbers({"close": pd.Series(["1.5", cell], dtype="string")}, Ledger("file.csv"))


def test_parentheses_beside_minus_signs_are_asked_about() -> None:
    cells = pd.Series(["1.5", "(0.5)", "-0.25"], dtype="string")
    with pytest.raises(DataError, match=r"close holds -0.25 and \(0.5\), which may both be negative or not"):
        to_numbers({"close": cells}, Ledger("file.csv"))


def test_a_negative_price_in_parentheses_is_what_one_with_a_minus_is(tmp_path: Path) -> None:
    bars, panels = shares("AAA", bars=60).drop(columns="symbol").round(2).astype({"close": "string"}), []
    for cell in ("(37.63)", "-37.63"):
        bars.loc[30, "close"] = cell
        bars.to_csv(tmp_path / "AAA.csv", index=False)
        spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "AAA.csv"))
        panels.append(load(spec.asset, spec.data, seed=0))
    assert panels[0].fingerprint == panels[1].fingerprint
    assert any("taken as negative" in note for note in panels[0].notes)
