"""Tilts on their own and through the kernel; what a network makes of them stands in tests/agents/test_tilt.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.envs.markets import panel_of, spec_of
from wealtharena.envs.actions import Tilt
from wealtharena.envs.market import Market
from wealtharena.envs.observation import ANCHOR_COLUMNS, ObservationLayout
from wealtharena.envs.portfolio_env import PortfolioEnv
from wealtharena.features.panel import FeaturePanel, Scaler

Float32 = npt.NDArray[np.float32]


def tilt_of(assets: int, **changes: Any) -> Tilt:
    """Return the kind over A symbols that go the whole way, unless said otherwise."""
    spec = spec_of(action="tilt", **{"trade_rate": 1.0, "no_trade_band": 0.0, **changes})
    layout = ObservationLayout(tuple(f"S{i}" for i in range(assets)), ANCHOR_COLUMNS, 1, spec.tilt)
    return Tilt(assets, spec.limits, layout)


def seen_of(tilt: Tilt, *, anchor: Any, sigma: Any, held: Any) -> Float32:
    assert tilt.layout is not None
    seen = np.zeros((1, tilt.layout.size), np.float32)
    for place, values in ((tilt.layout.anchor, anchor), (tilt.layout.sigma, sigma), (tilt.layout.weights, held)):
        seen[:, place] = values
    return seen


@st.composite
def situations(draw: st.DrawFn) -> tuple[Tilt, Float32, Float32]:
    """Return a tilt under some limits, tilts and an observation that fits them."""
    assets = draw(st.sampled_from([1, 2, 3, 10, 100]))
    gross = draw(st.sampled_from([0.5, 1.0, 2.0]))
    most = draw(st.sampled_from([gross, max(gross / 4, gross / assets)]))
    long_only = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tilt = tilt_of(assets, limits={"max_gross": gross, "max_weight": most, "long_only": long_only})
    anchor = rng.dirichlet(np.full(assets, 0.3)) * min(gross, 1.0) * rng.choice([0.0, 0.5, 1.0])
    anchor = np.minimum(anchor * (rng.random(assets) > 0.2), most) * (1 if long_only else rng.choice([-1, 1], assets))
    sigma = rng.uniform(1e-6, 0.1, assets) * (rng.random(assets) > 0.2)
    held = rng.dirichlet(np.ones(assets)) * gross * rng.uniform(0.0, 1.0)
    held = np.minimum(held, most) * (1 if long_only else rng.choice([-1, 1], assets))
    made = rng.uniform(-1.5, 1.5, (1, assets)).astype(np.float32)
    return tilt, made, seen_of(tilt, anchor=anchor, sigma=sigma, held=held)


def ordered(tilt: Tilt, made: Float32, seen: Float32) -> Float32:
    return tilt.weights(made, seen, np.zeros_like(made))[0]


@pytest.mark.slow
@settings(max_examples=200)
@given(situations())
def test_weights_keep_within_the_limits_and_what_does_not_trade_keeps_what_is_held(
    situation: tuple[Tilt, Float32, Float32],
) -> None:
    tilt, made, seen = situation
    assert tilt.layout is not None
    weights, limits = ordered(tilt, made, seen), tilt.limits
    held, trades = seen[0, tilt.layout.weights], seen[0, tilt.layout.sigma] > 0.0
    assert np.isfinite(weights).all()
    np.testing.assert_array_equal(weights[~trades], held[~trades])
    assert np.abs(weights).max() <= limits.max_weight + 1e-6
    assert np.abs(weights).sum() <= limits.max_gross + 1e-5
    if limits.long_only:
        assert weights.min() >= -1e-7


@pytest.mark.slow
@settings(max_examples=200)
@given(situations())
def test_no_tilt_is_the_anchor_itself_also_where_it_holds_nothing(situation: tuple[Tilt, Float32, Float32]) -> None:
    tilt, made, seen = situation
    assert tilt.layout is not None
    seen[:, tilt.layout.sigma] = np.maximum(seen[:, tilt.layout.sigma], 1e-6)  # everything trades
    anchor, held = seen[0, tilt.layout.anchor], seen[0, tilt.layout.weights]
    rounding = 2.0 * np.finfo(np.float32).eps * max(1.0, np.abs(anchor).max(), np.abs(held).max())
    assert np.abs(ordered(tilt, np.zeros_like(made), seen) - anchor).max() <= rounding


@settings(max_examples=100)
@given(situations())
def test_symbols_in_another_order_get_the_same_weights(situation: tuple[Tilt, Float32, Float32]) -> None:
    tilt, made, seen = situation
    layout = tilt.layout
    assert layout is not None
    order = np.random.default_rng(0).permutation(made.shape[1])
    other = seen.copy()
    for place in (layout.anchor, layout.sigma, layout.weights):
        other[:, place] = seen[:, place][:, order]
    np.testing.assert_allclose(
        ordered(tilt, made[:, order], other), ordered(tilt, made, seen)[order], rtol=0, atol=1e-6
    )


def test_a_tilt_raises_its_symbol_at_the_cost_of_the_others_and_reaches_cash_and_what_the_anchor_lacks() -> None:
    tilt = tilt_of(3, limits={"long_only": True})
    seen = seen_of(tilt, anchor=[0.5, 0.5, 0.0], sigma=[0.01] * 3, held=[0.5, 0.5, 0.0])
    up, down, lacking = (
        ordered(tilt, np.array([values], np.float32), seen) for values in ([1, 0, 0], [-1, -1, 0], [0, 0, 1])
    )
    assert up[0] > 0.8
    assert up[1] < 0.2
    assert 0.05 < 1.0 - down.sum() < 0.5
    assert lacking[2] > 0.2
    assert lacking.sum() == pytest.approx(1.0, abs=1e-6)


def test_long_and_short_a_tilt_moves_weights_by_the_inverse_of_volatility() -> None:
    tilt = tilt_of(2, limits={"max_gross": 1.0})
    seen = seen_of(tilt, anchor=[0.0, 0.0], sigma=[0.01, 0.04], held=[0.0, 0.0])
    weights = ordered(tilt, np.array([[0.5, -0.5]], np.float32), seen)
    np.testing.assert_allclose(weights, [0.4, -0.1], atol=1e-6)  # H = 0.016; together they use the whole gross at 1


def test_orders_go_a_part_of_the_way_and_leave_small_changes() -> None:
    tilt = tilt_of(2, trade_rate=0.25, no_trade_band=0.2, limits={"long_only": True})
    seen = seen_of(tilt, anchor=[0.5, 0.5], sigma=[0.01, 0.01], held=[0.0, 0.45])
    np.testing.assert_allclose(ordered(tilt, np.zeros((1, 2), np.float32), seen), [0.25 * (0.5 - 0.1), 0.45], atol=1e-6)


def test_the_band_is_a_share_of_the_anchors_weight_or_of_an_equal_one_where_that_is_larger() -> None:
    tilt = tilt_of(2, trade_rate=0.25, no_trade_band=0.2, limits={"long_only": True})
    seen = seen_of(tilt, anchor=[0.8, 0.2], sigma=[0.01, 0.01], held=[0.0, 0.05])
    expected = [0.25 * (0.8 - 0.2 * 0.8), 0.05 + 0.25 * (0.15 - 0.2 * 0.5)]
    np.testing.assert_allclose(ordered(tilt, np.zeros((1, 2), np.float32), seen), expected, atol=1e-6)


@pytest.mark.parametrize(("gross", "part"), [(1.0, 1.0), (0.1, 1.0), (1.0, 0.1), (0.5, 0.2), (3.0, 1.0)])
@pytest.mark.parametrize("assets", [1, 10, 100])
def test_whatever_the_limits_and_symbols_an_account_that_holds_its_anchor_holds_what_it_may(
    assets: int, gross: float, part: float
) -> None:
    """`part` of an equal share is the largest weight of a symbol."""
    most = part * min(gross, 1.0)
    limits = {"long_only": True, "max_gross": gross, "max_weight": most / assets if part < 1.0 else gross}
    rng = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (80, assets)), axis=0))
    spec = spec_of(action="tilt", anchor="equal_weight", limits=limits, episode_bars=None, random_start=False)
    panel = panel_of(close)
    features = FeaturePanel(panel=panel, values=np.zeros((80, assets, 1), np.float32), names=("none",), warmup_bars=0)
    env = PortfolioEnv(Market.build(features, spec, Scaler.fit(features, clip=5.0)), spec)
    seen, _ = env.reset(seed=0)
    ended = False
    while not ended:
        seen, _, _, ended, _ = env.step(np.zeros(assets, np.float32))
    held, anchor = seen[env.layout.weights], seen[env.layout.anchor]
    assert held.sum() > 0.85 * most
    assert np.abs(held - anchor).max() < 0.15 * anchor.max()
