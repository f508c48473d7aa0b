"""What a gateway of Interactive Brokers says, read by hand: sides, sizes, ends, moneys. Never tried live."""

import asyncio
import datetime as dt
from types import SimpleNamespace

import pytest

from wealtharena.trading.broker import Order, UnreachableError
from wealtharena.trading.brokers.ib import Settings
from wealtharena.trading.ib.account import IbBroker
from wealtharena.trading.ib.contracts import named

UNSET = 1.7976931348623157e308  # as the package writes a number that is not told
AT = dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC)


def broker(*names, market="stocks", futures=None, **opening):
    """Return an account that has looked at nothing yet, and asks nobody."""
    made = object.__new__(IbBroker)
    found = {name: named(name, market, futures or {}) for name in names or ("BHP.AX",)}
    made._contracts, made._ours, made._worth, made._rates = found, {}, {}, {"AUD": 1.0, "USD": 1.5}
    for name, one in found.items():
        made._ours.setdefault(one.key, []).append(name)
    made._number, made._settings = "DU1", SimpleNamespace(timeout_seconds=5.0)
    made._opening = SimpleNamespace(**{"daily": True, "fill": "next_open", "currency": "AUD", **opening})
    return made


def contract(symbol="BHP", kind="STK", currency="AUD", month="", size="", number=0):
    return SimpleNamespace(
        conId=number, symbol=symbol, secType=kind, currency=currency, lastTradeDateOrContractMonth=month, multiplier=size, right="",
        strike=0.0,
    )  # fmt: skip


def told(made, **answers):
    """Let a gateway answer: each name is a question of the package."""

    def answering(found):
        async def answer(*asked):
            return found

        return answer

    ib = SimpleNamespace(**{name: answering(found) for name, found in answers.items() if name.startswith("req")})
    ib.wrapper = SimpleNamespace(fills=answers.get("fills", {}), acctSummary=answers.get("summary", {}))
    made._asked = lambda question: asyncio.run(question(ib))
    return made


@pytest.mark.parametrize(
    ("action", "total", "status", "filled", "units", "done", "ends"),
    [
        ("BUY", 5.0, "Submitted", 0.0, 5.0, 0.0, "open"),
        ("SELL", 5.0, "PreSubmitted", 2.0, -5.0, -2.0, "open"),
        ("SELL", 5.0, "Filled", 5.0, -5.0, -5.0, "filled"),
        ("SELL", 5.0, "Cancelled", 2.0, -5.0, -2.0, "partly"),
        ("BUY", 5.0, "ApiCancelled", 0.0, 5.0, 0.0, "cancelled"),
        ("BUY", 5.0, "Inactive", 0.0, 5.0, 0.0, "rejected"),
        ("BUY", 5.0, "Inactive", 1.0, 5.0, 1.0, "partly"),
        ("SELL", 0.0, "Filled", 4.0, -4.0, -4.0, "filled"),  # a completed one does not tell how large it was
    ],
)
@pytest.mark.parametrize("by", ["order", "status", "executions"])
def test_an_order_has_the_sign_of_its_side_and_the_end_of_what_was_filled(
    action, total, status, filled, units, done, ends, by
):
    """What was filled may stand in any of three places, and in the others nothing or a number for nothing."""
    order = SimpleNamespace(
        action=action, totalQuantity=total, orderRef="id", filledQuantity=filled if by == "order" else UNSET
    )
    trade = SimpleNamespace(
        order=order,
        orderStatus=SimpleNamespace(status=status, filled=filled if by == "status" else 0.0),
        contract=contract(),
    )
    sign = -1.0 if action == "SELL" else 1.0
    found = broker()._booked(trade, sign * filled if by == "executions" else 0.0)
    assert (found.symbol, found.units, found.filled, found.status) == ("BHP.AX", units, done, ends)


def execution(name, side, shares, *, at=AT, account="DU1", ref="id", commission=6.0, currency="AUD"):
    one = SimpleNamespace(execId=name, side=side, shares=shares, price=45.0, time=at, orderRef=ref, acctNumber=account)
    paid = SimpleNamespace(execId=name, commission=commission, currency=currency)
    return SimpleNamespace(execution=one, contract=contract(), commissionReport=paid)


def test_executions_are_the_accounts_own_oldest_first_and_what_is_sold_is_below_zero():
    rows = [
        execution("a.01", "SLD", 2.0, at=AT + dt.timedelta(minutes=1)), execution("b.01", "BOT", 3.0),
        execution("c.01", "BOT", 9.0, account="DU2"),
    ]  # fmt: skip
    made = told(broker(), reqExecutionsAsync=rows, fills={one.execution.execId: one for one in rows})
    assert [(one.execution_id, one.units, one.cost) for one in made.fills(0)] == [("b", 3.0, 6.0), ("a", -2.0, 6.0)]


def test_an_order_that_is_neither_open_nor_completed_is_what_its_executions_make_of_it():
    rows = [execution("a.01", "SLD", 2.0), execution("b.01", "SLD", 1.0), execution("c.01", "SLD", 1.0, account="DU2")]
    made = told(broker(), reqExecutionsAsync=rows, reqCompletedOrdersAsync=[], reqAllOpenOrdersAsync=[])
    found = made.order_by_client_id("id")
    assert (found.units, found.filled, found.status) == (-3.0, -3.0, "filled")


@pytest.mark.parametrize(
    ("commission", "currency", "cost"),
    [(6.0, "AUD", 6.0), (6.0, "USD", 9.0), (0.0, "", 0.0), (None, "", 0.0), (UNSET, "", 0.0), (-0.5, "AUD", -0.5)],
)
def test_a_commission_is_in_the_accounts_money_and_one_that_is_not_told_is_none(commission, currency, cost):
    assert broker()._commission(SimpleNamespace(commission=commission, currency=currency)) == cost


def test_a_commission_in_money_without_a_rate_is_not_known():
    with pytest.raises(UnreachableError, match="a commission in EUR, whose rate is not told"):
        broker()._commission(SimpleNamespace(commission=6.0, currency="EUR"))


def test_positions_are_those_of_the_account_that_is_traded():
    """What changes while they are told is told twice, and the last word counts; two contracts of one name are one symbol."""
    rows = [
        SimpleNamespace(account=account, contract=contract(number=number), position=units)
        for account, number, units in (("DU1", 1, 4.0), ("DU1", 2, -5.0), ("DU2", 1, 9.0), ("DU1", 1, 3.0))
    ]
    made = told(broker(), reqPositionsAsync=rows)
    assert made.positions() == {"BHP.AX": -2.0}


def test_money_is_that_of_the_account_and_cash_in_its_own_currency_is_not_abroad():
    def row(account, tag, value, currency):
        return SimpleNamespace(account=account, tag=tag, value=str(value), currency=currency)

    rows = [
        row("DU1", "NetLiquidation", 100.0, "AUD"), row("DU1", "TotalCashValue", 40.0, "AUD"),
        row("DU1", "ExchangeRate", 1.0, "AUD"), row("DU1", "ExchangeRate", 1.6, "USD"),
        row("DU1", "CashBalance", 30.0, "AUD"), row("DU1", "CashBalance", 6.25, "USD"),
        row("DU1", "CashBalance", 40.0, "BASE"), row("DU2", "NetLiquidation", 7.0, "AUD"),
        row("DU2", "TotalCashValue", 7.0, "AUD"), row("DU2", "ExchangeRate", 9.0, "USD"),
    ]  # fmt: skip

    async def nothing(ib):
        ib.wrapper.acctSummary.update(enumerate(rows))

    made = told(broker(), summary={})
    made._managed, made._summed = nothing, nothing
    found = made.account()
    assert (found.equity, found.cash, found.number) == (100.0, 40.0, "DU1")
    assert (dict(found.foreign), dict(found.rates)) == ({"USD": 6.25}, {"AUD": 1.0, "USD": 1.6})


@pytest.mark.parametrize(
    ("opening", "symbol", "urgent", "sent"),
    [
        ({}, "BHP.AX", False, ("MKT", "OPG")),
        ({"fill": "next_close"}, "BHP.AX", False, ("MOC", "DAY")),
        ({"fill": "next_close"}, "BHP.AX", True, ("MKT", "DAY")),
        ({"daily": False}, "BHP.AX", False, ("MKT", "DAY")),  # bars within the day have no auction
        ({"daily": False, "fill": "next_close"}, "BHP.AX", False, ("MKT", "DAY")),
        ({"market": "forex"}, "EURUSD", False, ("MKT", "DAY")),
    ],
)
@pytest.mark.parametrize(("units", "action"), [(3.0, "BUY"), (-3.0, "SELL")])
def test_an_order_says_its_side_and_goes_to_the_auction_of_a_daily_bar(opening, symbol, urgent, sent, units, action):
    pytest.importorskip("ib_async", reason="comes with the extra `ib`: pip install -e '.[ib]'")
    found = broker(symbol, **opening)._instructed(Order("id", symbol, units, urgent=urgent))
    assert (found.action, found.totalQuantity, found.orderType, found.tif) == (action, 3.0, *sent)
    assert (found.account, found.orderRef) == ("DU1", "id")


@pytest.mark.parametrize(
    ("name", "market", "found"),
    [
        ("BRK-B", "stocks", ("BRK B", "STK", "USD", "SMART", "")),  # classes of shares stand behind a space there
        ("BHP.AX", "stocks", ("BHP", "STK", "AUD", "SMART", "ASX")),
        ("SPY", "etf", ("SPY", "STK", "USD", "SMART", "")),
        ("EURUSD", "forex", ("EUR", "CASH", "USD", "IDEALPRO", "")),
        ("GC=F", "commodities", ("GC", "FUT", "USD", "COMEX", "")),
    ],
)
def test_a_symbol_is_the_contract_that_the_gateway_calls_so(name, market, found):
    one = named(name, market, {"GC=F": "GC/COMEX/USD/202606/100"})
    assert (one.symbol, one.kind, one.currency, one.exchange, one.primary) == found


def test_a_future_is_known_by_its_month_whatever_day_of_it_is_told():
    made = broker("GC=F", market="commodities", futures={"GC=F": "GC/COMEX/USD/202606/100"})
    gold = {"symbol": "GC", "kind": "FUT", "currency": "USD", "size": "100"}
    assert made._name_of(contract(**gold, month="20260626")) == "GC=F"
    assert made._name_of(contract(**gold, month="20260827")) == "GC FUT USD 20260827 100"
    assert made._worth_of("GC=F", contract(**gold, month="20260626")) == 150.0
    made._worth["GC=F"] = 160.0
    assert made._worth_of("GC=F", contract(**gold, month="20260626")) == 160.0


def test_futures_of_one_name_are_several_by_month_or_size_and_one_by_neither():
    lines = {"A": "SI/COMEX/USD/202607/5000", "B": "SI/COMEX/USD/202607/1000", "C": "SI/COMEX/USD/202609/5000"}
    assert Settings._is_whole(lines) == lines
    with pytest.raises(ValueError, match="one contract is both A and D"):
        Settings._is_whole({**lines, "D": "SI/CME/USD/202607/5000.0"})
