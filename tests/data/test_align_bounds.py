"""Where the rules of alignment begin: runs of equal length, half of the symbols, prices below zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.data.align import align
from wealtharena.data.bars import Bars
from wealtharena.data.panel import Panel

CRYPTO = compose(["asset=crypto", "data=files"])


def _panel(spec: object, *bars: Bars) -> Panel:
    return align(bars, spec.asset, spec.data, source="test", simulated=False)


@pytest.mark.parametrize(("early", "late", "kept"), [(5, 5, 10), (4, 5, 5), (30, 100, 130), (29, 100, 100)])
def test_of_runs_beyond_a_hole_the_longest_stays_and_none_of_the_limit_is_stray(
    make_bars: Callable[..., Bars], early: int, late: int, kept: int
) -> None:
    assert CRYPTO.data.quality.max_gap_bars == 30
    days = pd.date_range("2023-01-01", periods=300, freq="D")
    own = days[[*range(early), *range(300 - late, 300)]]
    panel = _panel(CRYPTO, make_bars("BTC-USD", days, np.linspace(1, 2, 300)), make_bars("B", own, np.ones(len(own))))
    assert np.isfinite(panel.close[:, 1]).sum() == kept


@pytest.mark.parametrize(("traded", "kept"), [(2, True), (1, False)])
def test_a_date_off_the_calendar_stays_where_half_of_the_symbols_traded(
    make_bars: Callable[..., Bars], traded: int, kept: bool
) -> None:
    spec = compose(["asset=etf", "data=files"])
    days = pd.bdate_range("2024-01-22", "2024-02-09")
    more = days.union(pd.DatetimeIndex(["2024-01-28"]))
    made = [more if at < traded else days for at in range(4)]
    panel = _panel(spec, *(make_bars("ABCD"[at], own, np.arange(1.0, len(own) + 1)) for at, own in enumerate(made)))
    assert (panel.bars == len(more)) is kept


def test_a_volume_beside_money_is_worth_the_size_of_its_price(make_bars: Callable[..., Bars]) -> None:
    """Of a future below zero contracts were traded for money, too, and no fewer than none."""
    spec = compose(["asset=commodities", "data=files"])
    days = pd.date_range("2024-01-01", periods=5, freq="D")
    oil = make_bars("CL=F", days, np.full(5, -2.0), unit="units")
    panel = _panel(spec, oil, make_bars("SI=F", days, np.ones(5)))
    assert panel.volume is not None
    np.testing.assert_array_equal(panel.volume[0], [1000 * 2.0 * 1000, 1000.0])
