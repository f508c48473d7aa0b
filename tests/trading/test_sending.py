"""Orders on their way by hand: what opens something, what goes again and how large, what is closed, what people are told."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from wealtharena.trading import sending
from wealtharena.trading.books import CLOSING
from wealtharena.trading.broker import BookedOrder, Capabilities, RejectedError, UnreachableError
from wealtharena.trading.ledger import Intent

BAR = "2024-05-01T00:00:00.000000000"


def order(symbol="A", units=-3.0, *, attempt=1, leg=1, status="new", note="", **more):
    return Intent(f"{symbol}/{leg}/{attempt}", BAR, symbol, leg, attempt, units, status, note, **more)


class Desk:
    """A trader and its ledger in one, and its broker: as much of each as is asked for."""

    agent, account, epoch, neighbours = "agent", "test", 1, None

    def __init__(self, *intents, held=None, theirs=None, state="trading", equity=1000.0, resize=0.05, lot=1.0):
        self.intents, self.held, self.now, self.equity, self.resize = list(intents), held or {}, state, equity, resize
        self.meant, self.posts, self.notes = [], [], {}
        self.ledger, found = self, self.held if theirs is None else theirs
        able = Capabilities(sends=True, embedded=False, dust=0.1, least=10.0)
        self.broker = SimpleNamespace(capabilities=able, positions=lambda: found)
        self.env = SimpleNamespace(instrument=SimpleNamespace(lot_of=lambda symbol: lot))

    def state(self):
        return self.now, "why"

    def set_state(self, state, reason, *, bar):
        self.now = state

    def positions(self):
        return self.held

    def pending(self):
        return [one for one in self.intents if one.status in ("new", "sending", "open")]

    def intents_at(self, bar):
        return self.intents

    def lacking(self, *, dust):
        return {}

    def intend(self, found):
        self.meant += found

    def is_ours(self, name):
        return any(one.client_id == name for one in self.intents)

    def decision(self, bar):
        return SimpleNamespace(seen={"A": 10.0, "B": 10.0})

    def last_close(self):
        return {"equity": self.equity}

    def note(self, name):
        return self.notes.get(name)

    def write_note(self, name, text):
        self.notes[name] = text

    def post(self, title, text):
        self.posts.append((title, text))

    def acted_on(self):
        return frozenset("S")

    def executed(self, names):
        return {}

    def unassigned(self):
        return []

    def at_once(self):
        return contextlib.nullcontext()


@pytest.mark.parametrize(
    ("units", "held", "filled", "executed", "opens"),
    [
        (-3.0, 3.0, 0.0, 0.0, False),
        (-3.05, 3.0, 0.0, 0.0, False),  # dust
        (-3.2, 3.0, 0.0, 0.0, True),
        (3.0, -3.0, 0.0, 0.0, False),
        (1.0, 3.0, 0.0, 0.0, True),
        (-1.0, 0.0, 0.0, 0.0, True),
        (-3.0, 1.0, -2.0, 0.0, False),  # of what is filled either is told first
        (-3.0, 1.0, 0.0, -2.0, False),
        (-3.0, 1.0, -1.0, -2.0, False),
        (-3.0, 1.0, -1.0, 0.0, True),
    ],
)
def test_an_order_opens_something_where_what_is_left_of_it_does_more_than_close(units, held, filled, executed, opens):
    assert sending._opens(order(units=units, filled=filled), held, executed=executed, dust=0.1) is opens


@pytest.mark.parametrize(
    ("units", "lot", "resize", "attempt", "smaller"),
    [
        (100.0, 1.0, 0.05, 1, 95.0), (-100.0, 1.0, 0.05, 1, -95.0), (9.0, 1.0, 0.05, 1, 8.0), (-9.0, 1.0, 0.05, 1, -8.0),
        (9.0, 0.0, 0.5, 1, 4.5), (1.0, 1.0, 0.05, 1, None), (100.0, 1.0, 0.05, 2, None), (100.0, 1.0, 0.0, 1, None),
    ],
)  # fmt: skip
def test_what_the_money_is_short_for_goes_again_once_in_whole_lots_and_never_larger(
    units, lot, resize, attempt, smaller
):
    one, desk = order(units=units, attempt=attempt), Desk(lot=lot, resize=resize)
    found = sending.again(desk, one)
    assert desk.meant == ([] if smaller is None else [found])
    assert (found and (found.units, found.attempt, found.status)) == (smaller and (smaller, 2, "sending"))
    assert sending.again(desk, one) == found
    desk.intents = desk.meant
    assert sending.again(desk, one) is None


@pytest.mark.parametrize(("attempt", "urgent"), [(1, False), (2, False), (CLOSING, True), (CLOSING + 1, True)])
@pytest.mark.parametrize("booked", [True, False])
def test_an_order_without_an_answer_is_looked_up_and_sent_again_once_and_what_closes_all_is_urgent(
    attempt, urgent, booked
):
    known, asked = BookedOrder("A/1/1", "A", -3.0, 0.0, "open"), []

    def submit(sent):
        asked.append(sent.urgent)
        if len(asked) == 1:
            raise UnreachableError("no answer")
        return known

    broker = SimpleNamespace(submit=submit, order_by_client_id=lambda name: known if booked else None)
    assert sending._submitted(SimpleNamespace(broker=broker), order(attempt=attempt)) == known
    assert asked == [urgent] * (1 if booked else 2)


@pytest.mark.parametrize(
    ("first", "second", "due", "fate"),
    [
        ("filled", "new", True, None), ("filled", "sending", True, None), ("open", "sending", True, None),
        ("partly", "sending", True, None), ("open", "new", False, None), ("new", "new", False, None),
        ("partly", "new", False, "expired"), ("cancelled", "new", False, "expired"), ("rejected", "new", False, "expired"),
    ],
)  # fmt: skip
def test_a_second_leg_waits_for_the_first_and_one_that_may_be_on_its_way_is_looked_up(first, second, due, fate):
    legs = [order(status=first), order(leg=2, status=second)]
    found, changes = sending._due(Desk(*legs), legs[1:])
    assert found == (legs[1:] if due else [])
    assert [word for word, _ in changes.values()] == ([fate] if fate else [])


def test_a_neighbour_that_cannot_be_read_keeps_nobody_from_getting_out():
    met = [SimpleNamespace(known=True), SimpleNamespace(known=False)]
    neighbours = SimpleNamespace(against=lambda meant, place: met)
    trader = SimpleNamespace(neighbours=neighbours, ledger=SimpleNamespace(note=lambda name: "place"))
    found = {state: sending.crossed(trader, {"A": 1.0}, state=state) for state in ("trading", "reducing", "halted")}
    assert found == {"trading": met, "reducing": met[:1], "halted": met[:1]}


def test_no_more_is_closed_than_both_say_is_held_and_nothing_that_only_one_of_them_does():
    held = {"A": 3.0, "B": -2.0, "C": 1.0, "D": 1.0, "E": 1.0, "F": 2.0, "G": -4.0}
    tried = [order("E", -1.0, attempt=CLOSING, status="rejected"), order("F", status="open")]
    desk = Desk(
        *tried, held=held, theirs={**held, "A": 5.0, "B": 1.0, "C": 0.5, "D": 0.05, "G": -3.0}, state="reducing"
    )
    last = SimpleNamespace(bar=BAR, seen=dict.fromkeys(held, 10.0))
    sending.close_out(desk, last)
    assert {one.symbol: (one.units, one.attempt) for one in desk.meant} == {
        "A": (-3.0, CLOSING), "C": (-0.5, CLOSING), "G": (3.0, CLOSING),
    }  # fmt: skip


@pytest.mark.parametrize(("times", "again"), [(1, True), (8, True), (9, False)])
def test_a_symbol_is_closed_nine_times_between_two_closes(times, again):
    tried = [order(attempt=CLOSING + n, status="cancelled") for n in range(times)]
    desk = Desk(*tried, held={"A": 3.0}, state="reducing")
    sending.close_out(desk, SimpleNamespace(bar=BAR, seen={"A": 10.0}))
    assert [one.attempt for one in desk.meant] == ([CLOSING + times] if again else [])


@pytest.mark.parametrize(
    ("intents", "told"),
    [
        ([order(attempt=CLOSING, status="rejected", note="no")], True),
        ([order(attempt=CLOSING + 8, status="cancelled")], True),  # the last of them
        ([order(attempt=CLOSING + 7, status="cancelled")], False),
        ([order(attempt=1, status="rejected")], False),  # what goes at once was not tried yet
        ([order(attempt=CLOSING, status="rejected"), order(attempt=CLOSING + 1, status="open")], False),
        ([order(attempt=1, status="open"), order(attempt=CLOSING, status="rejected")], False),  # that may close it yet
        ([order("B", attempt=CLOSING, status="rejected")], False),  # not held any more
    ],
)
def test_people_are_told_of_what_is_held_and_does_not_get_closed(intents, told):
    desk = Desk(*intents, held={"A": 3.0}, state="reducing")
    for _ in range(2):
        sending._tell_stuck(desk, BAR)
    assert [title for title, _ in desk.posts] == (["not everything gets closed at 2024-05-01"] if told else [])


@pytest.mark.parametrize(
    ("intents", "equity", "told"),
    [
        ([order(status="rejected")], 1000.0, True),  # 30 of 1000
        ([order(status="rejected")], 3001.0, False),
        ([order(status="rejected"), order("B", 3.0, status="rejected")], 5900.0, True),  # together
        ([order(status="rejected"), order(attempt=2, status="filled")], 1000.0, False),
        ([order(status="rejected"), order(attempt=2, status="partly")], 1000.0, False),
        ([order(status="rejected"), order(attempt=2, status="open")], 1000.0, False),
        ([order(status="cancelled")], 1000.0, False),
    ],
)
def test_people_are_told_of_what_a_broker_refuses_where_it_is_not_little(intents, equity, told):
    desk = Desk(*intents, equity=equity)
    for _ in range(2):
        sending._tell_refused(desk, BAR)
    assert [title for title, _ in desk.posts] == (["orders were refused at 2024-05-01"] if told else [])


@pytest.mark.parametrize(
    ("intents", "told"),
    [
        ([order(units=2.0, status="cancelled", rounding=True)], True),
        ([order(units=0.5, status="cancelled", rounding=True)], False),  # 5 of 1000
        ([order(units=2.0, status="cancelled")], False),  # taken back for another reason
        ([order(units=2.0, status="filled", rounding=True)], False),
    ],
)
def test_people_are_told_once_of_orders_that_are_too_small_for_the_broker(intents, told):
    desk = Desk(*intents)
    for _ in range(2):
        sending._tell_small(desk, BAR)
    assert [title for title, _ in desk.posts] == (["orders are too small at 2024-05-01"] if told else [])


def test_a_refusal_for_want_of_money_alone_is_tried_smaller():
    """What is refused for another reason would be refused again, and who is refused twice is left alone."""
    tried = []

    def refused(one, funds):
        def submit(sent):
            tried.append(sent.units)
            raise RejectedError("no", funds=funds)

        marked = {}
        desk = Desk(one)
        desk.broker.submit, desk.mark, desk.follow, desk.at = (
            submit,
            marked.update,
            lambda told: None,
            lambda point: None,
        )
        sending._send_leg(desk, [one], fresh=frozenset([one.client_id]))
        return {name: word for name, (word, _) in marked.items()}

    assert list(refused(order(units=100.0), False).values()) == ["rejected"]
    assert tried == [100.0]
    assert list(refused(order(units=100.0), True).values()) == ["rejected"] * 2
    assert tried == [100.0, 100.0, 95.0]


def sized(*, has, units, flips=True):
    """Return the orders of one symbol at a price of 10: units, leg and status of each."""
    desk = Desk()
    desk.broker.capabilities = replace(desk.broker.capabilities, flips=flips)
    market = SimpleNamespace(symbols=("A",), prices=np.array([[10.0]]))
    close = SimpleNamespace(market=market, marks={"A": 10.0}, bar=BAR)
    found = sending.intents_of(desk, close, held=np.array([has]), orders=np.array([units]), equity=1000.0)
    return [(one.units, one.leg, one.status) for one in found]


@pytest.mark.parametrize(
    ("has", "units", "orders"),
    [
        (0.0, 0.5, [(0.5, 1, "cancelled")]),  # worth 5, of which the broker takes 10
        (0.0, 1.0, [(1.0, 1, "new")]),
        (0.0, -0.5, [(-0.5, 1, "cancelled")]),
        (3.0, 0.5, [(0.5, 1, "cancelled")]),
        (3.0, -0.5, [(-0.5, 1, "new")]),  # however small, it closes
        (-3.0, 0.5, [(0.5, 1, "new")]),
        (3.0, 0.0, []),
    ],
)
def test_what_opens_something_is_worth_what_the_broker_takes(has, units, orders):
    assert sized(has=has, units=units) == orders


def test_an_order_through_zero_is_two_where_the_broker_takes_no_other():
    assert sized(has=3.0, units=-5.0) == [(-5.0, 1, "new")]
    assert sized(has=3.0, units=-5.0, flips=False) == [(-3.0, 1, "new"), (-2.0, 2, "new")]
    assert sized(has=3.0, units=-3.5, flips=False) == [(-3.0, 1, "new"), (-0.5, 2, "cancelled")]
    assert sized(has=3.0, units=-3.0, flips=False) == [(-3.0, 1, "new")]
    assert sized(has=-3.0, units=5.0, flips=False) == [(3.0, 1, "new"), (2.0, 2, "new")]


@pytest.mark.parametrize(
    ("state", "off"),
    [
        ("trading", ["split"]),  # in units of before it
        ("reducing", ["buys", "grows", "split"]),
        ("halted", ["buys", "sells", "grows", "split", "closes"]),
    ],
)
def test_what_may_not_go_on_is_stopped_by_what_the_account_does_now(state, off):
    meant = {
        "buys": order("B", 1.0), "sells": order("A", -3.0), "grows": order("A", 1.0, attempt=2),
        "split": order("S", -1.0), "closes": order("S", -1.0, attempt=CLOSING),
    }  # fmt: skip
    desk = Desk(*meant.values(), held={"A": 3.0, "S": 1.0}, state=state)
    assert sending.stopped(desk) == [meant[name] for name in off]


def test_an_order_is_outgrown_by_what_is_held_unexplained_at_two_looks_in_a_row():
    desk = Desk(
        order("A", -10.0), order("B", -2.0), order("C", -30.0, attempt=CLOSING), held={"A": 10.0, "B": 2.0, "C": 30.0}
    )
    found = []
    for theirs in ({"A": 9.0}, {"A": 1.0}, {"A": 1.0, "C": 60.0}, {"C": 60.0}, {}):
        there = {**desk.held, **theirs}
        desk.broker.positions = lambda there=there: there
        sending.outgrow(desk)
        found.append(sorted(sending._looked(desk)["outgrown"]))
    assert found == [[], [], ["A/1/1"], ["A/1/1"], ["A/1/1"]]  # what closes all goes on where as much is held


def test_what_may_have_been_sent_is_not_called_taken_back():
    """Whether an order that got no answer was taken the broker has to say."""
    desk, marked = Desk(order("A"), order("B", status="sending"), order("C", status="open"), state="halted"), {}
    desk.mark = marked.update
    sending.send(desk, BAR)
    assert marked == {"A/1/1": ("cancelled", "halted")}
