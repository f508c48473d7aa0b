"""Rows that say nothing: empty ones, as spreadsheets write them below a table, and copies of others."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import IntArray, Stamps
from wealtharena.errors import DataError


def without_empty(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table without rows that hold nothing in any cell; they count neither as rows nor as left out.

    Raises:
        DataError: there is no other row.
    """
    if not frame.shape[1]:
        return frame
    empty = _is_empty(frame.iloc[:, 0])
    for place in range(1, frame.shape[1]):
        if not empty.any():
            return frame
        empty[empty] = _is_empty(frame.iloc[empty, place])
    if not empty.any():
        return frame
    if empty.all():
        raise DataError(
            f"{ledger.name} holds nothing in any of its {len(frame)} rows", hint="pass one row a bar and symbol"
        )
    ledger.rows -= int(empty.sum())
    ledger.settle("empty rows", f"{int(empty.sum())}, passed over")
    return frame[~empty].reset_index(drop=True)


def _is_empty(cells: pd.Series) -> np.ndarray:
    missing = cells.isna().to_numpy()
    if pd.api.types.is_string_dtype(cells) or cells.dtype == object:
        missing = missing | (cells.astype("string").str.strip() == "").fillna(value=False).to_numpy(dtype=bool)
    return np.array(missing, dtype=bool)


def without_copies(
    groups: dict[str, IntArray], numbers: pd.DataFrame, read: Stamps, ledger: Ledger
) -> dict[str, IntArray]:
    """Return the rows of each symbol without those that repeat time and numbers of an earlier one, where they are most of all.

    Up to half of the rows they are left to the rules of quality, which count each; of more it would seem that bars within
    the day lack their times.
    """
    cells = numbers.assign(wall=read.wall)
    kept = {name: rows[~cells.iloc[rows].duplicated().to_numpy()] for name, rows in groups.items()}
    before, after = (sum(map(len, made.values())) for made in (groups, kept))
    if 2 * (before - after) <= before:
        return groups
    ledger.note(f"{before - after:,} of {before:,} rows repeat time and numbers of another one and are left out")
    return kept
