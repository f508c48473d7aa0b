"""What a broker outside has, taken over by hand: what is certain, what is taken back, what a bar came to."""

import contextlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from wealtharena.envs.kernel.rows import BAR, BAR_ROWS
from wealtharena.trading import flows, reconcile
from wealtharena.trading.broker import Account, BookedOrder, Fill, UnreachableError
from wealtharena.trading.ledger import Intent, Ledger

BARS = [f"2024-05-0{day}T00:00:00.000000000" for day in range(1, 10)]


@pytest.fixture
def ledger(tmp_path):
    """Return the ledger of an account with one close behind it."""
    with contextlib.closing(Ledger(tmp_path, synchronous="normal")) as made:
        made.open("agent", "test", {})
        made.settle(Account(100.0, 100.0, BARS[0]), {}, {})
        yield made


def test_positions_that_differ_are_believed_once_they_have_done_so_at_two_bars(ledger):
    """A restart asks again at the same bar, and a difference of another size is another one."""
    trader = SimpleNamespace(ledger=ledger)

    def certain(bar, **gaps):
        return reconcile._certain(trader, BARS[bar], gaps)

    assert [certain(1, A=1.0), certain(1, A=1.0), certain(2, A=2.0), certain(2, A=2.0), certain(3, A=2.0)] == [
        False, False, False, False, True,
    ]  # fmt: skip
    assert [(one["bar"], one["numbers"]) for one in ledger.interventions()] == [
        (BARS[1], {"A": 1.0}),
        (BARS[2], {"A": 2.0}),
    ]
    assert certain(4)
    assert not certain(5, A=2.0), "it has fitted since"


class Taking:
    """A broker whose orders end a while after they were asked back, and the ledger that knows them as ours or not."""

    def __init__(self, *orders, state="trading", ends_after=1, known=True):
        self.intents = {one.client_id: one for one in orders}
        self.now, self.ends_after, self.known = state, ends_after, known
        self.asked, self.waited, self.strange, self.posts, self.marked = [], [], {}, [], {}
        self.ledger = self.broker = self

    def state(self):
        return self.now, ""

    def pending(self):
        return [one for one in self.intents.values() if one.status in ("new", "sending", "open")]

    def order_by_client_id(self, name):
        one = self.intents[name]
        over = self.asked.count(name) >= self.ends_after
        status = one.status if one.status != "open" else "cancelled" if over else "open"
        return BookedOrder(name, one.symbol, one.units, 0.0, status)

    def follow(self, told):
        self.intents |= {one.client_id: replace(self.intents[one.client_id], status=one.status) for one in told}

    def open_orders(self):
        found = [self.order_by_client_id(one.client_id) for one in self.pending()] if self.known else []
        foreign = [BookedOrder("a person's", "B", 5.0, 2.0, "open"), BookedOrder("another", "B", -1.0, 0.0, "open")]
        return [*found, *foreign]

    def is_ours(self, name):
        return name in self.intents

    def intent(self, name):
        return self.intents.get(name)

    def cancel(self, name):
        self.asked.append(name)

    def wait(self, seconds):
        self.waited.append(seconds)

    def intervene(self, bar, found):
        self.strange |= {one.rule: dict(one.numbers) for one in found}

    def at_once(self):
        return contextlib.nullcontext()

    def mark(self, changes):
        self.marked = {name: word for name, (word, _) in changes.items()}

    def positions(self):
        return {"A": -3.0, "B": 3.0}

    def post(self, title, text):
        self.posts.append(text.partition(":")[0])

    strangers = "adopt"


def order(name, bar, status="open"):
    return Intent(name, BARS[bar], "A", 1, 1, 3.0, status)


@pytest.mark.parametrize(("state", "taken"), [("trading", {"old"}), ("reducing", {"old"}), ("halted", {"old", "new"})])
def test_what_is_open_of_earlier_bars_is_taken_back_and_all_of_it_where_the_account_is_halted(state, taken):
    desk = Taking(order("old", 1), order("new", 2), state=state)
    reconcile._take_old_back(desk, BARS[2])
    assert set(desk.asked) == taken
    assert desk.waited == [1.0]
    assert {name for name, one in desk.intents.items() if one.status == "open"} == {"old", "new"} - taken
    assert desk.strange == {"strangers": {"B": 2.0}}  # of a stranger's order what is not filled yet


@pytest.mark.parametrize(
    ("known", "told"), [(True, "is open at the broker still"), (False, "does not know it any more")]
)
def test_an_order_that_does_not_end_leaves_the_account_unknown(known, told):
    desk = Taking(order("old", 1), ends_after=9, known=known)
    with pytest.raises(UnreachableError, match=f"the order of 2024-05-02 in A .*{told}"):
        reconcile._take_old_back(desk, BARS[2])
    assert (desk.asked, desk.waited) == (["old"] * 4, [1.0, 2.0, 4.0])


@pytest.mark.parametrize(("state", "told"), [("reducing", ["A"]), ("trading", [])])
def test_what_was_never_booked_expires_and_what_was_acknowledged_exists_whatever_is_answered(state, told):
    """Who takes an order that is open for one that never was has it filled behind his back."""
    orders = [order("open", 1, "open"), order("new", 1, "new"), order("sent", 1, "sending"), order("now", 2, "new")]
    desk = Taking(*orders, replace(order("buys", 1, "new"), symbol="B"), state=state)
    desk.order_by_client_id = lambda name: None
    assert reconcile.follow(desk, BARS[2]) == []
    assert desk.marked == dict.fromkeys(("new", "sent", "buys"), "expired")
    assert desk.posts == told  # of what was to close something


def test_what_a_broker_refuses_after_it_had_booked_it_is_returned():
    desk = Taking(order("old", 1), order("new", 2))
    desk.order_by_client_id = lambda name: BookedOrder(name, "A", 3.0, 0.0, "rejected" if name == "new" else "open")
    assert [one.client_id for one in reconcile.follow(desk, BARS[2])] == ["new"]


def test_a_bar_is_charged_for_all_that_was_traded_paid_and_kept_in_kind():
    fills = [Fill(1, "a", "x", "", "A", 2.0, 10.0, 10.0, 0.125), Fill(2, "b", "y", "", "A", -1.0, 20.0, 20.0, 0.25)]
    events = [
        {"kind": kind, "symbol": symbol, "units": units, "cash": cash}
        for kind, symbol, units, cash in (
            ("fee", "A", -0.5, -1.0), ("interest", "", 0.0, -3.0), ("dividend", "A", 0.0, 2.0), ("transfer", "A", 1.0, 50.0),
        )
    ]  # fmt: skip
    ledger = SimpleNamespace(
        fills=lambda bar: fills, events=lambda bar: events, close_before=lambda bar: None, note=lambda name: None,
        peak=lambda scale: 90.0, scale_of=lambda account: 1.0,
    )  # fmt: skip
    close = SimpleNamespace(bar=BARS[1], marks={"A": 10.0})
    account = Account(equity=100.0, cash=71.0)
    found, told = reconcile._charged(SimpleNamespace(ledger=ledger), close, account, {"A": 3.0, "foreign": 1.0}, {})
    assert told == []
    assert found == replace(
        account, cash=70.0, told=71.0, bar=BARS[1], traded=40.0, costs=0.375 + 1.0 + 5.0, financing=3.0, dividends=2.0,
        flow=60.0, peak=100.0,
    )  # fmt: skip


def test_rates_of_other_currencies_are_kept_from_close_to_close_and_what_they_made_is_no_flow():
    """A loan of 100 at a rate that rose by a tenth has lost ten, and nothing has left the account."""
    before = {"told": -150.0, "cash": -150.0}
    ledger = SimpleNamespace(
        fills=lambda bar: [], events=lambda bar: [], close_before=lambda bar: before,
        note=lambda name: json.dumps({"USD": [-100.0, 1.5]}), peak=lambda scale: 0.0, scale_of=lambda account: 1.0,
    )  # fmt: skip
    close = SimpleNamespace(bar=BARS[1], marks={"A": 10.0})
    account = Account(equity=140.0, cash=-160.0, rates={"USD": 1.6})
    found, told = reconcile._charged(SimpleNamespace(ledger=ledger), close, account, {"A": 30.0}, {})
    assert (found.flow, told) == (0.0, [])


@pytest.mark.parametrize(
    ("looks", "known", "waited"), [(0, True, []), (2, True, [1.0, 2.0]), (9, False, [1.0, 2.0, 4.0])]
)
def test_an_account_is_not_known_while_executions_of_its_orders_are_not_told(monkeypatch, looks, known, waited):
    """Positions may fit meanwhile, where neither has heard of them."""
    for name in ("check_same", "_begun", "_take_old_back", "take_over", "_references"):
        monkeypatch.setattr(reconcile, name, lambda *what: None)
    for name in ("fees", "splits"):
        monkeypatch.setattr(reconcile.unsaid, name, lambda *what: None)
    monkeypatch.setattr(reconcile, "_charged", lambda trader, close, account, held, gaps: (account, []))
    asked = []

    def lacking(*, dust):
        asked.append(dust)
        return {"order": 1.0} if len(asked) <= looks else {}

    ledger = SimpleNamespace(
        lacking=lacking,
        positions=lambda: {},
        write_note=lambda name, text: None,
        assign=lambda bar, prices, *, decided: None,
    )
    broker = SimpleNamespace(
        capabilities=SimpleNamespace(dust=1e-9), positions=lambda: {}, account=lambda: Account(100.0, 100.0)
    )
    waits = []
    trader = SimpleNamespace(ledger=ledger, broker=broker, wait=waits.append, at=lambda point: None)
    found = reconcile._outside(trader, SimpleNamespace(bar=BARS[1], bar_before=BARS[0]))
    assert (found is not None, waits) == (known, waited)


@pytest.mark.parametrize("units", [5.0, -5.0])
def test_cash_that_a_trade_its_cost_and_an_event_explain_is_no_flow(units):
    before, fill = {"told": 50.0, "cash": 50.0}, Fill(1, "x", "id", "", "A", units, 2.0, 2.0, 4.0)
    cash = 50.0 - 2.0 * units - 4.0 + 3.0
    now = Account(equity=100.0, cash=cash, told=cash)
    assert flows.untold(before, now, [fill], [{"cash": 3.0}], gaps={}, marks={"A": 2.0}) == 0.0
    assert flows.untold(before, now, [], [{"cash": 3.0}], gaps={}, marks={"A": 2.0}) == cash - 53.0


def test_a_bar_that_fills_nothing_is_no_reference_for_what_was_paid():
    bars = np.zeros((2, BAR_ROWS, 2))
    bars[-1, BAR.fill] = 10.0, 0.0
    close = SimpleNamespace(market=SimpleNamespace(bars=bars, symbols=("A", "B")))
    assert reconcile._references(close) == {"A": 10.0}
