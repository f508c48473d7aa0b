"""A source that lets itself be waited for: who asked it waits, and nobody else misses a bar."""

import contextlib
import datetime as dt
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from tests.trading.test_live import Leaning
from wealtharena.config import compose
from wealtharena.data.bars import BAR_COLUMNS, Bars
from wealtharena.errors import ProviderError
from wealtharena.features.panel import Scaler
from wealtharena.trading import errand, loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.carrying import Turn, directly
from wealtharena.trading.clock import Timer
from wealtharena.trading.feeds import asking
from wealtharena.trading.feeds.live import Live
from wealtharena.trading.feeds.seen import SeenBars
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Signals, Switch
from wealtharena.trading.trader import Trader
from wealtharena.trading.turns import Turns

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
BEGIN = dt.datetime(2024, 6, 10, 12, tzinfo=dt.UTC)
TURN = 2.0  # seconds in which whatever does not hang has answered, on a busy machine too: the clock here takes none for a turn


@dataclass
class Source:
    """Bars of every day up to now; while `hangs` says so, a fetch does not return until it is let go."""

    name: str
    now: object
    hangs: object = lambda date: False
    let_go: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    ends_with_date: dict = field(default_factory=dict)  # as a Provider's

    def fetch(self, symbol, start, end, interval):
        self.asked += 1
        if self.hangs(end):
            assert self.let_go.wait(60.0), "a test forgot to let it go"
            if self.hangs(end):
                raise ProviderError(self.name, symbol, "did not answer")
        last = min(end, self.now().date() - dt.timedelta(days=1))
        stamps = pd.date_range(start, last, tz="UTC").as_unit("ns")
        price = 100.0 + 10.0 * np.sin(stamps.day_of_year.to_numpy() + SYMBOLS.index(symbol))
        table = pd.DataFrame({"timestamp": stamps, "open": price, "high": price, "low": price, "close": price})
        table = table.assign(volume=1e9, dividend=0.0, split=0.0, tradable=True)[list(BAR_COLUMNS)]
        return Bars(self.name, symbol, interval, table, "USD", "units", "splits", self.now())


@dataclass
class Street:
    """Agents of one process under one clock, each with a source of its own, and when each has decided."""

    root: object
    at: dt.datetime = BEGIN
    decided: dict = field(default_factory=dict)
    passed: list = field(default_factory=list)  # told of each time that passes

    def __post_init__(self):
        self.signals, self.turn = Signals(), Turn()
        self.spec = compose(
            ["asset=crypto", "data=yahoo", f"data.symbols=[{','.join(SYMBOLS)}]", "paper.feed=live",
             "features.names=[log_return_1,volatility_20]"]
        )  # fmt: skip

    def now(self):
        return self.at

    def wait(self, seconds):
        self.at += dt.timedelta(seconds=seconds)
        for told in self.passed:
            told()

    def agent(self, name, source, sessions, *, wake=lambda: None, spec=None, opened=open_broker, carrier=None, **given):
        spec, names = spec or self.spec, self.spec.features.names
        scaler = Scaler(tuple(names), np.zeros(len(names)), np.full(len(names), 10.0), 5.0)
        folder = self.root / name
        self.decided[name] = []
        with (
            contextlib.closing(Ledger(folder, synchronous="normal")) as ledger,
            contextlib.closing(SeenBars(folder, synchronous="normal")) as seen,
        ):
            if ledger.facts() is None:
                ledger.open(name, "test", {"broker": spec.broker.name})
            opening = Opening(folder, spec.env, ledger.epoch, "normal", spec=spec.broker)
            broker = opened(opening)
            mind = given.pop("mind", Leaning)(scaler)
            trader = Trader(name, "test", mind, spec.env, spec.risk, ledger, broker, **given)
            if carrier is not None:
                trader = carrier.equipped(trader)
            feed = Live(
                spec, scaler, now=self.now, seen=seen, told=lambda bar, one: ledger.intervene(bar, [one]), wake=wake,
                sources=None if source is None else lambda: [source],
            )  # fmt: skip
            steps = loop.steps(
                trader, feed.steps(ledger.decision()), Switch(folder, self.signals), now=self.now,
                told=lambda close: self.decided[name].append((close.bar[:10], self.at)),
                carry=directly if carrier is None else carrier.carry,
            )  # fmt: skip
            with contextlib.closing(broker):
                for due in steps:
                    yield due
                    if len(self.decided[name]) == sessions:
                        return

    def trade(self, agents, *, wait=None):
        turns = Turns(agents, lambda name, error: pytest.fail(f"{name}: {error!r}"), turn=self.turn)
        with contextlib.closing(turns):
            turns.begin()
            turns.play(Timer(self.now, wait or self.wait, self.signals.roused))

    def told(self, name):
        with contextlib.closing(Ledger(self.root / name)) as ledger:
            return [(one["bar"][:10], one["action"]) for one in ledger.interventions()]


@pytest.fixture
def street(tmp_path, monkeypatch):
    monkeypatch.setattr(errand, "TURN_SECONDS", TURN)
    return Street(tmp_path)


def late_by(decided):
    """Return how long after the end of its session each decision was made."""
    return [at - dt.datetime.fromisoformat(f"{day}T00:00Z") - dt.timedelta(days=1) for day, at in decided]


@pytest.mark.slow
def test_while_a_source_hangs_for_one_agent_the_other_decides_in_time(street):
    release, woken = dt.datetime(2024, 6, 12, 3, tzinfo=dt.UTC), threading.Event()
    slow = Source("slow", street.now, hangs=lambda date: date == dt.date(2024, 6, 11) and street.at < release)

    def let_go():
        if street.at >= release and not slow.let_go.is_set():
            woken.clear()
            slow.let_go.set()
            assert woken.wait(60.0)  # so that no more of the clock's time passes

    street.passed.append(let_go)
    quick = Source("quick", street.now)
    street.trade(
        {"patient": street.agent("patient", slow, 4, wake=woken.set), "punctual": street.agent("punctual", quick, 4)}
    )
    days = [f"2024-06-{day}" for day in (10, 11, 12, 13)]
    assert [day for day, _ in street.decided["punctual"]] == days
    assert max(late_by(street.decided["punctual"])) < dt.timedelta(minutes=3)
    assert [day for day, _ in street.decided["patient"]] == days  # late at one, and at none twice
    late = late_by(street.decided["patient"])
    assert dt.timedelta(hours=3) <= late[1] < dt.timedelta(hours=4)
    assert max(late[:1] + late[2:]) < dt.timedelta(minutes=3)
    assert street.told("punctual") == []


@pytest.mark.slow
def test_who_is_woken_by_an_answer_looks_at_it_at_once(street):
    slow, woken = Source("slow", street.now, hangs=lambda date: not slow.let_go.is_set()), threading.Event()

    def wake():
        street.signals.wake()
        woken.set()

    def wait(seconds):
        if slow.asked and not slow.let_go.is_set():
            slow.let_go.set()
            assert woken.wait(60.0)
        else:
            street.wait(seconds)

    street.trade({"patient": street.agent("patient", slow, 1, wake=wake)}, wait=wait)
    poll = dt.timedelta(seconds=street.spec.paper.bar_poll)  # between two looks that say the same
    assert late_by(street.decided["patient"]) == [poll]


@pytest.mark.slow
def test_a_source_that_does_not_answer_in_time_costs_its_session_and_no_other(street):
    bad = dt.date(2024, 6, 11)
    slow = Source("slow", street.now, hangs=lambda date: date == bad)
    street.passed.append(lambda: slow.let_go.set() if street.at > BEGIN + dt.timedelta(hours=43) else None)
    quick = Source("quick", street.now)
    street.trade({"patient": street.agent("patient", slow, 2), "punctual": street.agent("punctual", quick, 3)})
    assert [day for day, _ in street.decided["patient"]] == ["2024-06-10", "2024-06-12"]
    assert [day for day, _ in street.decided["punctual"]] == ["2024-06-10", "2024-06-11", "2024-06-12"]
    assert [one for one in street.told("patient") if one[0] == "2024-06-11"] == [
        ("2024-06-11", "unreachable"), ("2024-06-11", "missed"),
    ]  # fmt: skip
    assert max(late_by(street.decided["punctual"])) < dt.timedelta(minutes=3)


@pytest.mark.slow
def test_the_kill_switch_and_the_end_are_heard_while_a_source_hangs(street):
    slow = Source("slow", street.now, hangs=lambda date: date == dt.date(2024, 6, 11))
    pulled = BEGIN + dt.timedelta(hours=37)

    def pull():
        if street.at >= pulled:
            (street.root / "patient" / "KILL").touch()
        street.signals.stop = street.at >= pulled + dt.timedelta(minutes=5)

    street.passed.append(pull)
    street.trade({"patient": street.agent("patient", slow, 5)})
    slow.let_go.set()
    assert [day for day, _ in street.decided["patient"]] == ["2024-06-10"]
    assert street.at < pulled + dt.timedelta(minutes=10)
    with contextlib.closing(Ledger(street.root / "patient")) as ledger:
        assert ledger.state() == ("halted", "kill switch: freeze")


@pytest.mark.slow
def test_an_answer_over_the_network_wakes_who_waits_for_it_and_nobody_was_kept(street, make_spec, stub, monkeypatch):
    """The real client against a service that takes its time; the clock stands still until something wakes it."""
    spec = make_spec("crypto", "yahoo", data__symbols=f"[{','.join(SYMBOLS)}]", paper__feed="live",
                     features__names="[log_return_1,volatility_20]")  # fmt: skip
    happened, woken = [], threading.Event()
    monkeypatch.setattr(errand, "TURN_SECONDS", 0.05)

    def wake():
        happened.append("answered")
        monkeypatch.setattr(errand, "TURN_SECONDS", 60.0)  # the looks after it are waited for
        woken.set()

    def wait(seconds):
        assert street.at < BEGIN + dt.timedelta(hours=12) or woken.wait(60.0)
        street.wait(seconds)

    quick = Source("quick", street.now, hangs=lambda date: happened.append("asked another"))
    stub.fault("yahoo", "slow", times=1, delay=1.2)
    street.trade(
        {"patient": street.agent("patient", None, 1, spec=spec, wake=wake), "punctual": street.agent("punctual", quick, 1)},
        wait=wait,
    )  # fmt: skip
    assert happened.index("asked another") < happened.index("answered")
    assert [[day for day, _ in one] for one in street.decided.values()] == [["2024-06-10"]] * 2
    assert max(late_by(street.decided["patient"])) < dt.timedelta(minutes=10)


def test_what_goes_wrong_in_the_thread_is_raised_where_it_is_waited_for():
    def ask(symbol):
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        asking.Round(["A"], ask).ended(60.0)


def test_a_source_is_asked_once_at_a_time_whoever_asks():
    inside, most, lock = [], [], threading.Lock()

    def ask():
        with lock:
            inside.append(1)
            most.append(len(inside))
        time.sleep(0.002)
        with lock:
            inside.pop()

    source = Source("one", lambda: BEGIN)
    rounds = [asking.Round(range(10), lambda symbol: [asking.asked_alone(source, ask)]) for _ in range(4)]
    assert all(one.ended(60.0) for one in rounds)
    assert (len(most), max(most)) == (40, 1)
