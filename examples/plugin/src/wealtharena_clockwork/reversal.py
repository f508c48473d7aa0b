"""A baseline and an anchor: equal parts of what fell over the last bar. Quotes alone, so that a server finds the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel

FloatArray = npt.NDArray[np.float64]


def weights(panel: Panel, row: int, spec: BaselineSpec) -> FloatArray:
    """Return target weights [A] at the close of bar `row`: the baseline."""
    return rule(panel.close[max(row - 1, 0) : row + 1], spec)[-1]


def rule(close: FloatArray, spec: BaselineSpec) -> FloatArray:
    """Return the weights at every bar [T, A] from closes [T, A], NaN where there is none: the anchor."""
    fell = np.zeros_like(close)
    fell[1:] = np.nan_to_num(close[1:] < close[:-1])
    count = fell.sum(axis=1, keepdims=True)
    return np.minimum(spec.gross * fell / np.maximum(count, 1.0), spec.max_weight)
