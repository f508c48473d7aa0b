"""Where bars were taken out of a record: what stands before the seam says nothing of a bar behind it."""

from dataclasses import replace

import numpy as np
import pytest

from tests.envs.markets import features_of, market_of, random_panel, spec_of
from wealtharena.data.panel import Panel
from wealtharena.envs.anchors import RULES, columns
from wealtharena.envs.baselines import Baseline
from wealtharena.envs.market import Market
from wealtharena.features.panel import Scaler

SEAM = 60  # bars before it


def holed() -> Panel:
    """Return 140 bars with 80 taken out between the 60th and the one behind them, in which the first symbol has no price."""
    panel = random_panel(np.random.default_rng(4), bars=220, assets=3)
    close = panel.close.copy()
    close[140:145, 0] = np.nan
    panel = replace(panel, close=close, tradable=panel.tradable & np.isfinite(close))
    return panel.take(np.r_[0:SEAM, 140:220])


def moved(panel: Panel) -> Panel:
    """Return the bars with a tenth of the prices before the seam: what was taken out then moved ten times as far."""
    assert panel.open is not None
    early = np.arange(panel.bars)[:, None] < SEAM
    return replace(panel, close=panel.close * np.where(early, 0.1, 1.0), open=panel.open * np.where(early, 0.1, 1.0))


def test_bars_behind_a_seam_are_those_of_a_record_that_begins_there() -> None:
    panel, spec = holed(), spec_of(limits={"delisting_bars": 8})
    market, alone = market_of(panel, spec), market_of(panel.slice(SEAM, panel.bars), spec)
    np.testing.assert_array_equal(market.bars[SEAM:], alone.bars)
    np.testing.assert_array_equal(market.bars[:SEAM], market_of(panel.slice(0, SEAM), spec).bars)


@pytest.mark.parametrize("anchor", sorted(RULES))
def test_no_anchor_takes_the_move_over_a_seam_for_a_return(anchor: str) -> None:
    panel, tilt = holed(), spec_of(action="tilt", anchor=anchor).tilt
    assert tilt is not None
    np.testing.assert_array_equal(columns(panel, tilt)[SEAM:], columns(moved(panel), tilt)[SEAM:])
    assert columns(panel, tilt).shape == (panel.bars, 3, 2)


def test_what_a_tilt_sees_behind_a_seam_is_what_quotes_say_there() -> None:
    panel, spec = holed(), spec_of(action="tilt")
    scaler = Scaler.fit(features_of(panel), clip=5.0)
    seen = [Market.build(features_of(one), spec, scaler).features for one in (panel, moved(panel))]
    width = len(seen[0]) // panel.bars
    np.testing.assert_array_equal(seen[0][SEAM * width :], seen[1][SEAM * width :])


@pytest.mark.parametrize("name", ["inverse_volatility", "momentum", "equal_weight"])
def test_no_baseline_takes_the_move_over_a_seam_for_a_return(name: str) -> None:
    panel, tilt = holed(), spec_of(action="tilt").tilt
    assert tilt is not None
    rule = Baseline(tilt.anchor.model_copy(update={"name": name}))
    for row in (SEAM + 1, SEAM + 11, SEAM + 12, panel.bars - 1):
        np.testing.assert_array_equal(rule.weights(panel, row), rule.weights(moved(panel), row))
