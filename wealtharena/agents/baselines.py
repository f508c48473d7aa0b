"""What an agent has to beat: simple rules that play the same market, at the same costs, on the same dates.

Each rule is a pure function from a panel to targets: the targets of row t use prices up to the close of row t only, so
a panel cut after t gives the same rows up to t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.runs import EvaluationSpec
from wealtharena.data.panel import Panel
from wealtharena.errors import ConfigError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
MIN_RETURNS = 10  # fewer returns than this estimate no volatility: equal weights instead


@dataclass(frozen=True, eq=False)
class TargetPath:
    """Target weights for every row of a panel; where `hold` is True nothing is traded and the target does not matter."""

    targets: FloatArray  # [T, A]
    hold: BoolArray  # [T]


@dataclass(frozen=True, eq=False)
class Setting:
    """What a rule may know beside the panel."""

    evaluation: EvaluationSpec
    env: EnvSpec
    rng: np.random.Generator
    start: int  # row of the first decision
    benchmark: str | None

    @property
    def gross(self) -> float:
        """Return the gross weight that a fully invested rule takes."""
        return min(1.0, self.env.limits.max_gross)


Rule = Callable[[Panel, Setting], TargetPath]


def path(
    name: str,
    panel: Panel,
    *,
    evaluation: EvaluationSpec,
    env: EnvSpec,
    rng: np.random.Generator,
    start: int = 0,
    benchmark: str | None = None,
) -> TargetPath:
    """Return the targets of baseline `name` on `panel`, first decided at row `start`; raises ConfigError on a name unknown."""
    if name not in BASELINES:
        raise ConfigError(
            f"evaluation.baselines: {name!r} is not a baseline", hint=f"choose from {', '.join(sorted(BASELINES))}"
        )
    return BASELINES[name](panel, Setting(evaluation, env, rng, start, benchmark))


def available(name: str, panel: Panel, *, benchmark: str | None) -> bool:
    """Return whether the panel has what the rule needs: only `benchmark` wants a symbol of its own."""
    return name != "benchmark" or (benchmark is not None and benchmark in panel.symbols)


def cash(panel: Panel, setting: Setting) -> TargetPath:
    """Hold nothing."""
    return _once(panel, setting, np.zeros(len(panel.symbols)))


def buy_and_hold(panel: Panel, setting: Setting) -> TargetPath:
    """Buy every symbol that trades at the first decision in equal parts, and never trade again."""
    return _once(panel, setting, _equal(_eligible(panel, setting.start)) * setting.gross)


def benchmark(panel: Panel, setting: Setting) -> TargetPath:
    """Buy the class's benchmark symbol at the first decision and hold it."""
    if setting.benchmark is None or setting.benchmark not in panel.symbols:
        raise ConfigError(
            f"evaluation.baselines: the panel has no bars of the benchmark {setting.benchmark!r}",
            hint="add the symbol to the universe or take `benchmark` from the list",
        )
    weights = np.zeros(len(panel.symbols))
    weights[panel.symbols.index(setting.benchmark)] = setting.gross
    return _once(panel, setting, weights)


def equal_weight(panel: Panel, setting: Setting) -> TargetPath:
    """Rebalance to equal parts of what trades, every `rebalance_bars`."""
    return _rebalanced(panel, setting, lambda row: _equal(_eligible(panel, row)) * setting.gross)


def momentum(panel: Panel, setting: Setting) -> TargetPath:
    """Hold what rose over `momentum_bars` and, where shorts are allowed, sell what fell, each with 1 / A of equity.

    Time-series momentum (Moskowitz, Ooi and Pedersen 2012) without volatility scaling.
    """
    prices = account_prices(panel)
    lookback = setting.evaluation.momentum_bars

    def weights(row: int) -> FloatArray:
        eligible = _eligible(panel, row)
        if row < lookback:
            return np.zeros(len(panel.symbols))
        change = prices[row] / prices[row - lookback] - 1.0
        sign = np.nan_to_num(np.sign(change)) * eligible
        if setting.env.limits.long_only:
            sign = np.maximum(sign, 0.0)
        result: FloatArray = sign * setting.gross / max(int(eligible.sum()), 1)
        return result

    return _rebalanced(panel, setting, weights)


def inverse_volatility(panel: Panel, setting: Setting) -> TargetPath:
    """Weigh what trades by the inverse of its volatility over `lookback_bars`."""
    prices = account_prices(panel)

    def weights(row: int) -> FloatArray:
        returns, known = _recent(prices, row, setting.evaluation.lookback_bars, _eligible(panel, row))
        result = np.zeros(len(panel.symbols))
        if not known.any():
            return _equal(_eligible(panel, row)) * setting.gross
        scale = returns[:, known].std(axis=0, ddof=1)
        inverse = 1.0 / np.maximum(scale, 1e-6)
        result[known] = inverse / inverse.sum()
        return result * setting.gross

    return _rebalanced(panel, setting, weights)


def minimum_variance(panel: Panel, setting: Setting) -> TargetPath:
    """Hold the long-only portfolio of least variance under a covariance shrunk over `lookback_bars`."""
    prices = account_prices(panel)

    def weights(row: int) -> FloatArray:
        returns, known = _recent(prices, row, setting.evaluation.lookback_bars, _eligible(panel, row))
        result = np.zeros(len(panel.symbols))
        if not known.any():
            return _equal(_eligible(panel, row)) * setting.gross
        result[known] = least_variance(shrunk_covariance(returns[:, known]))
        return result * setting.gross

    return _rebalanced(panel, setting, weights)


def random(panel: Panel, setting: Setting) -> TargetPath:
    """Draw a portfolio, cash among its parts, uniformly from the simplex every `rebalance_bars`; signs where shorts are allowed."""
    bars, assets = panel.close.shape
    share = setting.rng.spawn(1)[0].standard_exponential((bars, assets + 1))
    coin = setting.rng.spawn(1)[0].integers(0, 2, (bars, assets))
    sign = np.ones((bars, assets)) if setting.env.limits.long_only else 2.0 * coin - 1.0

    def weights(row: int) -> FloatArray:
        drawn = share[row, 1:] * _eligible(panel, row)
        result: FloatArray = drawn / (drawn.sum() + share[row, 0]) * sign[row] * setting.gross
        return result

    return _rebalanced(panel, setting, weights)


BASELINES: Mapping[str, Rule] = MappingProxyType(
    {
        "cash": cash,
        "buy_and_hold": buy_and_hold,
        "benchmark": benchmark,
        "equal_weight": equal_weight,
        "momentum": momentum,
        "inverse_volatility": inverse_volatility,
        "minimum_variance": minimum_variance,
        "random": random,
    }
)


def account_prices(panel: Panel) -> FloatArray:
    """Return closes in account currency, shape [T, A], the last known one where a bar is missing; NaN before the first."""
    prices = np.where(panel.close > 0.0, panel.close, np.nan) * panel.to_account
    last = np.where(np.isfinite(prices), np.arange(prices.shape[0])[:, None], 0)
    np.maximum.accumulate(last, axis=0, out=last)
    return np.take_along_axis(prices, last, axis=0)


def shrunk_covariance(returns: FloatArray) -> FloatArray:
    """Return the covariance of `returns` [n, A] shrunk to a multiple of the identity (Ledoit and Wolf 2004)."""
    n, assets = returns.shape
    centred = returns - returns.mean(axis=0)
    sample = centred.T @ centred / n
    mean = float(np.trace(sample)) / assets
    target = mean * np.eye(assets)
    distance = float(((sample - target) ** 2).sum()) / assets
    noise = float(((centred**2).T @ (centred**2) / n - sample**2).sum()) / assets / n
    intensity = min(noise, distance) / distance if distance > 0.0 else 0.0
    shrunk: FloatArray = intensity * target + (1.0 - intensity) * sample
    return shrunk


def least_variance(covariance: FloatArray) -> FloatArray:
    """Return weights [A], none negative and with sum 1, that minimise `w' C w`."""
    assets = covariance.shape[0]
    scale = float(np.trace(covariance)) / assets
    if scale <= 0.0:
        return np.full(assets, 1.0 / assets)
    root = np.linalg.cholesky(covariance / scale + 1e-10 * np.eye(assets)).T
    # With the sum as one more equation the optimum has the right direction for any weight of it; its length is fixed after.
    weights, _ = nnls(np.vstack([root, np.ones(assets)]), np.append(np.zeros(assets), 1.0))
    total: FloatArray = weights / weights.sum()
    return total


def _once(panel: Panel, setting: Setting, weights: FloatArray) -> TargetPath:
    hold = np.ones(panel.bars, dtype=np.bool_)
    hold[setting.start] = False
    return TargetPath(np.tile(weights, (panel.bars, 1)), hold)


def _rebalanced(panel: Panel, setting: Setting, weights: Callable[[int], FloatArray]) -> TargetPath:
    targets = np.zeros(panel.close.shape)
    hold = np.ones(panel.bars, dtype=np.bool_)
    for row in range(setting.start, panel.bars, setting.evaluation.rebalance_bars):
        targets[row] = weights(row)
        hold[row] = False
    return TargetPath(targets, hold)


def _eligible(panel: Panel, row: int) -> BoolArray:
    """Return which symbols trade at a positive price at `row`, shape [A]."""
    chosen: BoolArray = panel.tradable[row] & np.isfinite(panel.close[row]) & (panel.close[row] > 0.0)
    return chosen


def _equal(eligible: BoolArray) -> FloatArray:
    weights: FloatArray = eligible / max(int(eligible.sum()), 1)
    return weights


def _recent(prices: FloatArray, row: int, lookback: int, eligible: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Return the last returns [n, A] up to `row` and the symbols for which all of them are known."""
    window = prices[max(row - lookback, 0) : row + 1]
    returns = np.diff(window, axis=0) / window[:-1]
    known = np.isfinite(returns).all(axis=0) & eligible
    return returns, known if len(returns) >= MIN_RETURNS else np.zeros_like(known)
