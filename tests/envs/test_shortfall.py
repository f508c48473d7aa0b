"""What was asked for and did not go through, and why."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.config import compose
from wealtharena.envs.market import Market
from wealtharena.envs.shortfall import bought, shortfall
from wealtharena.envs.simulate import simulate
from wealtharena.evaluation.backtest import plain_scaler
from wealtharena.features.panel import FeaturePanel


@pytest.fixture(scope="module")
def spec():
    return compose(["asset=crypto"])


def play(panel, env, targets=None):
    """Swap all of equity between two symbols every tenth bar."""
    features = FeaturePanel(
        panel=panel, values=np.zeros((*panel.close.shape, 1), np.float32), names=("none",), warmup_bars=0
    )
    market = Market.build(features, env, plain_scaler(features))
    if targets is None:
        first = (np.arange(panel.bars) // 10 % 2)[:, None]
        targets = np.hstack([first, 1 - first]) * 0.9
    still = np.arange(panel.bars) % 10 > 0
    played = simulate(market, targets.astype(float), spec=env, hold=still)
    return shortfall(market, played, spec=env), played


def test_orders_that_go_through_leave_nothing_missed(spec):
    found, played = play(worlds.panel(100, 2), spec.env)
    assert found.asked == pytest.approx(0.9 + 9 * 1.8, rel=0.05)
    assert found.share < 0.01
    assert bought(played)[0] == pytest.approx(0.9, abs=0.01)


def test_bars_that_do_not_trade_are_named(spec):
    panel = worlds.panel(100, 2)
    tradable = panel.tradable.copy()
    tradable[:, 1] = False
    found, _ = play(replace(panel, tradable=tradable), spec.env)
    assert found.share == pytest.approx(0.5, abs=0.25)
    assert found.cause == "no trading"
    assert found.missed["volume"] == found.missed["lots"] == 0.0


def test_volume_is_named(spec):
    thin = replace(worlds.panel(100, 2), volume=np.full((100, 2), 1e6), volume_unit="account")
    found, _ = play(thin, spec.env)
    assert found.share > 0.5
    assert found.cause == "volume"


def test_whole_lots_are_named(spec):
    coarse = spec.env.instrument.model_copy(update={"lot_size": 7000.0})
    found, _ = play(worlds.panel(100, 2), spec.env.model_copy(update={"instrument": coarse}))
    assert found.share > 0.1
    assert found.cause == "lots"
    assert found.missed["no trading"] == 0.0


def test_what_is_closed_by_force_after_an_order_went_through_is_not_missed(spec):
    """The purchase of bar 1 is filled whole, and the position liquidated at the close of that bar."""
    panel = worlds.panel(20, 2)
    close, opens = np.full((20, 2), 100.0), np.full((20, 2), 100.0)
    close[1:, 0], opens[2:, 0] = 60.0, 60.0
    limits = spec.env.limits.model_copy(
        update={"max_gross": 2.0, "max_weight": 2.0, "maintenance_margin": 0.5, "long_only": False}
    )
    found, played = play(
        replace(panel, close=close, open=opens), spec.env.model_copy(update={"limits": limits}),
        targets=np.tile([1.9, 0.0], (20, 1)),
    )  # fmt: skip
    assert played.liquidated
    assert played.trades.bar.tolist() == [1, 1]
    assert found.share < 0.01


def test_nothing_asked_is_nothing_missed(spec):
    found, played = play(worlds.panel(100, 2), spec.env, targets=np.zeros((100, 2)))
    assert (found.asked, found.share) == (0.0, 0.0)
    assert not bought(played).any()
