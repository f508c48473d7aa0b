"""The account of docs/envs.md once more, written from that page in plain Python: slow, and nothing of the kernel in it.

No delisting and no liquidation; everything else of a step. A symbol that was never priced has the price NaN.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel

FloatArray = npt.NDArray[np.float64]
YEAR = 365.25 * 86_400
UNKNOWN = 0.02  # volatility while fewer than two returns are known


class PlainAccount:
    """One account that is walked through a panel, symbol by symbol."""

    def __init__(self, panel: Panel, spec: EnvSpec, *, fill: str) -> None:
        self.panel, self.spec = panel, spec
        self.worth = panel.multipliers * panel.to_account
        self.quote = panel.close.copy()
        for t in range(1, panel.bars):
            self.quote[t] = np.where(np.isfinite(panel.close[t]), panel.close[t], self.quote[t - 1])
        fills = panel.open if fill == "next_open" else panel.close
        assert fills is not None
        self.fills = fills * self.worth
        self.units = np.zeros(len(panel.symbols))
        self.cash = self.equity = spec.initial_cash

    def step(self, t: int, weights: FloatArray) -> float:
        """Decide at the close of bar t, fill at bar t + 1; return the equity at its close."""
        orders = self._orders(t, self._allowed(weights))
        night, income = self._night(t), self._income(t)
        paid = sum(self._fill(t + 1, a, units) for a, units in enumerate(orders))
        self.cash += income - night - paid
        self.equity = self.cash + float(np.nansum(self.units * self._marks(t + 1)))
        return self.equity

    def _marks(self, t: int) -> FloatArray:
        return self.quote[t] * self.worth[t]

    def _allowed(self, weights: FloatArray) -> FloatArray:
        limits = self.spec.limits
        clipped = np.clip(weights, 0.0 if limits.long_only else -limits.max_weight, limits.max_weight)
        return clipped * min(1.0, limits.max_gross / max(float(np.abs(clipped).sum()), 1e-300))

    def _orders(self, t: int, weights: FloatArray) -> FloatArray:
        """Return the units to order: scaled by decision 031, then whole lots."""
        marks, limit = self._marks(t), self.spec.limits.max_gross
        priced = [a for a in range(len(marks)) if marks[a] > 0.0]
        changes = {a: weights[a] * self.equity - self.units[a] * marks[a] for a in priced}
        moved = [a for a in priced if abs(changes[a]) >= self.spec.min_trade_weight * self.equity]
        value = np.nan_to_num(np.abs(self.units * marks))
        held = sum(value[a] for a in moved)
        closing = sum(value[a] * self._rate(t, t, a, held) for a in moved)
        costs = sum(abs(changes[a]) * self._rate(t, t, a, abs(changes[a])) for a in moved)
        wanted = sum(abs(weights[a]) * self.equity for a in moved)
        kept = float(value.sum()) - held
        room, whole = limit * (self.equity - closing) - kept, wanted + limit * (costs - closing)
        scale = 1.0 if whole <= room else room / whole
        assert scale > 0.0, "an account that has no room is another story"
        orders = np.zeros(len(marks))
        for a in moved:
            goal, lot = scale * weights[a] * self.equity / marks[a], self.spec.instrument.lot_of(self.panel.symbols[a])
            orders[a] = self._whole(goal, lot) - self.units[a]
        return orders

    @staticmethod
    def _whole(units: float, lot: float) -> float:
        return math.copysign(math.floor(abs(units) / lot + 1e-9) * lot, units) if lot else units

    def _fill(self, t: int, a: int, order: float) -> float:
        """Move the units of one symbol at bar t and return what that took from cash, costs included."""
        price, traded = self.fills[t, a], math.nan if self.panel.volume is None else float(self.panel.volume[t, a])
        if not (self.panel.tradable[t, a] and np.isfinite(self.panel.close[t, a]) and price > 0.0):
            return 0.0
        if traded > 0.0:  # NaN is not
            most = self.spec.limits.participation * traded
            lot = self.spec.instrument.lot_of(self.panel.symbols[a])
            order = min(max(order, -self._whole(most, lot)), self._whole(most, lot))
        self.units[a] += order
        value = abs(order) * price
        return float(order * price + value * self._rate(t - 1, t, a, value))

    def _rate(self, known: int, t: int, a: int, value: float) -> float:
        """Return the cost of a unit of value: commission, half spread, and impact by the volume of bar t."""
        costs, money = self.spec.costs, self._money(t, a)
        impact = costs.impact_coefficient * self._sigma(known, a) * math.sqrt(value / money)
        return (costs.commission_bps + costs.half_spread_bps) / 1e4 + impact

    def _money(self, t: int, a: int) -> float:
        volume = self.panel.volume
        money = math.inf if volume is None else volume[t, a] * abs(self.panel.close[t, a]) * self.worth[t, a]
        return money if money > 0.0 else math.inf  # NaN is not above 0

    def _sigma(self, t: int, a: int) -> float:
        quotes = self.quote[max(t - 20, 0) : t + 1, a]
        known = [(b / c - 1.0) ** 2 for c, b in pairwise(quotes) if b > 0.0 and c > 0.0]
        return math.sqrt(sum(known) / len(known)) if len(known) > 1 else UNKNOWN

    def _night(self, t: int) -> float:
        costs, values = self.spec.costs, np.nan_to_num(self.units * self._marks(t))
        cash, margined = self.equity - float(values.sum()), self.spec.instrument.margin_futures
        earning, owed = (max(self.equity, 0.0), 0.0) if margined else (max(cash, 0.0), max(-cash, 0.0))
        short = 0.0 if margined else -float(values[values < 0.0].sum())
        a_year = (
            costs.borrow_bps_per_year * short + costs.margin_bps_per_year * owed - costs.cash_number * earning
        ) + costs.carry_bps_per_year * float(values.sum())
        seconds = (self.panel.timestamps[t + 1] - self.panel.timestamps[t]) / np.timedelta64(1, "s")
        return float(a_year / 1e4 * seconds / YEAR)

    def _income(self, t: int) -> float:
        """Return dividends and, of margined contracts, what the conversion alone moved the marks by, taken back."""
        paid = self.units * np.nan_to_num(self.panel.dividends[t + 1]) * self.worth[t + 1]
        if self.spec.instrument.margin_futures:
            own = (self.quote[t + 1] - self.quote[t]) * self.worth[t + 1]
            paid = paid + np.nan_to_num(self.units * (own - self._marks(t + 1) + self._marks(t)))
        return float(paid.sum())
