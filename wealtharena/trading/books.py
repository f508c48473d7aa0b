"""What came of orders, and what else changed an account: executions, events, positions, each booked once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from wealtharena.trading.broker import FINAL, Event, Fill
from wealtharena.trading.database import transaction
from wealtharena.trading.guard import Intervention
from wealtharena.trading.situation import TOLERANCE

CLOSING: Final = 3  # the first attempt to close all between two closes; at other orders a second is one made smaller
_DUST: Final = 1e-6  # units or cash; what differs by less is rounding
_AGAIN: Final = "/again/"  # between the id of an event and how often it had been booked when it was told otherwise


class Books:
    """The part of a ledger that a broker writes; positions are what executions and events add up to."""

    epoch: int
    _db: sqlite3.Connection

    def fills(self, bar: str | None = None) -> list[Fill]:
        """Return the executions that are booked, oldest first; those of one bar where it is named."""
        where, values = ("", (self.epoch,)) if bar is None else (" AND bar = ?", (self.epoch, bar))
        rows = self._db.execute(f"SELECT * FROM fills WHERE epoch = ?{where} ORDER BY sequence, rowid", values)
        return [Fill(**{name: row[name] for name in Fill.__dataclass_fields__}) for row in rows]

    def unassigned(self) -> list[Fill]:
        """Return the executions that belong to no bar yet."""
        return self.fills("")

    def executed(self, orders: Sequence[str]) -> dict[str, float]:
        """Return what the executions of these orders add up to, by client id."""
        marks = ", ".join("?" * len(orders))
        rows = self._db.execute(
            f"""SELECT client_id, sum(units) AS units FROM fills WHERE epoch = ? AND client_id IN ({marks})
                GROUP BY client_id""",
            (self.epoch, *orders),
        )
        return {row["client_id"]: row["units"] for row in rows}

    def positions(self) -> dict[str, float]:
        """Return what the executions add up to, by symbol, without zeros."""
        rows = self._db.execute("SELECT symbol, units FROM positions WHERE epoch = ?", (self.epoch,))
        return {row["symbol"]: row["units"] for row in rows if row["units"] != 0.0}

    def book(self, fills: Sequence[Fill], *, seen: Any = None, late: bool = False) -> int:
        """Book executions, each once however often it is told, and return how many were new; all of them or none.

        `seen`, if given, is called after each. With `late`, an order that had been given up, and is executed after all, has
        what was executed counted as filled: nobody looks it up any more.
        """
        new: list[tuple[str, float]] = []
        if not fills:
            return 0
        with transaction(self._db):
            for one in fills:
                row = (
                    one.execution_id, self.epoch, one.sequence, one.client_id, one.bar, one.symbol, one.units,
                    one.price, one.quote, one.cost,
                )  # fmt: skip
                added = self._db.execute(
                    """INSERT OR IGNORE INTO fills (execution_id, epoch, sequence, client_id, bar, symbol, units, price,
                       quote, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                    row,
                )
                if added.rowcount:
                    new.append((one.symbol, one.units))
                if seen is not None:
                    seen()
            self._hold(new)
            if late:
                self._count({one.client_id for one in fills if one.client_id is not None})
        return len(new)

    def _count(self, orders: Iterable[str]) -> None:
        ends = ", ".join(f"'{status}'" for status in FINAL)
        executed = (
            "SELECT sum(units) FROM fills WHERE fills.epoch = intents.epoch AND fills.client_id = intents.client_id"
        )
        self._db.executemany(
            f"""UPDATE intents SET filled = ({executed}),
                status = CASE WHEN abs(({executed})) >= abs(units) * (1 - {TOLERANCE}) THEN 'filled' ELSE 'partly' END
                WHERE client_id = ? AND epoch = ? AND status IN ({ends}) AND abs(({executed})) > abs(filled) * (1 + {TOLERANCE})""",
            [(name, self.epoch) for name in sorted(orders)],
        )

    def _hold(self, changes: Sequence[tuple[str, float]]) -> None:
        self._db.executemany(
            """INSERT INTO positions VALUES (?, ?, ?)
               ON CONFLICT (epoch, symbol) DO UPDATE SET units = units + excluded.units""",
            [(self.epoch, symbol, units) for symbol, units in changes],
        )

    def book_events(self, events: Sequence[Event], *, bar: str) -> list[Event]:
        """Book what changed the account without an execution, each once, and return those that were new."""
        new: list[Event] = []
        if not events:
            return new
        with transaction(self._db):
            for one in events:
                row = (one.event_id, self.epoch, one.sequence, bar, one.kind, one.symbol, one.units, one.cash)
                if self._db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row).rowcount:
                    new.append(one)
                    if one.units:
                        self._hold([(one.symbol, one.units)])
        return new

    def amended(self, events: Sequence[Event]) -> list[Event]:
        """Return what is to be booked of events as a broker tells them now: new ones, and of those that are booked what differs.

        One that was booked and is taken back is so here too, for good: what tells of it otherwise then is an older answer.
        One that never counted is nothing, and of several of one id the first counts.
        """
        found = []
        for one in {one.event_id: one for one in reversed(events)}.values():
            units, cash = (0.0, 0.0) if one.taken_back else (one.units, one.cash)
            known, units_before, cash_before = self._booked_of(one.event_id)
            if not known:
                found += [] if one.taken_back else [one]
                continue
            undone = known > 1 and abs(units_before) <= _DUST and abs(cash_before) <= _DUST
            if not undone and (abs(units - units_before) > _DUST or abs(cash - cash_before) > _DUST):
                name = f"{one.event_id}{_AGAIN}{known}"
                found.append(replace(one, event_id=name, units=units - units_before, cash=cash - cash_before))
        return found[::-1]

    def _booked_of(self, event_id: str) -> tuple[int, float, float]:
        """Return how often an event was booked, as it was told at first and as it was amended, and what that came to."""
        row = self._db.execute(
            """SELECT count(*) AS n, coalesce(sum(units), 0.0) AS units, coalesce(sum(cash), 0.0) AS cash FROM events
               WHERE epoch = ? AND (event_id = ? OR (event_id > ? AND event_id < ?))""",
            (self.epoch, event_id, f"{event_id}{_AGAIN}", f"{event_id}{_AGAIN}:"),  # a colon comes after all digits
        ).fetchone()
        return int(row["n"]), float(row["units"]), float(row["cash"])

    def unknown_fills(self, fills: Sequence[Fill]) -> list[Fill]:
        """Return those executions that are not booked yet."""
        known = "SELECT 1 FROM fills WHERE epoch = ? AND execution_id = ?"
        return [one for one in fills if self._db.execute(known, (self.epoch, one.execution_id)).fetchone() is None]

    def correct(self, fills: Sequence[Fill]) -> list[Intervention]:
        """Book anew those that are booked at another quote, and return what is to be written of each.

        What is the market's is compared: the rate at which it was converted may be another today. Where the bar of an
        execution is over, what its correction came to counts with the next.
        """
        told = []
        for one in fills:
            where = (self.epoch, one.execution_id)
            row = self._db.execute("SELECT * FROM fills WHERE epoch = ? AND execution_id = ?", where).fetchone()
            if row is None or row["quote"] <= 0.0 or abs(one.quote - row["quote"]) <= TOLERANCE * row["quote"]:
                continue
            price = one.quote * row["price"] / row["quote"]
            cash = row["units"] * (row["price"] - price)
            told.append(
                Intervention(
                    "executions",
                    "corrected",
                    (one.symbol,),
                    {"quote": row["quote"], "quote_now": one.quote, "cash": cash},
                )
            )
            with transaction(self._db):
                self._db.execute(
                    "UPDATE fills SET price = ?, quote = ? WHERE epoch = ? AND execution_id = ?",
                    (price, one.quote, *where),
                )
                if row["bar"]:
                    name = f"{one.execution_id}/{len(self.events())}"  # a price may be corrected to and fro
                    self.book_events([Event(self.last_event(), name, "other", one.symbol, 0.0, cash)], bar="")
        return told

    def assign(self, bar: str, references: Mapping[str, float], *, decided: str) -> None:
        """Give what belongs to no bar yet to this one, executions of what was `decided` at the bar before it beside what the
        backtest would have paid for them.

        What was executed at a bar that was missed is given to this one too, and has no price here to stand beside.
        """
        fills = self.unassigned()
        if not fills and not self.events(""):
            return
        ours = {one.client_id for one in fills} & self._decided(decided)
        with transaction(self._db):
            self._db.executemany(
                "UPDATE fills SET bar = ?, reference = ? WHERE epoch = ? AND execution_id = ?",
                [
                    (bar, references.get(one.symbol) if one.client_id in ours else None, self.epoch, one.execution_id)
                    for one in fills
                ],
            )
            self._db.execute("UPDATE events SET bar = ? WHERE epoch = ? AND bar = ''", (bar, self.epoch))

    def _decided(self, bar: str) -> set[str | None]:
        """Return the client ids of the orders that were decided on at a bar: what closes all between two closes was at none."""
        where = "epoch = ? AND bar = ? AND attempt < ?"
        rows = self._db.execute(f"SELECT client_id FROM intents WHERE {where}", (self.epoch, bar, CLOSING))
        return {row["client_id"] for row in rows}

    def slippage(self) -> list[dict[str, Any]]:
        """Return executions of brokers outside with what the backtest would have paid; `cost` is what more was paid."""
        rows = self._db.execute(
            """SELECT bar, symbol, client_id, units, price, reference, units * (price - reference) AS cost FROM fills
               WHERE epoch = ? AND reference IS NOT NULL ORDER BY sequence, rowid""",
            (self.epoch,),
        )
        return [dict(row) for row in rows]

    def events(self, bar: str | None = None) -> list[dict[str, Any]]:
        """Return what was booked without an execution, oldest first; that of one bar where it is named."""
        where, values = ("", (self.epoch,)) if bar is None else (" AND bar = ?", (self.epoch, bar))
        rows = self._db.execute(f"SELECT * FROM events WHERE epoch = ?{where} ORDER BY sequence, rowid", values)
        return [dict(row) for row in rows]

    def acted_on(self) -> frozenset[str]:
        """Return the symbols of which corporate actions since the last close have made more units, or fewer."""
        rows = self._db.execute(
            """SELECT symbol FROM events WHERE epoch = ? AND bar = '' AND kind IN ('split', 'other')
               GROUP BY symbol HAVING abs(sum(units)) > ?""",
            (self.epoch, _DUST),  # one that was known by then is told as it is taken back, and comes to nothing
        )
        return frozenset(row["symbol"] for row in rows)

    def last_sequence(self) -> int:
        """Return the broker's number of the newest execution that is booked; before the first that of the opening."""
        return self._newest("fills")

    def last_event(self) -> int:
        """Return the same of what changed the account otherwise."""
        return self._newest("events")

    def _newest(self, table: str) -> int:
        row = self._db.execute(f"SELECT max(sequence) AS n FROM {table} WHERE epoch = ?", (self.epoch,)).fetchone()
        return int(row["n"] if row["n"] is not None else self.note("cursor") or 0)

    def note(self, name: str) -> str | None:
        """Return what was noted under this name; None for nothing."""
        row = self._db.execute("SELECT value FROM notes WHERE epoch = ? AND name = ?", (self.epoch, name)).fetchone()
        return None if row is None else str(row["value"])

    def write_note(self, name: str, value: str) -> None:
        """Note something about the account that belongs to no bar."""
        if self.note(name) != value:
            with transaction(self._db):
                self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (self.epoch, name, value))
