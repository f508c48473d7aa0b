"""Portfolios drawn blindly: what luck alone earns at the same rhythm and costs."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines._history import listed

DRAWN: Final = True


def weights(panel: Panel, row: int, spec: BaselineSpec) -> npt.NDArray[np.float64]:
    """Return a portfolio drawn uniformly from the simplex of what is listed and cash, signs drawn where shorts are allowed.

    The draw belongs to the seed and the bar's time, not to its place in the panel. Weights and cash together are
    `gross`; a weight above `max_weight` is cut to it.
    """
    assets = len(panel.symbols)
    when = int(panel.timestamps[row].astype("datetime64[ns]").astype(np.int64))
    rng = np.random.default_rng([spec.seed, when % 2**64])
    share = rng.standard_exponential(assets + 1)
    coin = rng.integers(0, 2, assets)
    drawn = share[1:] * listed(panel, row, spec)
    weight = np.minimum(drawn / (drawn.sum() + share[0]) * spec.gross, spec.max_weight)
    return np.asarray(weight if spec.long_only else weight * (2.0 * coin - 1.0), dtype=np.float64)
