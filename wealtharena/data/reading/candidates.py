"""Which columns may hold the times of bars: neither counts of rows nor, beside others, dates of other things."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.aliases import DATES_TOO
from wealtharena.data.reading.columns import is_nameless, plain
from wealtharena.data.reading.stamps import clock
from wealtharena.data.reading.words import HOW_TO_NAME
from wealtharena.errors import DataError

_DATES_TOO: Final = frozenset(map(plain, DATES_TOO.split()))


def likely(columns: list[tuple[str, pd.Series]], where: str) -> list[tuple[str, pd.Series]]:
    """Return the columns that may hold the times: those whose names dates of other things have, only where no other holds a date; no two have one name.

    Raises:
        DataError: there is none but a column without a name that counts the rows.
    """
    times = [(name, values) for name, values in columns if not (is_nameless(name) and is_counter(values))]
    if not times:
        raise DataError(
            f"{where} has no column for timestamp: {columns[0][0] or 'its first column'} counts its rows",
            hint=HOW_TO_NAME,
        )
    usual = [item for item in times if plain(item[0]) not in _DATES_TOO]
    dated = len(usual) == len(times) or any(clock(values) is None for _, values in usual)  # else a time of day alone
    return _told_apart(usual if dated else times)


def _told_apart(columns: list[tuple[str, pd.Series]]) -> list[tuple[str, pd.Series]]:
    """Return columns of which no two have one name: `date` and `date (2)`."""
    names = [name for name, _ in columns]
    before = [names[:place].count(name) for place, name in enumerate(names)]
    return [(f"{name} ({n + 1})" if n else name, values) for n, (name, values) in zip(before, columns, strict=True)]


def is_count(name: str, values: pd.Series) -> bool:
    """Return whether a column counts rows or days by its name: a day of the week, pandas' unnamed index."""
    named = plain(name) == "day" or is_nameless(name)
    return named and not values.astype("string").str.contains(":", regex=False, na=False).any()


def is_counter(values: pd.Series) -> bool:
    """Return whether a column counts rows or days: small whole numbers that begin at 0 or 1."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any() or not len(numbers):
        return False
    array = numbers.to_numpy(dtype=np.float64)
    return bool((array == np.trunc(array)).all() and array.min() in (0.0, 1.0) and array.max() <= 4 * len(array) + 10
                and (np.diff(array) != 0).any() and array.max() > 0)  # fmt: skip
