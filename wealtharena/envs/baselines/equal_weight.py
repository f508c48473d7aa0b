"""The same part of every symbol (DeMiguel, Garlappi and Uppal 2009)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines._history import listed
from wealtharena.envs.baselines._shares import invested


def weights(panel: Panel, row: int, spec: BaselineSpec) -> npt.NDArray[np.float64]:
    """Return equal parts of what is listed, together `gross`."""
    return invested(listed(panel, row, spec).astype(np.float64), spec)
