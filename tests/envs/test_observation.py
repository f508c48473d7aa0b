import numpy as np
import pytest

from tests.envs.markets import features_of, panel_of, random_panel, spec_of
from wealtharena.envs.market import Market
from wealtharena.envs.observation import ObservationLayout
from wealtharena.envs.portfolio_env import PortfolioEnv
from wealtharena.errors import MarketError
from wealtharena.features.panel import Scaler


@pytest.mark.parametrize("window", [1, 4])
def test_features_stand_symbol_by_symbol_the_oldest_bar_first(window):
    panel = random_panel(np.random.default_rng(0), bars=30, assets=3)
    spec = spec_of(window=window, episode_bars=None, random_start=False)
    features = features_of(panel, count=5)
    scaler = Scaler.fit(features, clip=1.5)
    env = PortfolioEnv(Market.build(features, spec, scaler), spec)
    obs, _ = env.reset(seed=0)
    scaled = scaler.transform(features.values)
    for t in range(window - 1, 12):
        expected = scaled[t - window + 1 : t + 1].transpose(1, 0, 2)
        assert (obs[env.layout.features].reshape(expected.shape) == expected).all()
        assert env.observation_space.contains(obs)
        obs = env.step(np.array([0.2, 0.3, -0.4], dtype=np.float32))[0]


def test_the_account_part_gives_weights_cash_drawdown_leverage():
    spec = spec_of(episode_bars=None, random_start=False, limits={"max_gross": 2.0, "max_weight": 2.0})
    panel = panel_of([[10, 20], [10, 20], [9, 20], [9, 20.0]])
    env = PortfolioEnv(Market.build(features_of(panel), spec, Scaler.fit(features_of(panel), clip=5.0)), spec)
    obs, _ = env.reset(seed=0)
    layout = env.layout
    assert obs[layout.weights].tolist() == [0, 0]
    assert obs[layout.cash].tolist() == [1]
    assert obs[layout.drawdown].tolist() == obs[layout.leverage].tolist() == [0]
    env.step(np.array([1.0, -0.5], dtype=np.float32))
    obs = env.step(np.array([1.0, -0.5], dtype=np.float32))[0]  # equity 1e6 - 0.1e6
    assert obs[layout.weights].tolist() == pytest.approx([0.9 / 0.9, -0.5 / 0.9])
    assert obs[layout.cash].tolist() == pytest.approx([0.5 / 0.9])
    assert obs[layout.drawdown].tolist() == pytest.approx([-0.1])
    assert obs[layout.leverage].tolist() == pytest.approx([1.4 / 0.9])
    assert layout.size == len(obs) == 2 * 2 + 2 + 3


def test_names_cover_every_number_once():
    layout = ObservationLayout(symbols=("A", "B"), feature_names=("x", "y", "z"), window=2)
    names = layout.names()
    assert len(names) == len(set(names)) == layout.size
    assert names[:4] == ("x[A,-1]", "y[A,-1]", "z[A,-1]", "x[A]")
    with pytest.raises(MarketError, match="shape"):
        layout.describe(np.zeros((2, layout.size), dtype=np.float32))
