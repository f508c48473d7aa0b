"""What a risk rule looks at, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.envs.trajectory import LEAST_ORDER

Floats = npt.NDArray[np.float64]
TOLERANCE: Final = 1e-9  # of a limit, a position or a quote: what differs by less is rounding


@dataclass(frozen=True, eq=False)
class Situation:
    """An account at one close, with the orders that are about to be sent. Money is in account currency."""

    symbols: tuple[str, ...]
    units: Floats  # [A] held
    orders: Floats  # [A] units with a sign
    lots: Floats  # [A] units a lot; 0 trades fractions
    marks: Floats  # [A] what a unit is worth; 0 without a price
    moves: Floats  # [A] of the price since the bar before; 0 where it is not known
    age: npt.NDArray[np.int64]  # [A] bars since the last price; 0: this bar has one
    volume: Floats  # [A] units traded in this bar; infinite where unknown
    equity: float
    peak: float  # highest equity
    opening: float  # equity at the last close of the day before
    sent: int  # orders of this day that are more than rounding, before these

    @cached_property
    def reducing(self) -> Floats:
        """Return the part of each order that makes a position smaller, [A]: at most down to zero."""
        against = np.sign(self.orders) == -np.sign(self.units)
        return np.where(against, np.sign(self.orders) * np.minimum(np.abs(self.orders), np.abs(self.units)), 0.0)

    @cached_property
    def increasing(self) -> Floats:
        """Return the rest of each order, [A]: what opens or adds."""
        return np.where(self.reducing == self.orders, 0.0, self.orders - self.reducing)

    @cached_property
    def counted(self) -> npt.NDArray[np.bool_]:
        """Return which orders are more than rounding, [A]."""
        return counted(self.orders, self.marks, self.equity)

    def with_increasing(self, allowed: Floats) -> Situation:
        """Return the situation with less opened; what is cut leads to whole lots, and never the other way.

        A position that is no whole number of lots, as after a split, stays as it is where nothing may be opened.
        """
        cut = allowed != self.increasing
        kept = self.units + self.reducing
        lots = np.where(self.lots > 0.0, self.lots, 1.0)
        whole = np.trunc((kept + allowed) / lots + np.copysign(TOLERANCE, kept + allowed)) * lots
        opened = np.where(self.lots > 0.0, whole - kept, allowed)
        opened = np.where(np.sign(opened) == np.sign(allowed), opened, 0.0)
        return replace(self, orders=np.where(cut, self.reducing + opened, self.orders))


@dataclass(frozen=True, eq=False)
class Breach:
    """A limit that is passed: by which symbols, by how much, and what may still be opened."""

    symbols: npt.NDArray[np.bool_]  # [A]
    numbers: Mapping[str, float]
    allowed: Floats  # [A] of `increasing`


def counted(orders: Floats, marks: Floats, equity: float) -> npt.NDArray[np.bool_]:
    """Return which orders are more than rounding, [A]: of at least `LEAST_ORDER` of equity, as a report counts them."""
    return np.asarray((orders != 0.0) & (np.abs(orders * marks) >= LEAST_ORDER * equity))


def lost(now: float, before: float) -> float:
    """Return the share of `before` that is gone; of nothing, all where there is still nothing and none where there is money."""
    if before > 0.0:
        return 1.0 - now / before
    return 0.0 if now > 0.0 else 1.0


def everything(now: Situation, numbers: Mapping[str, float]) -> Breach:
    """Return a breach of the account as a whole: nothing may be opened."""
    return Breach(np.ones(len(now.symbols), dtype=np.bool_), numbers, np.zeros(len(now.symbols)))


def of_symbols(now: Situation, symbols: npt.NDArray[np.bool_], numbers: Mapping[str, float]) -> Breach | None:
    """Return a breach by some symbols, in which nothing may be opened; None where there are none."""
    return Breach(symbols, numbers, np.where(symbols, 0.0, now.increasing)) if symbols.any() else None


def capped(now: Situation, most: Floats, numbers: Mapping[str, float]) -> Breach | None:
    """Return a breach by the symbols that open more than `most` units [A]; None where none does."""
    over = np.abs(now.increasing) > most * (1.0 + TOLERANCE)
    allowed = np.sign(now.increasing) * np.minimum(np.abs(now.increasing), most)
    return Breach(over, numbers, np.where(over, allowed, now.increasing)) if over.any() else None
