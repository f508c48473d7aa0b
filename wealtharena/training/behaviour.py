"""Is there a policy at all? Signs that a network has learned to do nothing, or nothing but trade."""

from __future__ import annotations

import numpy as np

from wealtharena.envs.trajectory import Trajectory

IDLE_WEIGHT = 1e-3  # gross weight below which a portfolio counts as cash
CONSTANT_SPREAD = 1e-3  # standard deviation of targets over time below which they count as constant, in weight
CHURN_TURNOVER = 0.75  # traded value over equity a bar, above which a policy churns, in units of mean gross weight
CHURN_LOSS = 0.5  # share of the starting equity lost to costs a year


def degenerate(trajectory: Trajectory) -> str | None:
    """Return what is wrong with a policy's behaviour on a window, or None.

    `never trades`: practically always in cash. `constant weights`: the same targets at every bar. `churns`: turns
    most of the portfolio over at every bar and loses more than half of its equity a year to costs.
    """
    if trajectory.targets.shape[0] == 0:
        return None
    gross = np.abs(trajectory.weights).sum(axis=1)
    if not trajectory.traded_value.any() or gross.mean() < IDLE_WEIGHT:
        return "never trades"
    if float(trajectory.targets.std(axis=0).max()) < CONSTANT_SPREAD:
        return "constant weights"
    equity = np.maximum(trajectory.equity[:-1], 1e-12)
    turnover = float((trajectory.traded_value / equity).mean())
    costs = float((trajectory.costs / equity).mean()) * trajectory.bars_per_year
    if turnover > CHURN_TURNOVER * float(gross.mean()) and costs > CHURN_LOSS:
        return "churns"
    return None
