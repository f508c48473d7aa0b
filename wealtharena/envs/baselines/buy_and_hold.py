"""Equal parts of every symbol, bought once."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines import equal_weight

HOLDS: Final = True


def weights(panel: Panel, row: int, spec: BaselineSpec) -> npt.NDArray[np.float64]:
    """Return equal parts of what is listed, together `gross`."""
    return equal_weight.weights(panel, row, spec)
