"""What an account decided, sent and got, kept before it matters: SQLite, one file an account."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from wealtharena.shown import bar_time
from wealtharena.trading.books import Books
from wealtharena.trading.broker import FINAL, Account, BookedOrder
from wealtharena.trading.closes import RELEASED, Closes
from wealtharena.trading.database import LedgerError, connect, let_go_on_error, transaction
from wealtharena.trading.guard import Intervention, State
from wealtharena.trading.outbox import Posts
from wealtharena.trading.schema import STEPS
from wealtharena.trading.situation import TOLERANCE

FILE: Final = "ledger.sqlite"
IntentStatus = Literal["new", "sending", "open", "filled", "partly", "expired", "cancelled", "rejected", "shadow"]
NOTHING_LEFT: Final = "nothing is held any more"
PENDING: Final = ("new", "sending", "open")


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
    filled: float = 0.0
    rounding: bool = False  # worth so little that no rule counts it


_COLUMNS: Final = ", ".join(Intent.__dataclass_fields__)


@dataclass(frozen=True)
class Decision:
    """What was decided at one close; without weights, nothing was: the account was not known."""

    bar: str
    seen: Mapping[str, float]  # the marks that it was decided on
    weights: Sequence[float] | None
    memory: Mapping[str, Any]
    unknown: int  # bars in a row at which the account was not known, this one included
    sent: bool = False


class Ledger(Books, Closes, Posts):
    """The record of one account; all that is written is kept when the call returns, whole or not at all."""

    def __init__(
        self,
        folder: Path,
        *,
        synchronous: str = "full",
        at: Callable[[str], None] = lambda point: None,
        look: bool = False,
    ) -> None:
        """Open the file, made where there is none; to `look` alone, it and its folder need not be writable."""
        self._db = connect(folder / FILE, STEPS, synchronous=synchronous, seen=lambda: at("while migrating"), look=look)
        self._synchronous = synchronous
        self._file = folder / FILE
        with let_go_on_error(self._db):
            self._inode = self._file.stat().st_ino
            row = self._db.execute("SELECT max(epoch) AS epoch FROM accounts").fetchone()
        self.epoch = int(row["epoch"] or 0)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def check_there(self) -> None:
        """Raise LedgerError where the file was taken away or exchanged: SQLite goes on writing into what nobody can find again."""
        with contextlib.suppress(FileNotFoundError):
            if self._file.stat().st_ino == self._inode:
                return
        raise LedgerError(
            f"{FILE} was taken away while the account traded; nothing is decided any more",
            hint="put it back, with its -wal where there is one, and start again",
        )

    def at_once(self) -> contextlib.AbstractContextManager[None]:
        """Keep all that is written within together, or nothing of it: the disk is waited for once."""
        return transaction(self._db)

    @contextlib.contextmanager
    def in_passing(self) -> Iterator[None]:
        """Do the same without waiting for the disk: for what can be asked for again where a loss of power took it."""
        if self._synchronous == "normal":
            with transaction(self._db):
                yield
            return
        self._db.execute("PRAGMA synchronous=NORMAL")
        try:
            with transaction(self._db):
                yield
        finally:
            self._db.execute(f"PRAGMA synchronous={self._synchronous.upper()}")

    # --- the account

    def open(self, agent: str, account: str, facts: Mapping[str, Any]) -> None:
        """Begin an epoch of the account; what was before stays, and counts no more."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO accounts VALUES (?, ?, ?, ?, ?)",
                (self.epoch + 1, agent, account, _now(), json.dumps(facts, sort_keys=True)),
            )
        self.epoch += 1

    def forget(self) -> bool:
        """Take back the opening of an epoch in which nothing was decided, booked or told; return whether that was so."""
        used = ("decisions", "intents", "fills", "events", "positions", "closes", "interventions")
        if any(
            self._db.execute(f"SELECT 1 FROM {name} WHERE epoch = ? LIMIT 1", (self.epoch,)).fetchone() for name in used
        ):
            return False
        with transaction(self._db):
            for name in ("states", "notes", "posts", "accounts"):
                self._db.execute(f"DELETE FROM {name} WHERE epoch = ?", (self.epoch,))
        self.epoch -= 1
        return True

    def learn(self, facts: Mapping[str, Any]) -> None:
        """Note what the epoch was opened with together with what is known of it by now."""
        with transaction(self._db):
            told = json.dumps(facts, sort_keys=True)
            self._db.execute("UPDATE accounts SET facts = ? WHERE epoch = ?", (told, self.epoch))

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
        """Write a state that differs from the last, with its reason, and that people are to be told."""
        if self.state()[0] != state:
            with transaction(self._db):
                self._state(state, reason, bar)

    def release(self, reason: str) -> None:
        """Let a halted account trade again, by a person's word; what rules remember of before counts no more."""
        if self.state()[0] == "trading":
            return
        last = self.decision()
        with transaction(self._db):
            self.write_note(RELEASED, "" if last is None else last.bar)
            self._state("trading", f"released: {reason}", None)

    def _state(self, state: State, reason: str, bar: str | None) -> None:
        row = (self.epoch, bar, state, reason, _now())
        self._db.execute("INSERT INTO states (epoch, bar, state, reason, at) VALUES (?, ?, ?, ?, ?)", row)
        self.post(state if bar is None else f"{state} at {bar_time(bar)}", reason)

    # --- decisions and intents

    def decide(
        self,
        decision: Decision,
        intents: Sequence[Intent],
        interventions: Sequence[Intervention],
        *,
        state: State,
        reason: str = "",
    ) -> None:
        """Write a decision with all that follows from it; LedgerError where that bar was decided on before.

        Where no `reason` is given, a new state's is the rule that spoke last, and that of an account that closed all is why.
        """
        (before, why), bar = self.state(), decision.bar
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
            self._intend(intents)
            self._intervene(bar, interventions)
            if state != before:
                spoke = f"{why}; {NOTHING_LEFT}" if before == "reducing" else interventions[-1].rule
                self._state(state, reason or spoke, bar)

    def intend(self, intents: Sequence[Intent]) -> None:
        """Write orders that a decision of before needs beside its own."""
        with transaction(self._db):
            self._intend(intents)

    def _intend(self, intents: Sequence[Intent]) -> None:
        rows = [
            (
                one.client_id, self.epoch, one.bar, one.symbol, one.leg, one.attempt, one.units, one.status, one.note,
                one.filled, one.rounding,
            )
            for one in intents
        ]  # fmt: skip
        self._db.executemany(
            """INSERT INTO intents (client_id, epoch, bar, symbol, leg, attempt, units, status, note, filled, rounding)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            rows,
        )

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

    def idle(self) -> set[str]:
        """Return the bars at whose decision the account was halted or closing all: the agent's weights asked for nothing."""
        rows = self._db.execute(
            """SELECT bar FROM decisions AS made WHERE epoch = ? AND (SELECT state FROM states WHERE epoch = made.epoch
               AND (bar <= made.bar OR (bar IS NULL AND at < made.at)) ORDER BY id DESC LIMIT 1) <> 'trading'""",
            (self.epoch,),
        )  # a release belongs to no bar, and holds from when it was given
        return {row["bar"] for row in rows}

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

    def intents_at(self, bar: str) -> list[Intent]:
        """Return the intents of one bar, an attempt after the one before it."""
        return self._intents("epoch = ? AND bar = ?", self.epoch, bar)

    def is_ours(self, client_id: str) -> bool:
        """Return whether an order of this epoch has that client id."""
        where = "SELECT 1 FROM intents WHERE client_id = ? AND epoch = ?"
        return self._db.execute(where, (client_id, self.epoch)).fetchone() is not None

    def lacking(self, *, dust: float) -> list[str]:
        """Return the orders of the last decision of which the broker says that more was filled than is booked."""
        last = self.decision()
        if last is None:
            return []
        rows = self._db.execute(
            f"""SELECT client_id FROM intents WHERE epoch = ? AND bar = ? AND abs(filled) - coalesce((SELECT
               sum(abs(units)) FROM fills WHERE fills.epoch = intents.epoch AND fills.client_id = intents.client_id),
               0.0) > max(?, {TOLERANCE} * abs(filled))""",
            (self.epoch, last.bar, dust),
        )
        return [row["client_id"] for row in rows]

    def _intents(self, where: str, *values: Any) -> list[Intent]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM intents WHERE {where} ORDER BY rowid", values)
        return [Intent(**{**dict(row), "rounding": bool(row["rounding"])}) for row in rows]

    def intent(self, client_id: str) -> Intent | None:
        """Return the intent of that client id, of whatever epoch; None where it is none of this ledger's."""
        found = self._intents("client_id = ?", client_id)
        return found[0] if found else None

    def follow(self, booked: Sequence[BookedOrder]) -> None:
        """Take over what the broker says of orders; what was filled stays filled, and an end stays the end.

        An answer may be older than the one before.
        """
        marks = ", ".join("?" * len(booked))
        rows = self._db.execute(
            f"SELECT client_id, status, note, filled FROM intents WHERE client_id IN ({marks})",
            [one.client_id for one in booked],
        )
        ours = {row["client_id"]: row for row in rows}
        told = [(one, ours[one.client_id]) for one in booked if one.client_id in ours]
        changes = [
            (one.status, one.note or known["note"], one.filled, one.client_id)
            for one, known in told
            if abs(one.filled) > abs(known["filled"])
            or (known["status"] not in FINAL and one.status != known["status"])
        ]
        if changes:
            with transaction(self._db):
                self._db.executemany("UPDATE intents SET status = ?, note = ?, filled = ? WHERE client_id = ?", changes)

    def mark(self, changes: Mapping[str, tuple[IntentStatus, str]]) -> None:
        """Write the status and a note of intents, by client id."""
        if changes:
            with transaction(self._db):
                rows = [(status, note, client_id) for client_id, (status, note) in changes.items()]
                self._db.executemany("UPDATE intents SET status = ?, note = ? WHERE client_id = ?", rows)

    def orders_on(self, day: str) -> int:
        """Return how many orders that are more than rounding were meant at the bars of this day, a date, since a release."""
        row = self._db.execute(
            "SELECT count(*) AS n FROM intents WHERE epoch = ? AND bar >= ? AND bar < ? AND bar > ? AND NOT rounding",
            (self.epoch, day, f"{day}U", self.released() or ""),  # a bar of the day is the date, T and a time
        ).fetchone()
        return int(row["n"])

    # --- what came of them

    def settle(
        self,
        account: Account,
        held: Mapping[str, float],
        marks: Mapping[str, float],
        *,
        interventions: Sequence[Intervention] = (),
    ) -> None:
        """Write an account at a close with what it holds, which is what counts from here on."""
        with transaction(self._db):
            self._close(account, held, marks)
            if self.positions() != held:
                self._db.execute("DELETE FROM positions WHERE epoch = ?", (self.epoch,))
                rows = [(self.epoch, name, units) for name, units in held.items()]
                self._db.executemany("INSERT INTO positions VALUES (?, ?, ?)", rows)
            self._intervene(account.bar, interventions)

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
