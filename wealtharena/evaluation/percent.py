"""Whether somebody's returns are shares (0.01 is one per cent) or per cents, and when their figures leave it open.

A Sharpe ratio is the same in both, so that only sizes tell, and only by what records usually are: a calm fund in per cents
moves like a stock in shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
CALM: Final = 0.8  # volatility a year of shares that nobody asks about; that of per cents would be below 1 %
STEADY: Final = 2.0  # what shares may earn or lose in a year, at the mean return, without being asked about
GAIN: Final = 0.3  # a year; from here on a Sharpe ratio tells, since a fund of cash in per cents earns as much
SURE: Final = (
    2.0  # Sharpe ratio that no stroke of luck may explain in shares; cash and short bonds in per cents have it
)
STEP: Final = 0.01  # to which per cents are often rounded, and shares of a day never
FINE: Final = 5.0  # such steps in a usual return, from which on rounding to them is no sign
MANY: Final = 20  # returns that are not zero, of which rounding may be a sign


@dataclass(frozen=True)
class Sizes:
    """What returns would be as shares: volatility and mean a year, over a record of `years`; and whether all are whole per cents."""

    volatility: float
    mean: float
    years: float
    coarse: bool

    @classmethod
    def of(cls, values: FloatArray, years: float) -> Sizes:
        """Return the sizes of returns [n] that a record of `years` has."""
        a_year = len(values) / years
        spread = float(np.std(values))
        steps = values[values != 0.0] / STEP
        rounded = bool(np.allclose(steps, np.round(steps), rtol=0.0, atol=1e-6))
        coarse = len(steps) >= MANY and rounded and spread < FINE * STEP
        return cls(spread * a_year**0.5, float(np.mean(values)) * a_year, years, coarse)

    @property
    def is_open(self) -> bool:
        """Return whether they may be per cents: too wild, too much or too steady a gain, or too coarse a step for shares.

        How far a mean may be luck goes by the Sharpe ratio, whose error 1 / sqrt(years) no unit changes; by the volatility it
        would be as wide as the doubt.
        """
        gain = abs(self.mean)
        steady = gain > GAIN and gain > self.volatility * (SURE + 2.0 / self.years**0.5)
        return self.volatility > CALM or gain > STEADY or steady or self.coarse

    def told(self, unit: str) -> str:
        """Return in words what they are as shares or as per cents."""
        if unit == "percent":
            return f"vary by {self.volatility / 100:.2%} a year around a mean of {self.mean / 100:+.2%}"
        return f"vary by {self.volatility:.1%} a year around a mean of {self.mean:+.1%}"
