"""A person's release holds: what a rule remembers of before it counts no more, and what happens after it does."""

import contextlib

import pytest

from tests.trading.days import days
from tests.trading.desks import a_world, go, risk_of
from wealtharena.trading.broker import Account
from wealtharena.trading.ledger import Decision, Intent, Ledger

pytestmark = pytest.mark.slow  # each goes through days at a broker's server


@pytest.mark.parametrize("action", ["halt", "flatten"])
def test_a_drawdown_that_was_released_halts_again_for_a_new_one_only(tmp_path, action):
    rules = {"drawdown": {"max_drawdown": 0.1, "action": action}}
    with days(tmp_path, [[0.9]] * 12, closes=[100, 100, 70, 70, 70, 70, 70, 70, 50, 50], rules=rules) as day:
        day.run(5)
        assert day.ledger.state()[0] == "halted"
        day.ledger.release("looked at")
        day.again()
        day.run(3)
        assert day.ledger.state() == ("trading", "released: looked at")
        day.run(3)
        assert day.ledger.state()[0] == "halted"
        told = [one["numbers"]["drawdown"] for one in day.told("drawdown")]
        assert len(told) == 2
        assert told[1] == pytest.approx(0.9 * 20 / 70, abs=0.03)


@pytest.mark.parametrize("action", ["halt", "flatten"])
def test_a_bar_at_which_an_account_is_halted_or_closes_all_is_known_for_one_over_releases(tmp_path, action):
    rules, shut = {"drawdown": {"max_drawdown": 0.1, "action": action}}, set()
    with days(tmp_path, [[0.9]] * 12, closes=[100, 100, 70, 70, 70, 70, 70, 70, 50, 50], rules=rules) as day:
        for bar in range(11):
            day.run(1)
            if day.ledger.state()[0] != "trading":
                shut.add(day.closes[bar].bar)
            if bar == 5:
                day.ledger.release("looked at")
        assert 0 < len(shut) < 9
        assert day.ledger.idle() == shut


def test_at_the_paper_broker_too(tmp_path):
    world = a_world(risk=risk_of(drawdown={"max_drawdown": 0.02, "action": "halt"}))
    go(tmp_path, world)
    ledger = Ledger(tmp_path)
    with contextlib.closing(ledger):
        halts = [one["bar"] for one in ledger.interventions() if one["rule"] == "drawdown"]
        assert len(halts) == 1
        assert ledger.state()[0] == "halted"
        ledger.release("seen")
        ledger.release("seen twice")
        assert ledger.state() == ("trading", "released: seen")
        last = ledger.last_close()
        assert ledger.peak(scale=last["scale"]) == last["equity"]


def test_bars_of_an_unknown_account_count_from_the_release(tmp_path):
    with days(tmp_path, [[0.5]], rules={"unknown_account": {"max_bars": 2, "action": "halt"}}) as day:
        day.run(2)
        day.exchange.fail("401", times=1000)
        day.run(3)
        assert day.ledger.state()[0] == "halted"
        day.ledger.release("the keys come back")
        day.run(1)
        assert day.ledger.state()[0] == "trading"
        day.run(3)
        assert day.ledger.state()[0] == "halted"


def test_people_are_told_at_once_where_the_broker_gives_no_answer(tmp_path):
    """Of keys that were replaced they heard when the account halted, four sessions on."""
    with days(tmp_path, [[0.5]], rules={"unknown_account": {"max_bars": 2, "action": "halt"}}) as day:
        day.run(2)
        assert day.ledger.untold() == []
        day.exchange.fail("401", times=1000)
        day.run(1)
        (post,) = day.ledger.untold()
        assert post.title == f"nothing is known of the account at {day.ledger.decision().bar[:10]}"
        assert "the keys are not accepted (401)" in post.text
        day.run(4)
        titles = [one.title.partition(" at ")[0] for one in day.ledger.untold()]
        assert titles == ["nothing is known of the account"] * 3 + ["halted"]


def test_within_a_day_loss_and_orders_count_from_the_release(tmp_path):
    ledger = Ledger(tmp_path, synchronous="normal")
    with contextlib.closing(ledger):
        ledger.open("agent", "test", {})
        for bar, equity in (("2024-05-01T20", 100.0), ("2024-05-02T10", 80.0), ("2024-05-02T11", 82.0)):
            ledger.settle(Account(equity, equity, bar), {}, {})
            orders = [Intent(f"{bar}/1", bar, "A", 1, 1, 1.0), Intent(f"{bar}/2", bar, "B", 1, 1, 1e-9, rounding=True)]
            ledger.decide(Decision(bar, {}, [0.0], {}, 0), orders, [], state="trading")
        assert (ledger.opening("2024-05-02"), ledger.orders_on("2024-05-02")) == (100.0, 2)
        ledger.set_state("halted", "daily_loss", bar="2024-05-02T11")
        ledger.release("seen")
        ledger.settle(Account(81.0, 81.0, "2024-05-02T12"), {}, {})
        assert (ledger.opening("2024-05-02"), ledger.orders_on("2024-05-02")) == (82.0, 0)
        ledger.settle(Account(70.0, 70.0, "2024-05-03T10"), {}, {})
        assert ledger.opening("2024-05-03") == 81.0
