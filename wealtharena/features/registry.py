"""Features by name: what each needs, how long it takes to begin, how long it remembers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Input = Literal["open", "high", "low", "close", "volume"]
FORGOTTEN: Final = 1e-8  # what is left of an indicator's start after its memory; features then agree to 1e-6


@dataclass(frozen=True, eq=False)
class SymbolBars:
    """One symbol's own bars, [n] each, without holes: those on which every input of a feature is there and positive.

    Only the arrays that the feature declared are set; volume may be 0.
    """

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


@dataclass(frozen=True, eq=False)
class Feature:
    """A named causal feature: `function(bars)[t]` uses bars up to and including t only."""

    name: str
    inputs: tuple[Input, ...]
    lookback: int  # bars before the first value
    memory: int  # bars after which the start of the series no longer shows (to 1e-6)
    function: Callable[[SymbolBars], FloatArray]


FEATURES: Final[dict[str, Feature]] = {}


def feature(
    *inputs: Input, lookback: int, memory: int | None = None
) -> Callable[[Callable[[SymbolBars], FloatArray]], Callable[[SymbolBars], FloatArray]]:
    """Register the decorated function as the feature of its name.

    `lookback` is the number of bars before its first value; `memory` the number of bars after which the series' start
    no longer shows, by default `lookback + 1` (a plain window).
    """

    def register(function: Callable[[SymbolBars], FloatArray]) -> Callable[[SymbolBars], FloatArray]:
        name = function.__name__
        if name in FEATURES:
            raise ValueError(f"feature {name} is registered twice")
        FEATURES[name] = Feature(name, inputs, lookback, memory or lookback + 1, function)
        return function

    return register


def wilder_memory(bars: int) -> int:
    """Return the bars after which Wilder's smoothing (weight 1/bars) has forgotten its start."""
    return math.ceil(math.log(FORGOTTEN) / math.log(1 - 1 / bars))


def ema_memory(bars: int) -> int:
    """Return the bars after which an exponential mean (weight 2/(bars+1)) has forgotten its start."""
    return math.ceil(math.log(FORGOTTEN) / math.log(1 - 2 / (bars + 1)))
