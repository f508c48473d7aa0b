"""A Parquet or Arrow file as a table of columns: index levels and several header rows are columns too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from wealtharena.data.reading.columns import role_of
from wealtharena.data.reading.kinds import STREAM
from wealtharena.data.reading.layouts import wide_to_long
from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


_WAYS: Final = frozenset(("first", "last", "max", "min", "sum", "mean", "median", "count", "size"))  # of `agg`


def read_columns(path: Path, kind: str, ledger: Ledger) -> pd.DataFrame:
    """Return the table of a file of a kind, Parquet or Arrow, its index levels among the columns where they hold more than a count of rows.

    Raises:
        DataError: the file is none of that kind.
    """
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path) if kind == "Parquet" else arrow_table(path).to_pandas()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:  # KeyError: a time zone that nobody knows
        why = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        why = why.replace(str(path), path.name)
        raise DataError(
            f"{path.name} is not a readable {kind} file: {why}", hint="write it again, or use CSV"
        ) from error
    ledger.rows = len(frame)
    return flattened(_in_utf8(_without_bytes(frame, ledger), ledger), ledger)


def _without_bytes(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table whose columns of bytes are text, as some programs write it, or are left out where they are none, said.

    Raises:
        DataError: a column of prices or times holds bytes that are no text.
    """
    kept = list[int]()
    for place, name in enumerate(frame.columns):
        values = frame.iloc[:, place]
        first = values.dropna().iloc[:1].tolist() if values.dtype == object else []
        if not first or not isinstance(first[0], bytes):
            kept.append(place)
            continue
        try:
            text = [cell.decode() if isinstance(cell, bytes) else cell for cell in values]
        except UnicodeDecodeError as error:
            if role_of(name):
                raise DataError(
                    f"{ledger.name}: {name} holds bytes, which are no text",
                    hint="write times and numbers as such, or CSV",
                ) from error
            ledger.note(f"{name} holds bytes and is passed over")
            continue
        frame = frame.copy(deep=False)
        frame.isetitem(place, pd.array(text, dtype="str"))
        kept.append(place)
    return frame if len(kept) == frame.shape[1] else frame.iloc[:, kept]


def _without_lists(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table without its columns of lists or records, such as the conditions or the news of a bar, said.

    Raises:
        DataError: one of them has the name of what bars need.
    """
    kept = list[int]()
    names: list[object] = list(frame.columns)
    for place, name in enumerate(names):
        if not _holds_lists(frame.iloc[:, place]):
            kept.append(place)
            continue
        shown = next((part for part in (name if isinstance(name, tuple) else (name,)) if role_of(str(part))), None)
        if shown is not None:
            raise DataError(
                f"{ledger.name}: {shown} holds lists or records, one a row",
                hint="take one number, date or name out of each, or drop the column",
            )
        ledger.note(f"{name} holds lists or records and is passed over")
    return frame if len(kept) == frame.shape[1] else frame.iloc[:, kept]


def _holds_lists(values: pd.Series[Any]) -> bool:
    if isinstance(values.dtype, pd.ArrowDtype):
        import pyarrow as pa

        return bool(pa.types.is_nested(values.dtype.pyarrow_dtype))
    return values.dtype == object and any(pd.api.types.is_list_like(cell) for cell in values)


def _in_utf8(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table whose text is UTF-8, as Parquet's is to be; what R wrote in another encoding is decoded as Windows-1252, said."""
    import pyarrow as pa

    for place in range(frame.shape[1]):
        values = frame.iloc[:, place]
        if isinstance(values.dtype, pd.StringDtype):
            cells = pa.array(values.array)
            decoded = as_utf8(cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells]))
            if decoded is not None:
                ledger.note(f"{frame.columns[place]} holds text that is no UTF-8; it is read as Windows-1252")
                frame = frame.copy(deep=False)
                frame.isetitem(place, decoded.to_pandas().to_numpy())
    return frame


def as_utf8(cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return text whose bytes are no UTF-8 as what they are in Windows-1252, cell by cell; None where all of it is, or it is no text."""
    import pyarrow as pa

    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return None
    try:
        cells.validate(full=True)
    except pa.ArrowInvalid:
        return pa.chunked_array(
            [pa.array([_decoded(cell) for cell in cells.cast(pa.large_binary()).to_pylist()], pa.string())]
        )
    return None


def _decoded(cell: bytes | None) -> str | None:
    if cell is None:
        return None
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell.decode("cp1252", errors="replace")


def arrow_table(path: Path) -> pa.Table:
    """Return the table of an Arrow file, a stream or an older Feather file; OSError or pyarrow's own error where it is none."""
    import pyarrow as pa
    from pyarrow import feather

    with pa.memory_map(str(path)) as source:
        if source.read(len(STREAM)) == STREAM:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()
    return feather.read_table(path)


def flattened(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table without index and with one row of names, from any that pandas can hold.

    Raises:
        DataError: a column of prices, times or symbols holds lists.
    """
    frame = _without_lists(_without_ways(frame, ledger), ledger)
    if isinstance(frame.columns, pd.MultiIndex):
        rows = [[""] + [str(key[level]) for key in frame.columns] for level in range(frame.columns.nlevels)]
        counted = isinstance(frame.index, pd.RangeIndex) and any(
            role_of(cell) == "timestamp" for cell in frame.columns[0]
        )
        body = frame.reset_index(drop=counted)
        rows = [row[1:] for row in rows] if counted else rows
        return wide_to_long(rows, body.set_axis(range(body.shape[1]), axis=1), ledger)
    frame = frame.set_axis([str(label) for label in frame.columns], axis=1)  # names may be tuples
    index = frame.index
    if isinstance(index, pd.MultiIndex):
        levels = [(index.get_level_values(place), name) for place, name in enumerate(index.names)]
        several = sum(name is None and pd.api.types.is_string_dtype(values) for values, name in levels) > 1
        names = [_level_name(values, name, i, words=not several) for i, (values, name) in enumerate(levels)]
        names = [name if name not in names[:place] else f"level_{place}" for place, name in enumerate(names)]
        frame = frame.drop(columns=[name for name in names if name in frame.columns])
        ledger.settle("index levels", ", ".join(names))
        return frame.set_axis(index.set_names(names), axis=0).reset_index()
    if isinstance(index, pd.RangeIndex) or (index.name is None and pd.api.types.is_integer_dtype(index)):
        return frame.reset_index(drop=True)
    name = _level_name(index, index.name, 0)
    if name in frame.columns:
        return frame.reset_index(drop=True)
    ledger.settle("index levels", name)
    return frame.rename_axis(name).reset_index()


def _without_ways(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return a table without the row of names under its columns that says how each was summed up, as `agg` with lists leaves it."""
    columns = frame.columns
    if not isinstance(columns, pd.MultiIndex):
        return frame
    ways, rest = [str(key[-1]) for key in columns], columns.droplevel(-1)
    if not _WAYS.issuperset(ways) or rest.has_duplicates:
        return frame
    ledger.note(f"the row of names under its columns ({', '.join(dict.fromkeys(ways))}) is passed over")
    return frame.set_axis(rest, axis=1)


def _level_name(values: pd.Index, name: object, place: int, *, words: bool = True) -> str:
    """Return the name of a level; one without is symbol where `words` alone can be no names of fields."""
    if name is not None:
        return str(name)
    if isinstance(values, pd.DatetimeIndex):
        return "timestamp"
    return "symbol" if words and pd.api.types.is_string_dtype(values) and place < 2 else f"level_{place}"
