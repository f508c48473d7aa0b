"""An account whose files cannot be written for a while: the bars of that time are missed, and nothing is lost or done twice."""

import contextlib
import re
import sqlite3
import subprocess
import sys

import pytest

from tests.trading.desks import a_world, go, trading
from wealtharena.data import provider
from wealtharena.trading import database, loop
from wealtharena.trading.brokers.paper import FILE as BOOKS
from wealtharena.trading.database import FullError
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.schema import STEPS
from wealtharena.trading.switch import Switch

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


def closes(world, begin, end):
    """The closes of a world; `begin` and `end` are called as the disk begins, and ends, to take nothing."""
    for number, close in enumerate(world.feed().closes(None)):
        if number == FIRST:
            begin()
        if number == LAST:
            end()
        yield close


def by_the_clock(trader, feed, folder):
    """Trade closes as they come, and return the bars that were told of."""
    told = []
    for _ in loop.steps(trader, feed, Switch(folder), told=lambda close: told.append(close.bar), now=provider.now):
        pass
    return told


def missed_of(ledger):
    return [one["bar"] for one in ledger.interventions() if (one["rule"], one["action"]) == ("disk", "missed")]


@pytest.mark.slow
@pytest.mark.parametrize("why", [held, read_only])
@pytest.mark.parametrize("whose", ["ledger", "broker"])
def test_what_cannot_be_written_for_a_while_is_missed_and_the_account_goes_on(tmp_path, monkeypatch, whose, why):
    monkeypatch.setattr(database, "SECONDS", 0.01)
    world = a_world()
    with trading(tmp_path, world) as trader, contextlib.ExitStack() as stack:
        ledger, broker = trader.ledger, trader.broker
        path, db = (
            (tmp_path / FILE, ledger._db) if whose == "ledger" else (tmp_path / BOOKS.format(epoch=1), broker._db)
        )
        feed = closes(world, lambda: stack.enter_context(why(path, db)), stack.close)
        told = by_the_clock(trader, feed, tmp_path)
        bars = [str(stamp) for stamp in world.features.panel.timestamps]
        first = bars.index(told[0])
        assert missed_of(ledger) == bars[first + FIRST : first + LAST]
        assert told == [bar for bar in bars[first:] if bar not in missed_of(ledger)]
        assert [one.title for one in ledger.untold()] == [f"disk missed at {bar[:10]}" for bar in missed_of(ledger)]
        assert ledger.state() == ("trading", "")
        assert ledger.positions() == broker.positions()
        assert len(ledger.fills()) == len(broker.fills(0))


@pytest.mark.slow
def test_a_close_that_was_decided_before_the_disk_was_full_is_not_missed(tmp_path, monkeypatch):
    world = a_world()
    with trading(tmp_path, world) as trader:
        keep, full = trader.broker.keep, []

        def keeps():
            if full:
                raise FullError("no room for what the broker was told")
            keep()

        monkeypatch.setattr(trader.broker, "keep", keeps)
        by_the_clock(trader, closes(world, lambda: full.append(1), full.clear), tmp_path)
        assert missed_of(trader.ledger) == []
        assert len(trader.ledger.closes()) == len(list(world.feed().closes(None)))
        assert trader.ledger.positions() == trader.broker.positions()


@pytest.mark.slow
def test_a_replay_stops_where_the_disk_takes_nothing_and_goes_on_as_if_nothing_had_been(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "SECONDS", 0.01)
    world = a_world()
    with trading(tmp_path / "stopped", world) as trader, contextlib.ExitStack() as stack:
        feed = closes(world, lambda: stack.enter_context(read_only(None, trader.ledger._db)), stack.close)
        with pytest.raises(FullError, match="nothing can be written"):
            loop.run(trader, feed, Switch(tmp_path), told=lambda close: None)
    fills = {}
    for name in ("whole", "stopped"):
        go(tmp_path / name, world)
        with trading(tmp_path / name, world) as trader:
            assert missed_of(trader.ledger) == []
            fills[name] = trader.ledger.fills()
    assert fills["whole"] == fills["stopped"]
    assert fills["whole"]


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


def test_who_looks_at_an_account_writes_nothing_beside_it(tmp_path):
    """A folder on a disk that is read-only, or somebody else's, is looked at as any other."""
    with contextlib.closing(Ledger(tmp_path)) as ledger:
        ledger.open("agent", "default", {"currency": "USD"})
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with contextlib.closing(Ledger(tmp_path, look=True)) as ledger:
        assert ledger.facts() == {"currency": "USD"}
        assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
        with pytest.raises(FullError, match="nothing can be written"):
            ledger.set_state("halted", "by whom?")


def test_a_ledger_of_before_is_moved_on_by_who_looks(tmp_path):
    with contextlib.closing(database.connect(tmp_path / FILE, STEPS[:1])):
        pass
    with contextlib.closing(Ledger(tmp_path, look=True)) as ledger:
        assert ledger.facts() is None
        ledger.open("agent", "default", {})
