"""Simulated prices without drift or signal are martingales: chance earns nothing, and pays its costs."""

import numpy as np
import pytest

from tests.envs.markets import FREE, market_of, spec_of
from wealtharena.config import compose
from wealtharena.data import loading
from wealtharena.envs.simulate import simulate

pytestmark = pytest.mark.slow

SEEDS = 200


@pytest.fixture(scope="module")
def panels():
    data = ["data=simulated", "data.simulator.bars=80", "data.simulator.drift=false", "data.simulator.predictability=0"]
    spec = compose(["asset=forex", *data, "universe.max_symbols=3"])
    return [loading.load(spec.asset, spec.data, seed=seed) for seed in range(SEEDS)]


def play(panels, costs):
    """Return the mean return and the mean cost a bar of random weights, one number a seed."""
    spec = spec_of(costs={**FREE, **costs}, instrument={"margin_futures": True})
    gained, paid = [], []
    for seed, panel in enumerate(panels):
        rng = np.random.default_rng(seed)
        path = simulate(market_of(panel, spec), rng.uniform(-1, 1, panel.close.shape), spec=spec)
        gained.append(path.returns.mean())
        paid.append((path.costs / path.equity[:-1]).mean())
    return np.array(gained), np.array(paid)


def half_interval(values):
    return 1.96 * values.std(ddof=1) / np.sqrt(len(values))


def test_a_random_policy_scores_as_random(panels):
    gained, paid = play(panels, {})
    assert abs(gained.mean()) < half_interval(gained)
    assert paid.sum() == 0


def test_with_costs_it_loses_what_it_pays(panels):
    gained, paid = play(panels, {"commission_bps": 10})
    assert gained.mean() < 0
    assert abs(gained.mean() + paid.mean()) < half_interval(gained + paid)
    assert paid.mean() > 5e-4
