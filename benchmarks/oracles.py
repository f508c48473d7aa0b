"""What somebody who is told the next bar's expectation would trade, with costs and without: what agents are measured by.

Without costs an oracle bets anew at every bar. Where trading costs, it follows the same bets more slowly: at every bar it
goes the share `rate` of the way, and not at all for what lies within `band` equal shares. For a signal of one speed and
costs that grow with the square of a trade, a constant rate towards a multiple of the bet is optimal (Garleanu and
Pedersen 2013, proposition 5); for costs in proportion to a trade it is a band (Davis and Norman 1990). Ours are both,
commission and spread beside impact, and leverage is bounded, so neither is exact: the oracle is the best of a grid of
rates and bands that holds the myopic one (rate 1, band 0), chosen by its Sharpe ratio on the very bars that count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.asset import CostSpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import metrics

FloatArray = npt.NDArray[np.float64]
RATES = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02)
BANDS = (0.0, 0.5, 1.0)  # equal shares


@dataclass(frozen=True, eq=False)
class Oracle:
    """The best path of an oracle, and how it traded."""

    path: Trajectory
    rate: float
    band: float

    @property
    def sharpe(self) -> float:
        """Return its annual Sharpe ratio."""
        return metrics.sharpe(self.path.returns, bars_per_year=self.path.bars_per_year)


def bets(expected: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return two sets of weights [T, A] with a gross of 1: equal bets on the sign, and in proportion to the expectation."""
    gross = np.abs(expected).sum(axis=1, keepdims=True)
    shares = np.divide(expected, gross, out=np.zeros_like(expected), where=gross > 0)
    return np.sign(expected) / expected.shape[1], shares


def followed(targets: FloatArray, *, rates: tuple[float, ...], bands: tuple[float, ...]) -> FloatArray:
    """Return weights [R, B, T, A] that follow `targets` [T, A] from cash at each rate and outside each band.

    w_t = w_{t-1} + rate S(target_t - w_{t-1}), S the soft threshold at band / A.
    """
    pace = np.asarray(rates)[:, None, None]
    idle = np.asarray(bands)[None, :, None] / targets.shape[1]
    held = np.zeros((len(rates), len(bands), targets.shape[1]))
    found = np.empty((len(targets), *held.shape))
    for t, target in enumerate(targets):
        apart = target - held
        held = held + pace * np.sign(apart) * np.maximum(np.abs(apart) - idle, 0.0)
        found[t] = held
    return np.moveaxis(found, 0, 2)


def paid(costs: CostSpec) -> bool:
    """Return whether a trade costs anything."""
    return costs.commission_bps + costs.half_spread_bps + costs.impact_coefficient > 0


def best(expected: FloatArray, market: Market, spec: EnvSpec, *, start: int, stop: int) -> Oracle:
    """Return the oracle with the largest Sharpe ratio over bars [start, stop), told `expected` [T, A]; the myopic one where trades are free."""
    found = [
        Oracle(simulate(market, weights, spec=spec, start=start, stop=stop), rate, band)
        for rate, band, weights in _tried(expected, start, slowly=paid(spec.costs))
    ]
    return max(found, key=lambda oracle: oracle.sharpe)


def _tried(expected: FloatArray, start: int, *, slowly: bool) -> Iterator[tuple[float, float, FloatArray]]:
    rates, bands = (RATES, BANDS) if slowly else (RATES[:1], BANDS[:1])
    for targets in bets(expected):
        weights = followed(targets[start:], rates=rates, bands=bands)
        for r, rate in enumerate(rates):
            for b, band in enumerate(bands):
                whole = np.zeros_like(targets)
                whole[start:] = weights[r, b]
                yield rate, band, whole
