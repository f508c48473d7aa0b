"""Weeks and months of one symbol whose labels change from one day to another, as two sources put together have them."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data import intervals
from wealtharena.errors import DataError

_RUN: Final = 4  # labels of one kind in a row: holidays move fewer
_WEEKDAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_PARTS: Final = ("first days", "days in their middle", "last days")
_FIRST_DAYS, _LAST_DAYS = 5, 25  # days of a month up to which labels name its beginning, and from which its end


def check_labels(timestamps: pd.Series, where: str) -> None:
    """Refuse a symbol's weeks or months that are labelled by one day for a stretch and by another after it.

    What stands on a Monday is the week that begins, and on a Friday the one that ends: between the two a bar is a week
    early or late. A week that moves by a day is one of another first session, but from a Sunday to a Monday or back: the
    one may end it, the other begins it.

    Raises:
        DataError: naming the two days and the dates of the change.
    """
    stamps = pd.DatetimeIndex(timestamps).tz_localize(None).unique().sort_values()
    shown = intervals.spacing(stamps) if len(stamps) >= 2 * _RUN else None
    if shown is None or shown.interval not in ("1w", "1mo"):
        return
    weeks = shown.interval == "1w"
    kinds = np.asarray(stamps.day_of_week) if weeks else _part_of_month(stamps)
    windows = np.lib.stride_tricks.sliding_window_view(kinds, _RUN)
    steady = np.flatnonzero((windows == windows[:, :1]).all(axis=1))
    for one, other in pairwise(steady.tolist()):
        if abs(int(kinds[other]) - int(kinds[one])) > (1 if weeks else 0):  # of Sundays and Mondays it is 6
            word, names = ("weeks", _WEEKDAYS) if weeks else ("months", _PARTS)
            raise DataError(
                f"{where}: its {word} are labelled by their {names[kinds[one]]} up to {stamps[one + _RUN - 1]:%Y-%m-%d}"
                f" and by their {names[kinds[other]]} from {stamps[other]:%Y-%m-%d}",
                hint=f"write all {word} under one day, such as their first",
            )


def _part_of_month(stamps: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return 0 for the first days of a month, 2 for the last ones, 1 for others."""
    days = np.asarray(stamps.day, dtype=np.int64)
    return np.where(days <= _FIRST_DAYS, 0, np.where(days >= _LAST_DAYS, 2, 1))
