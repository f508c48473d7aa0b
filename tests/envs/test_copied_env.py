import copy
import pickle

import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, market_of, random_panel, spec_of
from wealtharena.envs.portfolio_env import PortfolioEnv
from wealtharena.errors import MarketError

RNG = np.random.default_rng(7)
PANEL = random_panel(RNG, bars=60, assets=3)


def frozen(env):
    """Return which arrays of a step cannot be written: for others the kernel would be compiled anew, in ten seconds."""
    return [one.flags.writeable for one in env.batch._step if isinstance(one, np.ndarray)]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copied_environment_is_an_account_of_its_own(again):
    spec = spec_of(episode_bars=5, costs=EVERY_COST)
    first = PortfolioEnv(market_of(PANEL, spec), spec)
    assert frozen(again(first)) == frozen(first)
    actions = RNG.uniform(-1, 1, (5, 3)).astype(np.float32)
    first.reset(seed=3)
    first.step(actions[0])
    second = again(first)
    for action in actions[1:]:
        for one, other in zip(first.step(action), second.step(action), strict=True):
            np.testing.assert_equal(one, other)
    with pytest.raises(MarketError, match="the episode is over"):
        second.step(actions[0])
    np.testing.assert_equal(first.reset(), second.reset())
