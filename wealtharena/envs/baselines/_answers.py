"""What a rule answered with, as numbers: nothing spread, nothing guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]


def numbers_of(answer: object, symbols: Sequence[str] = ()) -> FloatArray | None:
    """Return the answer as real numbers; None where it has others, and where its labels are in another order than bars and symbols are.

    A table or series is taken by its place, so that its columns or its index are 0, 1, 2 and on, or the `symbols`.
    """
    if isinstance(answer, pd.DataFrame | pd.Series):
        for labels in answer.axes:
            if list(labels) not in (list(range(len(labels))), list(symbols)):
                return None
    try:
        found = np.asarray(answer)  # ValueError for rows of several lengths
        return None if found.dtype.kind not in "biufO" else found.astype(np.float64)
    except (TypeError, ValueError):
        return None


def named(answer: Any) -> str:
    """Return what a rule answered with, as an error calls it."""
    try:
        return f"a {type(answer).__name__} of shape {np.shape(answer)}"
    except ValueError:
        return f"a {type(answer).__name__} with rows of several lengths"
