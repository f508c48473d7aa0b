import numpy as np
import pytest

from benchmarks import learning, oracles
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.features.panel import Scaler

pytestmark = pytest.mark.slow

PAID = ("asset.costs.commission_bps=20",)


def played(*costs: str, r2: float = 0.01) -> tuple[learning.World, Market]:
    place = learning.world(3, r2=r2, bars=1500, overrides=costs)
    return place, Market.build(place.features, place.spec.env, Scaler.fit(place.features, clip=5.0))


@pytest.fixture(scope="module")
def paying() -> tuple[learning.World, Market]:
    return played(*PAID, r2=0.001)


def myopic(place: learning.World, market: Market) -> float:
    """The Sharpe ratio of the better of the two bets, made anew at every bar."""
    paths = [simulate(market, bet, spec=place.spec.env, start=200, stop=1400) for bet in oracles.bets(place.expected)]
    return max(learning.sharpe(path) for path in paths)


def test_without_costs_the_oracle_is_the_myopic_one() -> None:
    place, market = played()
    assert not oracles.paid(place.spec.env.costs)
    found = oracles.best(place.expected, market, place.spec.env, start=200, stop=1400)
    assert (found.rate, found.band) == (1.0, 0.0)
    assert found.sharpe == myopic(place, market)


def test_with_costs_the_oracle_is_slower_and_earns_more(paying: tuple[learning.World, Market]) -> None:
    place, market = paying
    found = oracles.best(place.expected, market, place.spec.env, start=200, stop=1400)
    bare = myopic(place, market)
    assert found.sharpe > bare + 0.3
    assert found.rate < 1.0 or found.band > 0.0
    assert learning.oracle(place, market, 200, 1400) == found.sharpe


def test_the_grid_holds_the_myopic_oracle_so_that_costs_never_make_it_worse() -> None:
    assert 1.0 in oracles.RATES
    assert 0.0 in oracles.BANDS
    targets = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    assert np.array_equal(oracles.followed(targets, rates=(1.0,), bands=(0.0,))[0, 0], targets)


def test_a_rate_and_a_band_are_gone_by_step_by_step() -> None:
    targets = np.array([[0.5, -0.5], [0.5, -0.4], [0.5, 0.1]])
    slow, wide = oracles.followed(targets, rates=(0.5,), bands=(0.0, 0.4))[0]
    np.testing.assert_allclose(slow, [[0.25, -0.25], [0.375, -0.325], [0.4375, -0.1125]])
    np.testing.assert_allclose(wide, [[0.15, -0.15], [0.225, -0.175], [0.2625, -0.1375]])


def test_an_oracle_trades_on_nothing_before_its_window(paying: tuple[learning.World, Market]) -> None:
    place, market = paying
    changed = place.expected.copy()
    changed[:200] *= -1.0
    ours, theirs = (
        oracles.best(told, market, place.spec.env, start=200, stop=900).path.equity
        for told in (place.expected, changed)
    )
    assert np.array_equal(ours, theirs)
