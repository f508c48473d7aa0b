"""Each symbol by the inverse of its volatility: naive risk parity (Maillard, Roncalli and Teiletche 2010)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines import equal_weight
from wealtharena.envs.baselines._history import known_returns
from wealtharena.envs.baselines._shares import invested

LEAST_VOLATILITY = 1e-6  # a bar: a symbol that never moves does not take everything by a division by 0


def weights(panel: Panel, row: int, spec: BaselineSpec) -> npt.NDArray[np.float64]:
    """Return weights in proportion to 1 / volatility of what a unit earned over `lookback_bars`, together `gross`.

    Symbols without a whole lookback have weight 0; where that is all of them, the weights are equal.
    """
    returns, known = known_returns(panel, row, spec)
    if not known.any():
        return equal_weight.weights(panel, row, spec)
    shares = np.zeros(len(panel.symbols))
    shares[known] = 1.0 / np.maximum(returns[:, known].std(axis=0, ddof=1), LEAST_VOLATILITY)
    return invested(shares, spec)
