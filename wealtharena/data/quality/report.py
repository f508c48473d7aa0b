"""What the quality room found, and what it did about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from wealtharena.config.specs.data import Action, QualitySpec
from wealtharena.data import intervals
from wealtharena.data.bars import PRICE_COLUMNS, RawBars, Repairs
from wealtharena.files import jsonable

FIELDS: Final = ("open", "high", "low", "close", "volume", "dividend", "split", "tradable")
_NO_FAULTS: Final = ("unfinished_bar", "ticker_reuse", "splits", "invented_bars")
_OF_BARS: Final = "quality of the"  # bars, or stored bars: how notes of findings begin
_LISTED: Final = 20  # changes that the catalog lists one by one; the file beside the bars has them all


@dataclass(frozen=True)
class Context:
    """What a check may know about a series besides its rows."""

    raw: RawBars
    market: str
    calendar: str
    spec: QualitySpec

    @property
    def intraday(self) -> bool:
        return self.raw.interval not in intervals.DATED


@dataclass(frozen=True)
class Detection:
    """Rows that a check objects to; `repaired` is the whole table put right, None where only marking helps.

    `mask` is a boolean array over the table's rows; the rows of `repaired` keep their index labels.
    """

    mask: np.ndarray[Any, np.dtype[np.bool_]]
    detail: str
    repaired: pd.DataFrame | None = None
    note: str = ""
    count: int | None = None  # what is counted where that is not rows of the table
    named: bool = False  # a suspicion: said, whatever the configured action
    beyond_repair: bool = False  # refused where the configured action is repair or drop
    way_out: str = ""  # the hint of that refusal, where it is not the usual one


@dataclass(frozen=True)
class Finding:
    """One kind of fault in one series: how many rows, what was done, and what changed."""

    kind: str
    action: Action
    rows: int
    first: str
    last: str
    detail: str
    changes: pd.DataFrame = field(repr=False)  # timestamp, kind, field, before, after

    @property
    def repaired_rows(self) -> int:
        """Return how many rows were left out or given another price, where that is a fault of the source."""
        if self.kind in _NO_FAULTS or self.action not in ("repair", "drop") or not len(self.changes):
            return 0
        gone = int((self.changes["field"] == "row").sum())
        priced = self.changes["field"].isin(PRICE_COLUMNS) & self.changes["after"].astype(np.float64).notna()
        return gone + int(self.changes["timestamp"][priced].nunique())

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON types, with its first changes."""
        shown = self.changes.head(_LISTED)
        listed = [
            {"timestamp": stamp.isoformat(), "field": name, "before": jsonable(before), "after": jsonable(after)}
            for stamp, name, before, after in zip(
                pd.DatetimeIndex(shown["timestamp"]),
                shown["field"],
                shown["before"].to_numpy(dtype=np.float64),
                shown["after"].to_numpy(dtype=np.float64),
                strict=True,
            )
        ]
        return {
            "kind": self.kind,
            "action": self.action,
            "rows": self.rows,
            "first": self.first,
            "last": self.last,
            "detail": self.detail,
            "changed": len(self.changes),
            "changes": listed,
        }


@dataclass(frozen=True)
class QualityReport:
    """The findings on one symbol's bars, in the order in which they were made."""

    provider: str
    symbol: str
    interval: str
    rows_in: int
    rows_out: int
    findings: tuple[Finding, ...]

    @property
    def changes(self) -> pd.DataFrame:
        """Return every repair with its before and after: timestamp, kind, field, before, after."""
        parts = [finding.changes for finding in self.findings if len(finding.changes)]
        return pd.concat(parts, ignore_index=True) if parts else no_changes()

    @property
    def repairs(self) -> Repairs:
        """Return how many rows were left out or given another price; what only lost its fill does not count.

        Bars that were not over yet, another listing's bars and splits are no faults of a source; and of one that filled
        the days without a session, all bars that were traded are still there.
        """
        found: dict[str, int] = {}
        for item in self.findings:
            if rows := item.repaired_rows:
                found[item.kind] = found.get(item.kind, 0) + rows
        return Repairs(self.rows_in, tuple(found.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types, for the catalog."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "repaired": dict(self.repairs.causes),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def summary(self) -> str:
        """Return one line for the console, such as `2 duplicates repaired, 1 spikes dropped`; empty if clean."""
        return summary_of(self.to_dict())


def summary_of(report: Mapping[str, Any]) -> str:
    """Return the line of a report that was stored as JSON types."""
    done = {"repair": "repaired", "drop": "dropped", "warn": "noted", "refuse": "refused"}
    return ", ".join(f"{item['rows']} {item['kind']} {done[item['action']]}" for item in report["findings"])


def naive_times(table: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """Return the timestamps as datetime64[ns] in UTC."""
    return np.asarray(pd.DatetimeIndex(table["timestamp"]).tz_convert("UTC").tz_localize(None), dtype="datetime64[ns]")


def prices_of(table: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return open, high, low and close [rows, 4]; column by column, since pandas takes ten times as long for a list of them."""
    return np.stack([table[name].to_numpy(dtype=np.float64) for name in PRICE_COLUMNS]).T


def no_changes() -> pd.DataFrame:
    """Return an empty table of changes."""
    return pd.DataFrame(
        {"timestamp": pd.DatetimeIndex([], tz="UTC"), "kind": [], "field": [], "before": [], "after": []}
    )


def differences(before: pd.DataFrame, after: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return what differs between two versions of a table, row by row; a removed row is field `row` with its close."""
    if after is before:
        return no_changes()
    gone = before.index.difference(after.index)
    parts = []
    if len(gone):
        rows = before.loc[gone]
        parts.append(_changes(rows["timestamp"], kind, "row", rows["close"], np.nan))
    kept = before.index.intersection(after.index)
    old, new = before.loc[kept], after.loc[kept]
    for name in FIELDS:
        a, b = old[name].to_numpy(dtype=np.float64), new[name].to_numpy(dtype=np.float64)
        differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if differ.any():
            parts.append(_changes(old["timestamp"][differ], kind, name, a[differ], b[differ]))
    return pd.concat(parts, ignore_index=True) if parts else no_changes()


def _changes(timestamps: pd.Series, kind: str, name: str, before: Any, after: Any) -> pd.DataFrame:
    values = {"kind": kind, "field": name, "before": np.asarray(before, dtype=np.float64), "after": after}
    return pd.DataFrame({"timestamp": pd.DatetimeIndex(timestamps), **values})


def finding_notes(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return one sentence on what the quality room found in all symbols together; nothing where nothing was found."""
    return counted_notes(f"{_OF_BARS} bars", [(item.kind, item.action, item.rows) for item in findings])


def counted_notes(of: str, findings: Iterable[tuple[str, str, int]]) -> tuple[str, ...]:
    """Return that sentence of findings as kind, action and rows, beginning with what they are `of`."""
    rows: dict[tuple[str, str], list[int]] = {}
    for kind, action, count in findings:
        rows.setdefault((kind, action), []).append(count)
    said = [
        f"{kind}: {sum(counts)} rows of {len(counts)} symbols ({action})" for (kind, action), counts in rows.items()
    ]
    return (f"{of}: {'; '.join(said)}",) if said else ()


def left_in(notes: Iterable[str]) -> dict[str, str]:
    """Return the kinds of findings that notes of `counted_notes` on bars only warn of, each with how many rows of how many symbols."""
    said = (note for note in notes if note.startswith(_OF_BARS))
    return {
        kind: rows for note in said for kind, rows in re.findall(r"(\w+): (\d+ rows of \d+ symbols) \(warn\)", note)
    }
