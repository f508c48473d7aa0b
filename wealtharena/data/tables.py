"""Tables that people have on disk: whatever their headers say, one table of bars a symbol."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.bars import TIMESTAMP_DTYPE
from wealtharena.errors import DataError

_ALIASES: Final = {
    "timestamp": ("timestamp", "date", "datetime", "time", "day", "index"),
    "symbol": ("symbol", "ticker", "tic", "code", "instrument", "pair", "asset"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last", "price"),
    "adjclose": ("adjclose", "adjustedclose"),
    "volume": ("volume", "vol", "v"),
    "dividend": ("dividend", "dividends"),
    "split": ("split", "splits", "stocksplits", "stocksplit"),
}
_NAMES: Final = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
_NUMERIC: Final = ("open", "high", "low", "close", "volume", "dividend", "split")
_SUFFIXES: Final = (".parquet", ".pq", ".csv", ".csv.gz")
_DAY: Final = pd.Timedelta(days=1)


def read_path(path: Path, *, zone: str = "UTC", only_symbol: str | None = None) -> dict[str, pd.DataFrame]:
    """Return one table a symbol of a Parquet or CSV file, or of all such files of a folder.

    A table has `timestamp` (UTC; a daily bar at 00:00 of its date at the venue, whose time zone is `zone`), `close`
    and those of open, high, low, volume, dividend and split that the file has. A file without symbols is one
    symbol's: `only_symbol`, or the file's stem.

    Raises:
        DataError: naming the file, what is wrong with it and a way out.
    """
    if not path.exists():
        shown = str(path).replace(str(Path.home()), "~")
        raise DataError(f"{shown} does not exist", hint="set data.path to a Parquet or CSV file, or a folder of them")
    if path.is_file():
        return read_file(path, zone=zone, only_symbol=only_symbol)
    found: dict[str, pd.DataFrame] = {}
    homes: dict[str, str] = {}
    members = sorted(item for item in path.iterdir() if item.is_file() and item.name.lower().endswith(_SUFFIXES))
    if not members:
        raise DataError(f"{path.name} holds no Parquet or CSV file", hint=f"files end in {', '.join(_SUFFIXES)}")
    for member in members:
        for symbol, table in read_file(member, zone=zone).items():
            if symbol in found:
                raise DataError(
                    f"{symbol} stands in {homes[symbol]} and in {member.name}",
                    hint="keep each symbol in one file, or set data.path to one of them",
                )
            found[symbol], homes[symbol] = table, member.name
    return found


def read_file(path: Path, *, zone: str = "UTC", only_symbol: str | None = None) -> dict[str, pd.DataFrame]:
    """Return one table a symbol of one file; see `read_path`."""
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty", hint="download it again, or point data.path to another file")
    is_csv = ".csv" in path.name.lower()
    frame = _read_csv(path) if is_csv else _read_parquet(path)
    if frame.empty:
        raise DataError(
            f"{path.name} has a header and no rows", hint="download it again, or point data.path to another file"
        )
    return split_symbols(
        frame,
        where=path.name,
        zone=zone,
        only_symbol=only_symbol or path.name.split(".csv")[0].removesuffix(path.suffix),
    )


def split_symbols(
    frame: pd.DataFrame, *, where: str, zone: str = "UTC", only_symbol: str | None = None
) -> dict[str, pd.DataFrame]:
    """Return one table a symbol of a frame in long form, its columns under any of their usual names.

    Raises:
        DataError: a column is missing, or a cell is no number or no date.
    """
    named = _renamed(frame, where)
    if "symbol" not in named:
        named["symbol"] = only_symbol or "UNNAMED"
    named = named[named["symbol"].notna()]
    result: dict[str, pd.DataFrame] = {}
    for symbol, group in named.groupby("symbol", sort=True):
        table = group.drop(columns="symbol").reset_index(drop=True)
        table["timestamp"] = _timestamps(table["timestamp"], zone, f"{where}: {symbol}")
        result[str(symbol)] = table
    return result


def found_interval(timestamps: pd.Series) -> str | None:
    """Return `1d` or `1h`, whichever the bars are apart by their median; None for neither, or for a single bar."""
    typical = _typical_step(timestamps)
    if typical is None:
        return None
    return "1d" if 20 * _DAY / 24 <= typical <= 4 * _DAY else "1h" if typical == _DAY / 24 else None


def check_interval(timestamps: pd.Series, interval: str, *, where: str) -> None:
    """Raise DataError where bars are plainly not `interval` apart; one bar tells nothing."""
    typical, found = _typical_step(timestamps), found_interval(timestamps)
    if typical is None or found == interval:
        return
    apart = f"{typical / _DAY:g} days" if typical >= _DAY else f"{typical / pd.Timedelta(minutes=1):g} minutes"
    hint = f"set data.interval={found}" if found else "resample the file to hourly or daily bars"
    raise DataError(f"{where}: bars are {apart} apart, not {interval}", hint=hint)


def _typical_step(timestamps: pd.Series) -> pd.Timedelta | None:
    steps = np.diff(np.unique(timestamps.to_numpy(dtype="datetime64[ns]").astype(np.int64)))
    return pd.Timedelta(int(np.median(steps)), unit="ns") if len(steps) else None


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} is not a readable Parquet file", hint="write it again, or use CSV") from error
    if isinstance(frame.columns, pd.MultiIndex):
        rows = [[""] + [str(key[level]) for key in frame.columns] for level in range(frame.columns.nlevels)]
        body = frame.reset_index()
        return _long(rows, body.set_axis(range(body.shape[1]), axis=1), path.name)
    if frame.index.name is not None or isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.reset_index()
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        rows = _header_rows(path)
        if len(rows) <= 1:
            return pd.read_csv(path, skipinitialspace=True, low_memory=False)
        body = pd.read_csv(path, skiprows=len(rows), header=None, low_memory=False)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (pd.errors.ParserError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} is not a readable CSV file: {error}", hint="open it in an editor") from error
    return _long(rows, body, path.name)


def _header_rows(path: Path) -> list[list[str]]:
    """Return the rows above the first one that begins with a date, three at most."""
    import gzip

    opener = gzip.open if path.suffix == ".gz" else open
    rows: list[list[str]] = []
    with opener(path, "rt", newline="", encoding="utf-8-sig") as handle:
        for row in csv.reader(handle):
            first = row[0].strip() if row else ""
            if len(rows) == 3 or (first[:1].isdigit() and rows):
                break
            rows.append([cell.strip() for cell in row])
    many = len(rows) > 1 and (not rows[1] or rows[1][0].lower() in ("", "ticker", "price", "date", "datetime"))
    return rows if many else rows[:1]


def _long(rows: Sequence[Sequence[str]], body: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return long form of a table with one column a field and ticker, as yfinance.download(...).to_csv writes it."""
    fields = next((row for row in rows if all(_plain(cell) in _NAMES for cell in row[1:])), None)
    if fields is None:
        raise DataError(
            f"{where} has several header rows, and none of them names prices", hint="use long form: one row a bar"
        )
    tickers = next((row for row in rows if row is not fields and any(row[1:])), None)
    names = list(tickers[1:]) if tickers is not None else [None] * (len(fields) - 1)
    parts: list[pd.DataFrame] = []
    for ticker in dict.fromkeys(names):
        columns = [i + 1 for i, name in enumerate(names) if name == ticker]
        part = body[[0, *columns]].set_axis(["timestamp", *(fields[i] for i in columns)], axis=1)
        parts.append(part if ticker is None else part.assign(symbol=ticker))
    return pd.concat(parts, ignore_index=True) if len(body) else pd.DataFrame()


def _plain(name: object) -> str:
    return "".join(letter for letter in str(name).lower() if letter.isalnum())


def _renamed(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    for position, column in enumerate(frame.columns):
        plain = _plain(column)
        name = _NAMES.get(plain, "timestamp" if position == 0 and plain.startswith("unnamed") else None)
        if name is not None and name not in columns:
            columns[name] = frame.iloc[:, position]
    if "close" not in columns and "adjclose" in columns:
        columns["close"] = columns["adjclose"]
    columns.pop("adjclose", None)
    missing = [name for name in ("timestamp", "close") if name not in columns]
    if missing:
        raise DataError(
            f"{where} has no column for {' and '.join(missing)}; it has {', '.join(map(str, frame.columns))}",
            hint="name them timestamp, symbol, open, high, low, close, volume",
        )
    return pd.DataFrame(
        {name: _numbers(values, name, where) if name in _NUMERIC else values for name, values in columns.items()}
    )


def _numbers(values: pd.Series, name: str, where: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(np.float64)
    numbers = pd.to_numeric(values, errors="coerce")
    text = values.astype("string").str.strip()
    bad = (
        numbers.isna()
        & text.notna()
        & ~text.str.lower().isin(["", "nan", "na", "n/a", "null", "none", "-"]).fillna(False)
    )
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{where}: {name} in row {row + 1} is {values.iloc[row]!r}, not a number", hint="correct the file"
        )
    return numbers.astype(np.float64)


def _timestamps(values: pd.Series, zone: str, where: str) -> pd.Series:
    """Return UTC timestamps; those of daily bars become 00:00 UTC of their date at the venue."""
    instants = pd.Series(_instants(values, where), index=values.index)
    if instants.isna().any():
        row = int(np.flatnonzero(instants.isna())[0])
        raise DataError(f"{where}: row {row + 1} has no timestamp", hint="correct the file or drop the row")
    steps = instants.drop_duplicates().sort_values().diff().dropna()
    if len(steps) and steps.median() < 20 * _DAY / 24:
        return instants
    dates: pd.Series = _dates(values, instants, zone).dt.tz_localize("UTC").astype(TIMESTAMP_DTYPE)
    return dates


def _instants(values: pd.Series, where: str) -> pd.DatetimeIndex:
    if pd.api.types.is_numeric_dtype(values):
        largest = float(values.abs().max())
        unit = next((u for u, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if largest < limit), "ns")
        return pd.DatetimeIndex(values.to_numpy(dtype=f"datetime64[{unit}]")).tz_localize("UTC").as_unit("ns")
    try:
        read = (
            pd.to_datetime(values, utc=True) if _is_time(values) else pd.to_datetime(values, utc=True, format="ISO8601")
        )
        return pd.DatetimeIndex(read).as_unit("ns")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{where}: a timestamp cannot be read: {error}", hint="write them like 2024-01-31 or 2024-01-31T15:00:00Z"
        ) from error


def _is_time(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def _dates(values: pd.Series, instants: pd.Series, zone: str) -> pd.Series:
    """Return each daily bar's date: as written where an offset or no zone is given; at the venue where it is in UTC."""
    if _is_time(values) and (values.dt.tz is None or str(values.dt.tz) != "UTC"):
        written: pd.Series = values.dt.tz_localize(None).dt.normalize()
        return written
    if not _is_time(values) and not pd.api.types.is_numeric_dtype(values):
        return pd.to_datetime(values.astype("string").str.slice(0, 10), format="ISO8601")
    at_midnight = (instants.dt.normalize() == instants).all()
    local = instants if at_midnight else instants.dt.tz_convert(zone)
    dates: pd.Series = local.dt.tz_localize(None).dt.normalize()
    return dates
