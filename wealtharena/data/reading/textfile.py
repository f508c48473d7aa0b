"""A text file as a sheet of text cells: encoding, separator, preamble and header are settled, nothing is a number yet."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pandas as pd

from wealtharena.data.reading import zones
from wealtharena.data.reading.archives import BrokenError, unpacked
from wealtharena.data.reading.blocks import unblocked
from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.drawn import are_types, undrawn
from wealtharena.data.reading.events import put_in, taken_out
from wealtharena.data.reading.flat import may_hold_tickers
from wealtharena.data.reading.heads import PEEK, SEPARATORS, best_line, require_table
from wealtharena.data.reading.layouts import headless_names, wide_to_long
from wealtharena.data.reading.published import names_series
from wealtharena.data.reading.restated import ONCE_MORE, without_headers
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import parse
from wealtharena.data.reading.words import HOW_TO_NAME, meaning_of, money_of
from wealtharena.errors import DataError

_LEGACY: Final = (
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1254",
    "mac_roman",
    "cp850",
    "gb18030",
    "shift_jis",
    "euc_kr",
    "big5",
)  # likeliest first
_BOMS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True)
class _Head:
    """Where the table begins: `rows` are its header rows, `start` the offset of the first row of data."""

    separator: str
    rows: list[list[str]]
    start: int
    preamble: int


def read_text(path: Path, ledger: Ledger) -> pd.DataFrame:
    """Return the file's table with every cell as text; a file with a header and no rows gives an empty one.

    Raises:
        DataError: the bytes are no text, no separator makes a table of it, or its rows do not fit its header.
    """
    text = decode(path, ledger)
    require_table(text, ledger.name, row="a bar")
    text = unblocked(undrawn(text, ledger), ledger)
    head = _head(text, ledger)
    if "separator" not in ledger.facts:
        ledger.settle("separator", SEPARATORS[head.separator])
    if head.preamble:
        ledger.zone = zones.above(text.split("\n", head.preamble)[: head.preamble])
        ledger.settle("preamble", f"{head.preamble} lines above the header are passed over")
    if not head.rows:
        return _headless(text, head, ledger)
    ledger.settle("header", f"line {head.preamble + 1}" + (f", {len(head.rows)} rows" if len(head.rows) > 1 else ""))
    if len(head.rows) == 1:
        content, found = taken_out(text[head.start :], head.separator, head.rows[0])
        body, names = _body(content, head, ledger)
        return put_in(body.set_axis(names, axis=1), found, ledger)
    body, _ = _body(text[head.start :], head, ledger)
    return wide_to_long(head.rows, body.set_axis(range(body.shape[1]), axis=1), ledger)


def is_table(path: Path) -> bool:
    """Return whether a text file begins as a table of bars; a note or a licence does not, a damaged archive may."""
    ledger = Ledger(path.name)
    try:
        _head(undrawn(decode(path, ledger), ledger), ledger)
    except BrokenError:
        return True  # reading it says so; a month that is lost in silence does not
    except DataError:
        return False
    return True


def decode(path: Path, ledger: Ledger) -> str:
    """Return the text of a file, packed or not, in the encoding that its bytes show; DataError where they are no text."""
    content = unpacked(path)
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), None)
    if encoding is None and b"\x00" in content[:2000]:
        zeros = content[:2000].count(b"\x00", 0)
        if zeros < 0.3 * min(len(content), 2000):
            raise _unreadable(path, "it holds bytes that are no text")
        encoding = "utf-16-le" if content[1:2] == b"\x00" else "utf-16-be"
    name = encoding or "utf-8"
    text = _decoded(content, name)
    if text is None and encoding is None:
        name = _legacy(content)
        text = _decoded(content, name)
    if text is None:
        raise _unreadable(path, "its encoding is unknown")
    ledger.settle("encoding", name.removesuffix("-sig"))
    return text


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        text = content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        return None
    return text.replace("\n\ufeff", "\n").lstrip("\ufeff") if "\ufeff" in text else text  # of files put together


def _legacy(content: bytes) -> str:
    """Return the encoding in which most columns have names that are known, the first of several."""
    beginning = content[: content.rfind(b"\n", 0, 1 << 14) + 1] or content
    return max(_LEGACY, key=lambda name: _roles(_decoded(beginning, name) or ""))


def _roles(text: str) -> int:
    """Return how many roles one of the first lines names at the most, of those that name a close."""
    lines = text.split("\n")[:PEEK]
    named = ({role_of(cell) for cell in row} for separator in SEPARATORS for row in _cells(lines, separator))
    return max((len(roles - {None}) for roles in named if "close" in roles), default=0)


def _unreadable(path: Path, why: str) -> DataError:
    return DataError(
        f"{path.name} is neither Parquet, Arrow nor text: {why}", hint="download it again, or save it as CSV in UTF-8"
    )


def _head(text: str, ledger: Ledger) -> _Head:
    """Return the separator and header rows under which most columns have a name that is known."""
    lines = text[: 1 << 18].split("\n")[:PEEK]
    grids = {separator: _cells(lines, separator) for separator in SEPARATORS}
    (roles,), separator, place = best_line(grids, lambda cells: (len({role_of(cell) for cell in cells} - {None}),))
    width = len(grids[separator][place])
    if wide := _of_levels(lines) or (_of_tickers(lines) if roles < 2 else None):
        place, separator, width = wide
    elif roles < 2:
        known = {role_of(cell) for cell in grids[separator][place]} if roles else set()
        return _no_names(lines, known, ledger)
    grid = grids[separator]
    series = names_series(grid[place])  # whose first cell may be empty
    data = place + 1 if series else next((i for i in range(place + 1, len(grid)) if _is_data(grid[i])), len(grid))
    first = place
    while first > 0 and len(grid[first - 1]) == width and any(grid[first - 1]):
        first -= 1
    rows = [row for row in grid[first:data] if len(row) == width and any(row)]
    rows = _header_rows(rows, grid[place], separator, ledger)
    start = sum(len(line) + 1 for line in lines[:data])
    return _Head(separator, rows, min(start, len(text)), place if len(rows) == 1 else first)


def _of_tickers(lines: list[str]) -> tuple[int, str, int] | None:
    """Return place, separator and width of a header whose columns are named by tickers, above a row of figures; or None."""
    for separator in SEPARATORS:
        rows = [(place, row) for place, row in enumerate(_cells(lines, separator)) if any(row)]
        for (place, row), (_, below) in pairwise(rows):
            if len(row) != len(below) or _is_data(row):
                continue
            if _is_data(below) and may_hold_tickers(row):
                return place, separator, len(row)
            if names_series(row) and (_is_data(below) or set(below[1:]) <= {"", "."}):  # FRED's of a holiday
                return place, separator, len(row)
    return None


def _of_levels(lines: list[str]) -> tuple[int, str, int] | None:
    """Return place, separator and width of a header that pandas wrote of a stacked table or series, or None.

    Its levels have no names, and its values are called `0` or as closes are.
    """
    for separator in SEPARATORS:
        rows = [row for row in _cells(lines[:2], separator) if any(row)]
        if len(rows) < 2 or "" not in rows[0][:-1] or len(rows[0]) != len(rows[1]):
            continue
        valued = rows[0][-1] == "0" or role_of(rows[0][-1]) in ("close", "adjclose")
        if valued and all(not cell or role_of(cell) for cell in rows[0][:-1]):
            return 0, separator, len(rows[0])
    return None


def _are_units(cells: list[str]) -> bool:
    """Return whether a row below the header says in what its columns are counted."""
    words = [cell.strip("()[]") for cell in cells if cell]
    return len(words) > 1 and all(
        role_of(word) in (None, "timestamp") and not meaning_of(word).unknown for word in words
    )


def _header_rows(rows: list[list[str]], names: list[str], separator: str, ledger: Ledger) -> list[list[str]]:
    """Return the rows that make up the header: one, or those of a table with a column a field and ticker."""
    copies = sum(row == other for place, row in enumerate(rows) for other in rows[:place])
    ledger.drop(ONCE_MORE, copies)
    rows = [row for place, row in enumerate(rows) if row not in rows[:place]]
    types = [row for row in rows if row != names and are_types(row)]
    if types:
        ledger.settle("types", f"the row {separator.join(types[0])!r} below the header is passed over")
        rows = [row for row in rows if row not in types]
    units = [row for row in rows if row is not names and _are_units(row)]
    if units:
        ledger.note(f"the row {separator.join(units[0])!r} below its header holds units")
        rows = [row for row in rows if row not in units]
        if len(rows) == 1:  # what stands below a name says what stands in brackets behind it
            return [
                [f"{name} ({unit.strip('()[]')})" if unit else name for name, unit in zip(names, units[0], strict=True)]
            ]
        for word in units[0]:
            ledger.state_currency(money_of(word), "its row of units")
    roles = [role_of(cell) for cell in names]
    corners = [row[0].lower() for row in rows if row is not names]
    wide = "symbol" not in roles[1:] and any(
        corner in ("", "ticker", "tickers", "symbol", "price") for corner in corners
    )
    others = [row for row in rows if row is not names and any(row[1:])]
    if len(rows) == 1 or not (others or len(roles) != len(set(roles))):
        return [names]
    if wide or (len(rows) > 1 and corners and role_of(corners[0]) == "timestamp"):
        return rows
    if all(len([cell for cell in row if cell]) <= 1 for row in others):
        return [names]  # a title in a row of its own
    raise DataError(
        f"{ledger.name} has several header rows, and none of them names prices",
        hint="use long form: one row a bar and symbol",
    )


def _no_names(lines: list[str], known: set[str | None], ledger: Ledger) -> _Head:
    """Return the head of a file whose first row holds data already; its columns are known by their number alone.

    Raises:
        DataError: it does not; `known` are the roles of its names.
    """
    for separator in SEPARATORS:
        cells = [row for row in _cells(lines, separator) if any(row)]
        if len(cells) >= 2 and len(cells[0]) >= 5 and all(_is_data(row) for row in cells[:2]):
            return _Head(separator, [], 0, 0)
    shown = lines[0][:80] if lines else ""
    missing = " and ".join(role for role in ("timestamp", "close") if role not in known)
    raise DataError(
        f"{ledger.name} has no column for {missing}; it has {shown.replace(',', ', ') or 'nothing'}",
        hint=HOW_TO_NAME,
    )


def _cells(lines: list[str], separator: str) -> list[list[str]]:
    try:
        return [
            [cell.strip() for cell in row]
            for line in lines
            for row in (list(csv.reader([line], delimiter=separator)) or [[]])
        ]
    except csv.Error:
        return [[] for _ in lines]


def _is_data(cells: list[str]) -> bool:
    """Return whether a row holds figures: at least one cell besides the first begins with a digit."""
    return any(cell.lstrip("+-$.")[:1].isdigit() for cell in cells[1:]) and any(cells[:1] + cells[1:2])


def _headless(text: str, head: _Head, ledger: Ledger) -> pd.DataFrame:
    width = Counter(len(row) for row in _cells(text[: 1 << 16].split("\n")[:PEEK], head.separator) if any(row))
    count = width.most_common(1)[0][0]
    body, _ = _body(text, _Head(head.separator, [[""] * count], 0, 0), ledger)
    return body.set_axis(headless_names(body, ledger), axis=1)


def _body(text: str, head: _Head, ledger: Ledger) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows as text, and the names of their columns; rows of another width are counted and left out."""
    names = list(head.rows[-1] if len(head.rows) > 1 else head.rows[0])
    frame, odd = _parse(text, head.separator, len(names), ledger.name)
    wider = [row for row in odd if row == len(names) + 1]
    if not len(frame) and len(wider) == len(odd) and odd:
        frame, odd = _parse(text, head.separator, len(names) + 1, ledger.name)
        if (frame.iloc[:, -1].str.strip() == "").all():
            frame = frame.iloc[:, :-1]
        elif _numbers_rows(frame.iloc[:, 0]) or _dates_rows(frame.iloc[:, 0], names):
            names = ["", *names]
        else:
            raise DataError(
                f"{ledger.name}: every row has {len(names) + 1} cells and the header {len(names)}",
                hint="name every column; a decimal comma needs another separator, or quotes",
            )
    if '"' in text:
        _require_closed_quotes(frame, head.separator, ledger.name)
    total = len(frame) + len(odd)
    if not len(frame) and odd:
        raise DataError(
            f"{ledger.name}: its rows have {odd[0]} cells and its header {len(names)}",
            hint="a decimal comma needs another separator, or quotes",
        )
    ledger.rows = total + ledger.dropped.get(ONCE_MORE, 0)  # above the first row of data
    ledger.drop("another number of cells than the header has", len(odd))
    if len(frame) and any(names):
        rows = [names] if len(head.rows) == 1 else head.rows
        frame = without_headers(frame, rows, ledger)
    return frame, names


def _numbers_rows(cells: pd.Series) -> bool:
    """Return whether a column without a name numbers the rows: whole numbers, none twice, of fewer digits than a date."""
    return bool(cells.str.fullmatch(r"[0-9]{1,7}").all() and cells.is_unique)


def _dates_rows(cells: pd.Series, names: list[str]) -> bool:
    """Return whether a column without a name dates the rows, as R writes the names of rows, and none of the others is called so."""
    if "timestamp" in map(role_of, names):
        return False
    try:
        parse(cells, "")
    except DataError:
        return False
    return cells.is_unique


def _require_closed_quotes(frame: pd.DataFrame, separator: str, where: str) -> None:
    """Raise DataError where a cell spans lines and holds a row's worth of separators: a stray quote took rows in."""
    for column in frame:
        spanning = frame[column][frame[column].str.contains("\n", regex=False)]
        taken = spanning[spanning.str.count(re.escape(separator)) >= frame.shape[1] - 1]
        if len(taken):
            raise _stray_quote(int(taken.index[0]) + 1, str(taken.iloc[0]), where)


def _stray_quote(row: int, cell: str, where: str) -> DataError:
    count = cell.count("\n")
    return DataError(
        f"{where}: a quote that opens in row {row} takes in {count} line{'s' if count > 1 else ''} after it",
        hint="remove the stray quote",
    )


def _parse(text: str, separator: str, width: int, where: str) -> tuple[pd.DataFrame, list[int]]:
    import pyarrow as pa
    from pyarrow import csv as table_csv

    odd: list[int] = []
    stray: list[DataError] = []

    def skip(row: Any) -> str:
        odd.append(int(row.actual_columns))
        if "\n" in (row.text or ""):
            stray.append(_stray_quote(row.number, row.text, where))
        return "skip"

    names = [f"c{i}" for i in range(width)]
    if not text.strip():
        return pd.DataFrame({name: pd.Series(dtype="str") for name in names}), odd
    made = table_csv.read_csv(
        io.BytesIO(text.encode()),
        read_options=table_csv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 26),
        parse_options=table_csv.ParseOptions(delimiter=separator, invalid_row_handler=skip),
        convert_options=table_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
        ),
    )
    if stray:
        raise stray[0]
    return made.to_pandas().astype("str"), odd
