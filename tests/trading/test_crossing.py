"""Two agents on one account of a broker do not trade with each other."""

import contextlib

from tests.trading.desks import a_world, account
from wealtharena.trading import loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.crossing import Neighbours
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


def test_its_own_orders_and_a_ledger_that_cannot_be_read_are_no_neighbours(tmp_path):
    neighbour(tmp_path / "noise" / "test", {"A": -1.0})
    broken = tmp_path / "etf" / "default"
    broken.mkdir(parents=True)
    (broken / "ledger.sqlite").write_bytes(b"no database" * 100)
    assert Neighbours(tmp_path, tmp_path / "noise" / "test", "alpaca").against({"A": 1.0}, place=None) == {}
    assert Neighbours(tmp_path, tmp_path / "elsewhere", "alpaca").against({"A": 1.0}, place=None) == {
        "noise/test": ["A"]
    }
