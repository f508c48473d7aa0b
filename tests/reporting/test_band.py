from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.reporting.made_up import walk
from wealtharena.reporting.band import _wealth, equity_band


def test_the_band_starts_at_the_equity_and_holds_most_of_an_unremarkable_path() -> None:
    path = walk("agent", seed=1, bars=500)
    band = equity_band(path, rng=np.random.default_rng(0))
    assert band is not None
    assert band.lower.shape == band.upper.shape == path.equity.shape
    assert band.lower[0] == band.upper[0] == path.equity[0]
    inside = (path.equity >= band.lower) & (path.equity <= band.upper)
    assert inside.mean() > 0.9


@pytest.mark.slow
def test_the_end_of_the_band_covers_what_new_draws_of_the_same_market_do() -> None:
    covered = 0
    for seed in range(60):
        band = equity_band(walk("one", seed=seed, bars=400), rng=np.random.default_rng(seed), draws=400)
        other = walk("two", seed=seed, bars=400)
        assert band is not None
        covered += band.lower[-1] <= other.equity[-1] <= band.upper[-1]
    assert covered >= 40  # two independent paths differ by more than one path from its mean: about 83 % of 60


def test_the_same_generator_draws_the_same_band() -> None:
    path = walk("agent", bars=100)
    first, second = (equity_band(path, rng=np.random.default_rng(3)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert np.array_equal(first.upper, second.upper)


def test_a_path_that_draws_a_loss_of_more_than_all_ends_with_that_debt() -> None:
    """Such a bar, drawn again, costs what it cost: the account owes 20 % of what it had, and trades no more."""
    path = walk("agent", seed=2, bars=200)
    broke = path.equity.copy()
    broke[101:] = -0.2 * broke[100]
    band = equity_band(replace(path, equity=broke), rng=np.random.default_rng(0), draws=300, block_bars=1.0)
    assert band is not None
    assert band.lower[-1] < -0.1 * path.equity[0]
    returns = np.array([[0.1, -1.2, 0.5, 0.0], [-1.0, 0.3, 0.0, 0.0], [0.1, 0.1, 0.0, 0.0]])
    assert _wealth(returns) == pytest.approx(
        np.array([[1.1, -0.22, -0.22, -0.22], [0, 0, 0, 0], [1.1, 1.21, 1.21, 1.21]])
    )


def test_a_record_too_short_to_resample_has_no_band() -> None:
    assert equity_band(walk("agent", bars=19), rng=np.random.default_rng(0)) is None
