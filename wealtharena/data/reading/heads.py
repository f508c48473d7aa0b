"""Where the table of a text file begins: the line that names most of what is looked for, whatever stands above it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from wealtharena.errors import DataError

SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
PEEK: Final = 60  # lines that are looked at to find the header
_AS_CSV: Final = "write it as CSV, one row {row}"
_NO_TABLES: Final = {  # how it begins -> what it is, and the way out
    r"\s*(\{\s*\"|\[\s*[\[{])": (
        "JSON, which is no table",
        f"{_AS_CSV}, as pandas.read_json(...).to_csv(...) does of records",
    ),
    r"\s*<(!doctype|html)": ("a web page, which is no table", _AS_CSV),
    r"\s*<\?xml": ("XML, which is no table", _AS_CSV),
    r"00COTAHIST": (
        "B3's COTAHIST, which is of fixed widths and no table",
        f"{_AS_CSV}, cut as by pandas.read_fwf: of the lines that begin with 01 and have 010 (shares) in places 25-27 the date is"
        " 3-10, the symbol 13-24, open, high and low 57-69, 70-82 and 83-95, the close 109-121 (hundredths), the volume 153-170",
    ),
    r"version https://git-lfs": ("a pointer of Git LFS and not the file", "run git lfs pull"),
}


def require_table(text: str, where: str, *, row: str) -> None:
    """Raise DataError where a text is JSON or a web page; `row` is what one row of a table would be of, as in "a bar"."""
    for begins, (told, way) in _NO_TABLES.items():
        if re.match(begins, text, re.IGNORECASE):
            raise DataError(f"{where} holds {told}", hint=way.format(row=row))


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
