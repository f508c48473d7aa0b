"""Where the table of a text file begins: the line that names most of what is looked for, whatever stands above it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from wealtharena.errors import DataError

SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
PEEK: Final = 60  # lines that are looked at to find the header
_NO_TABLES: Final = {
    r"\s*(\{\s*\"|\[\s*[\[{])": "JSON, which is no table",
    r"\s*<(!doctype|html)": "a web page, which is no table",
    r"\s*<\?xml": "XML, which is no table",
    r"version https://git-lfs": "a pointer of Git LFS and not the file",
}


def require_table(text: str, where: str, *, row: str) -> None:
    """Raise DataError where a text is JSON or a web page; `row` is what one row of a table would be of, as in "a bar"."""
    for begins, told in _NO_TABLES.items():
        if re.match(begins, text, re.IGNORECASE):
            way = ", as pandas.read_json(...).to_csv(...) does of records" if told.startswith("JSON") else ""
            hint = "run git lfs pull" if "LFS" in told else f"write it as CSV, one row {row}{way}"
            raise DataError(f"{where} holds {told}", hint=hint)


def best_line(
    grids: Mapping[str, list[list[str]]], rank: Callable[[list[str]], tuple[int, ...]]
) -> tuple[tuple[int, ...], str, int]:
    """Return rank, separator and place of the line that ranks highest as a header, the earliest of equals.

    `grids` has the same lines as cells, by the separator that cuts them; of equals at one place the first separator's wins.
    """
    found = [
        ((*rank(cells), -place), separator, place)
        for separator, lines in grids.items()
        for place, cells in enumerate(lines)
    ]
    best, separator, place = max(found, key=lambda item: item[0])
    return best[:-1], separator, place
