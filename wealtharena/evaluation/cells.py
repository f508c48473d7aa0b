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
DASHED: Final = r"^(?:[\u2010-\u2014][\s\u00a0\u202f]*|-[\s\u00a0\u202f]+)[\d.,]"  # a typesetter's minus, and one at the edge of its cell
PROBE: Final = 20  # cells that tell what most are
SPACES: Final = "% \u00a0\u202f"


def is_typed(cells: pd.Series) -> bool:
    """Return whether a column holds numbers by its type."""
    import pandas as pd

    return bool(pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells))


def text_of(cells: pd.Series) -> pd.Series:
    """Return a column's cells as text, empty where there is none, with the minus of typesetters, and a dash for one, as a hyphen."""
    found: pd.Series = cells.astype("string").fillna("").str.strip().str.replace("\u2212", "-", regex=False)
    dashed = found.str.contains(DASHED, regex=True)
    if dashed.any():
        found[dashed] = "-" + found[dashed].str[1:].str.lstrip(" \t\u00a0\u202f")
    return found


def holds_numbers(cells: pd.Series) -> bool:
    """Return whether a column is one of numbers, typed or written."""
    if is_typed(cells):
        return True
    text = with_minus(text_of(cells))
    text = text[~text.str.lower().isin(ABSENT)].str.rstrip(SPACES)
    return bool(len(text)) and bool(text.str.fullmatch(f"{NUMBER}|{ENDLESS}", case=False).all())


def holds_words(cells: pd.Series) -> bool:
    """Return whether a column is one of text of which no cell that is looked at begins as a number or a date."""
    import pandas as pd

    if not (pd.api.types.is_string_dtype(cells) or isinstance(cells.dtype, pd.CategoricalDtype)):
        return False
    probe = text_of(cells.iloc[:: max(1, len(cells) // PROBE)])
    return not probe.str.match(r"[-+(]?\d").any()
