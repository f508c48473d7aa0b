"""The cells of somebody's file: a column of them, and whether they are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wealtharena.data.reading.signs import with_minus
from wealtharena.data.reading.words import ABSENT

if TYPE_CHECKING:
    import pandas as pd

Column = tuple[str, "pd.Series"]  # name, cells
NUMBER: Final = (
    r"[+-]?(?:\d{1,3}(?:[.,' ]\d{3})+|\d*)(?:[.,]\d*)?(?:[eE][+-]?\d+)?"  # whichever mark is the decimal one
)
ENDLESS: Final = r"([+-]?)(?:inf|infinity|∞)"
NOTHING: Final = r"[+-]?0*[.,]?0*"  # a zero needs no sign
MINUS: Final = r"\u2212|^[-\u2010-\u2014][\s\u00a0\u202f]*(?=[\d.,])"  # or a hyphen at the edge of its cell, as spreadsheets' accounts have it
SPACES: Final = "% \u00a0\u202f"


def is_typed(cells: pd.Series) -> bool:
    """Return whether a column holds numbers by its type."""
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells))


def text_of(cells: pd.Series) -> pd.Series:
    """Return a column's cells as text, empty where there is none, with the minus of typesetters, and a dash for one, as a hyphen."""
    found: pd.Series = cells.astype("string").fillna("").str.strip().str.replace(MINUS, "-", regex=True)
    return found


def holds_numbers(cells: pd.Series) -> bool:
    """Return whether a column is one of numbers, typed or written."""
    if is_typed(cells):
        return True
    text = with_minus(text_of(cells))
    text = text[~text.str.lower().isin(ABSENT)].str.rstrip(SPACES)
    return bool(len(text)) and bool(text.str.fullmatch(f"{NUMBER}|{ENDLESS}", case=False).all())
