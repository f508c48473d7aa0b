"""What was asked for and did not go through: orders that lapsed or were cut, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.envs.trajectory import LEAST_ORDER, Trajectory

FloatArray = npt.NDArray[np.float64]

REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no trading": "see whether these bars can be traded (data.volume_unit, halts), or leave the symbols out",
        "volume": "try a smaller env.initial_cash, or a larger asset.limits.participation",
        "lots": "try a larger env.initial_cash, or asset.instrument.lot_size=0",
        "cash": "what is held leaves no room: ask for less gross weight, or raise asset.limits.max_gross",
    }
)


@dataclass(frozen=True)
class Shortfall:
    """Order value in multiples of equity, summed over bars: what was asked for, and what did not go through by cause."""

    asked: float
    missed: Mapping[str, float]  # cause -> value; the causes are those of REMEDIES

    @property
    def share(self) -> float:
        """Return the part of what was asked for that did not go through; 0 where nothing was."""
        return sum(self.missed.values()) / self.asked if self.asked > 0.0 else 0.0

    @property
    def cause(self) -> str:
        """Return the cause of most of it."""
        return max(self.missed, key=lambda name: self.missed[name])


def shortfall(market: Market, *parts: Trajectory, spec: EnvSpec) -> Shortfall:
    """Return how much of the orders of `parts`, paths through `market` under `spec`, did not go through.

    Each part is an account of its own. A record that was joined from several is none: what one ends with is not what the
    next begins with. An order is the change from the weight held to the weight asked for. One that the next bar cannot fill lapses (`no
    trading`); one is cut by `volume`, by whole `lots`, or because positions and costs leave no room (`cash`).
    """
    met = [_of_one(market, played, spec) for played in parts]
    missed = {name: sum(one.missed[name] for one in met) for name in REMEDIES}
    return Shortfall(sum(one.asked for one in met), missed)


def _of_one(market: Market, played: Trajectory, spec: EnvSpec) -> Shortfall:
    steps = played.targets.shape[0]
    start = int(np.searchsorted(market.timestamps, played.timestamps[0]))
    now, then = market.bars[start : start + steps], market.bars[start + 1 : start + steps + 1]
    wanted = played.targets - played.weights[:-1]
    asked = np.where(np.abs(wanted) >= max(spec.min_trade_weight, LEAST_ORDER), np.abs(wanted), 0.0)
    units = np.zeros_like(wanted)
    trades, asked_for = played.trades, played.trades.asked
    np.add.at(units, (trades.bar[asked_for] - 1, trades.symbol[asked_for]), trades.units[asked_for])
    equity = np.maximum(played.equity[:-1, None], 1e-12)
    filled = np.clip(units * now[:, BAR.mark] / equity * np.sign(wanted), 0.0, asked)
    missed = asked - filled
    lots = np.array([spec.instrument.lot_of(name) for name in played.symbols])
    lapsed = (now[:, BAR.inverse] <= 0.0) | (then[:, BAR.fill] <= 0.0)
    most = spec.limits.participation * then[:, BAR.volume]
    thin = ~lapsed & (np.abs(units) + lots >= most * (1.0 - 1e-9))
    coarse = ~lapsed & ~thin & (missed * equity < lots * now[:, BAR.mark])
    rest = ~lapsed & ~thin & ~coarse
    causes = {"no trading": lapsed, "volume": thin, "lots": coarse, "cash": rest}
    return Shortfall(float(asked.sum()), {name: float(missed[where].sum()) for name, where in causes.items()})


def bought(played: Trajectory) -> FloatArray:
    """Return how much of equity was put into purchases up to each bar after the first, shape [n]; prices move it no more.

    Each purchase counts with its part of equity on its day.
    """
    steps = played.targets.shape[0]
    spent = np.zeros(steps)
    buys = played.trades.units > 0.0
    step = played.trades.bar[buys] - 1
    np.add.at(spent, step, played.trades.value[buys] / np.maximum(played.equity[step], 1e-12))
    return np.cumsum(spent)
