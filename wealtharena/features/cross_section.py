"""Features that compare symbols at a bar: where each stands among those that have a value there."""

from __future__ import annotations

from typing import Final

import numpy as np

from wealtharena.data.panel import FloatArray

_OF: Final = {"rank_63": "scaled_return_63", "rank_252": "scaled_return_252"}  # what is ranked


def is_rank(name: str) -> bool:
    """Return whether a feature compares symbols."""
    return name in _OF


def ranked(name: str) -> str:
    """Return the feature of one symbol that this one ranks."""
    return _OF[name]


def ranks(values: FloatArray) -> FloatArray:
    """Return each value's place among its row's, [T, A], from -0.5 (least) to 0.5; ties share theirs, one alone has 0.

    NaN stays NaN and takes no place.
    """
    known = np.isfinite(values)
    count = known.sum(axis=1)
    below = np.empty_like(values)
    with np.errstate(invalid="ignore"):
        for column in range(values.shape[1]):
            own = values[:, column : column + 1]
            below[:, column] = (values < own).sum(axis=1) + 0.5 * ((values == own).sum(axis=1) - 1)
    place = below / np.maximum(count - 1, 1)[:, None] - np.where(count > 1, 0.5, 0.0)[:, None]
    return np.where(known, place, np.nan)
