"""Is there a policy at all? Signs that an agent has learned to do nothing, or nothing but trade."""

from __future__ import annotations

import numpy as np

from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import metrics

# In weight, for an account that may be invested once; in proportion where `max_gross` is less.
EMPTY_EXPOSURE = 0.01  # mean gross weight below which a portfolio counts as cash
CONSTANT_SPREAD = 1e-3  # standard deviation of targets over time below which they count as constant
CHURN_TURNOVER = 0.75  # traded value over equity a bar, above which a policy churns, in units of mean gross weight
CHURN_LOSS = 0.5  # share of equity lost to costs a year


def degenerate(played: Trajectory, *, max_gross: float = 1.0) -> str | None:
    """Return why a policy is none, in words; None for one that reacts to what it sees, and for an empty path.

    It never trades, holds next to nothing, asks for the same weights at every bar, or churns: turns most of the
    portfolio over at every bar and pays more than half of its equity a year for it without earning that back. Training,
    judgement and leaderboard ask this one function.
    """
    most = min(1.0, max_gross)
    if played.targets.shape[0] == 0:
        return None
    if metrics.trades(played) == 0:
        return "it never trades"
    exposure = metrics.exposure(played)
    if exposure < EMPTY_EXPOSURE * most:
        return f"it holds {exposure:.2%} of its equity on average"
    if played.targets.shape[0] > 1 and float(played.targets.std(axis=0).max()) < CONSTANT_SPREAD * most:
        return "it asks for the same weights on every bar"
    equity = np.maximum(played.equity[:-1], 1e-12)
    turnover = float((played.traded_value / equity).mean())
    costs = float((played.costs / equity).mean()) * played.bars_per_year
    earned = played.equity[-1] > played.equity[0]
    if turnover > CHURN_TURNOVER * exposure and costs > CHURN_LOSS and not earned:
        return f"it churns: {turnover:.0%} of its equity traded a bar, {costs:.0%} of it paid in costs a year"
    return None
