"""What every broker must hold, whatever stands behind it."""

import contextlib

import pytest

from tests.trading.conformance import STAGES
from wealtharena.config.plugins import available
from wealtharena.trading.broker import Order, RejectedError

pytestmark = pytest.mark.slow  # each goes through days at a broker's server

NONE = "agent/account/1/2026-03-02/NONE/1/1"


@pytest.fixture(params=STAGES)
def stage(request, tmp_path):
    with STAGES[request.param](tmp_path) as found:
        yield found


@pytest.fixture
def broker(stage):
    with contextlib.closing(stage.open()) as found:
        yield found


@pytest.fixture
def sending(broker):
    if not broker.capabilities.sends:
        pytest.skip("is sent nothing")
    return broker


def order_of(stage, *, units=None, symbol=0, number=1):
    name = stage.symbols[symbol]
    return Order(f"agent/account/1/2026-03-02/{name}/1/{number}", name, stage.units if units is None else units)


def test_every_broker_that_can_be_chosen_is_played():
    assert set(available("trading.brokers")) <= set(STAGES)


def test_an_account_opens_empty(stage, broker):
    assert broker.positions() == {}
    assert list(broker.open_orders()) == []
    assert broker.account().equity == pytest.approx(broker.account().cash)
    assert broker.account().equity > 0.0
    assert list(broker.fills(broker.cursor())) == []
    assert list(broker.events(broker.cursor())) == []


def test_what_was_never_booked_is_none_and_cancelling_it_does_nothing(broker):
    assert broker.order_by_client_id(NONE) is None
    broker.cancel(NONE)
    assert list(broker.open_orders()) == []


def test_an_order_is_booked_once_a_client_id(stage, sending):
    order = order_of(stage)
    assert sending.submit(order).status == "open"
    again = sending.submit(order)
    assert (again.client_id, again.units, again.filled) == (order.client_id, order.units, 0.0)
    assert [one.client_id for one in sending.open_orders()] == [order.client_id]
    assert sending.order_by_client_id(order.client_id).symbol == stage.symbols[0]


def test_an_order_is_filled_and_its_executions_are_its_own(stage, sending):
    since, order = sending.cursor(), order_of(stage)
    sending.submit(order)
    stage.tick(sending)
    booked = sending.order_by_client_id(order.client_id)
    assert (booked.status, booked.filled) == ("filled", pytest.approx(order.units))
    fills = list(sending.fills(since))
    assert {one.client_id for one in fills} == {order.client_id}
    assert {one.symbol for one in fills} == {order.symbol}
    assert sum(one.units for one in fills) == pytest.approx(order.units)
    assert all(one.price > 0.0 and one.quote > 0.0 for one in fills)
    assert len({one.execution_id for one in fills}) == len(fills)
    assert sending.positions() == {order.symbol: pytest.approx(order.units)}
    assert list(sending.open_orders()) == []
    assert {one.execution_id for one in sending.fills(since)} == {one.execution_id for one in fills}


def test_what_is_bought_can_all_be_sold(stage, sending):
    sending.submit(order_of(stage))
    stage.tick(sending)
    sending.submit(order_of(stage, units=-sending.positions()[stage.symbols[0]], number=2))
    stage.tick(sending)
    assert sending.positions() == {}


def test_an_order_that_is_taken_back_is_not_filled(stage, sending):
    order = order_of(stage)
    sending.submit(order)
    sending.cancel(order.client_id)
    assert sending.order_by_client_id(order.client_id).status == "cancelled"
    stage.tick(sending)
    assert sending.positions() == {}
    sending.cancel(order.client_id)  # it has ended; nothing happens


def test_a_refusal_is_for_good_and_nothing_is_booked(sending):
    order = Order("agent/account/1/2026-03-02/NOSUCH/1/1", "NOSUCH", 1.0)
    with pytest.raises(RejectedError):
        sending.submit(order)
    assert sending.order_by_client_id(order.client_id) is None


def test_another_process_finds_it_all(stage, sending):
    first, second = order_of(stage), order_of(stage, symbol=1)
    sending.submit(first)
    stage.tick(sending)
    sending.submit(second)
    fills, held = list(sending.fills(0)), sending.positions()
    sending.close()
    with contextlib.closing(stage.open()) as opened:
        assert opened.order_by_client_id(first.client_id).status == "filled"
        assert [one.client_id for one in opened.open_orders()] == [second.client_id]
        assert list(opened.fills(0)) == fills
        assert opened.positions() == held
