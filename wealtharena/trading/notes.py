"""What the paper broker noted at each bar, in the units of now, by which it finds what a source publishes after its bar.

A split or a dividend belongs to who held at the close before its date, whenever it is published.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wealtharena.trading.actions import EARLIER, Prices, late_split, rescaled
from wealtharena.trading.broker import Event

if TYPE_CHECKING:
    from wealtharena.envs.market import Market

STEP: Final = ("ALTER TABLE marks ADD COLUMN units TEXT", "ALTER TABLE marks ADD COLUMN paid TEXT")
_SAME: Final = 1e-6  # relative; a rate of exchange that was converted and back differs by less


@dataclass(frozen=True)
class _Row:
    """One bar: what a unit was worth in account currency, units held at its close, dividends a unit as they are quoted."""

    bar: str
    marks: Mapping[str, float]
    units: Mapping[str, float]
    paid: Mapping[str, float]


class Notes:
    """The table of marks in a paper broker's file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._seen: Market | None = None  # in which all that was published so far has been booked

    def is_as_seen(self, market: Market, bars: int) -> bool:
        """Return whether the first `bars` of a market are as they were in the one that was seen before."""
        before = self._seen
        if before is None or before.symbols != market.symbols:
            return False
        begins = max(before.timestamps[0], market.timestamps[0])
        rows = slice(int(np.searchsorted(market.timestamps, begins)), bars)
        old = slice(
            int(np.searchsorted(before.timestamps, begins)),
            int(np.searchsorted(before.timestamps, market.timestamps[bars - 1], side="right")),
        )
        arrays = ("timestamps", "prices", "dividends")
        return all(np.array_equal(getattr(before, one)[old], getattr(market, one)[rows]) for one in arrays)

    def see(self, market: Market) -> None:
        """Note that all that this market tells of bars that are over has been booked."""
        self._seen = market

    def forget(self) -> None:
        """Look at everything anew: what was booked since was not kept."""
        self._seen = None

    def write(self, saved: Mapping[str, Any], market: Market) -> None:
        """Note a saved account at the bar at which it stands; who calls keeps it with the account."""
        at, names = row_of(market, saved["timestamp"]), saved["symbols"]
        paid = np.zeros(len(names)) if at is None else _quoted(market, at)
        told = {name: value for name, value in zip(names, paid.tolist(), strict=True) if value}
        held = {name: units for name, units in zip(names, saved["units"], strict=True) if units}
        marks = dict(zip(names, saved["marks"], strict=True))
        row = (saved["timestamp"], *(json.dumps(one) for one in (marks, held, told)))
        self._db.execute("INSERT OR REPLACE INTO marks (bar, marks, units, paid) VALUES (?, ?, ?, ?)", row)

    def earlier(self, bar: str, market: Market) -> Iterator[tuple[Prices, Prices]]:
        """Yield the marks of the bars before this one, newest first: as the account was marked there, and as this market has them."""
        for one in self._rows("bar < ?", bar):
            at = row_of(market, one["bar"])
            if at is not None:
                yield json.loads(one["marks"]), marks_of(market, at)

    def _rows(self, where: str, bar: str) -> list[sqlite3.Row]:
        found = self._db.execute(f"SELECT * FROM marks WHERE {where} ORDER BY bar DESC LIMIT ?", (bar, EARLIER))
        return found.fetchall()

    def rescale(self, symbol: str, ratio: float, *, last: str) -> None:
        """Tell what was noted up to the bar `last` in the units that hold after a split."""
        for one in self._rows("bar <= ?", last):
            marks, units, paid = (json.loads(one[name] or "{}") for name in ("marks", "units", "paid"))
            for numbers, factor in ((marks, 1.0 / ratio), (units, ratio), (paid, 1.0 / ratio)):
                if symbol in numbers:
                    numbers[symbol] *= factor
            self._db.execute(
                "UPDATE marks SET marks = ?, units = CASE WHEN units IS NULL THEN NULL ELSE ? END, paid = ? WHERE bar = ?",
                (json.dumps(marks), json.dumps(units), json.dumps(paid), one["bar"]),
            )

    def _hold(self, symbol: str, units: float, *, after: str) -> None:
        """Tell what was held at the bars after this one with these units more, which were there and not known of."""
        for one in self._rows("bar > ? AND units IS NOT NULL", after):
            held = json.loads(one["units"])
            held[symbol] = held.get(symbol, 0.0) + units
            self._db.execute("UPDATE marks SET units = ? WHERE bar = ?", (json.dumps(held), one["bar"]))

    def _known(self, bar: str, market: Market) -> list[tuple[_Row, int]]:
        """Return what was noted up to a bar, newest first, each with its row of the market; files of before know less."""
        found = []
        for one in self._rows("bar <= ?", bar):
            at = row_of(market, one["bar"])
            if at is None or one["units"] is None:
                break
            found.append((_Row(one["bar"], *(json.loads(one[name]) for name in ("marks", "units", "paid"))), at))
        return found

    def splits(self, bar: str, market: Market, lots: Mapping[str, float]) -> list[Event]:
        """Return what splits that were published after their date owe an account that stands at `bar`, and note them.

        They show in the prices of before their date alone. Units of what was held at the close before it are rescaled;
        what is left of a lot, of `lots` by symbol, is paid in cash at the mark of now.
        """
        oldest = self._db.execute(
            """SELECT bar, marks FROM (SELECT * FROM marks WHERE bar BETWEEN ? AND ? ORDER BY bar DESC LIMIT ?)
               ORDER BY bar LIMIT 1""",
            (str(market.timestamps[0].astype("datetime64[ns]")), bar, EARLIER),
        ).fetchone()
        at = None if oldest is None else row_of(market, oldest["bar"])
        if at is None:
            return []
        before, now = json.loads(oldest["marks"]), marks_of(market, at)
        moved = [name for name, mark in before.items() if mark > 0.0 and abs(now.get(name, 0.0) / mark - 1.0) > _SAME]
        known = self._known(bar, market) if moved else []
        marks = marks_of(market, known[0][1]) if known else {}
        found = []
        for name in moved:
            pairs = [(row.marks.get(name, 0.0), marks_of(market, at).get(name, 0.0)) for row, at in known]
            if (told := late_split(pairs)) is None:
                continue
            place, ratio = told
            row = known[place][0]
            before_it = row.units.get(name, 0.0)
            kept, left = rescaled(before_it, ratio, lot=lots.get(name, 0.0))
            self.rescale(name, ratio, last=row.bar)
            self._hold(name, kept - before_it, after=row.bar)
            if before_it:
                found.append(Event(0, f"{bar}/{name}/split", "split", name, kept - before_it, left * marks[name]))
        return found

    def dividends(self, bar: str, market: Market) -> list[Event]:
        """Return what dividends that were published, or corrected, after their date owe an account that stands at `bar`, and note them.

        One that its source tells no more stays paid.
        """
        stands = row_of(market, bar)
        if stands is None or not market.dividends[: stands + 1].any():
            return []
        found = []
        known = self._known(bar, market)
        for (row, at), (before, _) in itertools.pairwise(known):
            paid = dict(row.paid)
            for column, now in enumerate(_quoted(market, at).tolist()):
                name = market.symbols[column]
                more = now - paid.get(name, 0.0)
                if now and abs(more) > _SAME * abs(now):
                    paid[name] = now
                    cash = before.units.get(name, 0.0) * more * float(market.worth[at, column])
                    found += [Event(0, f"{bar}/{name}/{row.bar}/{now!r}", "dividend", name, 0.0, cash)] if cash else []
            if paid != row.paid:
                self._db.execute("UPDATE marks SET paid = ? WHERE bar = ?", (json.dumps(paid), row.bar))
        return found


def row_of(market: Market, bar: str) -> int | None:
    """Return the market's row of a bar, as it is written in a file; None where it has none."""
    at = int(np.searchsorted(market.timestamps, np.datetime64(bar, "ns")))
    return at if at < market.length and str(market.timestamps[at].astype("datetime64[ns]")) == bar else None


def marks_of(market: Market, at: int) -> dict[str, float]:
    """Return what a unit is worth at a row of the market, in account currency, by symbol."""
    return dict(zip(market.symbols, market.prices[at].tolist(), strict=True))


def _quoted(market: Market, at: int) -> Any:
    """Return dividends a unit as they are quoted, [A], whatever the rate of exchange."""
    worth = market.worth[at]
    return np.divide(market.dividends[at], worth, out=np.zeros_like(worth), where=worth > 0.0)
