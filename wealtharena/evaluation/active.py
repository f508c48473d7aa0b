"""What an agent that tilts an anchor adds to it: the agent less its anchor, bar by bar."""

from __future__ import annotations

import math

import numpy as np

from wealtharena.envs.trajectory import Trajectory

LEAST = 1e-4  # largest difference of a target weight below which an agent is its anchor


def is_anchor(agent: Trajectory, anchor: Trajectory) -> bool:
    """Return whether the agent asked for the anchor's weights on every bar."""
    return bool(np.abs(agent.targets - anchor.targets).max(initial=0.0) < LEAST)


def part(agent: Trajectory, anchor: Trajectory) -> dict[str, float]:
    """Return the active part, a year: return, tracking error, information ratio; and active share, turnover and costs.

    Information ratio: mean over deviation of the return less the anchor's (Grinold and Kahn 2000), NaN where the two
    never differ. Active share: half the mean sum of differences in weight (Cremers and Petajisto 2009). Turnover and
    costs are those of the agent less those of the anchor, as shares of equity.
    """
    year = agent.bars_per_year
    less = agent.returns - anchor.returns
    deviation = float(less.std(ddof=1)) if less.size > 1 else 0.0
    return {
        "annual_return": float(less.mean()) * year if less.size else math.nan,
        "tracking_error": deviation * math.sqrt(year),
        "information_ratio": float(less.mean()) / deviation * math.sqrt(year) if deviation > 1e-12 else math.nan,
        "active_share": 0.5 * float(np.abs(agent.weights - anchor.weights).sum(axis=1).mean()),
        "turnover": _a_year(agent.traded_value, agent) - _a_year(anchor.traded_value, anchor),
        "costs": _a_year(agent.costs, agent) - _a_year(anchor.costs, anchor),
    }


def _a_year(money: np.ndarray[tuple[int, ...], np.dtype[np.float64]], played: Trajectory) -> float:
    return float((money / np.maximum(played.equity[:-1], 1e-12)).mean()) * played.bars_per_year
