"""From recent bars to the features that training would have computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wealtharena.errors import DataError, kind_of, table_hint
from wealtharena.prediction.cleaning import COLUMNS, at_beginnings, panel_of, rules_of, venue_dates
from wealtharena.prediction.inputs import InputError
from wealtharena.registry.metadata import Metadata

if TYPE_CHECKING:
    import pandas as pd

_DAY = 86_400_000_000_000
_DATED = {"1d": (1, 1), "1w": (5, 7), "1mo": (21, 30)}  # bars that carry a date: weekdays and days that one covers
_MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240}


@dataclass(frozen=True, eq=False)
class BarTable:
    """Bars in long form as columns of n rows, in any order; a column that is all NaN is one that the source lacks."""

    stamps: npt.NDArray[np.int64]  # [n] ns since 1970, UTC
    symbols: npt.NDArray[np.str_]  # [n]
    values: Mapping[str, npt.NDArray[np.float64]]  # column -> [n]
    wall: npt.NDArray[np.int64]  # [n] what the clock shows in the zone that a stamp is written in, as ns since 1970
    zoned: bool  # whether a zone is written; without one, stamps of days are dates

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> BarTable:
        """Return the bars of a DataFrame with columns timestamp, symbol, close and, where at hand, the others."""
        import pandas as pd

        from wealtharena.data.reading import stamps

        if not isinstance(frame, pd.DataFrame):
            raise InputError("bars", f"are a {kind_of(frame)}, not a table of pandas", hint=table_hint(frame))
        frame = _with_index(frame)
        for column in ("timestamp", "symbol", "close"):
            if column not in frame.columns:
                raise InputError(
                    f"bars.{column}", "column is missing", hint=f"long form: timestamp, symbol, {', '.join(COLUMNS)}"
                )
        for column in ("timestamp", "symbol", *COLUMNS):
            if list(frame.columns).count(column) > 1:
                raise InputError(f"bars.{column}", "is the name of several columns", hint="keep one of them")
        try:
            times = stamps.parse(frame["timestamp"], "bars")
        except DataError as error:
            raise InputError("bars.timestamp", error.message.removeprefix("bars: "), hint=error.hint) from error
        values = {name: _numbers(frame[name], name) for name in COLUMNS if name in frame.columns}
        if (
            unnamed := np.flatnonzero(frame["symbol"].isna())
        ).size:  # as text it would be a name, or cut the others short
            raise InputError("bars.symbol", f"row {unnamed[0] + 1} has no symbol", hint="name it, or drop the row")
        symbols = frame["symbol"].astype(str).to_numpy(dtype=np.str_)
        return cls(stamps=times.instants, symbols=symbols, values=values, wall=times.wall, zoned=times.zoned)


def observe(
    metadata: Metadata, bars: BarTable | pd.DataFrame, *, max_stale_bars: int | None = None, now: datetime | None = None
) -> tuple[npt.NDArray[np.float32], str, tuple[str, ...]]:
    """Return raw features [1, A, window, F] at the last bar, that bar's time, and what was done to the bars before.

    The same code as in training judges the bars and computes the features, each symbol on its own bars. InputError names
    the symbol or column that is unknown, missing, repeated, not finite, refused, too short, or older than
    `max_stale_bars` at the moment `now`.
    """
    from wealtharena.config.specs.features import FeaturesSpec
    from wealtharena.config.specs.tilt import TiltSpec
    from wealtharena.envs.anchors import columns
    from wealtharena.envs.observation import signals
    from wealtharena.features import compute

    table = bars if isinstance(bars, BarTable) else BarTable.from_frame(bars)
    moment = now or datetime.now(UTC)
    table = replace(table, stamps=_checked(metadata, table))
    told: tuple[str, ...] = ()
    if metadata.frequency not in _DATED:
        table, told = at_beginnings(metadata, table)
    panel, notes = panel_of(metadata, table, now=moment)
    axis = panel.timestamps.astype(np.int64)
    _check_history(metadata, panel.close)
    if max_stale_bars is not None:
        _check_fresh(metadata, axis, panel.close, max_stale_bars, moment)
    wanted = signals(metadata.feature_names)
    computed = compute(panel, FeaturesSpec(names=wanted, clip=float(metadata.recipe.features.get("clip", 5.0))))
    lacking = [name for name in wanted if name not in computed.names]
    if lacking:
        raise InputError(
            "bars", f"lack what {', '.join(lacking)} needs", hint="give open, high, low and volume, or pass features"
        )
    if computed.bars < metadata.window:
        raise InputError(
            "bars",
            f"give {computed.bars} bars of features, the agent looks at {metadata.window}",
            hint="send a longer history",
        )
    values = computed.values[-metadata.window :]
    if metadata.recipe.tilt is not None:
        beside = columns(panel, TiltSpec.model_validate(metadata.recipe.tilt))[-metadata.window :]
        values = np.concatenate([values, beside], axis=-1)
    features = np.ascontiguousarray(values.transpose(1, 0, 2))[None]
    return features, str(panel.timestamps[-1].astype("datetime64[s]")), (*told, *notes)


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the bars with the times and symbols that are their index as columns, where they are none yet."""
    import pandas as pd

    if isinstance(frame.index, pd.DatetimeIndex) and "timestamp" not in frame.columns:
        frame = frame.rename_axis("timestamp")  # whatever its name is, it holds times
    names = list(frame.index.names)
    levels = [name for name in ("timestamp", "symbol") if names.count(name) == 1 and name not in frame.columns]
    return frame.reset_index(levels) if levels else frame


def _numbers(column: Any, name: str) -> npt.NDArray[np.float64]:
    from pandas.api import types

    for kind, words in (
        (types.is_bool_dtype, "true and false"),
        (types.is_complex_dtype, "complex numbers"),
        (types.is_datetime64_any_dtype, "times"),
        (types.is_timedelta64_dtype, "durations"),
    ):
        if kind(column):  # a cast to numbers would make some of them
            raise InputError(f"bars.{name}", f"holds {words}", hint="send real numbers")
    try:
        values = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"bars.{name}", "is not a column of numbers") from error
    if np.isinf(values).any():
        raise InputError(f"bars.{name}", "holds an infinite value")
    return values


def _checked(metadata: Metadata, table: BarTable) -> npt.NDArray[np.int64]:
    """Return the times [n] of the bars, dates where they carry dates; InputError where a symbol is unknown, missing or repeated."""
    order = {symbol: position for position, symbol in enumerate(metadata.symbols)}
    given = np.unique(table.symbols)
    for symbol in given:
        if str(symbol) not in order:
            raise InputError(f"bars.{symbol}", "unknown symbol", hint=f"the agent trades {', '.join(metadata.symbols)}")
    for symbol in metadata.symbols:
        if symbol not in given:
            raise InputError(f"bars.{symbol}", "has no bars", hint="send bars of every symbol that the agent trades")
    stamps = _dates(metadata, table) if metadata.frequency in _DATED else table.stamps
    axis, rows = np.unique(stamps, return_inverse=True)
    columns = np.array([order[str(symbol)] for symbol in given])[np.searchsorted(given, table.symbols)]
    cells, counts = np.unique(rows * len(order) + columns, return_counts=True)
    if (counts > 1).any():
        row, column = divmod(int(cells[np.argmax(counts > 1)]), len(order))
        _check_dated(metadata, table, metadata.symbols[column])
        when = np.datetime64(int(axis[row]), "ns").astype("datetime64[s]")
        raise InputError(
            f"bars.{metadata.symbols[column]}", f"has two bars at {when}", hint="send one bar a symbol and time"
        )
    return stamps


def _dates(metadata: Metadata, table: BarTable) -> npt.NDArray[np.int64]:
    """Return the dates [n] of bars of days as a file's are: a written midnight's own, else of the instant at the venue."""
    if not table.zoned or not (table.wall % _DAY).any():
        return table.wall // _DAY * _DAY
    if not (table.stamps % _DAY).any():
        return table.stamps
    for symbol in metadata.symbols:
        _check_dated(metadata, table, symbol)
    return venue_dates(metadata, table)


def _check_dated(metadata: Metadata, table: BarTable, symbol: str) -> None:
    """Raise InputError where a symbol's bars of one date are of several times: hours sent to an agent of days."""
    import pandas as pd

    from wealtharena.data import intervals

    shown = intervals.spacing(pd.DatetimeIndex(table.stamps[table.symbols == symbol].astype("datetime64[ns]")))
    if shown is not None and metadata.frequency in _DATED and shown.typical < pd.Timedelta("20h"):
        raise InputError(
            f"bars.{symbol}",
            f"bars are {shown.typical / pd.Timedelta(minutes=1):g} minutes apart, not {metadata.frequency}",
            hint=f"the agent decides on bars of {metadata.frequency}",
        )


def _check_history(metadata: Metadata, close: npt.NDArray[np.float64]) -> None:
    counts = (close > 0).sum(axis=0)
    for symbol, count in zip(metadata.symbols, counts, strict=True):
        if count < metadata.min_history_bars:
            raise InputError(
                f"bars.{symbol}",
                f"has {count} bars, the agent needs {metadata.min_history_bars}",
                hint="send a longer history",
            )


def _check_fresh(
    metadata: Metadata, axis: npt.NDArray[np.int64], close: npt.NDArray[np.float64], limit: int, now: datetime
) -> None:
    from wealtharena.data.quality import calendar_of

    moment = np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "ns")
    asset, _ = rules_of(metadata)
    ages: dict[tuple[str, np.datetime64], int] = {}  # most symbols end with the same bar
    for column, symbol in enumerate(metadata.symbols):
        last = np.datetime64(int(axis[np.flatnonzero(close[:, column] > 0)[-1]]), "ns")
        calendar = calendar_of(symbol, asset)  # Sydney rests while New York trades
        if (calendar, last) not in ages:
            ages[calendar, last] = _bars_between(calendar, metadata.frequency, last, moment)
        if (age := ages[calendar, last]) > limit:
            day = last.astype("datetime64[s]")
            raise InputError(
                f"bars.{symbol}",
                f"is stale: its last bar is of {day}, {age} bars ago",
                hint=f"at most {limit} bars may be missing",
            )


def _bars_between(calendar: str, frequency: str, last: np.datetime64, now: np.datetime64) -> int:
    """Return the bars that could have come since `last`, by the calendar of what is traded: none while it is closed."""
    import pandas as pd

    from wealtharena.data import calendars

    begin, end, day = pd.Timestamp(last), pd.Timestamp(now), pd.Timedelta(days=1)
    if frequency in _DATED:
        come = len(calendars.sessions(calendar, (begin + day).date(), end.date())) if end.date() > begin.date() else 0
        return come // _DATED[frequency][1 if calendar == calendars.ALWAYS else 0]
    spans = calendars.opening_hours(calendar, (begin - day).date(), (end + day).date())
    if spans.empty:  # years that its calendar does not know yet
        return int((end - begin) / pd.Timedelta(minutes=_MINUTES[frequency]))
    opened, closed = (pd.DatetimeIndex(spans[name]).tz_convert(None).to_numpy() for name in ("open", "close"))
    traded = np.minimum(closed, now) - np.maximum(opened, last)
    whole = traded[traded > np.timedelta64(0)].sum()
    return int(whole / np.timedelta64(_MINUTES[frequency], "m"))
