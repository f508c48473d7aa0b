"""Orders that a broker takes for too small: purchases of coins below ten dollars at Alpaca."""

import pytest

from tests.trading.days import days
from wealtharena.trading.reading import counts

pytestmark = pytest.mark.slow  # each goes through days at a broker's server
COIN = {"symbols": ("BTC-USD",), "coins": True}


def told(day):
    return [one for one in day.ledger.untold() if one.title.startswith("orders")]


def test_a_purchase_below_what_the_broker_takes_is_not_sent_and_says_why(tmp_path):
    """Each was sent, refused and counted as an error, close after close, by a tilt that nears where it wants to be."""
    with days(tmp_path, [[0.5], [0.50008], [0.50016]], **COIN) as day:
        day.exchange.least = 10.0
        day.run(4)
        first, second, third = day.intents()
        assert [one.status for one in (first, second, third)] == ["filled", "cancelled", "filled"]
        assert second.note == "worth 8.00: the broker takes nothing below 10.00"
        assert third.units == pytest.approx(0.16)  # what was left out is asked for with what comes to it
        assert len([one for one in day.exchange.log if one[0] == "POST"]) == 2
        assert counts(tmp_path).order_errors == 0
        assert told(day) == []  # little of equity
        assert day.fits()


def test_what_makes_a_position_smaller_is_sent_however_small_it_is(tmp_path):
    with days(tmp_path, [[0.5], [0.49992]], **COIN) as day:
        day.exchange.least = 10.0
        day.run(3)
        assert [(one.status, round(one.units, 9)) for one in day.intents()][1] == ("filled", -0.08)
        assert day.fits()


def test_an_account_whose_orders_are_all_too_small_tells_people_once(tmp_path):
    with days(tmp_path, [[0.015, 0.012]], symbols=("BTC-USD", "ETH-USD"), coins=True) as day:
        day.exchange.cash = 500.0
        day.run(3)
        assert {one.status for one in day.intents()} == {"cancelled"}
        assert day.exchange.orders == {}
        (post,) = told(day)
        assert post.title == f"orders are too small at {day.closes[0].bar[:10]}"
        assert post.text.startswith("BTC-USD, ETH-USD: the broker takes nothing below 10.00.")


@pytest.mark.parametrize(("coins", "least"), [(True, 10.0), (False, 1.0)])
def test_the_least_order_is_that_of_what_is_traded(tmp_path, coins, least):
    with days(tmp_path, [[0.5]], symbols=("BTC-USD",), coins=coins) as day:
        assert day.broker.capabilities.least == least


def test_what_the_broker_takes_can_be_set(tmp_path):
    with days(tmp_path, [[0.00008]], least_coin_order=5.0, **COIN) as day:
        day.run(2)
        assert [one.status for one in day.intents()] == ["filled"]
