"""What an account decided, sent and got, kept before it matters: SQLite, one file an account."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from wealtharena.trading.broker import Account, Fill
from wealtharena.trading.database import LedgerError, connect, transaction
from wealtharena.trading.guard import Intervention, State

FILE: Final = "ledger.sqlite"
IntentStatus = Literal["new", "sending", "open", "filled", "partly", "expired", "cancelled", "rejected", "shadow"]
PENDING: Final = ("new", "sending", "open")
STEPS: Final = (
    (
        """CREATE TABLE accounts (epoch INTEGER PRIMARY KEY, agent TEXT NOT NULL, account TEXT NOT NULL,
           opened_at TEXT NOT NULL, facts TEXT NOT NULL)""",
        """CREATE TABLE states (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL REFERENCES accounts, bar TEXT,
           state TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL)""",
        """CREATE TABLE decisions (epoch INTEGER NOT NULL REFERENCES accounts, bar TEXT NOT NULL, at TEXT NOT NULL,
           seen TEXT NOT NULL, weights TEXT, memory TEXT NOT NULL, unknown INTEGER NOT NULL, sent INTEGER NOT NULL,
           PRIMARY KEY (epoch, bar))""",
        """CREATE TABLE intents (client_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, bar TEXT NOT NULL,
           symbol TEXT NOT NULL, leg INTEGER NOT NULL, attempt INTEGER NOT NULL, units REAL NOT NULL,
           status TEXT NOT NULL, note TEXT NOT NULL, UNIQUE (epoch, bar, symbol, leg, attempt),
           FOREIGN KEY (epoch, bar) REFERENCES decisions)""",
        "CREATE INDEX intents_by_status ON intents (epoch, status)",
        """CREATE TABLE fills (execution_id TEXT NOT NULL, epoch INTEGER NOT NULL REFERENCES accounts,
           sequence INTEGER NOT NULL, client_id TEXT, bar TEXT NOT NULL, symbol TEXT NOT NULL, units REAL NOT NULL,
           price REAL NOT NULL, quote REAL NOT NULL, cost REAL NOT NULL, PRIMARY KEY (epoch, execution_id))""",
        "CREATE INDEX fills_by_sequence ON fills (epoch, sequence)",
        """CREATE TABLE positions (epoch INTEGER NOT NULL REFERENCES accounts, symbol TEXT NOT NULL,
           units REAL NOT NULL, PRIMARY KEY (epoch, symbol))""",
        """CREATE TABLE closes (epoch INTEGER NOT NULL REFERENCES accounts, bar TEXT NOT NULL, equity REAL NOT NULL,
           cash REAL NOT NULL, traded REAL NOT NULL, costs REAL NOT NULL, financing REAL NOT NULL,
           dividends REAL NOT NULL, positions TEXT NOT NULL, marks TEXT NOT NULL, PRIMARY KEY (epoch, bar))""",
        """CREATE TABLE interventions (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL REFERENCES accounts,
           bar TEXT NOT NULL, rule TEXT NOT NULL, action TEXT NOT NULL, symbols TEXT NOT NULL, numbers TEXT NOT NULL)""",
    ),
)


@dataclass(frozen=True)
class Intent:
    """An order as it was meant, before and after it was sent."""

    client_id: str
    bar: str
    symbol: str
    leg: int
    attempt: int
    units: float
    status: IntentStatus = "new"
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """What was decided at one close; without weights, nothing was: the account was not known."""

    bar: str
    seen: Mapping[str, float]  # the marks that it was decided on
    weights: Sequence[float] | None
    memory: Mapping[str, Any]
    unknown: int  # bars in a row at which the account was not known, this one included
    sent: bool = False


class Ledger:
    """The record of one account; all that is written is kept when the call returns, whole or not at all."""

    def __init__(self, folder: Path, *, synchronous: str = "full") -> None:
        self._db = connect(folder / FILE, STEPS, synchronous=synchronous)
        row = self._db.execute("SELECT max(epoch) AS epoch FROM accounts").fetchone()
        self.epoch = int(row["epoch"] or 0)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # --- the account

    def open(self, agent: str, account: str, facts: Mapping[str, Any]) -> None:
        """Begin an epoch of the account; what was before stays, and counts no more."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO accounts VALUES (?, ?, ?, ?, ?)",
                (self.epoch + 1, agent, account, _now(), json.dumps(facts, sort_keys=True)),
            )
        self.epoch += 1

    def facts(self) -> dict[str, Any] | None:
        """Return what the epoch was opened with; None where there is none."""
        row = self._db.execute("SELECT facts FROM accounts WHERE epoch = ?", (self.epoch,)).fetchone()
        return None if row is None else dict(json.loads(row["facts"]))

    def state(self) -> tuple[State, str]:
        """Return the state and the reason for it."""
        row = self._db.execute(
            "SELECT state, reason FROM states WHERE epoch = ? ORDER BY id DESC LIMIT 1", (self.epoch,)
        ).fetchone()
        return ("trading", "") if row is None else (row["state"], row["reason"])

    def set_state(self, state: State, reason: str, *, bar: str | None = None) -> None:
        """Write a state that differs from the last, with its reason."""
        if self.state()[0] != state:
            with transaction(self._db):
                self._state(state, reason, bar)

    def _state(self, state: State, reason: str, bar: str | None) -> None:
        row = (self.epoch, bar, state, reason, _now())
        self._db.execute("INSERT INTO states (epoch, bar, state, reason, at) VALUES (?, ?, ?, ?, ?)", row)

    # --- decisions and intents

    def decide(
        self,
        decision: Decision,
        intents: Sequence[Intent],
        interventions: Sequence[Intervention],
        *,
        state: State,
    ) -> None:
        """Write a decision with all that follows from it; LedgerError where that bar was decided on before."""
        before, bar = self.state()[0], decision.bar
        with transaction(self._db):
            if self.decision(bar) is not None:
                raise LedgerError(f"{bar} was decided on before", hint="one process an account")
            weights = None if decision.weights is None else json.dumps(list(decision.weights))
            self._db.execute(
                "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    self.epoch, bar, _now(), json.dumps(decision.seen), weights, json.dumps(decision.memory),
                    decision.unknown,
                ),
            )  # fmt: skip
            for one in intents:
                self._db.execute(
                    "INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        one.client_id, self.epoch, one.bar, one.symbol, one.leg, one.attempt, one.units, one.status,
                        one.note,
                    ),
                )  # fmt: skip
            self._intervene(bar, interventions)
            if state != before:
                self._state(state, interventions[-1].rule if interventions else "nothing is held any more", bar)

    def decision(self, bar: str | None = None) -> Decision | None:
        """Return the decision of a bar, or the last one; None where there is none."""
        where = "ORDER BY bar DESC LIMIT 1" if bar is None else "AND bar = ?"
        values = (self.epoch,) if bar is None else (self.epoch, bar)
        row = self._db.execute(f"SELECT * FROM decisions WHERE epoch = ? {where}", values).fetchone()
        if row is None:
            return None
        weights = None if row["weights"] is None else json.loads(row["weights"])
        return Decision(
            row["bar"], json.loads(row["seen"]), weights, json.loads(row["memory"]), row["unknown"], bool(row["sent"])
        )

    def wanted(self) -> dict[str, list[float]]:
        """Return the weights of every decision by its bar; where the account was not known there were none."""
        rows = self._db.execute(
            "SELECT bar, weights FROM decisions WHERE epoch = ? AND weights IS NOT NULL ORDER BY bar", (self.epoch,)
        )
        return {row["bar"]: json.loads(row["weights"]) for row in rows}

    def done(self, bar: str) -> None:
        """Write that every intent of this bar's decision has been dealt with."""
        with transaction(self._db):
            self._db.execute("UPDATE decisions SET sent = 1 WHERE epoch = ? AND bar = ?", (self.epoch, bar))

    def intents(self) -> list[Intent]:
        """Return every intent in the order they were written."""
        return self._intents("epoch = ?", self.epoch)

    def pending(self) -> list[Intent]:
        """Return the intents whose end is not known."""
        marks = ", ".join("?" * len(PENDING))
        return self._intents(f"epoch = ? AND status IN ({marks})", self.epoch, *PENDING)

    def _intents(self, where: str, *values: Any) -> list[Intent]:
        rows = self._db.execute(f"SELECT * FROM intents WHERE {where} ORDER BY rowid", values)
        return [Intent(**{name: row[name] for name in Intent.__dataclass_fields__}) for row in rows]

    def mark(self, changes: Mapping[str, tuple[IntentStatus, str]]) -> None:
        """Write the status and a note of intents, by client id."""
        if changes:
            with transaction(self._db):
                for client_id, (status, note) in changes.items():
                    self._db.execute(
                        "UPDATE intents SET status = ?, note = ? WHERE client_id = ?", (status, note, client_id)
                    )

    def orders_on(self, day: str) -> int:
        """Return how many orders were meant at the bars of this day, a date."""
        row = self._db.execute(
            "SELECT count(*) AS n FROM intents WHERE epoch = ? AND bar >= ? AND bar < ?",
            (self.epoch, day, f"{day}U"),  # a bar of the day is the date, T and a time
        ).fetchone()
        return int(row["n"])

    # --- what came of them

    def book(self, fills: Sequence[Fill], *, seen: Any = None) -> int:
        """Book executions, each once however often it is told, and return how many were new; all of them or none.

        `seen`, if given, is called after each.
        """
        new = 0
        with transaction(self._db):
            for one in fills:
                row = (
                    one.execution_id, self.epoch, one.sequence, one.client_id, one.bar, one.symbol, one.units,
                    one.price, one.quote, one.cost,
                )  # fmt: skip
                added = self._db.execute("INSERT OR IGNORE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                if added.rowcount:
                    new += 1
                    self._db.execute(
                        """INSERT INTO positions VALUES (?, ?, ?)
                           ON CONFLICT (epoch, symbol) DO UPDATE SET units = units + excluded.units""",
                        (self.epoch, one.symbol, one.units),
                    )
                if seen is not None:
                    seen()
        return new

    def last_sequence(self) -> int:
        """Return the broker's number of the newest execution that is booked; 0 before the first."""
        row = self._db.execute("SELECT max(sequence) AS n FROM fills WHERE epoch = ?", (self.epoch,)).fetchone()
        return int(row["n"] or 0)

    def fills(self) -> list[Fill]:
        """Return every execution that is booked, oldest first."""
        rows = self._db.execute("SELECT * FROM fills WHERE epoch = ? ORDER BY sequence, rowid", (self.epoch,))
        return [Fill(**{name: row[name] for name in Fill.__dataclass_fields__}) for row in rows]

    def positions(self) -> dict[str, float]:
        """Return what the executions add up to, by symbol, without zeros."""
        rows = self._db.execute("SELECT symbol, units FROM positions WHERE epoch = ?", (self.epoch,))
        return {row["symbol"]: row["units"] for row in rows if row["units"] != 0.0}

    def settle(
        self,
        account: Account,
        held: Mapping[str, float],
        marks: Mapping[str, float],
        *,
        interventions: Sequence[Intervention] = (),
    ) -> None:
        """Write an account at a close with what it holds, which is what counts from here on."""
        numbers = [getattr(account, n) for n in ("equity", "cash", "traded", "costs", "financing", "dividends")]
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO closes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self.epoch, account.bar, *numbers, json.dumps(held), json.dumps(marks)),
            )
            self._db.execute("DELETE FROM positions WHERE epoch = ?", (self.epoch,))
            self._db.executemany(
                "INSERT INTO positions VALUES (?, ?, ?)", [(self.epoch, name, units) for name, units in held.items()]
            )
            self._intervene(account.bar, interventions)

    def last_close(self) -> dict[str, Any] | None:
        """Return the account at the last close; None before the first."""
        found = self._closes("ORDER BY bar DESC LIMIT 1")
        return found[0] if found else None

    def closes(self) -> list[dict[str, Any]]:
        """Return the account at every close, oldest first."""
        return self._closes("ORDER BY bar")

    def _closes(self, which: str) -> list[dict[str, Any]]:
        rows = self._db.execute(f"SELECT * FROM closes WHERE epoch = ? {which}", (self.epoch,))
        return [
            {**dict(row), "positions": json.loads(row["positions"]), "marks": json.loads(row["marks"])} for row in rows
        ]

    def opening(self, day: str) -> float | None:
        """Return the equity at the last close before this day, a date; None where there is none."""
        row = self._db.execute(
            "SELECT equity FROM closes WHERE epoch = ? AND bar < ? ORDER BY bar DESC LIMIT 1", (self.epoch, day)
        ).fetchone()
        return None if row is None else float(row["equity"])

    def interventions(self) -> list[dict[str, Any]]:
        """Return every intervention with its bar, oldest first."""
        rows = self._db.execute("SELECT * FROM interventions WHERE epoch = ? ORDER BY id", (self.epoch,))
        return [
            {
                "bar": row["bar"], "rule": row["rule"], "action": row["action"],
                "symbols": json.loads(row["symbols"]), "numbers": json.loads(row["numbers"]),
            }
            for row in rows
        ]  # fmt: skip

    def intervene(self, bar: str, interventions: Sequence[Intervention]) -> None:
        """Write interventions that belong to no decision."""
        with transaction(self._db):
            self._intervene(bar, interventions)

    def _intervene(self, bar: str, interventions: Sequence[Intervention]) -> None:
        for one in interventions:
            told = asdict(one)
            self._db.execute(
                "INSERT INTO interventions (epoch, bar, rule, action, symbols, numbers) VALUES (?, ?, ?, ?, ?, ?)",
                (self.epoch, bar, one.rule, one.action, json.dumps(told["symbols"]), json.dumps(told["numbers"])),
            )


def client_id(agent: str, account: str, epoch: int, bar: str, symbol: str, *, leg: int = 1, attempt: int = 1) -> str:
    """Return an id that tells agent, account, its epoch, bar, symbol, leg and attempt apart."""
    return f"{agent}/{account}/{epoch}/{bar}/{symbol}/{leg}/{attempt}"


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
