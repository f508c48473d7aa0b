"""The bars that were decided on, as they were seen then, and what their sources made of them afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.bars import BAR_COLUMNS, PRICE_COLUMNS, TIMESTAMP_DTYPE, Bars
from wealtharena.trading.actions import EARLIER, late_split
from wealtharena.trading.database import connect, let_go_on_error, transaction

FILE: Final = "bars.sqlite"
STEPS: Final = (
    (
        """CREATE TABLE bars (bar TEXT NOT NULL, symbol TEXT NOT NULL, seen_at TEXT NOT NULL, provider TEXT NOT NULL,
           content TEXT NOT NULL, PRIMARY KEY (bar, symbol))""",
        """CREATE TABLE revisions (id INTEGER PRIMARY KEY, bar TEXT NOT NULL, symbol TEXT NOT NULL,
           seen_at TEXT NOT NULL, provider TEXT NOT NULL, content TEXT NOT NULL)""",
    ),
    ("CREATE TABLE histories (symbol TEXT PRIMARY KEY, content TEXT NOT NULL)",),
)
_FACTS: Final = ("provider", "interval", "currency", "volume_unit", "adjusted")
SAME: Final = 1e-6  # relative; a source that sends single precision differs by less
_WHOLE: Final = 0.5  # units of volume that rounding to whole ones makes of it
_WHOLE_SHARE: Final = 1e-3  # of it, at most: few units of a coin may be traded in parts
_VALUES: Final = (*PRICE_COLUMNS, "volume", "dividend")
_CLOSE: Final = _VALUES.index("close")
Row = Mapping[str, float | None]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Revision:
    """A bar that its source shows otherwise than it was decided on; a content of nothing says that it is gone."""

    bar: str
    symbol: str
    seen: Row
    now: Row


def row_of(table: pd.DataFrame, at: int) -> dict[str, float | None]:
    """Return the values of a row, None for what is not there."""
    values = table.iloc[at]
    return {name: float(values[name]) if np.isfinite(values[name]) else None for name in _VALUES}


def same(one: Row, other: Row) -> bool:
    """Return whether two rows hold the same values, to rounding."""
    return bool(_alike(_values_of([one]), _values_of([other]))[0])


class SeenBars:
    """What an account has seen, kept in its folder."""

    def __init__(self, folder: Path, *, synchronous: str = "full") -> None:
        self._db = connect(folder / FILE, STEPS, synchronous=synchronous)
        self._kept: dict[str, dict[str, Row]] = {}
        with let_go_on_error(self._db):
            for row in self._db.execute("SELECT bar, symbol, content FROM bars ORDER BY bar"):
                self._kept.setdefault(row["symbol"], {})[row["bar"]] = json.loads(row["content"])
            self._latest = {
                (row["bar"], row["symbol"]): json.loads(row["content"])
                for row in self._db.execute("SELECT bar, symbol, content FROM revisions ORDER BY id")
            }

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def has(self, bar: str, symbol: str) -> bool:
        """Return whether the bar has been decided on."""
        return bar in self._kept.get(symbol, {})

    def keep(self, bar: str, rows: Mapping[str, tuple[str, Row]], at: datetime) -> None:
        """Write the final bars of a session by symbol, each with its provider; one that is kept stays as it is."""
        new = {symbol: found for symbol, found in rows.items() if not self.has(bar, symbol)}
        with transaction(self._db):
            self._db.executemany(
                "INSERT INTO bars VALUES (?, ?, ?, ?, ?)",
                [(bar, symbol, at.isoformat(), name, json.dumps(row)) for symbol, (name, row) in new.items()],
            )
        for symbol, (_, row) in new.items():
            self._kept.setdefault(symbol, {})[bar] = row

    def keep_histories(self, histories: Iterable[Bars]) -> None:
        """Write the bars that sources told last, so that a restart has them of a symbol that no source knows any more."""
        rows = [(one.symbol, json.dumps(_told(one))) for one in histories]
        if rows:
            with transaction(self._db):
                self._db.executemany("INSERT OR REPLACE INTO histories VALUES (?, ?)", rows)

    def histories(self) -> dict[str, Bars]:
        """Return the bars that sources told last, by symbol."""
        rows = self._db.execute("SELECT symbol, content FROM histories").fetchall()
        return {row["symbol"]: _untold(row["symbol"], json.loads(row["content"])) for row in rows}

    def as_seen(self, bars: Bars, moment: datetime, *, told: pd.DataFrame | None = None) -> tuple[Bars, list[Revision]]:
        """Return the bars with those that were decided on as they were then, and the revisions that are news.

        A bar that has vanished from the source is there still. What was seen before a split is told in units of after it,
        also before one whose own bar is not among these: it is not final yet, and the source has `told` it, or there is
        none of that date, and past prices alone show the split.
        A dividend is what its source says now: no decision looks at it, and it is owed whenever it is published.
        Prices that contain dividends change with each of them and are left as they come.
        """
        kept = self._kept.get(bars.symbol, {})
        if not kept or bars.adjusted == "all" or bars.table.empty:
            return bars, []
        table = bars.table
        stamps = table["timestamp"].to_numpy(dtype="datetime64[ns]")
        times = np.array(list(kept), dtype="datetime64[ns]")
        times = times[times >= stamps[0]]
        at = np.minimum(np.searchsorted(stamps, times), len(stamps) - 1)
        there = stamps[at] == times
        now = np.where(there[:, None], table[list(_VALUES)].to_numpy(dtype=np.float64)[at], np.nan)
        values = _values_of([kept[str(time)] for time in times])
        seen = _after_untold(_after_splits(values, now, times, table if told is None else told), now)
        changed = np.flatnonzero(~_alike(seen, now) | ~there)
        if not len(changed):
            return bars, []
        shown = np.where((now > 0.0) & np.array([name == "dividend" for name in _VALUES]), now, seen)
        lines = [_line(times[n], shown[n], table, int(at[n]) if there[n] else None) for n in changed]
        left = table.drop(index=table.index[at[changed[there[changed]]]])
        whole = pd.concat([left, pd.DataFrame(lines).astype(left.dtypes.to_dict())])
        found = [Revision(str(times[n]), bars.symbol, _row(seen[n]), _row(now[n]) if there[n] else {}) for n in changed]
        ordered = whole.sort_values("timestamp", ignore_index=True)
        return replace(bars, table=ordered), self._news(found, bars.provider, at=moment)

    def _news(self, changed: list[Revision], provider: str, *, at: datetime) -> list[Revision]:
        """Write those revisions that say something new."""
        new = [
            one
            for one in changed
            if (known := self._latest.get((one.bar, one.symbol))) is None or not same(known, one.now)
        ]
        if new:
            with transaction(self._db):
                self._db.executemany(
                    "INSERT INTO revisions (bar, symbol, seen_at, provider, content) VALUES (?, ?, ?, ?, ?)",
                    [(one.bar, one.symbol, at.isoformat(), provider, json.dumps(one.now)) for one in new],
                )
            self._latest.update({(one.bar, one.symbol): dict(one.now) for one in new})
        return new


def _told(bars: Bars) -> dict[str, Any]:
    """Return bars as JSON has them; prices to the last bit, times in nanoseconds."""
    table = {name: bars.table[name].tolist() for name in BAR_COLUMNS if name != "timestamp"}
    stamps = bars.table["timestamp"].to_numpy(dtype="datetime64[ns]").astype(np.int64).tolist()
    facts = {name: getattr(bars, name) for name in _FACTS}
    return {**facts, "fetched_at": bars.fetched_at.isoformat(), "table": {"timestamp": stamps, **table}}


def _untold(symbol: str, told: Mapping[str, Any]) -> Bars:
    table = pd.DataFrame(told["table"])
    table["timestamp"] = pd.to_datetime(table["timestamp"], unit="ns", utc=True).astype(TIMESTAMP_DTYPE)
    kinds = {name: bool if name == "tradable" else np.float64 for name in BAR_COLUMNS if name != "timestamp"}
    facts = {name: told[name] for name in _FACTS}
    fetched_at = datetime.fromisoformat(told["fetched_at"])
    return Bars(symbol=symbol, table=table.astype(kinds)[list(BAR_COLUMNS)], fetched_at=fetched_at, **facts)


def _values_of(rows: list[Row]) -> Floats:
    """Return rows as an array [n, values], NaN for what is not there."""
    return np.array([[np.nan if row.get(name) is None else row[name] for name in _VALUES] for row in rows], dtype=float)


def _row(values: Floats) -> dict[str, float | None]:
    return {
        name: float(value) if np.isfinite(value) else None for name, value in zip(_VALUES, values.tolist(), strict=True)
    }


def _alike(one: Floats, other: Floats) -> npt.NDArray[np.bool_]:
    """Return which rows hold the same values, to rounding, [n]; a volume that a split has rescaled is rounded to whole units."""
    size = np.maximum(np.abs(one), np.abs(other))
    whole = np.where(np.array(_VALUES) == "volume", np.minimum(_WHOLE, _WHOLE_SHARE * size), 0.0)
    close = np.abs(one - other) <= np.maximum(SAME * size, whole)
    return np.asarray((close | (np.isnan(one) & np.isnan(other))).all(axis=-1))


def _after_splits(seen: Floats, now: Floats, times: npt.NDArray[np.datetime64], table: pd.DataFrame) -> Floats:
    """Return what was seen at `times` in the units that hold after the table's splits.

    A split on a date without a bar stands at the bar before it, which was seen in units of before: what it is `now` says so.
    """
    splits = table["split"].to_numpy(dtype=np.float64)
    growing = np.append(np.cumprod(np.where(splits > 0.0, splits, 1.0)[::-1])[::-1], 1.0)
    stamps = table["timestamp"].to_numpy(dtype="datetime64[ns]")
    after, own = (_grown(seen, growing[np.searchsorted(stamps, times, side=side)]) for side in ("right", "left"))
    nearer = np.abs(own[:, _CLOSE] - now[:, _CLOSE]) < np.abs(after[:, _CLOSE] - now[:, _CLOSE])
    return np.asarray(np.where(nearer[:, None], own, after))


def _after_untold(seen: Floats, now: Floats) -> Floats:
    """Return what was seen in the units that hold after a split that shows in the prices of before it alone.

    A split on a date of which the source has no bar stands nowhere in its table. The paper broker takes it in the same way.
    """
    pairs = list(zip(seen[:, _CLOSE].tolist(), now[:, _CLOSE].tolist(), strict=True))[: -EARLIER - 1 : -1]
    found = late_split([(1.0, 1.0), *pairs])  # which begins with a bar that no split has rescaled
    if found is None:
        return seen
    place, ratio = found
    rows = np.arange(len(seen)) <= len(seen) - place
    return _grown(seen, np.where(rows, ratio, 1.0))


def _grown(seen: Floats, units: Floats) -> Floats:
    """Return rows in units of which there are so many for one, [n]."""
    factor = units[:, None]
    volume = np.array([name == "volume" for name in _VALUES])
    return np.asarray(np.where(volume, seen * factor, seen / factor))


def _line(time: np.datetime64, values: Floats, table: pd.DataFrame, at: int | None) -> dict[str, Any]:
    """Return a row of the table with these values."""
    line: dict[str, Any] = dict(zip(_VALUES, values.tolist(), strict=True))
    line["timestamp"] = pd.Timestamp(time, tz="UTC").as_unit("ns")
    line["split"] = 0.0 if at is None else float(table["split"].iloc[at])
    line["tradable"] = True if at is None else bool(table["tradable"].iloc[at])
    return {name: line[name] for name in BAR_COLUMNS}


def row_at(bars: Bars, stamp: np.datetime64) -> int | None:
    """Return where a session's bar stands; None where it is not there."""
    stamps = bars.table["timestamp"].to_numpy(dtype="datetime64[ns]")
    at = int(np.searchsorted(stamps, stamp))
    return at if at < len(stamps) and stamps[at] == stamp else None


def complete(row: Row, bars: Bars, at: int) -> bool:
    """Return whether a bar has all that the symbol's bars have: a price to trade at, its shape, and volume where there is any."""
    earlier = bars.table.iloc[:at]
    for name in ("open", "high", "low", "close"):
        if row[name] is None and (name == "close" or bool(earlier[name].notna().mean() > 0.5)):
            return False
    if bars.volume_unit == "none" or not bool((earlier["volume"] > 0).mean() > 0.5):
        return True
    return bool(row["volume"])
