"""Orders at Interactive Brokers that the gateway takes, and what it says of them beside that. Never tried live."""

import contextlib

import pytest

from tests.trading.conformance import ib
from tests.trading.gateway import Gateway
from wealtharena.trading.broker import Order, RejectedError

pytestmark = pytest.mark.slow  # each goes through a gateway's server


@pytest.fixture
def gateway():
    return Gateway({"BHP": 45.0, "EUR": 1.1})


def order(units=3.0):
    return Order("a/b/1/2026/1", "BHP.AX", units)


@pytest.mark.parametrize("when", ["warns", "says"])
def test_an_order_whose_time_in_force_the_gateway_has_set_itself_is_open(tmp_path, gateway, when):
    """The package takes that message for the order's end, which is filled all the same."""
    setattr(gateway, when, (10349, "Order TIF was set to DAY based on order preset."))
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        assert broker.submit(order()).status == "open"
        assert broker.order_by_client_id(order().client_id).status == "open"
        broker.cancel(order().client_id)
        assert broker.order_by_client_id(order().client_id).status == "cancelled"


def test_of_a_position_with_a_part_of_a_share_the_whole_ones_are_sold(tmp_path, gateway):
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        assert broker.submit(order(-10.5)).status == "open"
        gateway.tick()
        assert broker.positions() == {"BHP.AX": -10.0}
        with pytest.raises(RejectedError, match="a part of one is not taken"):
            broker.submit(Order("a/b/1/2026/2", "BHP.AX", -0.5))
    assert [one.units for one in gateway.orders] == [10.0]
