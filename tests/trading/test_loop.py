import contextlib
import dataclasses
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.trading.desks import START, a_world, account, go, risk_of
from wealtharena.trading import database
from wealtharena.trading.broker import Fill, UnreachableError
from wealtharena.trading.database import LedgerError
from wealtharena.trading.ledger import FILE, Decision, Intent, Ledger
from wealtharena.trading.switch import FILE as KILL


class Wrapped:
    """A broker with something of its own."""

    def __init__(self, broker):
        self.broker = broker

    def __getattr__(self, name):
        return getattr(self.broker, name)


@pytest.fixture
def world():
    return a_world()


@pytest.mark.slow
def test_an_order_that_is_booked_without_an_answer_is_looked_up_and_not_sent_again(tmp_path, world):
    """Case 1: the answer is lost, the order is booked."""

    class Mute(Wrapped):
        asked = 0

        def submit(self, order):
            self.broker.submit(order)
            Mute.asked += 1
            raise UnreachableError("504")

    go(tmp_path / "mute", world, wrap=Mute)
    go(tmp_path / "plain", world)
    assert account(tmp_path / "mute") == account(tmp_path / "plain")
    assert Mute.asked == len(account(tmp_path / "plain")["intents"])


def test_an_order_that_never_arrives_expires_with_its_bar(tmp_path, world):
    class Deaf(Wrapped):
        def submit(self, order):
            raise UnreachableError("no route")

    go(tmp_path, world, wrap=Deaf)
    found = account(tmp_path)
    assert {one.status for one in found["intents"][:-3]} == {"expired"}
    assert found["positions"] == {}


def test_an_order_that_was_given_up_and_is_executed_after_all_counts_as_filled(tmp_path):
    """Booked between the last look and the expiry: nobody looks it up again, its executions tell of it."""
    given = {"long": (4.0, "expired"), "short": (-3.0, "expired"), "part": (5.0, "cancelled"), "works": (2.0, "open")}
    with contextlib.closing(Ledger(tmp_path, synchronous="normal")) as ledger:
        ledger.open("agent", "test", {"of": "tests"})
        intents = [Intent(name, "2020-01-01", name, 1, 1, units, status) for name, (units, status) in given.items()]
        ledger.decide(Decision("2020-01-01", {}, [0.0], {}, 0), intents, (), state="trading")
        fills = [
            Fill(n, f"e{n}", name, "", name, units, 10.0, 10.0, 0.0)
            for n, (name, units) in enumerate(
                (("long", 1.0), ("long", 3.0), ("short", -3.0), ("part", 2.0), ("works", 2.0))
            )
        ]
        for _ in range(2):
            ledger.book(fills, late=True)
        found = {one.client_id: (one.filled, one.status) for one in ledger.intents()}
    assert found == {
        "long": (4.0, "filled"),
        "short": (-3.0, "filled"),
        "part": (2.0, "partly"),
        "works": (0.0, "open"),
    }


def test_a_ledger_that_many_open_at_once_is_made_once(tmp_path):
    ready = threading.Barrier(8)

    def opened(_):
        ready.wait(60)
        Ledger(tmp_path, synchronous="normal").close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(opened, range(8), timeout=100)) == [None] * 8


@pytest.mark.slow
def test_a_ledger_whose_journal_another_sets_up_at_the_same_moment_waits_for_it(tmp_path):
    """SQLite does not: it says "locked" at once, however long the time-out."""
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, other.execute, ["COMMIT"]).start()
        Ledger(tmp_path, synchronous="normal").close()


def test_a_ledger_that_another_holds_for_good_is_not_called_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="database is locked; another process has held it"):
            Ledger(tmp_path, synchronous="normal")


def test_positions_that_are_not_told_stop_every_order_and_at_last_the_agent(tmp_path):
    """Case 2."""

    class Forgetful(Wrapped):
        def positions(self):
            return None if self.broker.account().bar >= "2020-03-10" else self.broker.positions()

    world = a_world(risk=risk_of(unknown_account={"max_bars": 2, "action": "halt"}))
    go(tmp_path, world, wrap=Forgetful)
    found = account(tmp_path)
    assert found["intents"]
    assert max(one.bar for one in found["intents"]) < "2020-03-10"
    assert found["state"][0] == "halted"


@pytest.mark.parametrize("strangers", ["halt", "adopt"])
def test_what_the_broker_holds_and_we_did_not_order_halts_or_is_adopted(tmp_path, world, strangers):
    """Cases 11 and 26."""

    class Generous(Wrapped):
        def positions(self):
            held = dict(self.broker.positions())
            return {**held, "S0": held.get("S0", 0.0) + 5.0} if self.broker.account().bar >= "2020-03-10" else held

    go(tmp_path, world, wrap=Generous, strangers=strangers)
    found = account(tmp_path)
    told = [one for one in found["interventions"] if one["rule"] == "strangers"]
    assert told[0]["numbers"] == {"S0": pytest.approx(5.0)}
    assert found["state"][0] == ("halted" if strangers == "halt" else "trading")


@pytest.mark.parametrize(("word", "state"), [("freeze", "halted"), ("", "halted"), ("flatten", "halted")])
def test_the_kill_switch_acts_within_one_bar_and_survives_a_restart(tmp_path, world, word, state):
    seen = []

    def told(close):
        seen.append(close.bar)
        if len(seen) == 20:
            (tmp_path / KILL).write_text(word)

    go(tmp_path, world, told=told)
    found = account(tmp_path)
    after = [one for one in found["intents"] if one.bar > seen[19]]
    held = {bar["bar"]: bar["positions"] for bar in found["closes"]}
    assert found["state"][0] == state
    assert held[seen[19]]
    if word == "flatten":
        assert {one.bar for one in after} >= {seen[20]}
        assert all(np.sign(one.units) == -np.sign(held[one.bar][one.symbol]) for one in after)
        assert found["positions"] == {}
    else:
        assert after == []
        assert held[seen[20]] == held[seen[19]]  # what was open was taken back before it could be filled
    (tmp_path / KILL).unlink()
    go(tmp_path, world)
    assert account(tmp_path)["state"][0] == state


@pytest.mark.parametrize("strangers", ["halt", "adopt"])
def test_an_account_that_the_broker_liquidates_is_halted(tmp_path, strangers):
    """Case 26. The paper broker's own liquidation is nobody's hand, so that it is never adopted."""
    world = a_world(maintenance_margin=0.9, max_gross=3.0, max_weight=3.0, participation=1.0)
    go(tmp_path, dataclasses.replace(world, env=world.env), strangers=strangers)
    found = account(tmp_path)
    assert found["state"] == ("halted", "the broker liquidated the account")
    assert any(one.client_id is None for one in found["fills"])


def test_a_bar_is_decided_on_once(tmp_path):
    ledger = Ledger(tmp_path)
    with contextlib.closing(ledger):
        ledger.open("a", "b", {})
        ledger.decide(Decision("2020-01-01", {}, [0.1], {}, 0), (), (), state="trading")
        with pytest.raises(LedgerError, match="decided on before"):
            ledger.decide(Decision("2020-01-01", {}, [0.2], {}, 0), (), (), state="trading")


def test_a_fill_is_booked_once_and_the_position_is_what_fills_say(tmp_path, world):
    """Cases 7 and 28."""
    go(tmp_path, world)
    before = account(tmp_path)
    ledger = Ledger(tmp_path)
    with contextlib.closing(ledger):
        assert ledger.book(before["fills"]) == 0
        assert ledger.positions() == before["positions"]


@pytest.mark.slow
def test_a_reader_does_not_block_the_writer(tmp_path, world):
    """Case 23."""
    go(tmp_path, a_world())
    reader = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM intents").fetchone()
    ledger = Ledger(tmp_path)
    with contextlib.closing(ledger), contextlib.closing(reader):
        ledger.set_state("halted", "while somebody reads")
        assert ledger.state()[0] == "halted"


def test_a_file_of_a_newer_program_is_refused(tmp_path):
    Ledger(tmp_path).close()
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(LedgerError, match="version 99"):
        Ledger(tmp_path)
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(LedgerError):
        Ledger(tmp_path)


@pytest.mark.slow
def test_exactly_one_decision_a_bar_and_memory_goes_on(tmp_path, world):
    go(tmp_path, world)
    found = account(tmp_path)
    assert len(found["wanted"]) == world.features.bars - START
    ledger = Ledger(tmp_path)
    with contextlib.closing(ledger):
        last = ledger.decision()
        assert last is not None
        assert last.memory == {"count": world.features.bars - START}


@pytest.mark.slow
def test_a_ledger_that_is_taken_away_under_way_ends_the_account_at_that_bar_and_put_back_it_goes_on(tmp_path, world):
    go(tmp_path / "plain", world)
    done, folder = [], tmp_path / "taken"

    def told(close):
        done.append(close.bar)
        if len(done) == 20:
            (folder / FILE).rename(tmp_path / "away")

    with pytest.raises(LedgerError, match="taken away"):
        go(folder, world, told=told)
    assert len(done) == 20
    (tmp_path / "away").rename(folder / FILE)
    go(folder, world)
    assert account(folder) == account(tmp_path / "plain")


def test_a_ledger_that_cannot_be_opened_says_what_is_asked_of_it(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(LedgerError, match="a file that you may read and write"):
        Ledger(tmp_path)
