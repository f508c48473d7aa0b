"""Interactive Brokers by a scripted gateway: what it has beside what every broker must hold. Never tried live."""

import contextlib
import doctest
import time
from dataclasses import replace

import numpy as np
import pytest

from tests.envs.markets import features_of, panel_of, spec_of
from tests.trading.conformance import ib
from tests.trading.days import Script
from tests.trading.desks import risk_of
from tests.trading.gateway import Gateway, Placed
from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import Scaler
from wealtharena.trading import loop
from wealtharena.trading.broker import Order, RefusedError, RejectedError, UnreachableError
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.ib import contracts
from wealtharena.trading.ledger import Decision, Intent, Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

pytestmark = pytest.mark.slow  # each goes through days at a broker's server


@pytest.fixture
def gateway():
    return Gateway({"BHP": 45.0, "CBA": 120.0, "EUR": 1.1, "GC": 2_000.0})


def order(number=1, units=3.0, symbol="BHP.AX"):
    return Order(f"a/b/1/2026/{number}", symbol, units)


def test_the_examples_run():
    assert doctest.testmod(contracts).failed == 0


def test_an_order_that_is_booked_before_the_connection_breaks_is_one_order(tmp_path, gateway):
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        gateway.drops = True
        with pytest.raises(UnreachableError):
            broker.submit(order())
        assert broker.order_by_client_id(order().client_id).status == "open"  # over another connection
        assert broker.submit(order()).status == "open"
        gateway.tick()
        assert broker.submit(order()).status == "filled"
        assert broker.positions() == {"BHP.AX": 3.0}
    assert len(gateway.orders) == 1


def test_a_gateway_that_is_gone_or_mute_is_unreachable(tmp_path, gateway):
    with ib(tmp_path, gateway, timeout_seconds=2.0) as stage, contextlib.closing(stage.open()) as broker:
        gateway.mute = True
        with pytest.raises(UnreachableError):
            broker.positions()
        gateway.mute = False
        assert broker.positions() == {}
    with pytest.raises(UnreachableError):
        stage.open()


@pytest.mark.parametrize("code", [322, 504, 10089])
def test_a_question_that_the_gateway_refuses_is_one_without_an_answer(tmp_path, gateway, code):
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        gateway.refusing = code
        for question in (broker.account, lambda: broker.fills(0), lambda: broker.order_by_client_id("none")):
            with pytest.raises(UnreachableError, match=str(code)):
                question()
        gateway.refusing = 0
        assert broker.order_by_client_id("none") is None


def test_an_order_that_is_taken_as_inactive_is_refused_and_asked_back(tmp_path, gateway):
    gateway.idles = True
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        with pytest.raises(RejectedError):
            broker.submit(order())
        assert broker.order_by_client_id(order().client_id).status == "cancelled"


def test_an_order_that_becomes_inactive_is_asked_back_before_a_smaller_one_is_sent(tmp_path, gateway):
    ledger, bar = Ledger(tmp_path, synchronous="normal"), "2026-03-02T00:00:00.000000000"
    ledger.open("agent", "test", {})
    meant = Intent("agent/test/1/1", bar, "BHP.AX", 1, 1, 100.0)
    ledger.decide(Decision(bar, {"BHP.AX": 45.0}, [0.05], {}, 0), [meant], [], state="trading")
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker, contextlib.closing(ledger):
        env = spec_of(instrument={"lot_size": 1})
        trader = Trader("agent", "test", None, env, risk_of(), ledger, broker, resize=0.05)
        loop.tend(trader, Switch(tmp_path))
        gateway.orders[0].status = "Inactive"
        loop.tend(trader, Switch(tmp_path))
        assert [(one.units, one.status) for one in gateway.orders] == [(100.0, "Cancelled"), (95.0, "Submitted")]


@pytest.mark.parametrize(("words", "funds"), [
    ("insufficient margin", True), ("not allowed", False),
    ("CASH AVAILABLE: 5.00; CASH NEEDED FOR THIS ORDER AND OTHER PENDING ORDERS: 9.00", True),
])  # fmt: skip
@pytest.mark.parametrize("code", [201, 321])
def test_a_refusal_is_for_good_and_says_whether_the_money_was_short(tmp_path, gateway, code, words, funds):
    """Where an interface is read-only, 321, each order was unknown, asked for each minute, and nobody heard why."""
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        gateway.refuses, gateway.code = words, code
        with pytest.raises(RejectedError, match=words) as error:
            broker.submit(order())
        assert error.value.funds is funds
    assert gateway.orders == []


def test_an_order_that_waits_for_its_venue_to_open_is_known_at_once(tmp_path, gateway):
    """The gateway says so behind its acknowledgement, in a message of its own: it was waited for until time was up."""
    gateway.says = (399, "Order Message: your order will not be placed at the exchange until 2026-03-03 10:00:00")
    with ib(tmp_path, gateway, timeout_seconds=60.0) as stage, contextlib.closing(stage.open()) as broker:
        began = time.monotonic()
        assert broker.submit(order()).status == "open"
        assert time.monotonic() - began < 50.0
        assert broker.order_by_client_id(order().client_id).status == "open"
    assert len(gateway.orders) == 1


def test_an_account_with_real_money_is_refused(tmp_path, gateway):
    gateway.number = "U7654321"
    with ib(tmp_path, gateway) as stage, pytest.raises(RefusedError, match="real money"):
        stage.open()
    with ib(tmp_path, gateway, live=True, account="U7654321") as stage, pytest.raises(RefusedError, match="allow_live"):
        stage.open()
    with ib(tmp_path, gateway, live=True, account="U7654321", allow_live=True) as stage:
        stage.open().close()


@pytest.mark.parametrize(
    ("fill", "sent"), [("next_open", ("MKT", "OPG")), ("next_close", ("MOC", "DAY"))], ids=["open", "close"]
)
def test_auctions_are_asked_for_but_by_what_is_urgent(tmp_path, gateway, fill, sent):
    with ib(tmp_path, gateway, fill=fill) as stage, contextlib.closing(stage.open()) as broker:
        broker.submit(order())
        assert broker.submit(replace(order(2), urgent=True)).note == "at once"
    assert [(one.kind, one.tif) for one in gateway.orders] == [sent, ("MKT", "DAY")]


def test_currencies_and_futures_have_their_contracts(tmp_path, gateway):
    with (
        ib(tmp_path, gateway, market="forex", symbols=("EURUSD",)) as stage,
        contextlib.closing(stage.open()) as broker,
    ):
        assert broker.submit(order(symbol="EURUSD", units=-20_000.0)).note.startswith("at once")
        gateway.tick()
        assert broker.positions() == {"EURUSD": -20_000.0}
    futures = {"GC=F": "GC/COMEX/USD/202606/100"}
    with (
        ib(tmp_path, gateway, market="commodities", symbols=("GC=F", "CL=F"), futures=futures) as stage,
        contextlib.closing(stage.open()) as broker,
    ):
        broker.submit(order(2, symbol="GC=F", units=1.0))
        gateway.tick()
        assert broker.positions()["GC=F"] == 1.0
        with pytest.raises(RejectedError, match=r"broker\.futures"):
            broker.submit(order(3, symbol="CL=F", units=1.0))
    assert [one.contract[:4] for one in gateway.orders] == [("EUR", "CASH", "", ""), ("GC", "FUT", "202606", "100")]


def test_commissions_are_costs_and_a_correction_is_no_second_execution(tmp_path, gateway):
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        broker.submit(order())
        gateway.tick()
        corrected = {**gateway.executions[0], "id": gateway.executions[0]["id"][:-2] + "02", "price": 45.5}
        for at in (0, 1):  # whichever is told first
            gateway.executions.insert(at, corrected)
            (fill,) = broker.fills(0)
            assert (fill.cost, fill.quote, fill.client_id) == (6.0, 45.5, order().client_id)
            assert broker.order_by_client_id(order().client_id).filled == 3.0
            gateway.executions.remove(corrected)


def test_an_execution_that_is_told_before_a_close_is_shown_is_worth_its_currency(tmp_path, gateway):
    """A restart in the middle of a session finds executions before it has seen a bar."""
    gateway.prices["AAPL"] = 200.0
    with ib(tmp_path, gateway, symbols=("AAPL",), currency="AUD") as stage, contextlib.closing(stage.open()) as broker:
        broker.submit(order(symbol="AAPL"))
        gateway.tick()
        with pytest.raises(UnreachableError, match="USD, whose rate is not told"):
            broker.fills(0)
        gateway.rates = {"USD": 1.5}
        broker.account()
        assert [(one.price, one.quote) for one in broker.fills(0)] == [(300.0, 200.0)]


def test_an_execution_in_a_future_that_is_told_before_a_close_is_shown_is_worth_its_size(tmp_path, gateway):
    gold = {"GC=F": "GC/COMEX/USD/202606/100"}
    with (
        ib(tmp_path, gateway, market="commodities", symbols=("GC=F",), futures=gold, currency="AUD") as stage,
        contextlib.closing(stage.open()) as broker,
    ):
        gateway.rates = {"USD": 1.5}
        broker.account()
        broker.submit(order(symbol="GC=F", units=1.0))
        gateway.tick()
        assert [(one.price, one.quote) for one in broker.fills(0)] == [(300_000.0, 2_000.0)]


def test_another_account_of_the_same_gateway_has_its_own_orders(tmp_path, gateway):
    other = Placed(
        90, 5, ("BHP", "STK", "", "", "SMART", "AUD"), "BUY", 9.0, "MKT", "DAY", order().client_id, account="DU7654321"
    )
    gateway.orders.append(other)
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        assert list(broker.open_orders()) == []
        assert broker.order_by_client_id(order().client_id) is None
        broker.cancel(order().client_id)
        assert other.status == "Submitted"
        gateway.tick()
        assert broker.order_by_client_id(order().client_id) is None


def test_the_money_is_told_however_often_it_is_asked_for(tmp_path, gateway):
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        assert [broker.account().equity for _ in range(5)] == [100_000.0] * 5


def test_an_execution_whose_commission_is_not_told_yet_waits_for_it_and_not_for_ever(tmp_path, gateway):
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        broker.submit(order())
        gateway.tick()
        gateway.late = True
        with pytest.raises(UnreachableError, match="commission"):
            broker.fills(0)
        gateway.late = False
        assert broker.fills(0)[0].cost == 6.0
    with ib(tmp_path, gateway) as stage, contextlib.closing(stage.open()) as broker:
        gateway.late, gateway.now = True, gateway.now + 61.0
        assert broker.fills(0)[0].cost == 0.0


def test_an_account_in_another_currency_is_refused_with_a_way_out(tmp_path, gateway):
    with ib(tmp_path, gateway, currency="USD") as stage:
        with pytest.raises(RefusedError, match="kept in AUD, money here is counted in USD") as error:
            stage.open()
        assert "asset.account_currency=AUD" in error.value.hint
    with ib(tmp_path, gateway, currency="AUD") as stage, contextlib.closing(stage.open()) as broker:
        assert broker.account().equity == 100_000.0
        gateway.currency = "USD"
        with pytest.raises(RefusedError, match="kept in USD"):
            broker.account()


def test_a_commission_in_another_currency_is_converted_and_unknown_until_its_rate_is_told(tmp_path, gateway):
    gateway.charged_in = "USD"
    with ib(tmp_path, gateway, currency="AUD") as stage, contextlib.closing(stage.open()) as broker:
        broker.submit(order())
        gateway.tick()
        with pytest.raises(UnreachableError, match="USD"):
            broker.fills(0)
        gateway.rates = {"USD": 1.5}
        broker.account()
        assert broker.fills(0)[0].cost == 9.0


def test_what_it_cannot_trade_is_refused_when_the_configuration_is_read():
    for overrides, cause in (
        (["asset=crypto"], "no coins"),
        (["asset=commodities"], "which month"),
        (["asset=forex", "env.fill=next_close"], "at once"),
        (["asset=etf"], "no parts of a share.*lot_size=1"),
        (["asset=etf", "asset.instrument.lot_size=1", "+asset.instrument.lot_sizes={SPY: 0.5}"], "of SPY"),
    ):
        with pytest.raises(ConfigError, match=cause) as error:
            compose(["broker=ib", *overrides])
        assert "broker=paper" in error.value.hint
    for overrides in (["asset=forex"], ["asset=etf", "asset.instrument.lot_size=1"]):
        assert compose(["broker=ib", *overrides]).broker.live is False
    for lines, cause in (
        (r"GC\=F:GC-COMEX", "not like GC/COMEX/USD/202606/100: GC-COMEX"),
        (r"GC\=F:GC/COMEX/USD/202606/100,GOLD:GC/CME/USD/202606/100.0", "one contract is both GC=F and GOLD"),
    ):
        with pytest.raises(ConfigError, match=cause):
            compose(["broker=ib", "asset=commodities", f"+broker.futures={{{lines}}}"])


def test_futures_of_one_month_and_two_sizes_are_two(tmp_path, gateway):
    sizes = {"SI=F": "5000", "SIL=F": "1000"}
    gateway.held = {
        ("SI", "FUT", "202607", size, "COMEX", "USD"): units for size, units in (("5000", 2.0), ("1000", 3.0))
    }
    gateway.prices["SI"] = 30.0
    futures = {name: f"SI/COMEX/USD/202607/{size}" for name, size in sizes.items()}
    with (
        ib(tmp_path, gateway, market="commodities", symbols=tuple(sizes), futures=futures) as stage,
        contextlib.closing(stage.open()) as broker,
    ):
        assert broker.positions() == {"SI=F": 2.0, "SIL=F": 3.0}
        broker.submit(order(symbol="SIL=F", units=1.0))
        gateway.tick()
        assert broker.positions() == {"SI=F": 2.0, "SIL=F": 4.0}


def test_contracts_of_one_month_are_told_apart_and_a_smaller_future_is_not_ours(tmp_path, gateway):
    months = [("SI", "FUT", "202607", size, "COMEX", "USD") for size in ("5000", "1000")]
    options = [("BHP", "OPT", day, "100", "ASX", "AUD") for day in ("20260716", "20260723")]
    gateway.prices["SI"] = 30.0
    gateway.held = dict(
        zip([*months, *options, (*options[0][:4], "CBOE", "AUD")], (2.0, 3.0, 1.0, -1.0, 4.0), strict=True)
    )
    futures = {"SI=F": "SI/COMEX/USD/202607/5000"}
    with (
        ib(tmp_path, gateway, market="commodities", symbols=("SI=F",), futures=futures) as stage,
        contextlib.closing(stage.open()) as broker,
    ):
        held = broker.positions()
    assert held.pop("SI=F") == 2.0
    assert list(held.values()) == [3.0, 5.0, -1.0]
    assert [name.split()[:4] for name in held] == [
        ["SI", "FUT", "USD", "202607"], ["BHP", "OPT", "AUD", "20260716"], ["BHP", "OPT", "AUD", "20260723"],
    ]  # fmt: skip


@contextlib.contextmanager
def days_at(gateway, folder, stage, *, held=10.0):
    """Yield what goes to the next close of one share that the account holds, and the account's ledger."""
    ledger, bars = Ledger(folder / "account", synchronous="normal"), 60
    ledger.open("agent", "test", {})
    env, plain = spec_of(instrument={"lot_size": 1}), np.full((bars, 1), 45.0)
    features = features_of(panel_of(plain, open=plain, symbols=("BHP.AX",)))
    mind = Script(Scaler.fit(features, clip=5.0), [[(held + 0.5) * 45.0 / 100_000.0]])
    with contextlib.closing(stage.open()) as broker, contextlib.closing(ledger):
        trader = Trader("agent", "test", mind, env, risk_of(), ledger, broker, wait=lambda seconds: None)
        closes = iter(Replay(features, Segment(50, bars), env, mind.scaler, depth=30).closes(None))

        def close():
            loop.on_close(trader, next(closes), Switch(folder))
            gateway.tick()

        yield close, ledger


@pytest.mark.parametrize("again", [False, True])
def test_a_correction_after_its_execution_was_booked_has_its_price_booked(tmp_path, gateway, again):
    with ib(tmp_path, gateway) as stage, days_at(gateway, tmp_path, stage) as (close, ledger):
        close()
        close()
        (booked,) = ledger.fills()
        assert (booked.bar != "", booked.price) == (True, 45.0)
        gateway.executions[0] |= {"id": gateway.executions[0]["id"][:-2] + "02", "price": 46.0}
        gateway.cash -= 10.0
        close()
        close()
        if again:
            gateway.executions[0] |= {"id": gateway.executions[0]["id"][:-2] + "03", "price": 45.0}
            gateway.cash += 10.0
            close()
        (fill,) = ledger.fills()
        assert (fill.bar, fill.price, fill.quote) == (booked.bar, *([45.0] * 2 if again else [46.0] * 2))
        assert [one["cash"] for one in ledger.events()] == ([-10.0, 10.0] if again else [-10.0])
        told = [one["action"] for one in ledger.interventions() if one["rule"] == "executions"]
        assert told == ["corrected"] * (1 + again)
        assert ledger.state()[0] == "trading"


def test_a_loan_in_another_currency_is_followed_by_its_rate(tmp_path, gateway):
    gateway.rates, gateway.lent = {"USD": 1.5}, {"USD": -20_000.0}
    with ib(tmp_path, gateway) as stage, days_at(gateway, tmp_path, stage) as (close, ledger):
        close()
        close()
        gateway.rates = {"USD": 1.8}  # 6 000 are lost
        close()
        gateway.rates, gateway.cash = {"USD": 1.7}, gateway.cash + 10_000.0  # 2 000 are won, and 10 000 come
        close()
        assert [one["flow"] for one in ledger.closes()] == [0.0, 0.0, 0.0, pytest.approx(10_000.0)]


@pytest.mark.slow
def test_an_order_that_the_gateway_has_forgotten_is_named_with_a_way_out(tmp_path, gateway):
    """Nothing was decided any more, bar after bar and after each release, and nobody said why."""
    with ib(tmp_path, gateway) as stage, days_at(gateway, tmp_path, stage) as (close, ledger):
        gateway.tick = lambda: None  # it is not filled
        close()
        (one,) = ledger.intents()
        assert one.status == "open"
        gateway.orders.clear()  # another day
        close()
        assert ledger.decision().weights is None
        (post,) = ledger.untold()
        assert f"the order of {one.bar[:10]} in BHP.AX was open, and the broker does not know it any more" in post.text
        assert "paper.action=restart" in post.text
