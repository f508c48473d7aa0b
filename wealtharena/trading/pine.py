"""The weights that were decided on, as a Pine script that draws them on TradingView."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

LONGEST: Final = 2_000  # decisions: Pine has a limit to the length of a script


def pine_of(agent: str, symbol: str, weights: Mapping[str, float]) -> str:
    """Return a Pine 6 indicator that steps through the weights of one symbol, by the time of the bar of each decision.

    The newest LONGEST decisions only. The text of names is reduced to what a string in Pine may hold.
    """
    kept = sorted(weights.items())[-LONGEST:]
    stamps = [int(np.datetime64(bar, "ms").astype(np.int64)) for bar, _ in kept]
    title = "".join(letter for letter in f"{agent} {symbol}" if letter.isalnum() or letter in " -_=.^")
    return "\n".join(
        [
            "//@version=6",
            f'indicator("WealthArena {title}", overlay = false)',
            f"var int[] stamps = {_array(map(str, stamps), 'int')}",
            f"var float[] weights = {_array((f'{weight:.6g}' for _, weight in kept), 'float')}",
            "var float weight = na",
            "var int at = 0",
            "while at < array.size(stamps) and array.get(stamps, math.min(at, array.size(stamps) - 1)) <= time",
            "    weight := array.get(weights, at)",
            "    at += 1",
            'plot(weight, "weight", style = plot.style_stepline)',
            "hline(0)",
            "",
        ]
    )


def _array(values: Iterable[str], kind: str) -> str:
    found = list(values)
    return f"array.from({', '.join(found)})" if found else f"array.new<{kind}>()"
