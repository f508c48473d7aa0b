"""Returns that were made elsewhere: a file of them as a path that measures, charts and baselines understand."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.errors import DataError, UnknownFileError

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
START: Final = 100.0  # equity before the first return
RETURNS: Final = ("return", "returns", "ret", "rets", "strategy", "daily_return", "daily_returns", "net_return",
                  "portfolio_return")  # fmt: skip
LEVELS: Final = ("equity", "value", "nav", "balance", "close", "price", "adj_close", "net_asset_value", "portfolio_value",
                 "total")  # fmt: skip
LARGE: Final = 0.2  # a usual move of a bar that is a per cent and no share
WILD: Final = 5.0  # volatility in a year that is of per cents: 500 %
DAY: Final = 86_400 * 10**9  # ns
MIDMONTH: Final = 20
STANDS_STILL: Final = 0.1  # share of a record's dates on which prices may have no new bar, as on a holiday
LEAST: Final = 2  # returns that a record has at least


def read(path: Path) -> Trajectory:
    """Return the record in a CSV or Parquet file: a column of dates and one of returns (shares) or of equity.

    What the column is goes by its name (`RETURNS`, `LEVELS`); a file that leaves two possibilities open is refused.
    Nothing is known of positions, orders and costs: those parts of the path are empty.

    Raises:
        DataError: no such file, no dates, no figures or a column that may be another thing, rows without a figure behind
            the first, infinite ones, returns in per cent, or a date that stands twice.
    """
    table = _table(path)
    table = table.assign(_at=_dates(table, path.name)).sort_values("_at", kind="stable")
    column = _figures(table.drop(columns="_at"), path.name)
    values = table[column].to_numpy(dtype=np.float64)
    at = table["_at"].to_numpy(dtype="datetime64[ns]")
    first = int(np.isnan(values[:1]).sum())  # no return yet, as pandas' pct_change leaves it
    values, at = values[first:], at[first:]
    if lost := int((~np.isfinite(values)).sum()):
        raise DataError(
            f"{path.name}: {lost} of {len(values)} rows have no finite {column}",
            hint="write 0 where nothing was earned, or leave those rows out",
        )
    if len(np.unique(at)) != len(at):
        raise DataError(f"{path.name}: a date stands twice", hint="give one row a date")
    if _plain(column) in LEVELS:
        return _path(path.stem, at, values)
    if len(values) < LEAST:
        raise DataError(f"{path.name} has {len(values)} returns", hint=f"give at least {LEAST}")
    _require_shares(values, at, path.name)
    return _path(
        path.stem, np.concatenate([[_before(at)], at]), START * np.concatenate([[1.0], np.cumprod(1.0 + values)])
    )


def _require_shares(values: FloatArray, at: npt.NDArray[np.datetime64], name: str) -> None:
    """Raise DataError where returns are more than shares can be, or more than all was lost."""
    moved = np.abs(values[values != 0.0])
    usual = float(np.median(moved)) if len(moved) else 0.0
    years = float((at[-1] - at[0]) / np.timedelta64(1, "D")) / 365.25
    wild = float(np.std(values)) * (len(values) / years) ** 0.5 if years > 0.0 else 0.0
    if usual > LARGE or wild > WILD:
        shown = (
            f"half of its returns are larger than {usual:.2g}" if usual > LARGE else f"they vary by {wild:.0%} a year"
        )
        raise DataError(f"{name}: {shown}: they look like per cent", hint="divide them by 100; 0.01 is one per cent")
    if (values <= -1.0).any():
        raise DataError(
            f"{name}: a return of {values.min():.2g} loses more than there was",
            hint="write shares; -0.01 is a loss of one per cent",
        )


def beside(paths: Sequence[Trajectory], record: Trajectory) -> list[Trajectory]:
    """Return paths at the dates of the record, each grown from the same start.

    Raises:
        DataError: a path does not cover the record, or has clearly fewer bars than it there.
    """
    found = []
    for path in paths:
        at = np.searchsorted(path.timestamps, record.timestamps, side="right") - 1
        at[0] = max(at[0], 0)  # a record of returns begins at a date that is only likely
        if at[1] < 0 or float(np.mean(np.diff(at) == 0)) > STANDS_STILL:
            raise DataError(
                f"prices from {str(path.timestamps[0])[:10]} to {str(path.timestamps[-1])[:10]} do not cover the returns, "
                f"{str(record.timestamps[0])[:10]} to {str(record.timestamps[-1])[:10]}, bar by bar",
                hint="give prices at least as often as returns, from the bar before the first on",
            )
        equity = record.equity[0] * path.equity[at] / path.equity[at[0]]
        found.append(replace(_path(path.name, record.timestamps, equity), bars_per_year=record.bars_per_year))
    return found


def _path(name: str, at: npt.NDArray[np.datetime64], equity: FloatArray) -> Trajectory:
    if len(equity) < LEAST + 1 or not (equity > 0.0).all():
        raise DataError(f"{name}: equity must be positive, over at least {LEAST + 1} dates", hint="look at its rows")
    bars, years = len(equity) - 1, float((at[-1] - at[0]) / np.timedelta64(1, "D")) / 365.25
    nothing = np.zeros(bars)
    return Trajectory(
        name=name,
        timestamps=at,
        symbols=(),
        equity=equity,
        weights=np.zeros((bars + 1, 0)),
        targets=np.zeros((bars, 0)),
        traded_value=nothing,
        costs=nothing,
        financing=nothing,
        dividends=nothing,
        trades=Trades(np.zeros(0, np.int64), np.zeros(0, np.int64), *(np.zeros(0) for _ in range(4))),
        fill="",
        bars_per_year=bars / years,
    )


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise UnknownFileError(
            f"returns={path}: there is no such file", hint="give a CSV or Parquet file of dates and returns"
        )
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path).reset_index()
        else:
            table = pd.read_csv(path, sep=None, engine="python")
    except (ValueError, OSError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read: {error}", hint="give a CSV or Parquet file") from error
    if table.empty:
        raise DataError(f"{path.name} has no rows", hint="give one row a date")
    return table


def _dates(table: pd.DataFrame, name: str) -> npt.NDArray[np.datetime64]:
    """Return the stamp of each row, [n] in ns: the date that is written where rows are a day or more apart, else UTC."""
    import pandas as pd

    from wealtharena.data import intervals
    from wealtharena.data.reading import stamps
    from wealtharena.data.reading.columns import role_of

    found: dict[str, npt.NDArray[np.datetime64]] = {}
    broken: DataError | None = None
    for column in map(str, table.columns):
        if pd.api.types.is_numeric_dtype(table[column]):
            continue
        try:
            read = stamps.parse(table[column], f"{name}: {column}")
        except DataError as error:
            broken = error if role_of(column) == "timestamp" else broken
            continue
        dated = intervals.is_dated(pd.DatetimeIndex(read.instants)) is not False
        found[column] = (read.wall // DAY * DAY if dated else read.instants).astype("datetime64[ns]")
    if not found:
        hint = "write them as 2024-01-31, in a column of their own"
        raise broken or DataError(f"{name} has no column of dates", hint=hint)
    at = next(iter(found.values()))
    if not all((other == at).all() for other in found.values()):
        raise DataError(f"{name}: dates may be any of {', '.join(found)}", hint="keep one column of dates")
    return at


def _before(at: npt.NDArray[np.datetime64]) -> np.datetime64:
    """Return when the first return began: one step before it; of months, quarters and years, by the calendar."""
    import pandas as pd

    step = float(np.median(np.diff(at)) / np.timedelta64(1, "D"))
    months = next((count for count in (1, 3, 12) if abs(step / (365.25 / 12) - count) < 0.1 * count), 0)
    if not months:
        return np.datetime64(at[0] - np.median(np.diff(at)))
    first = pd.Timestamp(at[0])
    if first.day > MIDMONTH:  # the last of a month, of its days or of its sessions
        return (first + pd.offsets.MonthEnd(0) - pd.offsets.MonthEnd(months)).to_datetime64()
    return (first - pd.DateOffset(months=months)).to_datetime64()


def _figures(table: pd.DataFrame, name: str) -> str:
    """Return the one column whose name says that it holds returns or a level.

    A name such as `pnl_pct`, `drawdown` or `log_return` says another thing, and one such as `0` nothing.
    """
    import pandas as pd

    numeric = [str(column) for column in table.columns if pd.api.types.is_numeric_dtype(table[column])]
    called = [column for column in numeric if _plain(column) in (*RETURNS, *LEVELS)]
    if len(called) == 1:
        return called[0]
    told = "has no column of figures"
    if called:
        told = f"may mean any of {', '.join(called)}"
    elif numeric:
        told = f"has figures called {', '.join(numeric[:5])}, which may be returns, a level or another thing"
    raise DataError(f"{name} {told}", hint="call one column `return` (shares, 0.01 is one per cent) or `equity`")


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
