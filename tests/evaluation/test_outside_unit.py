"""Shares or per cents: asked where a record may be either, and said wherever it was decided."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError
from wealtharena.evaluation import outside
from wealtharena.evaluation.percent import Sizes

DAYS = pd.bdate_range("2018-01-01", periods=1500)


def written(folder: Path, values: np.ndarray, *, name: str = "return", above: str = "") -> Path:
    table = pd.DataFrame({"date": DAYS[: len(values)], name: values})
    (folder / "my.csv").write_text(above + table.to_csv(index=False))
    return folder / "my.csv"


def drawn(mean: float, volatility: float, *, years: float, seed: int = 1) -> np.ndarray:
    """Return daily returns of exactly that mean and volatility a year."""
    found = np.random.default_rng(seed).normal(size=round(261 * years))
    return mean / 261 + volatility / 261**0.5 * (found - found.mean()) / found.std()


@pytest.mark.parametrize("years", [0.24, 1.5, 5.0])
@pytest.mark.parametrize(("mean", "volatility"), [
    (2.5, 0.32), (4.0, 0.3), (1.5, 0.1), (-0.6, 0.05), (0.8, 0.0), (-3.0, 0.5),
])  # fmt: skip
def test_a_calm_fund_in_per_cents_is_asked_about_however_short(
    tmp_path: Path, mean: float, volatility: float, years: float
) -> None:
    """Bonds, bills and cash, 1.5 to 4 % a year or a negative rate: their mean is too sure for shares."""
    with pytest.raises(DataError, match=r"may be per cents or shares.*returns_unit=percent"):
        outside.read(written(tmp_path, drawn(mean, volatility, years=years)))


@pytest.mark.parametrize("years", [0.24, 1.0, 5.0])
@pytest.mark.parametrize(("mean", "volatility"), [
    (0.08, 0.16), (-0.3, 0.3), (0.6, 0.6), (0.04, 0.002), (0.15, 0.04), (1.6, 0.7), (0.0, 0.3),
])  # fmt: skip
def test_shares_of_stocks_hedges_coins_and_cash_are_read_and_their_unit_is_said(
    tmp_path: Path, mean: float, volatility: float, years: float
) -> None:
    values, ledger = drawn(mean, volatility, years=years), Ledger("my.csv")
    assert outside.read(written(tmp_path, values), ledger=ledger).returns == pytest.approx(values)
    (note,) = ledger.close().notes
    assert "returns are taken as shares" in note
    said = float(re.search(r"they vary by ([0-9.]+)% a year", note)[1]) / 100
    assert said == pytest.approx(volatility, rel=0.02, abs=1e-3)
    assert "returns_unit=percent" in note


def test_returns_that_are_all_whole_per_cents_as_shares_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="may be per cents or shares"):
        outside.read(written(tmp_path, drawn(0.0, 0.3, years=2).round(2)))
    assert outside.read(written(tmp_path, drawn(0.0, 0.3, years=2).round(3))).equity[0] == 100.0


@pytest.mark.parametrize(("size", "count", "coarse"), [(0.02, 20, True), (0.02, 18, False), (0.08, 20, False)])
def test_whole_per_cents_are_a_sign_where_they_are_many_and_coarse_beside_the_moves(size, count, coarse) -> None:
    """A year of monthly returns is often written so, and so is that of a coin which moves by eight at a time."""
    values = np.tile([size, -size, 0.0], count // 2)
    assert Sizes.of(values, years=10.0).coarse is coarse
    assert not Sizes.of(values + 0.001, years=10.0).coarse


def test_what_returns_would_be_as_per_cents_is_a_hundredth_of_what_they_are_as_shares() -> None:
    found = Sizes(volatility=16.0, mean=-8.0, years=1.0, coarse=False)
    assert found.told("percent") == "vary by 16.00% a year around a mean of -8.00%"
    assert found.told("share") == "vary by 1600.0% a year around a mean of -800.0%"


def test_a_title_that_speaks_of_per_cents_is_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path, drawn(0.08, 0.16, years=1), above="Daily returns in %\n")
    with pytest.raises(DataError, match="a line above the header speaks of per cents"):
        outside.read(path)
    assert outside.read(path, "percent").returns == pytest.approx(drawn(0.08, 0.16, years=1) / 100)


@pytest.mark.parametrize(("name", "cell", "told"), [
    ("Return (%)", "{:.4f}", "the name of Return (%) bears a %"), ("return", "{:.4f} %", "its cells bear a %"),
])  # fmt: skip
def test_a_per_cent_sign_is_said_to_have_decided(tmp_path: Path, name: str, cell: str, told: str) -> None:
    values, ledger = drawn(0.08, 0.16, years=1), Ledger("my.csv")
    path = written(tmp_path, np.array([cell.format(100 * one) for one in values]), name=name)
    assert outside.read(path, ledger=ledger).returns == pytest.approx(values, abs=1e-6)
    assert told in ledger.close().notes[0]


@pytest.mark.parametrize("name", ["return_pct", "daily_return_pct", "Pct Return", "ret_perc", "returns_percentage"])
def test_a_name_that_says_pct_is_believed_where_its_numbers_agree(tmp_path: Path, name: str) -> None:
    """It was no name of returns at all; but a program may call shares so."""
    values, ledger = drawn(0.08, 0.16, years=1), Ledger("my.csv")
    assert outside.read(written(tmp_path, 100 * values, name=name), ledger=ledger).returns == pytest.approx(values)
    assert f"returns are taken as per cents, as {name} says" in ledger.close().notes[0]
    with pytest.raises(DataError, match=rf"{name} speaks of per cents: as shares they vary by 16\.0%"):
        outside.read(written(tmp_path, values, name=name))
    assert outside.read(written(tmp_path, values, name=name), "share").returns == pytest.approx(values)


@pytest.mark.parametrize("name", ["Return_%", "return_percent"])
def test_a_per_cent_sign_may_stand_behind_an_underscore(tmp_path: Path, name: str) -> None:
    values = drawn(0.08, 0.16, years=1)
    assert outside.read(written(tmp_path, 100 * values, name=name)).returns == pytest.approx(values)


def test_a_change_that_pandas_gives_in_shares_is_no_name_of_returns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="figures called pct_change, which may be"):
        outside.read(written(tmp_path, drawn(0.08, 0.16, years=1), name="pct_change"))


def test_a_row_of_units_below_the_header_counts(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("Datum;Return\n;%\n03.01.2022;1,5\n04.01.2022;-0,386\n17.01.2022;0,5\n")
    assert outside.read(tmp_path / "my.csv").returns == pytest.approx([0.015, -0.00386, 0.005])


@pytest.mark.parametrize("unit", ["share", "percent"])
def test_a_unit_that_is_told_is_not_said_again(tmp_path: Path, unit: str) -> None:
    ledger = Ledger("my.csv")
    outside.read(written(tmp_path, drawn(2.5, 0.32, years=1)), unit, ledger)
    assert ledger.close().notes == ()


@pytest.mark.parametrize("form", ["({}%)", "({} %)", "({})%", "({}) %"])
def test_losses_in_parentheses_are_losses_and_bear_their_per_cent_sign(tmp_path: Path, form: str) -> None:
    """A fund's sheet writes (1.25%); it was refused as no number."""
    values, ledger = drawn(0.08, 0.16, years=1), Ledger("my.csv")
    cells = [form.format(f"{-100 * one:.4f}") if one < 0 else f"{100 * one:.4f}%" for one in values]
    path = written(tmp_path, np.array(cells))
    assert outside.read(path, ledger=ledger).returns == pytest.approx(values, abs=1e-6)
    assert "cells of return are taken as negative, as accounts write it: (" in ledger.close().notes[0]
    assert "its cells bear a %" in ledger.close().notes[1]


@pytest.mark.parametrize("minus", ["-   ", "- ", "-\u00a0", "\u2013", "\u2212", "\u2013 "])
def test_a_minus_of_spreadsheets_and_typesetters_is_one(tmp_path: Path, minus: str) -> None:
    """European spreadsheets write -   1.25 in the format of accounts, and websites a dash."""
    values = drawn(0.08, 0.16, years=1)
    cells = [f"{100 * one:.4f}%".replace("-", minus) for one in values]
    assert outside.read(written(tmp_path, np.array(cells))).returns == pytest.approx(values, abs=1e-6)
