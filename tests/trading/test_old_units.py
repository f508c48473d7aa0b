"""Orders that wait while a split makes other units of those that they were sized in."""

import datetime as dt

import pytest

from tests.trading.days import days
from tests.trading.outside import day_of
from tests.trading.test_cases_positions import rescale
from wealtharena.trading import loop


def decide(day, *, after):
    """Go through a day, and decide so many hours after its close: orders for the open are taken from three hours on."""
    day.morning()
    close = day.closes[day.day]
    _, closes = day_of(close.bar)
    day.exchange.go(closes, day.prices(close, "close"))
    day.exchange.go(closes + dt.timedelta(hours=after))
    loop.on_close(day.trader, close, day.switch)
    day.day += 1


def split(day, ratio):
    """Split on the morning of the next session, before it opens, and look as each minute does."""
    opens, _ = day_of(day.closes[day.day].bar)
    day.exchange.go(opens - dt.timedelta(hours=5))
    day.exchange.split("AAPL", ratio)
    rescale(day, ratio)
    loop.tend(day.trader, day.switch)
    loop.tend(day.trader, day.switch)


@pytest.mark.parametrize("after", [0.1, 4.0], ids=["waits here", "waits there"])
@pytest.mark.parametrize(("wants", "ratio", "held"), [([0.0], 0.1, 50.0), ([0.9], 0.1, 50.0), ([0.0], 4.0, 2000.0)])
def test_an_order_that_waits_across_a_split_is_not_carried_out_in_units_of_before(tmp_path, wants, ratio, held, after):
    """It sold ten times what was held, or bought for ten times the money."""
    with days(tmp_path, [[0.5], wants]) as day:
        day.run(1)
        decide(day, after=after)
        assert day.intents()[-1].status == ("new" if after < 3.0 else "open")
        split(day, ratio)
        day.run(1)
        assert day.intents()[1].status == "cancelled"
        assert day.exchange.held == day.ledger.closes()[-1]["positions"] == {"AAPL": held}
        day.run(1)
        assert day.exchange.held.get("AAPL", 0.0) == wants[0] * 1000.0 * ratio
        assert [one["equity"] for one in day.ledger.closes()] == [100_000.0] * len(day.ledger.closes())


def test_the_second_leg_of_an_order_through_zero_does_not_outlive_a_split(tmp_path):
    with days(tmp_path, [[0.5], [-0.5]]) as day:
        day.run(2)
        split(day, 0.1)
        day.run(1)
        assert [(one.leg, one.status) for one in day.intents()[1:3]] == [(1, "cancelled"), (2, "cancelled")]
        day.run(1)
        assert day.exchange.held == {"AAPL": -50.0}


def test_a_split_that_is_told_of_after_an_order_was_sized_by_its_prices_stops_nothing(tmp_path):
    with days(tmp_path, [[0.5], [0.5], [0.0]]) as day:
        day.run(2)
        day.exchange.split("AAPL", 2.0, booked=False)
        rescale(day, 2.0)
        day.run(1)
        assert day.intents()[-1].units == -1000.0
        day.exchange.act({"activity_type": "SPLIT", "symbol": "AAPL", "qty": "500", "net_amount": "0"})
        loop.tend(day.trader, day.switch)
        loop.tend(day.trader, day.switch)
        day.run(1)
        assert day.exchange.held == day.ledger.positions() == {}


def test_an_order_in_a_share_that_is_exchanged_for_another_sells_nothing_that_is_not_held(tmp_path):
    with days(tmp_path, [[0.5], [0.0]]) as day:
        day.run(2)
        units = day.exchange.held.pop("AAPL")
        day.exchange.held["NEW"], day.exchange.prices["NEW"] = units, 100.0
        for symbol, sign in (("AAPL", "-"), ("NEW", "")):  # on the evening on which the order was given
            day.exchange.act({"activity_type": "NC", "symbol": symbol, "qty": f"{sign}{units:g}", "net_amount": "0"})
        loop.tend(day.trader, day.switch)
        loop.tend(day.trader, day.switch)
        day.run(1)
        assert day.intents()[-1].status == "cancelled"
        assert day.exchange.held == day.ledger.positions() == {"NEW": units}
        assert day.ledger.state()[0] == "halted"
