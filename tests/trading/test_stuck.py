"""Everything is to be closed and the broker refuses it: people are told."""

import pytest

from tests.trading.bridge import Bridge
from tests.trading.days import days
from tests.trading.test_webhook import account
from wealtharena.tasks import console, paper
from wealtharena.trading import loop
from wealtharena.trading.switch import throw

pytestmark = pytest.mark.slow  # each goes through days at a broker's server
REFUSED = {"method": "POST", "answer": (403, 40310000, "account is restricted")}


def posts(ledger):
    return [one for one in ledger.untold() if one.title.startswith("not everything gets closed")]


def test_what_a_broker_refuses_to_close_is_told_once_a_close(tmp_path):
    """The account stood as `reducing`, day after day, and nobody heard why."""
    with days(tmp_path, [[0.3, 0.3]], symbols=("AAPL", "MSFT")) as day:
        day.run(1)
        day.morning()
        throw(day.folder, "flatten")
        day.exchange.fail("refuse", times=1e9, **REFUSED)
        for _ in range(3):
            loop.tend(day.trader, day.switch)
        (told,) = posts(day.ledger)
        assert told.title == f"not everything gets closed at {day.closes[0].bar[:10]}"
        assert told.text.startswith("AAPL, MSFT: held still, and ordered anew at the next close.")
        assert "AAPL: account is restricted" in told.text
        day.evening()
        assert len(posts(day.ledger)) == 1  # what goes at once was not tried yet
        day.again()
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        assert len(posts(day.ledger)) == 2
        day.exchange.faults.clear()
        day.run(2)
        assert (day.exchange.held, day.ledger.state()[0], len(posts(day.ledger))) == ({}, "halted", 2)


def test_what_a_broker_takes_no_order_for_is_told_at_the_next_close(tmp_path):
    """It answers questions and fails at each order: nothing was refused, and nobody heard of it."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning()
        throw(day.folder, "flatten")
        day.exchange.fail("500", times=1e9, method="POST")
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        assert posts(day.ledger) == []  # it may pass
        day.evening()
        (told,) = posts(day.ledger)
        assert told.text.startswith(
            "AAPL: what was to close it was never taken, and is ordered anew. Last heard: alpaca: "
        )
        day.exchange.faults.clear()
        day.run(2)
        assert (day.exchange.held, day.ledger.state()[0]) == ({}, "halted")


def test_what_is_closed_at_once_has_no_price_of_a_backtest_beside_it(tmp_path):
    """The market's move from noon to the next open counted as slippage."""
    with days(tmp_path, [[0.5]], closes=[100.0, 100.0, 90.0], opens={2: 80.0}) as day:
        day.run(2)
        day.morning()
        throw(day.folder, "flatten")
        for _ in range(3):
            loop.tend(day.trader, day.switch)
        day.evening()
        bought, sold = day.ledger.fills()
        assert sold.units == -bought.units
        assert [one["client_id"] for one in day.ledger.slippage()] == [bought.client_id]


def test_the_status_of_an_account_that_has_closed_all_names_nothing_as_held_now(tmp_path, capsys):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.morning()
        throw(day.folder, "flatten")
        for _ in range(3):
            loop.tend(day.trader, day.switch)
        assert day.ledger.state()[0] == "halted"
        console.paper_status(paper._standing(day.ledger, tmp_path), agent="aapl")
        told = capsys.readouterr().out
        assert told.index("AAPL  500 units") < told.index("What was booked since then leaves nothing.")


@pytest.mark.parametrize(("wants", "told"), [(0.5, True), (0.005, False)], ids=["much", "little"])
def test_what_a_broker_refuses_of_what_was_decided_is_told_once_a_close_where_it_is_not_little(tmp_path, wants, told):
    """An account traded nothing for weeks, and only who looked at its page knew."""
    with days(tmp_path, [[wants]]) as day:
        day.exchange.fail("refuse", times=1e9, **REFUSED)
        day.run(2)
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        assert [one.status for one in day.intents()] == ["rejected"] * 2
        found = [one for one in day.ledger.untold() if one.title.startswith("orders were refused at ")]
        assert len(found) == 2 * told
        assert all("AAPL: decided on anew at the next close." in one.text for one in found)
        assert all("AAPL: account is restricted" in one.text for one in found)


def test_an_order_that_is_taken_once_it_is_smaller_is_no_alert(tmp_path):
    with days(tmp_path, [[0.5]], resize=0.05) as day:
        day.exchange.fail("refuse", method="POST", answer=(403, 40310000, "insufficient buying power"))
        day.run(2)
        assert day.intents()[0].status == "rejected"
        assert day.ledger.untold() == []


def test_what_a_bridge_refuses_to_close_is_told_at_that_close(tmp_path):
    bridge = Bridge()
    with account(tmp_path, bridge) as (trader, switch, closes):
        for _ in range(3):
            loop.on_close(trader, next(closes), switch)
        held = trader.ledger.positions()
        assert held
        throw(tmp_path, "flatten")
        take = bridge.take

        def refuses(headers, body):
            status, content = take(headers, body)
            return (422 if bridge.messages[-1]["kind"] == "order" else status), content

        bridge.take = refuses
        close = next(closes)
        loop.on_close(trader, close, switch)
        loop.tend(trader, switch)
        (told,) = posts(trader.ledger)
        assert all(name in told.text for name in trader.ledger.positions())
        assert "the bridge answered 422" in told.text
