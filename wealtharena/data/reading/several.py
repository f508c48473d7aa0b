"""Rows of one symbol and time that are no copies: a further column tells them apart, and the reader has to choose."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.columns import PRICES, plain, role_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import IntArray, Stamps
from wealtharena.errors import DataError

_SHARE: Final = 0.05  # of rows: fewer copies are repaired
_CLOCK: Final = frozenset(
    {"hour", "hours", "hr", "hh", "minute", "minutes", "min", "stunde"}
)  # what they hold is a part of the time
_KINDS: Final = 0.34  # of rows: a column with more values than that holds figures


def check_one_row_a_bar(
    frame: pd.DataFrame, used: set[str], groups: dict[str, IntArray], read: Stamps, ledger: Ledger
) -> None:
    """Refuse a table in which columns that are not `used` tell several rows of one symbol and time apart.

    Raises:
        DataError: naming the columns, what they hold, and how to keep one of each.
    """
    owner = np.zeros(len(frame), dtype=np.int64)
    for number, rows in enumerate(groups.values()):
        owner[rows] = number
    keys = pd.DataFrame({"owner": owner, "time": read.instants})
    again = keys.duplicated(keep=False).to_numpy()
    if again.mean() <= _SHARE:
        return
    places = [
        place
        for place, name in enumerate(frame.columns)
        if str(name) not in used
        and plain(name) not in _CLOCK
        and 2 <= frame.iloc[:, place].nunique() <= max(2, _KINDS * len(frame))
    ]
    cells = {place: pd.factorize(frame.iloc[:, place].astype("string"))[0] for place in places}
    for count in (1, 2):
        for chosen in combinations(places, count):
            told = keys.assign(**{str(place): cells[place] for place in chosen})
            if not told.duplicated().any():
                raise _refusal(frame, chosen, int(np.flatnonzero(again)[0]), groups, ledger.name)


def _refusal(
    frame: pd.DataFrame, chosen: tuple[int, ...], row: int, groups: dict[str, IntArray], where: str
) -> DataError:
    names = [str(frame.columns[place]) for place in chosen]
    values = [list(map(str, frame.iloc[:, place].dropna().unique()[:4])) for place in chosen]
    shown = " and ".join(f"{name} ({', '.join(held)})" for name, held in zip(names, values, strict=True))
    if {role_of(value) for held in values for value in held} & set(PRICES):
        return DataError(
            f"{where} has a row a field: {shown}",
            hint="write one row a bar, with a column for open, high, low and close",
        )
    symbol = next((name for name, rows in groups.items() if row in rows), "")
    wanted = " and ".join(f"{name} is {held[0]}" for name, held in zip(names, values, strict=True))
    other = f", or call {names[0]} symbol if each of them is a security of its own" if len(names) == 1 else ""
    return DataError(
        f"{where}: {symbol} has several rows of one time, which {shown} tell{'s' if len(names) == 1 else ''} apart",
        hint=f"keep the rows of one kind, as those where {wanted}, in a file of their own{other}",
    )
