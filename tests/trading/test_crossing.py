"""Two agents on one account of a broker do not trade with each other."""

import contextlib
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest

from tests.trading.desks import a_world, account
from wealtharena.trading import loop, reading
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.crossing import Neighbours
from wealtharena.trading.guard import Ruling
from wealtharena.trading.ledger import Decision, Intent, Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader


def trade_one(folder, root, *, broker):
    """Decide on the first close as an account at `broker` that looks at its neighbours."""
    world, ledger = a_world(), Ledger(folder, synchronous="normal")
    ledger.open("noise", "test", {"broker": broker})
    opened = open_broker(Opening(folder, world.env, 1, "normal"))
    trader = Trader(
        "noise", "test", world.mind, world.env, world.risk, ledger, opened, neighbours=Neighbours(root, folder, broker)
    )
    with contextlib.closing(ledger), contextlib.closing(opened):
        close = next(iter(world.feed().closes(None)))
        loop.run(trader, [close], Switch(folder), told=lambda close: None)
        return close.bar


def neighbour(folder, orders, *, broker="alpaca", status="open"):
    """Make an account with working orders."""
    ledger = Ledger(folder, synchronous="normal")
    with contextlib.closing(ledger):
        ledger.open("other", "second", {"broker": broker})
        intents = [Intent(f"id-{name}", "2020-01-01", name, 1, 1, units, status) for name, units in orders.items()]
        ledger.decide(Decision("2020-01-01", {}, [0.0], {}, 0), intents, (), state="trading")


def test_an_order_against_anothers_is_not_given_and_told(tmp_path):
    plain = tmp_path / "plain" / "noise" / "test"
    trade_one(plain, tmp_path / "plain", broker="alpaca")
    meant = {one.symbol: one.units for one in account(plain)["intents"]}
    assert len(meant) == 3
    first, second, third = meant
    root = tmp_path / "paper"
    neighbour(root / "other" / "second", {first: -meant[first], second: meant[second]})
    neighbour(root / "another" / "third", {third: -meant[third]}, broker="webhook")
    neighbour(root / "old" / "fourth", {third: -meant[third]}, status="filled")
    bar = trade_one(root / "noise" / "test", root, broker="alpaca")
    found = account(root / "noise" / "test")
    assert {one.symbol: one.units for one in found["intents"]} == {second: meant[second], third: meant[third]}
    (told,) = [one for one in found["interventions"] if one["rule"] == "crossing"]
    assert (told["bar"], told["action"]) == (bar, "skip: would trade against other/second")
    assert told["symbols"] == [first]
    assert told["numbers"] == {first: meant[first]}


def test_its_own_orders_are_no_neighbour_s(tmp_path):
    neighbour(tmp_path / "noise" / "test", {"A": -1.0})
    assert Neighbours(tmp_path, tmp_path / "noise" / "test", "alpaca").against({"A": 1.0}, place=None) == []
    (met,) = Neighbours(tmp_path, tmp_path / "elsewhere", "alpaca").against({"A": 1.0}, place=None)
    assert (met.name, met.symbols, met.known) == ("noise/test", ("A",), True)


def garbage(folder):
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite").write_bytes(b"no database" * 100)


def test_a_neighbour_whose_ledger_cannot_be_read_keeps_from_trading_and_is_named(tmp_path):
    garbage(tmp_path / "etf" / "default")
    bar = trade_one(tmp_path / "noise" / "test", tmp_path, broker="alpaca")
    found = account(tmp_path / "noise" / "test")
    assert found["intents"] == []
    (told,) = [one for one in found["interventions"] if one["rule"] == "crossing"]
    assert told["bar"] == bar
    assert told["action"].startswith("skip: may trade against etf/default, whose ledger.sqlite cannot be read")
    assert len(told["symbols"]) == 3


def test_a_neighbour_whose_ledger_cannot_be_read_keeps_nobody_from_getting_out(tmp_path):
    garbage(tmp_path / "etf" / "default")
    found = Neighbours(tmp_path, tmp_path / "noise" / "test", "alpaca").against({"A": -1.0, "B": 0.0}, place=None)
    assert [(one.name, one.symbols, one.known) for one in found] == [("etf/default", ("A",), False)]
    trader = SimpleNamespace(
        neighbours=SimpleNamespace(against=lambda meant, place: found, tell=lambda *told: None),
        ledger=SimpleNamespace(note=lambda name: None), agent="noise", account="test",
    )  # fmt: skip
    close = SimpleNamespace(market=SimpleNamespace(symbols=("A", "B")), bar="2020-01-01")
    for state, units in (("reducing", -1.0), ("halted", -1.0), ("trading", 0.0)):
        orders, told = loop._uncrossed(trader, close, Ruling(np.array([-1.0, 0.0]), state))
        assert (orders.tolist(), len(told)) == ([units, 0.0], int(state == "trading"))


def test_an_account_that_is_just_being_made_has_no_orders(tmp_path):
    sqlite3.connect(tmp_path / "ledger.sqlite").close()
    assert reading.working(tmp_path, broker="alpaca", place=None) == {}
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 100)
    assert reading.working(tmp_path, broker="alpaca", place=None) is None


@pytest.mark.parametrize("facts", ["{", "[1]", '"alpaca"'])
def test_a_neighbour_whose_ledger_was_edited_by_hand_is_one_that_cannot_be_read(tmp_path, facts):
    with contextlib.closing(Ledger(tmp_path)) as ledger:
        ledger.open("etf", "default", {"broker": "alpaca"})
        ledger._db.execute("UPDATE accounts SET facts = ?", (facts,))
        assert reading.working(tmp_path, broker="alpaca", place=None) is None
