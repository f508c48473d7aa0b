"""The Sharpe ratio over the last bars of a path."""

import dataclasses

import numpy as np
import pytest

from tests.reporting.made_up import walk
from wealtharena.reporting.charts import paths


def test_the_rolling_sharpe_ratio_is_that_of_each_window() -> None:
    path = walk("agent", seed=8, bars=300)
    found = paths.rolling(path, 60, 0.0001)
    assert np.isnan(found[:59]).all()
    for end in (60, 150, 300):
        window = path.returns[end - 60 : end] - 0.0001
        assert found[end - 1] == pytest.approx(window.mean() / window.std(ddof=1) * 365**0.5, rel=1e-9)


def test_a_stretch_without_a_move_has_no_rolling_sharpe_ratio() -> None:
    """Sums that run on leave rounding there: a hurdle above 0 made it -812,952."""
    path = walk("agent", bars=900)
    equity = np.where(np.arange(len(path.equity)) > 400, path.equity[400], path.equity)
    found = paths.rolling(dataclasses.replace(path, equity=equity), 182, 0.04 / 365)
    assert np.isnan(found[400 + 182 :]).all()
    assert np.isfinite(found[181:400]).all()
    assert np.nanmin(found) > -1000.0


def test_the_rolling_sharpe_ratio_of_months_is_of_two_years_and_not_of_six_returns() -> None:
    path = walk("agent", seed=8, bars=120)
    windows = {n: paths.rolling_bars(dataclasses.replace(path, bars_per_year=n)) for n in (12.0, 52.0, 75.0, 365.0)}
    assert windows == {12.0: 24, 52.0: 26, 75.0: 38, 365.0: 40}
