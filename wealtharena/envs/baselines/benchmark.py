"""The class's benchmark symbol, bought once."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.data.panel import Panel
from wealtharena.errors import ConfigError

HOLDS: Final = True


def weights(panel: Panel, row: int, spec: BaselineSpec) -> npt.NDArray[np.float64]:
    """Return `gross`, at most `max_weight`, of the benchmark; raises ConfigError where the panel does not have it."""
    del row
    if spec.benchmark is None or spec.benchmark not in panel.symbols:
        raise ConfigError(
            f"the panel has no bars of the benchmark {spec.benchmark!r}",
            hint="add the symbol to the universe, or choose another baseline",
        )
    result = np.zeros(len(panel.symbols))
    result[panel.symbols.index(spec.benchmark)] = min(spec.gross, spec.max_weight)
    return result
