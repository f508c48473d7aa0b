"""Dividends and splits in words: rows of their own between the bars, and ratios in a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load as load_text
from wealtharena.data import Panel, load_panel
from wealtharena.errors import DataError

PRICES = ["open", "high", "low", "close"]


def _one() -> pd.DataFrame:
    return shares(bars=60).drop(columns="symbol").round(2)


def _page(frame: pd.DataFrame, events: dict[int, list[str]], *, separator: str = "\t", padded: int = 0) -> str:
    """Return a table as Yahoo's page shows it: the newest row first, an event above or below the bar of its date."""
    lines = ["Date Open High Low Close Volume".replace(" ", separator)]
    for place, row in reversed(list(enumerate(frame.itertuples(index=False)))):
        date = f"{pd.Timestamp(row.date):%b %d, %Y}"
        date = f'"{date}"' if separator == "," else date
        lines.append(separator.join([date, *map(str, row[1:])]))
        lines += [separator.join([date, event]) + separator * padded for event in events.get(place, [])]
    return "\n".join(lines) + "\n"


def _load(content: str | pd.DataFrame, tmp_path: Path) -> Panel:
    return load_text(content, tmp_path / "AAA.csv")


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize("padded", [0, 4])
def test_dividends_in_rows_of_their_own_are_paid_on_their_dates(tmp_path: Path, separator: str, padded: int) -> None:
    frame = _one()
    frame.loc[30:, PRICES] -= 2.5
    frame.loc[45:, PRICES] -= 2.0
    events = {30: ["2.50 Dividend"], 45: ["1.5 Dividend", "0.5 Dividend"]}
    panel = _load(_page(frame.round(2), events, separator=separator, padded=padded), tmp_path)
    assert panel.dividends[[30, 45], 0].tolist() == [2.5, 2.0]
    assert panel.dividends.sum() == 4.5
    np.testing.assert_allclose(panel.close[:, 0], frame["close"])
    assert any("rows of their own hold 3 dividends, which are put" in note for note in panel.notes)
    assert not any("left out" in note for note in panel.notes)


@pytest.mark.slow
@pytest.mark.parametrize("words", ["4:1 Stock Splits", "4:1 Stock Split", "4/1 split", "4-for-1 stock split"])
def test_splits_in_rows_of_their_own_are_applied_where_prices_show_them(tmp_path: Path, words: str) -> None:
    frame = _one()
    raw = frame.copy()
    raw.loc[:29, PRICES] = (raw.loc[:29, PRICES] * 4).round(2)
    for table in (raw, frame):
        panel = _load(_page(table, {30: [words]}), tmp_path)
        np.testing.assert_allclose(panel.close[:, 0], frame["close"], rtol=1e-9)


def test_a_dividend_of_a_date_without_a_bar_is_paid_on_the_next(tmp_path: Path) -> None:
    frame = _one()
    text = _page(frame.drop(index=30), {}) + f"{pd.Timestamp(frame['date'][30]):%b %d, %Y}\t0.25 Dividend\n"
    assert _load(text, tmp_path).dividends[30, 0] == 0.25


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["2:1", "2/1", "2-for-1", "2 for 1", "2.0:1.0", "2 : 1"])
@pytest.mark.parametrize("other", ["", "0", "1:1"])
def test_a_split_may_be_written_as_a_ratio(tmp_path: Path, cell: str, other: str) -> None:
    frame = _one()
    raw = frame.copy()
    raw.loc[:29, PRICES] *= 2
    for table in (raw, frame):
        panel = _load(table.assign(split=np.where(frame.index == 30, cell, other)), tmp_path)
        np.testing.assert_allclose(panel.close[:, 0], frame["close"], rtol=1e-9)


def test_a_ratio_beside_decimal_commas_and_one_for_old_shares_is_read(tmp_path: Path) -> None:
    frame = _one()
    raw = frame.copy()
    raw.loc[:29, PRICES] = (raw.loc[:29, PRICES] / 3).round(2)
    table = raw.assign(split=np.where(frame.index == 30, "1:3", ""))
    table[PRICES] = table[PRICES].map(lambda value: f"{value:.2f}".replace(".", ","))
    panel = _load(table.to_csv(index=False, sep=";"), tmp_path)
    np.testing.assert_allclose(panel.close[:, 0], frame["close"], rtol=1e-3)


def test_ratios_that_may_be_otherwise_are_refused(tmp_path: Path) -> None:
    frame = _one()
    with pytest.raises(DataError, match="1:1 may be a bonus"):
        _load(frame.assign(split=np.where(frame.index == 30, "1:1", "")), tmp_path)
    raw = frame.copy()
    raw.loc[:29, PRICES] *= 2
    with pytest.raises(DataError, match="the other way round") as refused:
        _load(raw.assign(split=np.where(frame.index == 30, "1:2", "")), tmp_path)
    assert "new shares for old" in refused.value.hint
    with pytest.raises(DataError, match="not a number"):
        _load(frame.assign(split=np.where(frame.index == 30, "2:1", "soon")), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("symbol", "paid", "said"), [("SHEL.L", 0.012, True), ("SHEL.L", 1.2, False), ("AAA", 0.012, False)]
)
def test_dividends_in_pounds_beside_prices_in_pence_are_said(symbol: str, paid: float, said: bool) -> None:
    frame = shares(symbol)
    panel = load_panel(frame.assign(dividend=np.where(frame.index.isin([60, 125, 190]), paid, 0.0)), asset="stocks")
    assert any("as one in GBP beside prices in hundredths is" in note for note in panel.notes) == said
