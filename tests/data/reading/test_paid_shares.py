"""Dividends are those of the shares that the prices beside them count, whoever knew of the splits between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load, _refused, _said

pytestmark = pytest.mark.slow  # each test loads a file

_EX, _SPLIT, _RATIO = (20, 43, 66, 89, 112, 135, 158, 181), 100, 4.0
_PRICES = ["open", "high", "low", "close"]


def _paying(*, traded: bool, of_then: bool) -> pd.DataFrame:
    """Return a share that pays a hundredth eight times and splits 4:1: prices as traded or with the split, dividends too."""
    frame = shares("AAA", bars=200).drop(columns="symbol")
    rows = np.arange(len(frame))
    falls = np.cumprod(np.where(np.isin(rows, _EX), 0.99, 1.0))
    frame[_PRICES] = frame[_PRICES].mul(falls, axis=0)
    paid = np.where(np.isin(rows, _EX), 0.01 * frame["close"].shift(fill_value=100.0), 0.0)
    adjusted = frame["close"] / falls
    before = np.where(rows < _SPLIT, _RATIO, 1.0)
    if traded:
        frame[_PRICES] = frame[_PRICES].mul(before, axis=0)
        frame["volume"] = frame["volume"] / before
    return frame.assign(
        dividend=paid * (before if of_then else 1.0), split=np.where(rows == _SPLIT, _RATIO, 0.0), adjclose=adjusted
    )


_HONEST = _paying(traded=False, of_then=False)


def test_a_split_beside_recorded_dividends_is_the_step_between_its_two_bars(tmp_path: Path) -> None:
    panel = _load(_paying(traded=True, of_then=True).drop(columns="split"), tmp_path / "AAA.csv")
    assert _said(panel, "AAA 4:1 on ")
    np.testing.assert_allclose(panel.close[:, 0], _HONEST["close"], rtol=1e-9)
    np.testing.assert_allclose(panel.dividends[:, 0], _HONEST["dividend"], rtol=1e-9)


@pytest.mark.parametrize("late", [None, -1, 0, 1])
def test_dividends_of_shares_before_a_split_are_divided_with_their_prices(tmp_path: Path, late: int | None) -> None:
    frame = _paying(traded=True, of_then=True).drop(columns="adjclose")
    frame["split"] = 0.0 if late is None else np.roll(frame["split"], late)
    panel = _load(frame, tmp_path / "AAA.csv")
    np.testing.assert_allclose(panel.close[:, 0], _HONEST["close"], rtol=1e-9)
    np.testing.assert_allclose(panel.dividends[:, 0], _HONEST["dividend"], rtol=1e-9)


@pytest.mark.parametrize("traded", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_dividends_of_other_shares_than_prices_count_are_refused(tmp_path: Path, traded: bool, beside: bool) -> None:
    frame = _paying(traded=traded, of_then=not traded)
    words = "adjclose shows a payout of" if beside else "its dividends before them are those of the shares"
    _refused(frame if beside else frame.drop(columns="adjclose"), tmp_path / "AAA.csv", words)


def test_a_lone_dividend_that_an_adjusted_close_contradicts_is_said(tmp_path: Path) -> None:
    frame = _HONEST.copy()
    frame.loc[_EX[0], "dividend"] *= 2
    panel = _load(frame, tmp_path / "AAA.csv")
    assert _said(panel, "adjclose shows a payout of 0.9")
    assert panel.dividends[_EX[0], 0] == pytest.approx(frame["dividend"][_EX[0]])
    assert not _said(_load(_HONEST, tmp_path / "BBB.csv"), "shows a payout")
