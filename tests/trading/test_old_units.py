"""Orders that wait while a split makes other units of those that they were sized in."""

import contextlib
import datetime as dt
import functools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.envs.markets import features_of, panel_of, spec_of
from tests.trading.conformance import ib
from tests.trading.days import Script, days
from tests.trading.desks import risk_of
from tests.trading.gateway import Gateway
from tests.trading.outside import day_of
from tests.trading.test_cases_positions import rescale
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import Scaler
from wealtharena.trading import loop
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch, throw
from wealtharena.trading.trader import Trader


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_second_leg_of_an_order_through_zero_does_not_outlive_a_split(tmp_path):
    with days(tmp_path, [[0.5], [-0.5]]) as day:
        day.run(2)
        split(day, 0.1)
        day.run(1)
        assert [(one.leg, one.status) for one in day.intents()[1:3]] == [(1, "cancelled"), (2, "cancelled")]
        day.run(1)
        assert day.exchange.held == {"AAPL": -50.0}


@pytest.mark.slow
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


@pytest.mark.slow
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


@contextlib.contextmanager
def at_a_gateway(folder, wants):
    """Yield a place whose account at a gateway holds 100 of a share and has an order that waits, since it wants otherwise."""
    gateway, ledger = Gateway({"BHP": 45.0}), Ledger(folder / "account", synchronous="normal")
    ledger.open("agent", "test", {})
    env, plain = spec_of(instrument={"lot_size": 1}, initial_cash=100_000.0), np.full((60, 1), 45.0)
    features = features_of(panel_of(plain, open=plain, symbols=("BHP.AX",)))
    mind = Script(Scaler.fit(features, clip=5.0), [[0.0452], [wants]])
    closes = list(Replay(features, Segment(50, 60), env, mind.scaler, depth=30).closes(None))
    world, switch = SimpleNamespace(env=env, mind=mind), Switch(folder)
    with (
        ib(folder, gateway, symbols=("BHP.AX",)) as stage,
        contextlib.closing(stage.open()) as broker,
        contextlib.closing(ledger),
    ):
        trader = Trader("agent", "test", mind, env, risk_of(), ledger, broker, wait=lambda seconds: None)
        for close in closes[:2]:
            gateway.tick()
            loop.on_close(trader, close, switch)
        gateway.orders = [one for one in gateway.orders if one.status != "Filled"]
        look = functools.partial(loop.tend, trader, switch)
        yield SimpleNamespace(
            gateway=gateway, ledger=ledger, trader=trader, switch=switch, look=look, closes=closes, day=2, world=world
        )


def split_there(place, ratio):
    """Split in the night, without a word but what is held."""
    place.gateway.held = {contract: units * ratio for contract, units in place.gateway.held.items()}
    place.gateway.prices["BHP"] /= ratio
    rescale(place, ratio)


@pytest.mark.slow
@pytest.mark.parametrize("wants", [0.0, 0.9], ids=["sells", "buys"])
@pytest.mark.parametrize("ratio", [0.1, 4.0])
def test_an_order_that_waits_at_a_gateway_across_a_split_is_taken_back_by_what_is_held(tmp_path, wants, ratio):
    """It sold 100 where 10 were held, or bought for ten times the money."""
    with at_a_gateway(tmp_path, wants) as place:
        (order,) = place.gateway.orders
        place.look()
        split_there(place, ratio)
        place.look()
        assert order.status == "Submitted"  # what was told once may be older, or newer, than the rest
        for _ in range(3):
            place.look()
        assert order.status == "Cancelled"
        assert [one.status for one in place.ledger.intents()] == ["filled", "cancelled"]
        loop.on_close(place.trader, place.closes[2], place.switch)
        assert place.ledger.state()[0] == "trading"
        assert place.ledger.positions() == {"BHP.AX": 100.0 * ratio}
        assert place.ledger.intents()[-1].bar == place.closes[2].bar
        equities = [one["equity"] for one in place.ledger.closes()]
        assert equities[-1] == equities[-2]


@pytest.mark.slow
def test_what_closes_all_at_a_gateway_is_ordered_anew_in_units_of_after_a_split(tmp_path):
    with at_a_gateway(tmp_path, 0.0452) as place:
        throw(tmp_path, "flatten")
        place.look()
        split_there(place, 0.1)
        for _ in range(4):
            place.look()
        orders = [(one.units, one.status) for one in place.gateway.orders]
        assert orders == [(100.0, "Cancelled"), (10.0, "Submitted")]
        place.gateway.tick()
        assert place.gateway.held == {}


@pytest.mark.slow
def test_positions_that_are_all_gone_for_a_while_stop_no_order(tmp_path):
    """Brokers answer so at night, when they fail."""
    with at_a_gateway(tmp_path, 0.0) as place:
        (order,), held = place.gateway.orders, dict(place.gateway.held)
        place.gateway.held.clear()
        for _ in range(4):
            place.look()
        place.gateway.held.update(held)
        place.look()
        assert order.status == "Submitted"


@pytest.mark.slow
def test_an_order_beside_which_something_was_executed_is_left_where_it_is(tmp_path):
    """Positions may be told before executions, and both before the order's end."""
    with at_a_gateway(tmp_path, 0.0) as place:
        (order,) = place.gateway.orders
        place.look()
        place.gateway.fill(replace(order, units=40.0))
        for _ in range(4):
            place.look()
        assert order.status == "Submitted"
        assert place.ledger.positions() == {"BHP.AX": 60.0}
