"""What the charts of positions and costs state."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from tests.reporting.made_up import walk
from wealtharena.reporting import tables
from wealtharena.reporting.charts import book
from wealtharena.reporting.svg import Size


def test_financing_of_rounding_is_none() -> None:
    """Of an account without a loan it stood as 5e-19 %."""
    path = walk("agent", bars=60)
    for charge, told in ((1e-16, "0.00"), (0.1, "0.01")):
        drawn = book.costs(Size(530, 236), dataclasses.replace(path, financing=np.full(60, charge)))
        assert f"<title>Financing {told}\u00a0%</title>" in drawn


@pytest.mark.parametrize("bars", [3, 420])
def test_mean_weights_are_of_the_bars_that_exposure_is_of(bars: int) -> None:
    """They counted the first close, at which nothing is held yet, and were means of columns of unequal numbers of bars."""
    path = walk("agent", bars=bars, symbols=("AAA", "BBB"))
    held = path.weights.copy()
    held[0] = 0.0
    path = dataclasses.replace(path, weights=held)
    means = held[1:].mean(axis=0)
    for size, digits in ((Size(860, 290, left=52, right=150), 1), (Size(348, 290, left=42, right=108), 0)):
        told = re.findall(r"(AAA|BBB|cash)(?:<[^>]*>|\s)*([\d.]+) %", book.weights(size, path).replace("\u00a0", " "))
        mine = {"AAA": means[0], "BBB": means[1], "cash": 1 - means.sum()}
        assert {name: float(share) for name, share in told} == {n: round(100 * m, digits) for n, m in mine.items()}


def test_a_session_is_of_the_month_of_its_own_date() -> None:
    """Sydney opens at 23:00 UTC in summer: the first hour of February, and its gap, stood in January."""
    days = pd.bdate_range("2023-01-23", "2023-02-10")
    local = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(10, 16)])
    stamps = local.tz_localize("Australia/Sydney").tz_convert("UTC").tz_localize(None).to_numpy()
    equity = np.where(local < "2023-02-01", 100.0, 110.0)  # all is earned as February opens
    path = dataclasses.replace(walk("agent", bars=len(stamps) - 1), timestamps=stamps, equity=equity)
    months, values = tables.month_returns(path)
    assert dict(zip(months.tolist(), values.tolist(), strict=True)) == pytest.approx({636: 0.0, 637: 0.1})
    traded = np.where(local[1:] == "2023-02-01 10:00", equity[:-1], 0.0)
    drawn = book.turnover(Size(530, 236), dataclasses.replace(path, traded_value=traded))
    assert "<title>2023-02-01: 1.00×</title>" in drawn
