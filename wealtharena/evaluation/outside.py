"""Returns that were made elsewhere: a file of them as a path that measures, charts and baselines understand."""

from __future__ import annotations

import csv
import io
import re
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
CALM: Final = 0.8  # volatility a year of shares that nobody asks about; that of per cents would be below 1 %
STEADY: Final = 2.0  # what shares may earn or lose in a year, at the mean return, without being asked about
PER_CENT: Final = r"\s*[(\[]?\s*(?:%|in\s*%|percent|per\s*cent)\s*[)\]]?\s*$"  # behind a column's name
GAP_DAYS: Final = 15  # from one bar to the next without a note; of longer bars, three of them
DAY: Final = 86_400 * 10**9  # ns
MIDMONTH: Final = 20
STANDS_STILL: Final = 0.1  # share of a record's dates on which prices may have no new bar, as on a holiday
LEAST: Final = 2  # returns that a record has at least


def read(path: Path, unit: str = "auto") -> Trajectory:
    """Return the record in a CSV or Parquet file: a column of dates and one of returns or of equity.

    What the column is goes by its name (`RETURNS`, `LEVELS`); a file that leaves two possibilities open is refused.
    Nothing is known of positions, orders and costs: those parts of the path are empty.

    Args:
        path: The file.
        unit: What returns are written in: `share` (0.01 is one per cent), `percent`, or `auto`: per cents where the
            column's name or its cells bear a %, else shares, where they are too calm to be anything else.

    Raises:
        DataError: no such file, no dates, no figures or a column that may be another thing, rows without a figure behind
            the first, infinite ones, returns that may be per cents, several steps of time, or a date that stands twice.
    """
    table = _table(path)
    table = table.assign(_at=_dates(table, path.name)).sort_values("_at", kind="stable")
    column, figures, signed = _figures(table.drop(columns="_at"), path.name)
    values = figures.to_numpy(dtype=np.float64)
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
    level = _plain(column) in LEVELS
    if not level and len(values) < LEAST:
        raise DataError(f"{path.name} has {len(values)} returns", hint=f"give at least {LEAST}")
    _require_one_step(at, path.name)
    if level:
        return _path(path.stem, at, values)
    if unit == "share" and signed:
        raise DataError(f"{path.name}: {column} bears a %", hint="leave returns_unit out, or say percent")
    if unit == "percent" or signed:
        values = values / 100.0
    elif unit == "auto":
        _require_calm(values, at, path.name)
    if (values <= -1.0).any():
        raise DataError(
            f"{path.name}: a return of {values.min():.2%} loses more than there was",
            hint="write shares, -0.01 is a loss of one per cent, or say returns_unit=percent",
        )
    return _path(
        path.stem, np.concatenate([[_before(at)], at]), START * np.concatenate([[1.0], np.cumprod(1.0 + values)])
    )


def _require_calm(values: FloatArray, at: npt.NDArray[np.datetime64], name: str) -> None:
    """Raise DataError where returns may be per cents: taken for shares, they would move more in a year than most do."""
    years = _years(at) * len(values) / max(len(values) - 1, 1)
    wild = float(np.std(values)) * (len(values) / years) ** 0.5
    earned = float(np.mean(values)) * len(values) / years
    if wild > CALM or abs(earned) > STEADY + 3.0 * wild / years**0.5:
        raise DataError(
            f"{name}: returns may be per cent: as shares they vary by {wild:.0%} a year around a mean of {earned:+.0%}, "
            f"as per cent by {wild / 100:.2%} around {earned / 100:+.2%}",
            hint="say which: returns_unit=percent, or returns_unit=share where 0.01 is one per cent",
        )


def _require_one_step(at: npt.NDArray[np.datetime64], name: str) -> None:
    """Raise DataError where a record goes on by steps of another length: a year has then no number of bars."""
    import pandas as pd

    from wealtharena.data import intervals

    shown = intervals.spacing(pd.DatetimeIndex(at))
    if shown is not None and shown.interval is not None and shown.mixed:
        beside = shown.other or f"{shown.foreign} steps that are none"
        raise DataError(
            f"{name}: steps of several lengths stand in one record ({shown.interval} and {beside})",
            hint="give one row a day, or one a month, throughout",
        )


def holes(path: Trajectory) -> list[str]:
    """Return a sentence for each stretch of time of which a record tells nothing, the longest first."""
    at = path.timestamps
    found = np.flatnonzero(_silent(at))
    longest = sorted(found, key=lambda i: (at[i] - at[i + 1], at[i]))
    return [
        f"the record tells nothing of the time from {str(at[i])[:10]} to {str(at[i + 1])[:10]}: figures a year are of "
        "the bars that are there"
        for i in longest
    ]


def _silent(at: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Return which steps, [n - 1], are too long for a weekend, a holiday or a missed bar."""
    steps = np.diff(at) / np.timedelta64(1, "D")
    return np.asarray(steps > max(GAP_DAYS, 3.0 * float(np.median(steps))))


def _years(at: npt.NDArray[np.datetime64]) -> float:
    """Return the years that a record is of: of a silent stretch counts one usual step."""
    steps = np.diff(at) / np.timedelta64(1, "D")
    return float(np.where(_silent(at), np.median(steps), steps).sum()) / 365.25


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
    bars, years = len(equity) - 1, _years(at)
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

    from wealtharena.data.reading.settled import Ledger
    from wealtharena.data.reading.textfile import decode

    if not path.is_file():
        raise UnknownFileError(
            f"returns={path}: there is no such file", hint="give a CSV or Parquet file of dates and returns"
        )
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path).reset_index()
        else:
            table = pd.read_csv(io.StringIO(decode(path, Ledger(path.name))), sep=None, engine="python")
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


def _figures(table: pd.DataFrame, name: str) -> tuple[str, pd.Series, bool]:
    """Return the one column whose name says that it holds returns or a level, its numbers, and whether they bear a %.

    A name such as `pnl_pct`, `drawdown` or `log_return` says another thing, and one such as `0` nothing.
    """
    import pandas as pd

    from wealtharena.data.reading.numbers import to_numbers
    from wealtharena.data.reading.settled import Ledger

    called = [str(column) for column in table.columns if _plain(str(column)) in (*RETURNS, *LEVELS)]
    if len(called) == 1:
        values, signed = table[called[0]], re.search(PER_CENT, called[0], re.IGNORECASE) is not None
        if not pd.api.types.is_numeric_dtype(values):
            cells = values.astype("string").str.strip()
            marked = cells.str.endswith("%").fillna(value=False)
            if marked.any() and not (marked | cells.isna() | cells.isin(["", "0"])).all():
                raise DataError(f"{name}: some cells of {called[0]} bear a % and some none", hint="write all alike")
            signed = signed or bool(marked.any())
            values = to_numbers({called[0]: cells.str.rstrip("% ")}, Ledger(name))[called[0]]
        if signed and _plain(called[0]) in LEVELS:
            raise DataError(f"{name}: {called[0]} bears a %: that is no level", hint="call the column `return`")
        return called[0], values, signed
    numeric = [str(column) for column in table.columns if pd.api.types.is_numeric_dtype(table[column])]
    told = "has no column of figures"
    if called:
        told = f"may mean any of {', '.join(called)}"
    elif numeric:
        told = f"has figures called {', '.join(numeric[:5])}, which may be returns, a level or another thing"
    raise DataError(f"{name} {told}", hint="call one column `return` (shares, 0.01 is one per cent) or `equity`")


def _plain(name: str) -> str:
    return re.sub(PER_CENT, "", name, flags=re.IGNORECASE).strip().lower().replace(" ", "_").replace("-", "_")
