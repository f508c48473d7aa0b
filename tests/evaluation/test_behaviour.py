from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation.behaviour import degenerate


def path(targets: np.ndarray, *, cost: float = 0.0, trades: int = 40) -> Trajectory:
    """Return a path that holds at each close what it asked for, at `cost` a unit of traded value."""
    n, assets = targets.shape
    weights = np.vstack([np.zeros((1, assets)), targets])
    traded = np.abs(np.diff(weights, axis=0)).sum(axis=1)
    flat = worlds.trajectory(np.zeros(n), assets=assets, trades=trades, equity=np.ones(n + 1))
    return replace(flat, weights=weights, targets=targets, traded_value=traded, costs=traded * cost)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"trades": 0}, "never trades"), ({"exposure": 0.001}, "holds"), ({"targets": 0.25}, "same weights")],
)
def test_a_policy_that_does_nothing_is_named(change, word):
    rng = np.random.default_rng(0)
    played = worlds.trajectory(rng.normal(0, 0.01, 100), trades=change.get("trades", 40))
    varied = rng.uniform(0, 0.5, (100, 2)) if "targets" not in change else np.full((100, 2), change["targets"])
    played = replace(played, targets=varied, weights=np.full((101, 2), change.get("exposure", 0.4)))
    assert word in degenerate(played)


def test_a_small_limit_makes_no_degenerate_policy():
    rng = np.random.default_rng(0)
    wide = np.cumsum(rng.normal(0.0, 0.01, (200, 3)), axis=0) * 0.5 + 0.3
    assert degenerate(path(wide)) is None
    assert degenerate(path(0.005 * wide), max_gross=0.005) is None
    assert "holds" in degenerate(path(0.005 * wide))
    assert "holds" in degenerate(path(0.00001 * wide), max_gross=0.005)
    assert degenerate(path(wide), max_gross=3.0) is None


def test_a_policy_that_only_trades_is_named():
    rng = np.random.default_rng(0)
    sides = np.sign(rng.standard_normal((200, 3))) / 3
    assert "churns" in degenerate(path(sides, cost=0.01))
    assert degenerate(path(sides, cost=0.0)) is None
    assert degenerate(replace(path(sides, cost=0.01), equity=np.linspace(1.0, 2.0, 201))) is None  # it earns its costs
    assert degenerate(path(np.cumsum(sides, axis=0) * 0.02, cost=0.001)) is None


def test_a_path_without_a_decision_has_no_behaviour():
    assert degenerate(path(np.zeros((0, 2)))) is None
