"""Accounts as others may look at them: read-only, beside the process that trades, without a lock that it could feel.

Needs neither the kernel nor anything that decides, so that the service can show accounts.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wealtharena.envs.trajectory import LEAST_ORDER
from wealtharena.trading.database import LedgerError, look_at
from wealtharena.trading.situation import TOLERANCE
from wealtharena.trading.standing import NOTE, STANDS
from wealtharena.trading.switch import FILE as KILL
from wealtharena.trading.switch import asked

LEDGER: Final = "ledger.sqlite"
HEALTH: Final = "health.json"
CHECKPOINTS: Final = "checkpoints"  # a note: folders that were named to trade
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WAIT_SECONDS: Final = 1.0
_POINTS: Final = 240  # of a line of equity
_ROWS: Final = 10  # newest orders and interventions
_SEARCHED: Final = 1000  # newest orders among which those that are more than rounding are looked for
UNFIT: Final = (ValueError, TypeError, LookupError, AttributeError)  # what a cell ends in that somebody has edited


@dataclass(frozen=True)
class Position:
    """What is held of one symbol at the last close, in account currency."""

    symbol: str
    units: float
    value: float | None  # None where no price is known, of a symbol that is not traded here


@dataclass(frozen=True)
class SentOrder:
    """An order as the ledger has it."""

    bar: str
    symbol: str
    units: float
    status: str
    note: str


@dataclass(frozen=True)
class Told:
    """Something that was not done as decided, or that somebody should know."""

    bar: str
    rule: str
    action: str
    symbols: tuple[str, ...]
    numbers: Mapping[str, float]


def names_of(checkpoints: Sequence[str]) -> list[str]:
    """Return what the folders of checkpoints are called."""
    return [Path(place).name for place in checkpoints]


def called(version: str | None, names: Sequence[str]) -> str | None:
    """Return what trades an account: a version, or what checkpoints are and their names; None before it is opened."""
    return f"{version} of {', '.join(names)}" if version and names else version


@dataclass(frozen=True)
class AccountView:
    """One account as it stands."""

    agent: str
    account: str
    epoch: int
    facts: Mapping[str, Any]  # what it was opened with
    state: str
    reason: str
    bars: int
    bar: str | None  # of the last close
    equity: float
    cash: float
    peak: float
    opened_with: float  # equity at the first close
    before: float  # equity at the close before
    flows: float  # what came in from outside since the opening, less what went, in the money of now
    positions: tuple[Position, ...]  # at the last close
    held: Mapping[str, float]  # units by symbol, with what was executed since
    orders: tuple[SentOrder, ...]  # newest first
    interventions: tuple[Told, ...]  # newest first
    line: tuple[tuple[str, float], ...]  # bar and equity, some hundred points
    switch: str | None  # what the kill switch's file asks for, while it is there
    health: Mapping[str, Any]  # what the monitors wrote last; empty where there are none
    checkpoints: tuple[str, ...]  # folders that were named to trade, in place of a promoted version
    standing: str | None  # what became of its version in the registry, where that does not stand as it did

    @property
    def key(self) -> str:
        """Return what tells it apart from all others."""
        return f"{self.agent}/{self.account}"

    @property
    def who(self) -> str:
        """Return which version trades, or which checkpoints, and what became of it; nothing where it has none."""
        version = called(self.facts.get("version"), self.names)
        return ", ".join(words for words in (f"version {version}" if version else "", self.standing) if words)

    @property
    def since(self) -> str:
        """Return what `since_close` does."""
        return since_close({one.symbol: one.units for one in self.positions}, self.held)

    @property
    def names(self) -> list[str]:
        """Return the names of the checkpoints that were named to trade."""
        return names_of(self.checkpoints)

    @property
    def currency(self) -> str:
        return str(self.facts.get("currency") or "")

    @property
    def live(self) -> bool:
        """Return whether real money is at stake."""
        return bool(self.facts.get("live", False))


def since_close(closed: Mapping[str, float], held: Mapping[str, float]) -> str:
    """Return in words what is held after what was booked since a close at which `closed` was; nothing where nothing was.

    >>> since_close({"SPY": 5.0}, {"SPY": 2.0}), since_close({"SPY": 5.0}, {}), since_close({"SPY": 5.0}, {"SPY": 5.0})
    ('What was booked since then leaves 2 SPY.', 'What was booked since then leaves nothing.', '')
    """
    both = {name: (closed.get(name, 0.0), held.get(name, 0.0)) for name in {*closed, *held}}
    if all(abs(now - then) <= TOLERANCE * max(abs(now), abs(then)) for then, now in both.values()):
        return ""
    left = ", ".join(f"{units:,.6g} {name}" for name, units in sorted(held.items()))
    return f"What was booked since then leaves {left or 'nothing'}."


def accounts(root: Path) -> list[tuple[str, str, Path]]:
    """Return agent, account and folder of every account below a root, in order; what is not named as one is passed over."""
    found = []
    for path in sorted(root.glob(f"*/*/{LEDGER}")):
        account, agent = path.parent.name, path.parent.parent.name
        if _NAME.fullmatch(account) and _NAME.fullmatch(agent):
            found.append((agent, account, path.parent))
    return found


def view(agent: str, account: str, folder: Path) -> AccountView | None:
    """Return how an account stands; None where it has not been opened yet, LedgerError where its file cannot be read."""
    try:
        with _reading(folder / LEDGER) as db:
            return _view(db, agent, account, folder)
    except (sqlite3.Error, *UNFIT) as error:
        raise LedgerError(f"{LEDGER} cannot be read: {error}", hint="restore the file") from error


def mark(folder: Path) -> tuple[int, ...]:
    """Return what changes whenever the account does."""
    found: list[int] = []
    for name in (LEDGER, f"{LEDGER}-wal", KILL, HEALTH):
        try:
            status = (folder / name).stat()
        except OSError:
            found.append(int((folder / name).is_symlink()))  # a link to nothing throws the switch too
        else:
            found += [status.st_mtime_ns, status.st_size]
    return tuple(found)


@dataclass(frozen=True)
class Counts:
    """How orders have ended, and how far executions were from what the kernel fills at."""

    orders: int | None = None  # None where the ledger cannot be read
    order_errors: int | None = None  # rejected, or expired without an answer
    slippage_bps: float | None = None  # against us, over the newest executions; None where nothing is known of it


def counts(folder: Path) -> Counts:
    """Return what the ledger says of orders and executions; nothing where it cannot be read."""
    try:
        with _reading(folder / LEDGER) as db:
            epoch = int(db.execute("SELECT max(epoch) FROM accounts").fetchone()[0] or 0)
            found = dict(db.execute("SELECT status, count(*) FROM intents WHERE epoch = ? GROUP BY status", (epoch,)))
            return Counts(sum(found.values()), found.get("rejected", 0) + found.get("expired", 0), _slippage(db, epoch))
    except (sqlite3.Error, *UNFIT):
        return Counts()


def working(folder: Path, *, broker: str, place: str | None) -> dict[str, float] | None:
    """Return what orders of an account at this broker may still buy or sell, units by symbol; None where it cannot be read.

    Nothing at another broker, nor on another account there than the one that is noted as `place`, if both are known.
    """
    try:
        with _reading(folder / LEDGER) as db:
            return _working(db, broker, place)
    except (sqlite3.Error, *UNFIT):
        return None


def _working(db: sqlite3.Connection, broker: str, place: str | None) -> dict[str, float]:
    if not _has(db, "accounts"):
        return {}  # just being made
    opened = db.execute("SELECT epoch, facts FROM accounts ORDER BY epoch DESC LIMIT 1").fetchone()
    if opened is None or json.loads(opened["facts"]).get("broker") != broker:
        return {}
    noted = _noted(db, int(opened["epoch"]), "account")
    if None not in (noted, place) and noted != place:
        return {}
    rows = db.execute(
        """SELECT symbol, sum(units) AS units FROM intents WHERE epoch = ? AND status IN ('new', 'sending', 'open')
           GROUP BY symbol""",
        (opened["epoch"],),
    )
    return {row["symbol"]: float(row["units"]) for row in rows}


def _has(db: sqlite3.Connection, table: str) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _noted(db: sqlite3.Connection, epoch: int, name: str) -> str | None:
    """Return what was noted of the account under a name; None where nothing was, as in a ledger of before there were notes."""
    if not _has(db, "notes"):
        return None
    row = db.execute("SELECT value FROM notes WHERE epoch = ? AND name = ?", (epoch, name)).fetchone()
    return None if row is None else str(row["value"])


def _slippage(db: sqlite3.Connection, epoch: int) -> float | None:
    """Return the mean distance of executions from their reference, the price that the kernel would have filled at."""
    if "reference" not in _columns(db, "fills"):
        return None
    rows = db.execute(
        """SELECT units, price, reference FROM fills WHERE epoch = ? AND reference > 0 AND client_id IS NOT NULL
           ORDER BY rowid DESC LIMIT 100""",
        (epoch,),
    ).fetchall()
    if not rows:
        return None
    apart = [(1 if row["units"] > 0 else -1) * (row["price"] / row["reference"] - 1.0) for row in rows]
    return float(1e4 * sum(apart) / len(apart))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that changes nothing, whose answers are of one moment."""
    with contextlib.closing(look_at(path, seconds=_WAIT_SECONDS)) as db:
        db.execute("BEGIN")
        yield db


def _view(db: sqlite3.Connection, agent: str, account: str, folder: Path) -> AccountView | None:
    opened = db.execute("SELECT epoch, facts FROM accounts ORDER BY epoch DESC LIMIT 1").fetchone()
    if opened is None:
        return None
    epoch, worth = int(opened["epoch"]), _worth(db)
    stands = db.execute(
        "SELECT state, reason FROM states WHERE epoch = ? ORDER BY id DESC LIMIT 1", (epoch,)
    ).fetchone()
    last = db.execute(
        f"SELECT *, {worth} AS worth FROM closes WHERE epoch = ? ORDER BY bar DESC LIMIT 2", (epoch,)
    ).fetchall()
    found = db.execute(
        f"SELECT count(*) AS bars, max({worth}) AS peak, {_flows(db)} AS flows FROM closes WHERE epoch = ?", (epoch,)
    ).fetchone()
    first = db.execute(f"SELECT {worth} AS worth FROM closes WHERE epoch = ? ORDER BY bar LIMIT 1", (epoch,)).fetchone()
    equity = float(last[0]["equity"]) if last else 0.0
    became = _noted(db, epoch, NOTE)
    scale = equity / float(last[0]["worth"]) if last and last[0]["worth"] else float(not _emptied(db, epoch))
    return AccountView(
        agent=agent,
        account=account,
        epoch=epoch,
        facts=json.loads(opened["facts"]),
        state="trading" if stands is None else stands["state"],
        reason="" if stands is None else stands["reason"],
        bars=int(found["bars"]),
        bar=last[0]["bar"] if last else None,
        equity=equity,
        cash=float(last[0]["cash"]) if last else 0.0,
        peak=float(found["peak"] or 0.0) * scale,
        opened_with=float(first["worth"]) * scale if first else 0.0,
        before=float(last[1]["worth"]) * scale if len(last) > 1 else equity,
        flows=float(found["flows"] or 0.0),
        positions=_positions(last[0]) if last else (),
        held=_held(db, epoch),
        orders=_orders(db, epoch, last[0] if last else None),
        interventions=_told(db, epoch),
        line=_line(db, epoch, int(found["bars"]), scale=scale),
        switch=asked(folder / KILL),
        health=_health(folder),
        checkpoints=tuple(json.loads(_noted(db, epoch, CHECKPOINTS) or "[]")),
        standing=None if became == STANDS else became,
    )


def _positions(close: sqlite3.Row) -> tuple[Position, ...]:
    held, marks = json.loads(close["positions"]), json.loads(close["marks"])
    found = [Position(name, units, units * marks[name] if name in marks else None) for name, units in held.items()]
    return tuple(sorted(found, key=lambda one: -abs(one.value or 0.0)))


def _held(db: sqlite3.Connection, epoch: int) -> dict[str, float]:
    rows = db.execute("SELECT symbol, units FROM positions WHERE epoch = ? AND units <> 0 ORDER BY symbol", (epoch,))
    return {row["symbol"]: float(row["units"]) for row in rows}


def _orders(db: sqlite3.Connection, epoch: int, last: sqlite3.Row | None) -> tuple[SentOrder, ...]:
    """Return the newest orders without those that are rounding, as a tilt at rest gives at each close, by the last close's prices.

    Where there have been no others for long, these.
    """
    marks, least = ({}, 0.0) if last is None else (json.loads(last["marks"]), LEAST_ORDER * float(last["equity"]))
    rows = db.execute(
        "SELECT bar, symbol, units, status, note FROM intents WHERE epoch = ? ORDER BY rowid DESC LIMIT ?",
        (epoch, _SEARCHED),
    ).fetchall()
    large = [row for row in rows if abs(row["units"]) * (marks.get(row["symbol"]) or math.inf) >= least]
    return tuple(SentOrder(**dict(row)) for row in (large or rows)[:_ROWS])


def _told(db: sqlite3.Connection, epoch: int) -> tuple[Told, ...]:
    rows = db.execute(
        """SELECT bar, rule, action, symbols, numbers FROM interventions WHERE epoch = ? ORDER BY id DESC LIMIT ?""",
        (epoch, _ROWS),
    )
    return tuple(
        Told(row["bar"], row["rule"], row["action"], tuple(json.loads(row["symbols"])), json.loads(row["numbers"]))
        for row in rows
    )


def _worth(db: sqlite3.Connection) -> str:
    """Return the expression of equity without what came or went; a ledger of before knows of nothing."""
    return "equity / scale" if "scale" in _columns(db, "closes") else "equity"


def _flows(db: sqlite3.Connection) -> str:
    """Return the expression of what came and went; at the first close nothing had."""
    return "sum(flow)" if "flow" in _columns(db, "closes") else "0.0"


def _emptied(db: sqlite3.Connection, epoch: int) -> bool:
    """Return whether the last of its money was taken out: what there was before is nothing in the money of now, and no loss."""
    row = db.execute(
        f"""SELECT {_flows(db)} < 0 AS went FROM closes WHERE epoch = ? AND equity <= 0 AND bar > coalesce(
            (SELECT max(bar) FROM closes WHERE epoch = ? AND equity > 0), '~')""",
        (epoch, epoch),
    ).fetchone()
    return bool(row["went"])


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}


def _line(db: sqlite3.Connection, epoch: int, bars: int, *, scale: float) -> tuple[tuple[str, float], ...]:
    """Return the equity at evenly spaced closes, and at the last, in the money of the last."""
    step = max(1, -(-bars // _POINTS))
    rows: Sequence[sqlite3.Row] = db.execute(
        f"""SELECT bar, worth FROM (SELECT bar, {_worth(db)} AS worth, row_number() OVER (ORDER BY bar) AS n FROM closes
            WHERE epoch = ?) WHERE (? - n) % ? = 0 ORDER BY bar""",
        (epoch, bars, step),
    ).fetchall()
    return tuple((row["bar"], float(row["worth"]) * scale) for row in rows)


def _health(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / HEALTH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
