"""A file of somebody's returns as columns: a CSV's cells as the text that stands in it, a Parquet or Arrow file's with their types."""

from __future__ import annotations

import ast
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.heads import PEEK, SEPARATORS, best_line, require_table
from wealtharena.data.reading.kinds import columnar
from wealtharena.data.reading.parquet import arrow_table, as_utf8
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.spelled import months_of
from wealtharena.data.reading.textfile import decode
from wealtharena.errors import DataError, UnknownFileError
from wealtharena.evaluation.cells import Column
from wealtharena.evaluation.naming import is_named

if TYPE_CHECKING:
    import pyarrow as pa

SPACE: Final = " "  # separates where none of them does, as R's write.table has it
ROW_NUMBER: Final = re.compile(r"[0-9]{1,7}")  # of fewer digits than a date
RULE: Final = re.compile(r"[-=:+ ]*")  # a line drawn below the header
NAMELESS: Final = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, eq=False)
class Sheet:
    """Columns in their order, a name twice where it stands twice, and the text above the header."""

    columns: list[Column]
    above: str = ""


def read(path: Path, ledger: Ledger) -> Sheet:
    """Return the columns of a CSV or Parquet file.

    A number in a CSV stays text: which mark is the decimal one is for the whole file to say.

    Raises:
        DataError: no such file, it is no table, it has no rows, or they do not fit its header.
    """
    if path.is_dir():
        raise UnknownFileError(
            f"returns={path} is a folder", hint="name a file in it: of a run directory that is its equity.parquet"
        )
    if not path.is_file():
        raise UnknownFileError(
            f"returns={path}: there is no such file", hint="give a CSV or Parquet file of dates and returns"
        )
    kind = columnar(path)
    sheet = _columnar(path, kind, ledger) if kind else _csv(path, ledger)
    if not sheet.columns or not len(sheet.columns[0][1]):
        raise DataError(f"{path.name} has no rows", hint="give one row a date")
    return sheet


def _csv(path: Path, ledger: Ledger) -> Sheet:
    import pandas as pd

    try:
        text = decode(path, ledger)
        require_table(text, path.name, row="a date")
        lines = text.split("\n")
        separator, place = _header(lines[:PEEK])
        rows = _cells("\n".join(lines[place:]), separator)
    except (OSError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read: {error}", hint="give a CSV or Parquet file") from error
    ledger.settle("separator", SEPARATORS.get(separator, "space"))
    if place:
        ledger.settle("preamble", f"{place} lines above the header are passed over")
    if not rows:
        return Sheet([])
    names, body = _fitted(rows[0], [row for row in rows[1:] if any(row)], separator, ledger)
    columns = zip(*body, strict=True) if body else [()] * len(names)
    found = [(name, pd.Series(cells, dtype="str")) for name, cells in zip(names, columns, strict=True)]
    return Sheet(found, "\n".join(lines[:place]))


def _cells(text: str, separator: str) -> list[list[str]]:
    read = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in read]


def _header(lines: list[str]) -> tuple[str, int]:
    """Return the separator and the line of the names: where figures and dates are named, else where most lines agree."""
    grids = {separator: [_one(line, separator) for line in lines] for separator in SEPARATORS}
    rank, separator, place = best_line(grids, _as_names)
    if rank[0]:
        return separator, place
    (count, place), separator = max(
        ((_agreed(grid), separator) for separator, grid in grids.items()), key=lambda item: item[0][0]
    )
    blanks = {SPACE: [_one(line, SPACE) for line in lines]}
    rank, _, named = best_line(blanks, _as_names)
    if rank[0] and _agreed(blanks[SPACE])[0] >= count:  # else blanks stand within names alone: `my return (%)`
        return SPACE, named
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    return (separator, place) if count else (",", first)


def _agreed(grid: list[list[str]]) -> tuple[int, int]:
    """Return how many lines have the number of cells that most have, of more than one, and the first of them."""
    widths = [len(cells) if any(cells) else 0 for cells in grid]
    width, count = Counter(one for one in widths if one > 1).most_common(1)[0] if max(widths) > 1 else (1, 0)
    return count, widths.index(width) if count else 0


def _one(line: str, separator: str) -> list[str]:
    return (_cells(line, separator) or [[]])[0]


def _as_names(cells: list[str]) -> tuple[int, bool, bool]:
    """Return how well a line would name the columns: how much it names, whether it is text alone, and in several cells."""
    named = any(map(is_named, cells)) + any(role_of(cell) == "timestamp" for cell in cells) + len(months_of(cells))
    return named, not _holds_figures(cells), len(cells) > 1


def _holds_figures(cells: list[str]) -> bool:
    return any(cell.lstrip("+-$.")[:1].isdigit() for cell in cells)


def _fitted(
    names: list[str], body: list[list[str]], separator: str, ledger: Ledger
) -> tuple[list[str], list[list[str]]]:
    """Return the names and rows of one width; what stands below the table, and a header that comes again, is left out.

    Raises:
        DataError: a row has more cells than the header, or a quote takes rows in.
    """
    ledger.rows = len(body)
    again = [row for row in body if row != names]
    ledger.drop("the header once more", len(body) - len(again))
    body = again
    if body and not any(cell.isdigit() for cell in "".join(body[0])):  # a row of units, or a line that is drawn
        units = ["" if RULE.fullmatch(unit) else unit.strip("()[]") for unit in [*body[0], *names][: len(names)]]
        names = [f"{name} ({unit})" if unit else name for name, unit in zip(names, units, strict=True)]
        body = body[1:]
    if body and role_of(body[0][0]) == "timestamp" and not any(body[0][1:]):  # pandas names an index below its columns
        names, body = [body[0][0], *names[1:]], body[1:]
    width = Counter(map(len, body)).most_common(1)[0][0] if body else len(names)
    kept = len(body)
    while kept and width > 1 and _is_below(body[kept - 1], max(width, len(names))):
        kept -= 1
    ledger.drop("text below the table", len(body) - kept)
    body = body[:kept]
    if body and all(len(row) == len(names) + 1 for row in body) and any(row[-1] for row in body):
        if len(names) > 1 and not all(ROW_NUMBER.fullmatch(row[0]) for row in body):
            raise _misfit(ledger.name, f"every row has {width} cells and the header {len(names)}")
        names = ["", *names]  # the names of rows, as R writes them
    for number, row in enumerate(body, 1):
        if any(row[len(names) :]):
            raise _misfit(ledger.name, f"row {number} has {len(row)} cells and the header {len(names)}")
        if any("\n" in cell and cell.count(separator) >= len(names) - 1 for cell in row):
            raise DataError(f"{ledger.name}: a quote in row {number} takes in rows after it", hint="remove the quote")
    return names, [[*row, *[""] * len(names)][: len(names)] for row in body]


def _is_below(row: list[str], width: int) -> bool:
    """Return whether a last row is a line of text, with its own commas or none; one that begins with a digit is data cut off."""
    return (len(row) == 1 or len(row) > width) and not _holds_figures(row[:1])


def _misfit(where: str, told: str) -> DataError:
    hint = "name every column; a decimal comma needs another separator, such as a semicolon, or quotes"
    return DataError(f"{where}: {told}", hint=hint)


def _columnar(path: Path, kind: str, ledger: Ledger) -> Sheet:
    """Return a Parquet or Arrow file's columns one by one, those of its index first: names may stand twice, or in several rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read() if kind == "Parquet" else arrow_table(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path.name} is not a readable {kind} file", hint="write it again, or give a CSV file"
        ) from error
    ledger.rows = table.num_rows
    told: dict[str, Any] = table.schema.pandas_metadata or {}
    names = {one["field_name"]: one["name"] for one in told.get("columns", ())}
    levels = len(told.get("column_indexes", ()))
    index = [one for one in told.get("index_columns", ()) if isinstance(one, str)]
    fields = list(enumerate(table.schema))
    of_years = bool(months_of([str(names.get(field.name) or field.name) for _, field in fields]))
    found: list[Column] = []
    for place, field in sorted(fields, key=lambda item: item[1].name not in index):
        if field.name in index and names.get(field.name) is None and pa.types.is_integer(field.type) and not of_years:
            continue  # a count of rows
        name = str(names.get(field.name) or ("" if NAMELESS.fullmatch(field.name) else field.name))
        found += _column(_one_name(name) if levels > 1 else name, table.column(place), path.name)
    return Sheet(found)


def _column(name: str, cells: pa.ChunkedArray, where: str) -> list[Column]:
    """Return a column of a Parquet file; none of one whose cells are lists, bytes or records, which are no figures.

    Raises:
        DataError: its times are in a zone that is not known, or its figures are no single numbers.
    """
    import pyarrow as pa

    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        if is_named(name):
            raise DataError(f"{where}: {name} holds {cells.type}, no numbers", hint="write one number a row")
        return []
    if pa.types.is_decimal(cells.type):
        cells = cells.cast(pa.float64())  # their point is one, whatever stands behind it
    try:
        text = as_utf8(cells)
        return [(name, (cells if text is None else text).to_pandas())]
    except (LookupError, ValueError) as error:  # of a zone, pytz' and zoneinfo's are both
        raise DataError(
            f"{where}: {name or 'its index'} is of a type that cannot be read ({cells.type})",
            hint="write dates without a zone, or in one like UTC or Europe/Berlin",
        ) from error


def _one_name(name: str) -> str:
    """Return the one of a column's names in several rows that says what it holds: return of ('return', 'mine')."""
    try:
        rows = ast.literal_eval(name)
    except (ValueError, SyntaxError):
        return name
    cells = [str(one) for one in rows if str(one)] if isinstance(rows, tuple) else [name]
    known = [cell for cell in cells if is_named(cell) or role_of(cell) == "timestamp"]
    return known[0] if len(known) == 1 else " ".join(cells)
