"""Labels that cannot be those of the bars: days on the wrong weekdays, and weeks and months whose labels change their day."""

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
_DAYS: Final = 15  # of a symbol, that show on which weekdays it trades
_HARDLY: Final = 0.02  # of the bars on a weekday without trade
_OFTEN: Final = 0.1  # of the bars on a weekend that is a day of trade
_FIRST_DAYS, _LAST_DAYS = 5, 25  # days of a month up to which labels name its beginning, and from which its end


def check_weekdays(dates: pd.Series, where: str) -> None:
    """Refuse a symbol's days that leave out two weekdays in a row, but not Saturdays and Sundays, where its venue rests.

    They are dated a day early (midnights of Tokyo in UTC) or late (the midnight at which a day ends), or are counted from
    another year than 1970. Filled days stand on all weekdays, a currency's Sunday evening beside its Friday.

    Raises:
        DataError: naming the weekdays.
    """
    shown = intervals.spacing(pd.DatetimeIndex(dates)) if len(dates) >= _DAYS else None
    if shown is None or shown.interval != "1d":
        return
    share = np.bincount(np.asarray(pd.DatetimeIndex(dates).day_of_week), minlength=7) / len(dates)
    rests = [day for day in range(7) if share[day] <= _HARDLY and share[(day + 1) % 7] <= _HARDLY]
    if len(rests) != 1 or share[5:].max() <= _OFTEN:
        return
    first, last = _WEEKDAYS[(rests[0] + 2) % 7], _WEEKDAYS[rests[0] - 1]
    raise DataError(
        f"{where}: its days are {first} to {last}, and its venue trades from Mondays to Fridays: they are dated early or late,"
        f" or counted from another year",
        hint="write the date of each session; a symbol of a venue that trades on Sundays needs its ending, as 2222.SR",
    )


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
