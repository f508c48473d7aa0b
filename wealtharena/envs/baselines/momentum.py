"""Time-series momentum (Moskowitz, Ooi and Pedersen 2012), without volatility scaling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines._history import listed, unit_gain


def weights(panel: Panel, row: int, spec: BaselineSpec) -> npt.NDArray[np.float64]:
    """Return `gross` / n of each of n listed symbols: long where a unit earned over `momentum_bars`, short where it lost.

    Where shorts are not allowed, what lost has weight 0, and so has what has no price `momentum_bars` ago.
    """
    chosen = listed(panel, row, spec)
    if row < spec.momentum_bars:
        return np.zeros(len(panel.symbols))
    gain = unit_gain(panel, row, spec.momentum_bars, margined=spec.margined)
    sign = np.nan_to_num(np.sign(gain)) * chosen
    if spec.long_only:
        sign = np.maximum(sign, 0.0)
    return np.asarray(sign * min(spec.gross / max(int(chosen.sum()), 1), spec.max_weight), dtype=np.float64)
