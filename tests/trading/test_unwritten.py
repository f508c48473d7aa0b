"""An account whose files cannot be written for a while: the bars of that time are missed, and nothing is lost or done twice."""

import contextlib
import re
import sqlite3
import subprocess
import sys

import pytest

from tests.trading.desks import a_world
from wealtharena.trading import database, loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import FILE as BOOKS
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.database import FullError
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

FIRST, LAST = 10, 13  # bars, of which the last one is written again


@contextlib.contextmanager
def held(path, db):
    """Another program has begun to write into the file, and does not come to an end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextlib.contextmanager
def read_only(path, db):
    """The disk is read-only, as after a fault of its own."""
    db.execute("PRAGMA query_only=ON")
    yield
    db.execute("PRAGMA query_only=OFF")


@pytest.mark.parametrize("why", [held, read_only])
@pytest.mark.parametrize("whose", ["ledger", "broker"])
def test_what_cannot_be_written_for_a_while_is_missed_and_the_account_goes_on(tmp_path, monkeypatch, whose, why):
    monkeypatch.setattr(database, "SECONDS", 0.01)
    world, told = a_world(), []
    ledger = Ledger(tmp_path, synchronous="normal")
    ledger.open("noise", "test", {"of": "tests"})
    broker = open_broker(Opening(tmp_path, world.env, ledger.epoch, "normal"))
    trader = Trader("noise", "test", world.mind, world.env, world.risk, ledger, broker)
    path, db = (tmp_path / FILE, ledger._db) if whose == "ledger" else (tmp_path / BOOKS.format(epoch=1), broker._db)

    def closes(stack):
        for number, close in enumerate(world.feed().closes(None)):
            if number == FIRST:
                stack.enter_context(why(path, db))
            if number == LAST:
                stack.close()
            yield close

    with contextlib.closing(ledger), contextlib.closing(broker), contextlib.ExitStack() as stack:
        loop.run(trader, closes(stack), Switch(tmp_path), told=lambda close: told.append(close.bar))
        bars = [str(stamp) for stamp in world.features.panel.timestamps]
        missed = [one["bar"] for one in ledger.interventions() if (one["rule"], one["action"]) == ("disk", "missed")]
        first = bars.index(told[0])
        assert missed == bars[first + FIRST : first + LAST]
        assert told == [bar for bar in bars[first:] if bar not in missed]
        assert ledger.state() == ("trading", "")
        assert ledger.positions() == broker.positions()
        assert len(ledger.fills()) == len(broker.fills(0))


def test_what_is_told_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "SECONDS", 0.01)
    with contextlib.closing(Ledger(tmp_path)) as ledger:
        ledger.open("noise", "test", {})
        told = rf"{re.escape(str(tmp_path / FILE))}: nothing can be written: .*another program"
        with held(tmp_path / FILE, None), pytest.raises(FullError, match=told):
            ledger.write_note("a", "b")
        with read_only(tmp_path / FILE, ledger._db), pytest.raises(FullError, match="let the disk be written to"):
            ledger.write_note("a", "b")
        ledger.write_note("a", "b")


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 3000, 9000])
def test_a_file_that_finds_no_room_at_its_beginning_is_no_damaged_one(tmp_path, room):
    code = (
        "import resource, sys; from pathlib import Path; from wealtharena.trading.database import LedgerError, connect\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        "try: connect(Path(sys.argv[1], 'a.sqlite'), [['CREATE TABLE a (b)', 'CREATE TABLE c (d)']])\n"
        "except LedgerError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{tmp_path / 'a.sqlite'}: ")
    assert "; make room on the disk" in done.stdout
