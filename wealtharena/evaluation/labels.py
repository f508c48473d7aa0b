"""That two series which are taken place by place are of the same bars, where they say of which."""

from __future__ import annotations

import sys
from typing import Any


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
