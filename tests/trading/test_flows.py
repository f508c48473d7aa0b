"""Money that comes or goes is neither profit nor loss, for any rule, page or monitor; a loss is never taken for it."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.days import days
from wealtharena.trading import flows, reading
from wealtharena.trading.broker import Account
from wealtharena.trading.ledger import Ledger

pytestmark = pytest.mark.slow  # each goes through days at a broker's server

BRAKES = {"daily_loss": {"max_loss": 0.05, "action": "halt"}, "drawdown": {"max_drawdown": 0.1, "action": "halt"}}


def move(day, cash, *, told):
    """Let money come or go; `told` says whether an activity tells of it."""
    with day.exchange.lock:
        day.exchange.cash += cash
        if told:
            day.exchange.act({"activity_type": "CSD" if cash > 0 else "CSW", "net_amount": str(cash)})


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("cash", [-40_000.0, 300_000.0])
def test_a_deposit_or_a_withdrawal_is_no_loss_and_no_profit(tmp_path, cash, told):
    with days(tmp_path, [[0.5]], rules=BRAKES) as day:
        day.run(2)
        move(day, cash, told=told)
        day.run(2)
        assert day.ledger.state()[0] == "trading"
        flows_ = [row["flow"] for row in day.ledger.closes()]
        assert flows_ == [0.0, 0.0, pytest.approx(cash), 0.0]
        assert [one["action"] for one in day.told("flow")] == ([] if told else ["came" if cash > 0 else "went"])
        assert len([one for one in day.ledger.untold() if one.title.startswith("money")]) == (0 if told else 1)
        view = reading.view("agent", "test", day.folder)
        assert view.equity == pytest.approx(100_000.0 + cash)
        assert (view.before, view.opened_with, view.peak) == pytest.approx([view.equity] * 3)
        assert view.flows == pytest.approx(cash)
        assert [value for _, value in view.line] == pytest.approx([view.equity] * 4)


@pytest.mark.parametrize("told", [True, False])
def test_a_deposit_hides_no_loss(tmp_path, told):
    """Half of 100 000 in shares that fall by a third: 17 % are lost on the day on which as much comes in."""
    with days(tmp_path, [[0.5]], closes=[100, 100, 66, 66], rules=BRAKES) as day:
        day.run(2)
        move(day, 17_000.0, told=told)
        day.run(1)
        assert day.ledger.state() == ("halted", "daily_loss")
        (loss,) = [one["numbers"]["loss"] for one in day.told("daily_loss")]
        assert loss == pytest.approx(0.17, rel=0.02)


def test_a_loss_that_no_flow_explains_halts_as_ever(tmp_path):
    with days(tmp_path, [[0.5]], closes=[100, 100, 66, 66], rules=BRAKES) as day:
        day.run(3)
        assert day.ledger.state()[0] == "halted"
        assert not any(row["flow"] for row in day.ledger.closes())


def test_a_transfer_that_is_told_a_day_late_counts_once(tmp_path):
    with days(tmp_path, [[0.5]], rules=BRAKES) as day:
        day.run(2)
        move(day, 50_000.0, told=False)
        day.run(1)
        day.exchange.act({"activity_type": "CSD", "net_amount": "50000"})
        day.run(2)
        assert [row["flow"] for row in day.ledger.closes()] == [0.0, 0.0, 50_000.0, 0.0, 0.0]
        assert day.ledger.state()[0] == "trading"


def test_shares_that_come_by_a_transfer_are_a_flow(tmp_path):
    with days(tmp_path, [[0.5]], rules=BRAKES) as day:
        day.run(2)
        day.exchange.hold("AAPL", 200.0)
        day.exchange.act({"activity_type": "ACATS", "symbol": "AAPL", "qty": "200", "net_amount": "0"})
        day.run(1)
        assert day.ledger.last_close()["flow"] == pytest.approx(20_000.0)


@pytest.mark.parametrize("hand", [-300.0, 300.0])
def test_what_a_person_trades_by_hand_is_no_flow(tmp_path, hand):
    with days(tmp_path, [[0.5], [0.5], [0.5]], strangers="adopt") as day:
        day.run(2)
        day.exchange.by_hand("AAPL", hand)
        day.run(2)
        assert not any(row["flow"] for row in day.ledger.closes())


@pytest.mark.parametrize(
    ("kind", "flow"),
    [("transfer", 106.0), ("other", 0.0), ("dividend", 0.0), ("interest", 0.0), ("fee", 0.0), ("split", 0.0)],
)
def test_of_what_is_told_a_transfer_alone_is_a_flow(kind, flow):
    """A correction, interest or a fee is what the account made or lost."""
    assert flows.told([{"kind": kind, "cash": 100.0, "units": 2.0, "symbol": "A"}], {"A": 3.0}) == flow


def jump(told, implied, *, equity=100.0, gaps=None):
    before = {"told": 50.0, "cash": 50.0}
    now = Account(equity=equity, cash=50.0 + implied, told=50.0 + told)
    return flows.untold(before, now, (), (), gaps=gaps or {}, marks={"A": 1.0})


@pytest.mark.parametrize(
    ("told", "implied", "gaps", "expected"),
    [
        (20.0, 20.0, {}, 20.0),
        (-20.0, -21.0, {}, -20.0),
        (0.0, -20.0, {}, 0.0),  # the broker sees a loss before our prices do
        (20.0, 0.0, {}, 0.0),  # a future is settled
        (20.0, -20.0, {}, 0.0),
        (1.0, 1.0, {}, 0.0),  # a dividend
        (-20.0, -20.0, {"A": 20.0}, 0.0),  # bought, without an execution
        (0.0, 0.0, {"A": 20.0}, 20.0),  # transferred in
    ],
)
def test_only_what_cash_and_equity_both_show_is_a_flow(told, implied, gaps, expected):
    assert jump(told, implied, gaps=gaps) == pytest.approx(expected)


amounts = st.floats(min_value=-0.9, max_value=5.0)


@given(st.lists(st.tuples(st.floats(min_value=-0.5, max_value=1.0), amounts), min_size=2, max_size=12))
def test_growth_is_what_the_returns_make_of_it_whatever_comes_and_goes(tmp_path_factory, steps):
    """Each bar has a return, then a flow, a share of what is there."""
    ledger = Ledger(tmp_path_factory.mktemp("flows"), synchronous="normal")
    with contextlib.closing(ledger):
        ledger.open("agent", "test", {})
        equity, grown = 1000.0, [1000.0]
        ledger.settle(Account(equity, equity, "2024-01-01"), {}, {})
        for number, (made, share) in enumerate(steps):
            equity *= 1.0 + made
            flow = equity * share
            equity += flow
            grown.append(grown[-1] * (1.0 + made))
            account = Account(equity, equity, f"2024-02-{number + 1:02d}", flow=flow)
            ledger.settle(account, {}, {})
            ledger.settle(account, {}, {})  # once more after a kill
        rows = ledger.closes()
        assert [row["equity"] / row["scale"] for row in rows] == pytest.approx(grown, rel=1e-9)
        last = rows[-1]
        depth = 1.0 - last["equity"] / ledger.peak(scale=last["scale"])
        assert depth == pytest.approx(1.0 - grown[-1] / max(grown), abs=1e-9)
        opening = ledger.opening("2024-02-01")
        assert last["equity"] / opening == pytest.approx(grown[-1] / grown[0], rel=1e-9)


def test_an_account_that_was_emptied_and_filled_goes_on_with_its_growth(tmp_path):
    ledger = Ledger(tmp_path, synchronous="normal")
    with contextlib.closing(ledger):
        ledger.open("agent", "test", {})
        for bar, equity, flow in (("1", 100.0, 0.0), ("2", 120.0, 0.0), ("3", 0.0, -120.0), ("4", 60.0, 60.0)):
            ledger.settle(Account(equity, equity, bar, flow=flow), {}, {})
        last = ledger.last_close()
        assert last["equity"] / last["scale"] == pytest.approx(120.0)
        assert np.isclose(ledger.peak(scale=last["scale"]), 60.0)


@pytest.mark.parametrize(("flow", "shown"), [(-120.0, 0.0), (0.0, 100.0)])
def test_an_account_that_was_emptied_has_lost_nothing(tmp_path, flow, shown):
    ledger = Ledger(tmp_path, synchronous="normal")
    with contextlib.closing(ledger):
        ledger.open("agent", "test", {})
        for bar, equity, moved in (("1", 100.0, 0.0), ("2", 120.0, 0.0), ("3", 0.0, flow), ("4", 0.0, 0.0)):
            ledger.settle(Account(equity, equity, bar, flow=moved), {}, {})
    view = reading.view("agent", "test", tmp_path)
    assert (view.opened_with, view.before, view.equity) == (shown, 0.0, 0.0)
    assert (view.peak > 0.0) is (shown > 0.0)


@pytest.mark.parametrize("moved", [-0.1, 0.1])
def test_what_a_rate_of_exchange_makes_of_a_loan_in_another_currency_is_no_flow(moved):
    before = {"told": -50.0, "cash": -50.0}
    now = Account(equity=100.0, cash=-50.0 - 100.0 * moved, told=-50.0 - 100.0 * moved, rates={"USD": 1.5 + moved})
    then = Account(0.0, 0.0, foreign={"USD": -100.0, "EUR": 5.0, "NZD": 7.0}, rates={"USD": 1.5, "EUR": 1.7})
    assert flows.valued(then) == {"USD": (-100.0, 1.5), "EUR": (5.0, 1.7)}  # of the third no rate is told
    abroad = flows.revalued(flows.valued(then), now)
    assert abroad == pytest.approx(-100.0 * moved)
    assert flows.untold(before, now, (), (), gaps={}, marks={}, abroad=abroad) == 0.0
