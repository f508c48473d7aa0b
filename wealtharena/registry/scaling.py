"""scaler.json of a checkpoint: how its policy scales features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.errors import CheckpointError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation of each feature over the training window, finite, the latter above 0."""

    mean: FloatArray  # [F]
    std: FloatArray  # [F]

    @classmethod
    def of(cls, content: Mapping[str, Any], names: Sequence[str], *, where: str) -> Scaling:
        """Return the scaling of features `names`; CheckpointError names `where` and what doesn't fit them."""
        if content.get("names") != list(names):
            raise CheckpointError(f"{where}: is not of the agent's features", hint="save the checkpoint again")
        return cls(*(_column(content.get(key), len(names), key, where=where) for key in ("mean", "std")))


def _column(values: object, count: int, key: str, *, where: str) -> FloatArray:
    numbers = values if isinstance(values, list) and len(values) == count else []
    fit = len(numbers) == count and all(type(value) in (int, float) for value in numbers)
    array = np.array(numbers if fit else [np.nan], dtype=np.float64)
    if not np.isfinite(array).all() or (key == "std" and (array <= 0).any()):
        raise CheckpointError(
            f"{where}: {key} is not {count} finite numbers{' above 0' if key == 'std' else ''}",
            hint="save the checkpoint again",
        )
    return array
