"""A broker that lets itself be waited for: its agent waits, nobody else misses a bar, and each order is sent once."""

import contextlib
import datetime as dt
import threading
import time
from dataclasses import dataclass, field

import pytest

from tests.trading.bridge import SECRET, Bridge, bridging
from tests.trading.desks import account
from tests.trading.test_live import Leaning
from tests.trading.test_live_slow import BEGIN, SYMBOLS, Source, Street, late_by
from wealtharena.config import compose
from wealtharena.trading.brokers import webhook
from wealtharena.trading.carrying import ASKED, Carrier, Turn
from wealtharena.trading.crossing import Neighbours
from wealtharena.trading.errand import Errand

RELEASE = dt.datetime(2024, 6, 12, 3, tzinfo=dt.UTC)
DAYS = [f"2024-06-{day}" for day in (10, 11, 12)]


@dataclass
class Slow(Bridge):
    """A bridge that, from a moment on, answers no order of one agent until it is let go."""

    street: Street = None
    since: dt.datetime = dt.datetime(2024, 6, 12, tzinfo=dt.UTC)
    let_go: threading.Event = field(default_factory=threading.Event)
    hanging: threading.Event = field(default_factory=threading.Event)

    def take(self, headers, body):
        found = super().take(headers, body)
        late, last = self.street.at >= self.since, self.messages[-1]
        if late and last["kind"] == "order" and last["id"].startswith("patient") and not self.let_go.is_set():
            self.hanging.set()
            assert self.let_go.wait(60.0), "a test forgot to let it go"
        return found


def orders(bridge):
    return [one["id"] for one in bridge.messages if one["kind"] == "order"]


@pytest.fixture
def street(tmp_path):
    return Street(tmp_path)


@pytest.fixture
def bridge(street, monkeypatch):
    """The slow bridge; whatever else is done in a thread is waited for, so that no time of the clock passes meanwhile."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    slow, ended = Slow(street=street), Errand.ended

    def wait(self, seconds):
        if not seconds:
            return ended(self, 0.0)
        while not ended(self, 0.001):
            if slow.hanging.is_set() and not slow.let_go.is_set() and self._thread.name == "patient":
                return False
        return True

    monkeypatch.setattr(Errand, "ended", wait)
    return slow


def at_bridge(street, url):
    return compose(
        ["asset=crypto", "data=yahoo", f"data.symbols=[{','.join(SYMBOLS)}]", "paper.feed=live", "broker=webhook",
         f"broker.url={url}", "broker.timeout_seconds=60", "features.names=[log_return_1,volatility_20]"]
    )  # fmt: skip


def carried(street, name, woken):
    return Carrier(street.turn, street.now, woken.set, name)


def released(street, bridge, woken):
    """Let the bridge go at its time, and no more of the clock's time pass until its agent has its answer."""

    def let_go():
        if street.at >= RELEASE and not bridge.let_go.is_set():
            woken.clear()
            bridge.let_go.set()
            assert woken.wait(60.0)

    street.passed.append(let_go)


@pytest.mark.slow
def test_while_a_broker_hangs_for_one_agent_the_others_decide_in_time_and_each_order_is_sent_once(street, bridge):
    woken = threading.Event()
    released(street, bridge, woken)
    with bridging(bridge) as slow, bridging(quick := Bridge()) as other:
        street.trade({
            "patient": street.agent(
                "patient", Source("a", street.now), len(DAYS), spec=at_bridge(street, slow), opened=webhook.open_broker,
                carrier=carried(street, "patient", woken),
            ),
            "punctual": street.agent(
                "punctual", Source("b", street.now), len(DAYS), spec=at_bridge(street, other), opened=webhook.open_broker,
                carrier=carried(street, "punctual", threading.Event()),
            ),
            "embedded": street.agent("embedded", Source("c", street.now), len(DAYS)),
        })  # fmt: skip
        assert bridge.hanging.is_set()
        for name in ("punctual", "embedded"):
            assert [day for day, _ in street.decided[name]] == DAYS
            assert max(late_by(street.decided[name])) < dt.timedelta(minutes=3), name
        assert [day for day, _ in street.decided["patient"]] == DAYS
        late = late_by(street.decided["patient"])
        assert dt.timedelta(hours=3) <= late[1] < dt.timedelta(hours=4)
        assert max(late[:1] + late[2:]) < dt.timedelta(minutes=3)
        assert len(orders(bridge)) == len(set(orders(bridge))) == len(orders(quick)) > 6

        alone = Street(street.root / "alone")
        alone.trade(
            {"patient": alone.agent("patient", Source("d", alone.now), len(DAYS), spec=at_bridge(alone, other), opened=webhook.open_broker)}
        )  # fmt: skip
    found, expected = (account(root / "patient") for root in (street.root, alone.root))
    for what in ("intents", "fills", "closes", "positions"):
        assert found[what] == expected[what], what
    assert [one.client_id for one in found["intents"]] == orders(bridge)


class Against(Leaning):
    """Wants the opposite."""

    def decide(self, seen, memory):
        weights, carried = super().decide(seen, memory)
        return -weights, carried


@pytest.mark.slow
def test_what_hangs_on_its_way_is_seen_by_the_next_before_that_decides(street, bridge):
    woken, ledgers = threading.Event(), {}
    bridge.since = BEGIN
    released(street, bridge, woken)
    with bridging(bridge) as url:
        spec = at_bridge(street, url)
        spec = spec.model_copy(
            update={
                "env": spec.env.model_copy(update={"limits": spec.env.limits.model_copy(update={"long_only": False})})
            }
        )

        def agent(name, mind):
            folder = street.root / name / "test"
            return street.agent(
                f"{name}/test", Source(name, street.now), 1, spec=spec, opened=webhook.open_broker, mind=mind,
                carrier=carried(street, name, woken),
                neighbours=Neighbours(street.root, folder, "webhook", ledgers),
            )  # fmt: skip

        street.trade({"patient": agent("patient", Leaning), "second": agent("second", Against)})
    first, second = (account(street.root / name / "test") for name in ("patient", "second"))
    assert bridge.hanging.is_set()
    assert max(late_by(street.decided["second/test"])) < dt.timedelta(minutes=3)
    assert {one.symbol: one.units > 0.0 for one in first["intents"]} == dict.fromkeys(SYMBOLS, True)
    assert second["intents"] == []
    (told,) = [one for one in second["interventions"] if one["rule"] == "crossing"]
    assert (told["action"], told["symbols"]) == ("skip: would trade against patient/test", list(SYMBOLS))


@pytest.mark.slow
def test_the_end_waits_for_the_answer_and_leaves_nothing_half_done(street, bridge):
    def stop():
        if street.at >= RELEASE:
            street.signals.stop = True
            bridge.let_go.set()

    street.passed.append(stop)
    with bridging(bridge) as url:
        street.trade({
            "patient": street.agent(
                "patient", Source("a", street.now), len(DAYS), spec=at_bridge(street, url), opened=webhook.open_broker,
                carrier=carried(street, "patient", threading.Event()),
            )
        })  # fmt: skip
    found = account(street.root / "patient")
    assert [day for day, _ in street.decided["patient"]] == DAYS[:2]
    assert [one.client_id for one in found["intents"]] == orders(bridge)
    assert {one.status for one in found["intents"]} <= {"open", "filled", "partly"}


def test_only_one_acts_at_a_time_and_who_waits_lets_others_act():
    turn, inside, most = Turn(), [], []

    def act():
        with turn.held():
            for _ in range(20):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
                turn.lending(time.sleep)(0.0005)

    threads = [threading.Thread(target=act) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60.0)
    assert (len(most), max(most)) == (80, 1)
    with turn.held(), contextlib.suppress(RuntimeError), turn.lent():
        assert turn.held().__enter__() is None  # it is free meanwhile
        turn._lock.release()
        raise RuntimeError
    assert not turn._lock.locked()


def test_what_is_lent_for_is_a_call_of_the_contract():
    from wealtharena.trading.broker import Broker

    own = {"advance", "charges", "keep", "close", "stream", "capabilities"}
    assert {name for name in vars(Broker) if not name.startswith("_")} == ASKED | own


def test_what_goes_wrong_is_raised_where_it_is_waited_for():
    turn = Turn()

    def work():
        raise RuntimeError("a fault of ours")

    with turn.held(), pytest.raises(RuntimeError, match="a fault of ours"):
        list(Carrier(turn, lambda: BEGIN, lambda: None).carry(work))
    assert not turn._lock.locked()
