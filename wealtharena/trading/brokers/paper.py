"""The market kernel as a broker: it fills what it is sent at the next bar, by the rules of the backtest."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.errors import MarketError
from wealtharena.trading.actions import rescaled, splits_between
from wealtharena.trading.broker import Account, BookedOrder, Capabilities, Event, Fill, Opening, Order, RejectedError
from wealtharena.trading.brokers.shadow import Silent
from wealtharena.trading.database import ToldFull, connect, look_at, transaction
from wealtharena.trading.notes import STEP, Notes, marks_of, row_of
from wealtharena.trading.situation import TOLERANCE

if TYPE_CHECKING:  # a configuration is read without the kernel
    from wealtharena.config.specs.env import EnvSpec
    from wealtharena.config.specs.experiment import ExperimentSpec
    from wealtharena.envs.market import Market
    from wealtharena.envs.walker import Step, Walker

FILE: Final = "broker-{epoch}.sqlite"
STEPS: Final = (
    (
        "CREATE TABLE account (one INTEGER PRIMARY KEY CHECK (one = 1), walker TEXT NOT NULL, charges TEXT NOT NULL)",
        """CREATE TABLE orders (client_id TEXT PRIMARY KEY, bar TEXT NOT NULL, symbol TEXT NOT NULL,
           units REAL NOT NULL, filled REAL NOT NULL, status TEXT NOT NULL)""",
        "CREATE INDEX orders_by_status ON orders (status)",
        """CREATE TABLE fills (sequence INTEGER PRIMARY KEY, execution_id TEXT UNIQUE NOT NULL, client_id TEXT,
           bar TEXT NOT NULL, symbol TEXT NOT NULL, units REAL NOT NULL, price REAL NOT NULL, quote REAL NOT NULL,
           cost REAL NOT NULL)""",
    ),
    (
        """CREATE TABLE events (sequence INTEGER PRIMARY KEY, event_id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL,
           symbol TEXT NOT NULL, units REAL NOT NULL, cash REAL NOT NULL)""",
    ),
    (
        """CREATE TABLE charges (bar TEXT PRIMARY KEY, traded REAL NOT NULL, costs REAL NOT NULL,
           financing REAL NOT NULL, dividends REAL NOT NULL) WITHOUT ROWID""",
        """INSERT INTO charges SELECT json_extract(walker, '$.timestamp'), json_extract(charges, '$.traded'),
           json_extract(charges, '$.costs'), json_extract(charges, '$.financing'), json_extract(charges, '$.dividends')
           FROM account WHERE charges <> '{}'""",
        "ALTER TABLE account DROP COLUMN charges",
    ),
    ("CREATE TABLE marks (bar TEXT PRIMARY KEY, marks TEXT NOT NULL) WITHOUT ROWID",),
    STEP,
)


STANDS: Final = "SELECT json_extract(walker, '$.timestamp') AS bar FROM account"
ONE_MOMENT: Final = "restore both files as they were at one moment, or begin anew: paper.action=restart"


def stands_at(path: Path) -> str | None:
    """Return the bar at which the account in a broker's file stands; None where there is no file, or nothing in it yet."""
    if not path.exists():
        return None
    with contextlib.closing(look_at(path)) as db:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'account'").fetchone() is None:
            return None
        row = db.execute(STANDS).fetchone()
    return None if row is None else str(row["bar"])


class Settings(BrokerSpec):
    """Nothing to set: the rules are the environment's."""

    name: Literal["paper"]


def why_not(spec: ExperimentSpec) -> str | None:
    """Return None: the kernel trades whatever has bars."""
    return None


def open_broker(opening: Opening) -> PaperBroker:
    """Return the broker of an account's epoch; it goes on where it was."""
    path = opening.folder / FILE.format(epoch=opening.epoch)
    return PaperBroker(path, opening.env, synchronous=opening.synchronous)


class PaperBroker(Silent):
    """One account in the kernel, in a file of its own: what is booked here is booked, whatever the caller knows of it.

    It opens with the environment's cash at the first close that it is shown. Orders stand until the next bar: what that
    does not fill expires. What is booked is kept by `keep`: a kill before that leaves the account where it was.
    """

    capabilities = Capabilities(sends=True, embedded=True, keeps=True)

    def __init__(
        self, path: Path, env: EnvSpec, *, synchronous: str = "full", steps: Sequence[Sequence[str]] = STEPS
    ) -> None:
        self._env = env
        self._db = connect(path, steps, synchronous=synchronous)
        self._notes = Notes(self._db)
        self._walker: Walker | None = None
        self._closed = False

    def close(self) -> None:
        """Keep what is not kept yet, and let go of the file; again does nothing."""
        if not self._closed:
            self._closed = True
            with contextlib.closing(self._db):
                self.keep()

    def keep(self) -> None:
        """Keep what was booked since the last time; FullError where there is no room, and none of it is booked then."""
        if not self._db.in_transaction:
            return
        try:
            with ToldFull(self._db):
                self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._walker = None  # the file knows where the account stands
            self._notes.forget()
            raise

    def _one(self, statement: str, values: tuple[Any, ...]) -> None:
        """Write one statement, which needs no more to be whole, with the rest of a bar."""
        with ToldFull(self._db):
            if self.capabilities.keeps and not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(statement, values)

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        """Write with the rest of a bar, so that the disk is waited for once; what others are told of is kept at once."""
        if self.capabilities.keeps and not self._db.in_transaction:
            with ToldFull(self._db):
                self._db.execute("BEGIN IMMEDIATE")
        return transaction(self._db)

    def advance(self, market: Market) -> None:
        """Fill what is open at the bars of this market behind the one at which the account stands."""
        from wealtharena.envs.walker import Walker

        if self._walker is None:
            saved = self._db.execute("SELECT walker FROM account").fetchone()
            if saved is not None:
                self._enter(json.loads(saved["walker"]), market)
            else:
                self._walker = Walker.open(market, self._env, bar=market.length - 1)
                with self._writing():
                    self._save(self._walker, market)
        elif self._splits(self._walker.save(), market):
            self._enter(self._walker.save(), market)
        else:
            self._walker.grow(market, remark=True)
        walker = self._standing()
        if walker.bar + 1 < market.length and not self._notes.is_as_seen(market, walker.bar + 1):
            self._catch_up(market)
        self._notes.see(market)
        walker = self._standing()
        while walker.bar + 1 < market.length:
            self._step(walker, market)
            walker = self._standing()

    def _enter(self, saved: dict[str, Any], market: Market) -> None:
        """Go on in this market with the account as it was saved: revised marks are taken over, splits rescale units."""
        from wealtharena.envs.walker import Walker

        row, splits = _row_of(saved, market), self._splits(saved, market)
        if not splits:
            self._walker = Walker.load(saved, market, self._env, remark=True)
            return
        marks = marks_of(market, row)
        events = [self._split(saved, name, ratio, marks[name]) for name, ratio in splits.items()]
        walker = Walker.load(saved, market, self._env, remark=True)
        with self._writing():
            self._tell(events)
            for name, ratio in splits.items():
                self._db.execute(
                    "UPDATE orders SET units = units * ? WHERE symbol = ? AND status = 'open'", (ratio, name)
                )
                self._notes.rescale(name, ratio, last=saved["timestamp"])
            self._save(walker, market)
        self._walker = walker

    def _tell(self, events: Sequence[Event]) -> None:
        self._db.executemany(
            "INSERT INTO events (event_id, kind, symbol, units, cash) VALUES (?, ?, ?, ?, ?)",
            [(one.event_id, one.kind, one.symbol, one.units, one.cash) for one in events],
        )

    def _catch_up(self, market: Market) -> None:
        """Book what splits and dividends that were published after their date owe who held before it, with the next bar."""
        from wealtharena.envs.walker import Walker

        saved = self._standing().save()
        symbols, bar = saved["symbols"], saved["timestamp"]
        lots = {name: self._env.instrument.lot_of(name) for name in symbols}
        with self._writing():
            events = [*self._notes.splits(bar, market, lots), *self._notes.dividends(bar, market)]
            if not events:
                return
            for one in events:
                saved["units"][symbols.index(one.symbol)] += one.units
                saved["account"]["cash"] += one.cash
            paid = sum(one.cash for one in events if one.kind == "dividend")
            following = str(market.timestamps[self._standing().bar + 1].astype("datetime64[ns]"))
            self._charge(following, 0.0, 0.0, 0.0, paid)
            self._tell(events)
            walker = Walker.load(_marked(saved), market, self._env)
            self._save(walker, market)
        self._walker = walker

    def _splits(self, saved: Mapping[str, Any], market: Market) -> dict[str, float]:
        """Return the splits by which this market marks the account's bar otherwise than it was marked, by symbol."""
        row = row_of(market, saved["timestamp"])
        if row is None:
            return {}  # the walker says what is missing
        before = dict(zip(saved["symbols"], saved["marks"], strict=True))
        return splits_between(
            before, marks_of(market, row), earlier=lambda: self._notes.earlier(saved["timestamp"], market)
        )

    def _split(self, saved: dict[str, Any], symbol: str, ratio: float, mark: float) -> Event:
        """Rescale a saved account by a split; what is left of a lot is paid out at the new price."""
        column = saved["symbols"].index(symbol)
        instrument, before = self._env.instrument, saved["units"][column]
        lot = instrument.lot_of(symbol)
        units, left = rescaled(before, ratio, lot=lot)
        saved["units"][column], saved["marks"][column] = units, mark
        saved["account"]["cash"] += left * mark
        saved["account"]["gross"] -= abs(left * mark)
        return Event(0, f"{saved['timestamp']}/{symbol}/split", "split", symbol, units - before, left * mark)

    def _step(self, walker: Walker, market: Market) -> None:
        """Go to the next close and write all that happened, or nothing."""
        rows = self._db.execute("SELECT * FROM orders WHERE status = 'open' ORDER BY rowid").fetchall()
        orders = np.zeros(len(market.symbols))
        given = {market.symbols.index(row["symbol"]): row for row in rows if row["bar"] == str(walker.timestamp)}
        for column, row in given.items():
            orders[column] = row["units"]
        from wealtharena.envs.walker import Walker

        before = walker.save()
        try:
            step = walker.deal(orders)
            with self._writing():
                self._fill(step, market, given)
                self._db.execute("UPDATE orders SET status = 'expired' WHERE status = 'open'")
                self._charge(str(step.timestamp), step.traded_value, step.costs, step.financing, step.dividends)
                self._save(walker, market)
        except BaseException:
            self._walker = Walker.load(before, market, self._env)
            raise

    def _charge(self, bar: str, *charged: float) -> None:
        """Add to what is charged at a bar: value traded, costs, financing, dividends."""
        self._db.execute(
            """INSERT INTO charges VALUES (?, ?, ?, ?, ?) ON CONFLICT (bar) DO UPDATE SET traded = traded + excluded.traded,
               costs = costs + excluded.costs, financing = financing + excluded.financing,
               dividends = dividends + excluded.dividends""",
            (bar, *charged),
        )

    def _fill(self, step: Step, market: Market, given: Mapping[int, Any]) -> None:
        bar = str(step.timestamp)
        trades = step.trades
        quotes = trades.price if trades.quote is None else trades.quote
        fills, ends = [], []
        columns = (trades.symbol, trades.units, trades.price, quotes, trades.cost, trades.asked)
        for column, units, price, quote, cost, asked in zip(*(one.tolist() for one in columns), strict=True):
            order = given.get(column) if asked else None  # a liquidated account closes the rest without any
            client_id, symbol = None if order is None else order["client_id"], market.symbols[column]
            name = f"{bar}/{symbol}/{'order' if asked else 'forced'}"
            fills.append((name, client_id, bar, symbol, units, price, quote, cost))
            if order is not None:
                whole = abs(units - order["units"]) <= TOLERANCE * abs(order["units"])
                ends.append((units, "filled" if whole else "partly", client_id))
        self._db.executemany(
            """INSERT INTO fills (execution_id, client_id, bar, symbol, units, price, quote, cost)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            fills,
        )
        self._db.executemany("UPDATE orders SET filled = ?, status = ? WHERE client_id = ?", ends)

    def _save(self, walker: Walker, market: Market) -> None:
        saved = walker.save()
        self._db.execute("INSERT OR REPLACE INTO account VALUES (1, ?)", (json.dumps(saved),))
        self._notes.write(saved, market)

    def account(self) -> Account:
        """Return the money at the last close."""
        walker = self._standing()
        return Account(
            bar=str(walker.timestamp),
            equity=walker.equity,
            cash=walker.cash,
            peak=walker.peak,
            liquidated=walker.liquidated,
        )

    def charges(self, since: str) -> Mapping[str, float]:
        """Return what was charged at the bars after `since`, all of them together."""
        row = self._db.execute(
            """SELECT coalesce(sum(traded), 0.0) AS traded, coalesce(sum(costs), 0.0) AS costs,
               coalesce(sum(financing), 0.0) AS financing, coalesce(sum(dividends), 0.0) AS dividends
               FROM charges WHERE bar > ?""",
            (since,),
        ).fetchone()
        return dict(row)

    def positions(self) -> Mapping[str, float]:
        """Return the units held by symbol, without zeros."""
        walker = self._standing()
        return {s: u for s, u in zip(walker.symbols, walker.units.tolist(), strict=True) if u != 0.0}

    def submit(self, order: Order) -> BookedOrder:
        """Book an order for the next bar, once a client id."""
        there = self._orders("client_id = ? OR (status = 'open' AND symbol = ?)", order.client_id, order.symbol)
        booked = next((one for one in there if one.client_id == order.client_id), None)
        if booked is not None:
            return booked
        self._refuse(order, taken=bool(there))
        values = (order.client_id, str(self._standing().timestamp), order.symbol, order.units)
        self._one("INSERT INTO orders VALUES (?, ?, ?, ?, 0.0, 'open')", values)
        return BookedOrder(order.client_id, order.symbol, order.units, 0.0, "open")

    def _refuse(self, order: Order, *, taken: bool) -> None:
        """Raise RejectedError for an order that this account does not take, such as one whose symbol is `taken` by another."""
        walker = self._standing()
        if order.symbol not in walker.symbols:
            raise RejectedError(f"{order.symbol} is not traded here", hint=f"trade {', '.join(walker.symbols)}")
        if walker.liquidated:
            raise RejectedError("the account was liquidated", hint="begin anew: paper.action=restart")
        if taken:
            raise RejectedError(f"{order.symbol} has an open order", hint="cancel it first")

    def cancel(self, client_id: str) -> None:
        """Take an order back that is still open."""
        self._one("UPDATE orders SET status = 'cancelled' WHERE client_id = ? AND status = 'open'", (client_id,))

    def order_by_client_id(self, client_id: str) -> BookedOrder | None:
        """Return the order in whatever status; None where it was never booked."""
        found = self._orders("client_id = ?", client_id)
        return found[0] if found else None

    def open_orders(self) -> Sequence[BookedOrder]:
        """Return the orders that wait for the next bar."""
        return self._orders("status = 'open'")

    def _orders(self, where: str, *values: str) -> list[BookedOrder]:
        rows = self._db.execute(
            f"SELECT client_id, symbol, units, filled, status FROM orders WHERE {where} ORDER BY rowid", values
        )
        return [BookedOrder(*row) for row in rows]

    def fills(self, since: int) -> Sequence[Fill]:
        """Return every execution after sequence number `since`, oldest first."""
        columns = ", ".join(Fill.__dataclass_fields__)
        rows = self._db.execute(f"SELECT {columns} FROM fills WHERE sequence > ? ORDER BY sequence", (since,))
        return [Fill(*row) for row in rows]

    def events(self, since: int) -> Sequence[Event]:
        """Return the splits after sequence number `since`, oldest first."""
        rows = self._db.execute("SELECT * FROM events WHERE sequence > ? ORDER BY sequence", (since,))
        return [Event(**dict(row)) for row in rows]

    def _standing(self) -> Walker:
        if self._walker is None:
            raise MarketError("the paper broker was shown no bar yet", hint="call advance first")
        return self._walker


def _row_of(saved: Mapping[str, Any], market: Market) -> int:
    """Return a saved account's row; MarketError where this market lacks its bar, as where a file was put back without the other."""
    row = row_of(market, saved["timestamp"])
    if row is None:
        raise MarketError(
            f"the broker's file stands at {saved['timestamp'][:19]}, and the ledger goes on at {str(market.timestamps[-1])[:19]}",
            hint=ONE_MOMENT,
        )
    return row


def _marked(saved: dict[str, Any]) -> dict[str, Any]:
    """Return a saved account with what follows from its units, marks and cash."""
    account, values = saved["account"], np.multiply(saved["units"], saved["marks"])
    equity = account["cash"] + float(values.sum())
    account.update(equity=equity, gross=float(np.abs(values).sum()), peak=max(account["peak"], equity))
    return saved
