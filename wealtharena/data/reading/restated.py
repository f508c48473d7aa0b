"""Headers that stand again among the rows, as files put one below the other have them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import plain, role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

ONCE_MORE: Final = "the header once more"  # why a row is left out


def without_headers(frame: pd.DataFrame, rows: Sequence[Sequence[str]], ledger: Ledger) -> pd.DataFrame:
    """Return the rows of a body of text cells without copies of its header `rows`.

    What stands below a header of the same names in another order is read by it.

    Raises:
        DataError: a header among the rows has other names.
    """
    known = {cell for row in rows for cell in row if cell}
    priced = next(
        (place for place, name in enumerate(rows[0]) if role_of(name) in ("close", "adjclose")), frame.shape[1] - 1
    )
    first, prices = frame.iloc[:, 0].str.strip(), frame.iloc[:, priced].str.strip()
    cells = pd.Series(first.unique(), dtype="string")
    worded = cells[cells.isin(known) | ~cells.str.contains("[0-9]")]
    heads = [cell for cell in worded if cell in known or role_of(cell) is not None]
    named = np.flatnonzero(first.isin(heads) & (~prices.str.contains("[0-9]") | prices.isin(known)))
    again = {place: [str(cell).strip() for cell in frame.iloc[place]] for place in named.tolist()}
    copies = [place for place, cells in again.items() if any(cells == list(row) for row in rows)]
    others = [place for place in again if place not in copies and _names_prices(again[place])]
    if others and len(rows) == 1:
        frame = _reordered(frame, list(rows[0]), {place: again[place] for place in sorted([*copies, *others])}, ledger)
    ledger.drop(ONCE_MORE, len(copies) + (len(others) if len(rows) == 1 else 0))
    gone = [*copies, *(others if len(rows) == 1 else ())]
    return frame.drop(index=frame.index[gone]).reset_index(drop=True) if gone else frame


def _names_prices(cells: list[str]) -> bool:
    roles = {role_of(cell) for cell in cells}
    return {"timestamp", "close"} <= roles and not any(cell[:1].isdigit() for cell in cells)


def _reordered(frame: pd.DataFrame, names: list[str], headers: dict[int, list[str]], ledger: Ledger) -> pd.DataFrame:
    """Return the frame with the rows below each header in the order of `names`."""
    frame = frame.copy()
    order = [plain(name) for name in names]
    for begin, end in pairwise([*headers, len(frame)]):
        cells = [plain(cell) for cell in headers[begin]]
        if cells == order:
            continue
        if sorted(cells) != sorted(order) or len(set(cells)) < len(cells):
            raise DataError(
                f"{ledger.name}: row {begin + 1} is a header of its own with other names ({', '.join(headers[begin])})",
                hint="write both parts as files of one folder, each under its own header",
            )
        ledger.note(f"the rows below row {begin + 1} stand under a header of another order, and are read by it")
        below = frame.iloc[begin:end].to_numpy()
        frame.iloc[begin:end] = below[:, [cells.index(name) for name in order]]
    return frame
