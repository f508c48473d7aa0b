"""Nothing at all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel


def weights(panel: Panel, row: int, spec: BaselineSpec) -> npt.NDArray[np.float64]:
    """Return nothing to hold: all of equity earns what cash earns."""
    del row, spec
    return np.zeros(len(panel.symbols))
