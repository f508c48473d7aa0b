"""Several agents in one process: each its own account, one clock, and nobody in anybody's way."""

import contextlib
import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.trading.desks import Noise, a_world, account, go, risk_of
from tests.trading.killing import killed_again_and_again
from wealtharena.trading import loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.clock import Due, Pace, Timer, each_session
from wealtharena.trading.crossing import ACCOUNT, Met, Neighbours
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Signals, Switch
from wealtharena.trading.trader import Trader
from wealtharena.trading.turns import Turns

FLATTENS = risk_of(drawdown={"max_drawdown": 0.04, "action": "flatten"})
WORLDS = {"first": a_world(seed=1), "second": a_world(seed=2, risk=FLATTENS)}


@dataclass(eq=False)
class Opposite:
    """Wants the opposite of what the noise wants, so that each of its orders meets one of the noise's."""

    noise: Noise

    @property
    def scaler(self):
        return self.noise.scaler

    def decide(self, seen, memory):
        weights, carried = self.noise.decide(replace(seen, account=np.zeros_like(seen.account)), memory)
        return -weights, carried


class Failing:
    """Fails at its tenth decision."""

    def __init__(self, noise):
        self.noise, self.scaler = noise, noise.scaler

    def decide(self, seen, memory):
        if memory.get("count") == 9:
            raise RuntimeError("not my day")
        return self.noise.decide(seen, memory)


@dataclass
class House:
    """Accounts that trade together: their worlds, what was told in which order, and where."""

    root: Path
    worlds: dict
    broker: str | None = None  # that all claim to trade at, on one account there
    told: list = field(default_factory=list)
    failed: dict = field(default_factory=dict)
    ledgers: dict = field(default_factory=dict)

    def folder(self, name):
        return self.root / name / "test"

    def agent(self, name, signals, *, stop_at=None):
        world, folder = self.worlds[name], self.folder(name)
        ledger = Ledger(folder, synchronous="normal")
        if ledger.facts() is None:
            ledger.open("noise", "test", {"of": "tests"} if self.broker is None else {"broker": self.broker})
        if self.broker is not None:
            ledger.write_note(ACCOUNT, "the same")
        broker = open_broker(Opening(folder, world.env, ledger.epoch, "normal"))
        self.ledgers[folder.resolve()] = ledger
        neighbours = None if self.broker is None else Neighbours(self.root, folder, self.broker, self.ledgers)
        agent = "noise" if self.broker is None else name
        trader = Trader(agent, "test", world.mind, world.env, world.risk, ledger, broker, neighbours=neighbours)

        def told(close):
            self.told.append((close.bar, name))
            signals.stop = len(self.told) == stop_at

        feed = world.feed().steps(ledger.decision())
        with contextlib.closing(ledger), contextlib.closing(broker):
            yield from loop.steps(trader, feed, Switch(folder, signals), told=told)
            del self.ledgers[folder.resolve()]

    def trade(self, **given):
        signals = Signals()
        turns = Turns({name: self.agent(name, signals, **given) for name in self.worlds}, self.failed.__setitem__)
        with contextlib.closing(turns):
            turns.begin()
            turns.play(Pace(None, wait=signals.wait))


def alone_in(folder):
    """Return what each account comes to when it trades by itself."""
    for name, world in WORLDS.items():
        go(folder / name, world)
    return {name: account(folder / name) for name in WORLDS}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return alone_in(tmp_path_factory.mktemp("alone"))


@pytest.mark.slow
def test_each_account_is_what_it_would_be_alone_and_bars_come_in_the_order_of_their_times(tmp_path, alone):
    house = House(tmp_path, WORLDS)
    house.trade()
    assert house.told == sorted(house.told)  # by time, and in the order in which they are named
    assert len(house.told) == 2 * len(alone["first"]["closes"])
    assert {name: account(house.folder(name)) for name in WORLDS} == alone


@pytest.mark.slow
def test_a_halt_of_one_stops_nobody_else(tmp_path, alone):
    assert alone["second"]["state"][0] == "halted"
    assert alone["first"]["state"][0] == "trading"
    house = House(tmp_path, WORLDS)
    house.folder("second").mkdir(parents=True)
    (house.folder("second") / "KILL").touch()
    house.trade()
    found = account(house.folder("second"))
    assert found["state"] == ("halted", "kill switch: freeze")
    assert found["fills"] == []
    assert account(house.folder("first")) == alone["first"]


@pytest.mark.slow
def test_one_that_fails_ends_alone_and_goes_on_when_it_can(tmp_path, alone):
    broken = replace(WORLDS["second"], mind=Failing(WORLDS["second"].mind))
    house = House(tmp_path, {"second": broken, "first": WORLDS["first"]})
    house.trade()
    assert {name: str(error) for name, error in house.failed.items()} == {"second": "not my day"}
    assert len(account(house.folder("second"))["wanted"]) == 9
    assert account(house.folder("first")) == alone["first"]
    House(tmp_path, WORLDS).trade()
    assert account(house.folder("second")) == alone["second"]


@pytest.mark.slow
def test_a_signal_stops_all_after_the_bar_and_all_go_on_from_there(tmp_path, alone):
    house = House(tmp_path, WORLDS)
    house.trade(stop_at=21)
    assert len(house.told) == 21
    house.trade()
    assert {name: account(house.folder(name)) for name in WORLDS} == alone


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_after_a_kill_of_the_process_all_go_on_as_if_nothing_had_been(tmp_path, alone, seed):
    assert killed_again_and_again(lambda at: House(tmp_path, WORLDS).trade(), seed) > 0
    assert {name: account(tmp_path / name / "test") for name in WORLDS} == alone


@pytest.mark.slow
def test_orders_that_would_meet_are_refused_with_a_reason_in_both_ledgers(tmp_path):
    world = a_world(seed=1)
    house = House(tmp_path, {"one": world, "other": replace(world, mind=Opposite(world.mind))}, broker="webhook")
    house.trade()
    assert house.failed == {}
    found = {name: account(house.folder(name)) for name in house.worlds}
    first = found["one"]["closes"][0]["bar"]
    assert len([one for one in found["one"]["intents"] if one.bar == first]) == 3
    assert [one for one in found["other"]["intents"] if one.bar == first] == []
    told = {
        name: [one for one in found[name]["interventions"] if one["rule"] == "crossing" and one["bar"] == first]
        for name in found
    }
    (refused,), (stood,) = told["other"], told["one"]
    assert refused["action"] == "skip: would trade against one/test"
    assert stood["action"] == "stood: other/test was kept from trading against it"
    assert refused["symbols"] == stood["symbols"] == list(world.features.panel.symbols)
    assert refused["numbers"] == stood["numbers"]
    sides = {}
    for name in found:
        for one in found[name]["intents"]:
            sides.setdefault((one.bar, one.symbol), set()).add(np.sign(one.units))
    assert all(len(signs) == 1 for signs in sides.values())


def test_another_account_at_the_same_broker_is_no_neighbour_and_one_that_is_not_known_may_be(tmp_path):
    house = House(tmp_path, {"one": a_world(seed=1)}, broker="webhook")
    house.trade(stop_at=1)
    meant = {one.symbol: -one.units for one in account(house.folder("one"))["intents"]}
    asks = Neighbours(tmp_path, tmp_path / "other" / "test", "webhook")
    assert {one.name for one in asks.against(meant, place="the same")} == {"one/test"}
    assert {one.name for one in asks.against(meant, place=None)} == {"one/test"}
    assert asks.against(meant, place="another") == []


def test_what_was_told_of_a_crossing_is_told_once_over_a_kill(tmp_path):
    house = House(tmp_path, {"one": a_world(seed=1)}, broker="webhook")
    house.trade(stop_at=1)
    folder = house.folder("one")
    with contextlib.closing(Ledger(folder)) as ledger:
        asks = Neighbours(tmp_path, tmp_path / "other" / "test", "webhook", {folder.resolve(): ledger})
        for _ in range(2):
            asks.tell("2020-01-01", "other/test", [Met("one/test", folder, ("A",), known=True)], {"A": 1.0})
        assert [one["rule"] for one in ledger.interventions()] == ["crossing"]
        assert asks.sharing("the same") == "one/test"
        assert asks.sharing("another") is None


def test_two_venues_on_one_clock_are_each_met_once_a_session_and_in_order():
    at, met = [dt.datetime(2025, 3, 2, tzinfo=dt.UTC)], []

    def wait(seconds):
        at[0] += dt.timedelta(seconds=seconds)

    def venue(calendar):
        for one in each_session(
            calendar, timer.now, after=np.datetime64("2025-03-02", "ns"), patience=dt.timedelta(hours=6)
        ):
            if isinstance(one, Due):
                yield one
                continue
            if one[0].date > dt.date(2025, 3, 31):
                return
            met.append((one[0].closes, calendar))
            assert at[0] - one[0].closes < dt.timedelta(minutes=2)

    timer = Timer(lambda: at[0], wait)
    turns = Turns({name: venue(name) for name in ("XASX", "XNYS", "24/7")}, lambda name, error: pytest.fail(str(error)))
    turns.begin()
    turns.play(timer)
    assert met == sorted(met, key=lambda one: one[0])
    assert [sum(name == one for _, name in met) for one in ("XASX", "XNYS", "24/7")] == [21, 21, 29]


def test_where_somebody_is_roused_all_are_looked_after():
    looked, roused = [], [False, True, False, False]
    at = [dt.datetime(2025, 1, 1, tzinfo=dt.UTC)]

    def wait(seconds):
        at[0] += dt.timedelta(seconds=seconds)

    def agent(name, minutes):
        moment = at[0] + dt.timedelta(minutes=minutes)
        while at[0] < moment:
            yield Due(moment)
            looked.append(name)

    timer = Timer(lambda: at[0], wait, lambda: bool(roused) and roused.pop(0))
    turns = Turns({"a": agent("a", 4), "b": agent("b", 3)}, lambda name, error: pytest.fail(str(error)))
    turns.begin()
    turns.play(timer)
    assert looked == ["a", "b", "b", "a"]
