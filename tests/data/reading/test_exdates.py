"""Dividends whose dates, or whose bars, do not show the fall of the ex-date where it is looked for first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.reading.adjustment import adjustments
from wealtharena.errors import DataError

CASH, EVERY = 3.0, 63


def _days(*, falls: bool, moved: int = 0) -> pd.DataFrame:
    """Return 1,260 daily bars with a dividend every 63, dated `moved` bars from the ex-date; prices fall or contain it."""
    rng = np.random.default_rng(4)
    bars = 1260
    ex = np.arange(40, bars - 5, EVERY)
    moves = rng.normal(0, 0.005, bars)
    gaps = rng.normal(0, 0.002, bars)
    if falls:
        gaps[ex] -= CASH / 100
        moves += CASH / 100 / EVERY
    close = 100 * np.exp(np.cumsum(moves + gaps))
    paid = np.zeros(bars)
    paid[ex + moved] = CASH
    stamps = pd.bdate_range("2019-01-07", periods=bars, tz="UTC")
    return pd.DataFrame(
        {"timestamp": stamps, "open": np.r_[100.0, close[:-1]] * np.exp(gaps), "close": close, "dividend": paid}
    )


def _longer(table: pd.DataFrame, rule: str) -> pd.DataFrame:
    how = {"open": "first", "close": "last", "dividend": "sum"}
    return table.resample(rule, on="timestamp").agg(how).reset_index()


def _answer(table: pd.DataFrame) -> str:
    return adjustments({"AAA": table}, setting="auto", known={})["AAA"].value


@pytest.mark.parametrize("rule", ["W-MON", "MS"])
def test_the_ex_date_of_a_week_or_month_lies_behind_its_open(rule: str) -> None:
    """A fall inside the bar is none at its open, which said that prices contain the dividends."""
    assert _answer(_days(falls=True)) == "splits"
    if rule == "W-MON":
        assert _answer(_longer(_days(falls=True), rule)) == "splits"
        assert _answer(_longer(_days(falls=False), rule)) == "all"
        return
    with pytest.raises(DataError, match="do not show whether they contain them"):  # a month's move hides a dividend
        _answer(_longer(_days(falls=True), rule))


@pytest.mark.parametrize(("moved", "words"), [(-1, "after those of its 20 dividends, which are dated a bar early"),
                                              (1, "before those of its 20 dividends, which are dated a bar late")])  # fmt: skip
def test_dividends_that_are_dated_beside_the_ex_date_are_refused(moved: int, words: str) -> None:
    table = _days(falls=True, moved=moved)
    with pytest.raises(DataError, match=words) as caught:
        _answer(table)
    assert "data.adjusted=splits" in caught.value.hint
    assert adjustments({"AAA": table}, setting="splits", known={})["AAA"].value == "splits"
    assert _answer(_days(falls=False, moved=moved)) == "all"
