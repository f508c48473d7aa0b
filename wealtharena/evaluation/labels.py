"""That series are numbers, and that two which are taken place by place are of the same bars, where they say of which."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_NO_RETURNS: Final = {
    "b": "True and False",
    "c": "complex numbers",
    "M": "times",
    "m": "lengths of time",
}  # numpy's kinds


def numbers(values: Any, what: str = "returns") -> npt.NDArray[np.float64]:
    """Return a series as float64; ValueError for what a cast would make numbers of, and for cells that a mask hides."""
    if hasattr(type(values), "returns"):  # a Trajectory
        raise ValueError(f"a {type(values).__name__} is no series of {what}: pass its .returns")
    array = np.asarray(values)
    if array.dtype.kind in _NO_RETURNS:
        raise ValueError(f"{what} are {_NO_RETURNS[array.dtype.kind]}: pass real numbers")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{what} are masked in part: pass .filled(np.nan), which is left out")
    return array.astype(np.float64, copy=False)


def check_alike(first: Any, second: Any, what: str) -> None:
    """Raise ValueError where two series of pandas have other labels, or the same in another order; `what` names both.

    They are taken by their places. An index that only counts says nothing of bars.
    """
    pd = sys.modules.get("pandas")  # whoever has a series has loaded it
    if pd is None or not (isinstance(first, pd.Series) and isinstance(second, pd.Series)):
        return
    if any(isinstance(one.index, pd.RangeIndex) for one in (first, second)) or first.index.equals(second.index):
        return
    places = min(len(first), len(second))
    apart = next((at for at in range(places) if first.index[at] != second.index[at]), places)
    shown = " and ".join(str(one.index[apart]) if apart < len(one) else "nothing" for one in (first, second))
    raise ValueError(
        f"{what} are taken place by place, and have other labels at place {apart}: {shown};"
        " bring them to the same bars first: first.align(second, join='inner')"
    )
