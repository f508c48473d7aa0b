"""What the charts of positions and costs state."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from tests.reporting.made_up import walk
from wealtharena.reporting.charts import book
from wealtharena.reporting.svg import Size


def test_financing_of_rounding_is_none() -> None:
    """Of an account without a loan it stood as 5e-19 %."""
    path = walk("agent", bars=60)
    for charge, told in ((1e-16, "0.00"), (0.1, "0.01")):
        drawn = book.costs(Size(530, 236), dataclasses.replace(path, financing=np.full(60, charge)))
        assert f"<title>Financing {told} %</title>" in drawn


@pytest.mark.parametrize("bars", [3, 420])
def test_mean_weights_are_of_the_bars_that_exposure_is_of(bars: int) -> None:
    """They counted the first close, at which nothing is held yet, and were means of columns of unequal numbers of bars."""
    path = walk("agent", bars=bars, symbols=("AAA", "BBB"))
    held = path.weights.copy()
    held[0] = 0.0
    path = dataclasses.replace(path, weights=held)
    means = held[1:].mean(axis=0)
    for size, digits in ((Size(860, 290, left=52, right=150), 1), (Size(348, 290, left=42, right=108), 0)):
        told = re.findall(r"(AAA|BBB|cash)(?:<[^>]*>|\s)*([\d.]+) %", book.weights(size, path).replace("\u202f", " "))
        mine = {"AAA": means[0], "BBB": means[1], "cash": 1 - means.sum()}
        assert {name: float(share) for name, share in told} == {n: round(100 * m, digits) for n, m in mine.items()}
