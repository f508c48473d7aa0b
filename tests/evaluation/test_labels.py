"""Series of a notebook are numbers, and two that are taken place by place are of the same bars, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wealtharena.errors import ConfigError
from wealtharena.evaluation import metrics, shape
from wealtharena.evaluation.bootstrap import paired_bootstrap

DAYS = pd.date_range("2024-01-01", periods=60)
OWN = pd.Series(np.random.default_rng(1).normal(0.001, 0.01, 60), DAYS)
OTHER = pd.Series(np.random.default_rng(2).normal(0.0, 0.01, 60), DAYS)


def paired(first: Any, second: Any) -> Any:
    return paired_bootstrap(first, second, rng=np.random.default_rng(0), bars_per_year=252.0, draws=50)


def relative(first: Any, second: Any) -> Any:
    return shape.relative(first, second, bars_per_year=252.0)


def sharpe(first: Any, second: Any) -> Any:
    return metrics.sharpe(first, bars_per_year=252.0, risk_free=second)


@pytest.mark.parametrize("compare", [paired, relative, sharpe])
def test_series_of_other_bars_or_in_another_order_are_no_pair(compare: Callable[[Any, Any], Any]) -> None:
    """One by the days of another venue, or newest first, was compared day by day with whatever stood there."""
    for other in (OTHER[::-1], OTHER.shift(1, freq="D")):
        with pytest.raises(
            ValueError, match=r"place by place, and have other labels at place 0: 2024-01-01 .* and 2024-"
        ):
            compare(OWN, other)
    found = compare(OWN, OTHER)
    for first, second in ((OWN.to_numpy(), OTHER), (OWN, OTHER.reset_index(drop=True)), (OWN.tolist(), OTHER.tolist())):
        assert compare(first, second) == found


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (OWN.to_numpy() * 1j, "complex numbers"),
        (OWN > 0.0, "True and False"),
        (DAYS, "are times"),
        (np.ma.masked_less(OWN.to_numpy(), 0.0), r"masked in part: pass \.filled\(np\.nan\)"),
    ],
)
def test_what_a_cast_would_make_returns_of_is_none(given: Any, told: str) -> None:
    """Complex numbers lost a part, times had no Sharpe ratio, and what a mask hides counted."""
    for ask in (metrics.sharpe, metrics.max_drawdown, metrics.psr, lambda one: paired(OWN.to_numpy(), one)):
        with pytest.raises(ValueError, match=told):
            ask(given)


def test_who_passes_a_path_or_a_seed_is_told_what_to_pass() -> None:
    path = type("Trajectory", (), {"returns": property(lambda self: OWN)})()
    with pytest.raises(ValueError, match=r"a Trajectory is no series of returns: pass its \.returns"):
        metrics.sharpe(path)
    seed: Any = 0
    with pytest.raises(ConfigError, match=r"rng is a int; pass np\.random\.default_rng\(0\)"):
        paired_bootstrap(OWN, OTHER, rng=seed, bars_per_year=252.0)
