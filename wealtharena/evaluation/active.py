"""What an agent that tilts an anchor adds to it: the agent less its anchor, bar by bar."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import metrics
from wealtharena.evaluation.behaviour import EMPTY_EXPOSURE

FloatArray = npt.NDArray[np.float64]

LEAST = (
    EMPTY_EXPOSURE / 2
)  # active share below which an agent is its anchor: its tilts count as cash; by min(1, max_gross)
ROUNDING = 1e-8  # deviation of the difference of two returns that comes of weights in single precision
OF_EQUITY = ("annual_return", "tracking_error", "information_ratio", "turnover", "costs", "financing")  # of `part`


def is_anchor(agent: Trajectory, anchor: Trajectory, *, max_gross: float = 1.0) -> bool:
    """Return whether what the agent held is the anchor's portfolio, but for next to nothing of what it may hold."""
    return share(agent, anchor) < LEAST * min(1.0, max_gross)


def share(agent: Trajectory, anchor: Trajectory) -> float:
    """Return the active share: half the mean sum of differences in weight (Cremers and Petajisto 2009), 0 without a bar."""
    apart = np.abs(agent.weights - anchor.weights).sum(axis=1)
    return 0.5 * float(apart.mean()) if apart.size else 0.0


def part(agent: Trajectory, anchor: Trajectory) -> dict[str, float]:
    """Return the active part, a year: return, tracking error, information ratio; and active share, turnover, costs and financing.

    Information ratio: mean over deviation of the return less the anchor's (Grinold and Kahn 2000), NaN where the two
    differ by the rounding of single precision alone. Turnover, costs and financing (what borrowing and carry took less
    what cash earned) are those of the agent less those of the anchor, as shares of equity.
    All but the active share are NaN where either account was emptied.
    """
    year = agent.bars_per_year
    if metrics.emptied(agent) or metrics.emptied(anchor):
        return dict.fromkeys(OF_EQUITY, math.nan) | {"active_share": share(agent, anchor)}
    less = agent.returns - anchor.returns
    deviation = float(less.std(ddof=1)) if less.size > 1 else 0.0
    return {
        "annual_return": float(less.mean()) * year if less.size else math.nan,
        "tracking_error": deviation * math.sqrt(year),
        "information_ratio": float(less.mean()) / deviation * math.sqrt(year) if deviation > ROUNDING else math.nan,
        "active_share": share(agent, anchor),
        "turnover": _a_year(agent.traded_value, agent) - _a_year(anchor.traded_value, anchor),
        "costs": _a_year(agent.costs, agent) - _a_year(anchor.costs, anchor),
        "financing": _a_year(agent.financing, agent) - _a_year(anchor.financing, anchor),
    }


def by_symbol(agent: Trajectory, anchor: Trajectory, market: Market) -> dict[str, dict[str, float]]:
    """Return what the tilts of each symbol earned and cost a year, as shares of equity, and how large they were.

    Earned: what the position gained in each bar, from close to fill to close with its income, over the equity before it,
    less the anchor's. Over all symbols earned less cost, less the part's `financing`, is the active return. Earned and cost
    are NaN where either account was emptied.
    """
    earned = (_gains(agent, market) - _gains(anchor, market)) * agent.bars_per_year
    apart = (agent.weights - anchor.weights)[:-1]
    cost = _costs(agent) - _costs(anchor)
    size = np.abs(apart).mean(axis=0)
    if metrics.emptied(agent) or metrics.emptied(anchor):
        earned, cost = np.full((2, len(agent.symbols)), math.nan)
    return {
        symbol: {"earned": float(earned[i]), "cost": float(cost[i]), "tilt": float(size[i])}
        for i, symbol in enumerate(agent.symbols)
    }


def by_symbol_of(
    agent: Sequence[Trajectory], anchor: Sequence[Trajectory], market: Market
) -> dict[str, dict[str, float]]:
    """Return `by_symbol` of a record in parts, each an account of its own that begins in cash: their mean by bars."""
    found = [by_symbol(one, beside, market) for one, beside in zip(agent, anchor, strict=True)]
    if len(found) == 1:
        return found[0]
    bars = [len(part.costs) for part in agent]
    return {
        symbol: {name: float(np.average([one[symbol][name] for one in found], weights=bars)) for name in figures}
        for symbol, figures in found[0].items()
    }


def _gains(played: Trajectory, market: Market) -> FloatArray:
    """Return what each symbol's position made in a mean bar before costs, as a share of the equity before it, [A]."""
    first = int(np.searchsorted(market.timestamps, played.timestamps[0]))
    bars = market.bars[first : first + len(played.timestamps)]
    mark = bars[:-1, BAR.mark]
    value = played.weights * played.equity[:, None]
    units = np.divide(value[:-1], mark, out=np.zeros_like(mark), where=mark != 0.0)
    bought = np.zeros_like(mark)
    np.add.at(bought, (played.trades.bar - 1, played.trades.symbol), played.trades.value)
    made = np.diff(value, axis=0) - bought + units * bars[1:, BAR.income]
    return np.asarray((made / np.maximum(played.equity[:-1], 1e-12)[:, None]).mean(axis=0))


def _costs(played: Trajectory) -> FloatArray:
    """Return the cost of each symbol's trades a year, as a share of equity, [A]."""
    equity = np.maximum(played.equity[played.trades.bar - 1], 1e-12)
    paid = np.bincount(played.trades.symbol, played.trades.cost / equity, minlength=len(played.symbols))
    return np.asarray(paid * played.bars_per_year / max(len(played.equity) - 1, 1))


def _a_year(money: FloatArray, played: Trajectory) -> float:
    return float((money / np.maximum(played.equity[:-1], 1e-12)).mean()) * played.bars_per_year
