from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from tests.data.specs import compose
from wealtharena import features
from wealtharena.data import Panel, load
from wealtharena.features import cross_section

SPEC = compose(["asset=crypto", "data=simulated", "data.simulator.bars=420", "features=compact"])


@pytest.fixture(scope="module")
def panel() -> Panel:
    return load(SPEC.asset, SPEC.data, seed=0)


def test_a_rank_is_the_place_among_the_values_of_its_row() -> None:
    values = np.random.default_rng(0).integers(0, 5, (50, 6)).astype(float)
    expected = (rankdata(values, axis=1) - 1) / 5 - 0.5
    np.testing.assert_allclose(cross_section.ranks(values), expected)
    some = np.array([[np.nan, 3.0, 1.0], [np.nan, 2.0, np.nan], [np.nan] * 3])
    np.testing.assert_array_equal(cross_section.ranks(some), [[np.nan, 0.5, -0.5], [np.nan, 0.0, np.nan], [np.nan] * 3])


@pytest.mark.slow
def test_compact_is_eight_numbers_a_symbol_and_wide_holds_it_and_the_default(panel: Panel) -> None:
    made = features.compute(panel, SPEC.features)
    assert made.names == SPEC.features.names
    assert len(made.names) <= 8
    assert made.warmup_bars == 252
    assert np.isfinite(made.values).all()
    wide = compose(["features=wide"]).features.names
    assert {*made.names, *compose(["features=default"]).features.names} < {*wide}
    assert features.compute(panel, compose(["asset=crypto", "features=wide"]).features).names == wide


def test_returns_by_volatility_have_one_scale_in_quiet_and_in_wild_markets(panel: Panel) -> None:
    quiet = replace(panel, close=np.exp(0.1 * np.log(panel.close)))
    spec = SPEC.features.model_copy(update={"names": ("scaled_return_1", "scaled_return_21", "close_z_63")})
    ours, theirs = features.compute(panel, spec), features.compute(quiet, spec)
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-3, atol=1e-4)
    assert 0.7 < ours.values[:, :, 0].std() < 1.3


def test_no_row_of_compact_knows_the_future_and_recent_bars_give_the_same_last_row(panel: Panel) -> None:
    made = features.compute(panel, SPEC.features)
    early = features.compute(panel.slice(0, 350), SPEC.features)
    np.testing.assert_array_equal(early.values, made.values[: 350 - 252])
    history = features.min_history_bars(SPEC.features.names)
    assert history == 253
    recent = features.compute(panel.slice(panel.bars - history, panel.bars), SPEC.features)
    np.testing.assert_allclose(recent.values[-1], made.values[-1], atol=1e-6)


def test_a_symbol_alone_has_no_rank(panel: Panel) -> None:
    spec = compose(["asset=crypto", "data=simulated", "data.simulator.bars=420", "data.symbols=[BTC-USD]"])
    alone = load(spec.asset, spec.data, seed=0)
    assert features.names_available(alone, SPEC.features) == tuple(
        name for name in SPEC.features.names if name != "rank_63"
    )
