"""Alpaca's words for things, as its changelog and its users show them: what came later is read as what it is."""

import pytest

from tests.trading.conformance import alpaca_settings
from wealtharena.trading import flows
from wealtharena.trading.alpaca.words import Symbols, booked_order, counts, event_of
from wealtharena.trading.broker import Account, Event
from wealtharena.trading.ledger import Ledger

COINS, SHARES = Symbols(("BTC-USD",), coins=True), Symbols(("AAPL", "BRK-B"), coins=False)
BEFORE = {"told": 1000.0, "cash": 1000.0}


def row(kind, **facts):
    return {"id": "20260302000000000::1", "activity_type": kind, **facts}


@pytest.mark.parametrize("symbol", ["BTC", "BTCUSD", "BTC/USD"])
def test_coins_that_come_or_go_on_their_chain_are_a_transfer(symbol):
    found = event_of(row("OCT", symbol=symbol, qty="-0.5", net_amount="0"), COINS)
    assert (found.kind, found.symbol, found.units) == ("transfer", "BTC-USD", -0.5)
    assert flows.told([vars(found)], {"BTC-USD": 100.0}) == -50.0


def test_a_share_has_no_name_but_its_own():
    assert [SHARES.ours(name) for name in ("BRK.B", "BRK", "AAPL")] == ["BRK-B", "BRK", "AAPL"]


@pytest.mark.parametrize(
    ("kind", "facts", "expected"),
    [
        ("CGD", {}, ("dividend", 0.0)),  # a fund's capital gains
        ("DIVXYZ", {}, ("dividend", 0.0)),
        ("XYZ", {"per_share_amount": "0.2"}, ("dividend", 0.0)),
        ("XYZ", {"per_share_amount": None}, ("other", 500.0)),
        ("MA", {"per_share_amount": "0.2"}, ("other", 500.0)),  # a merger's price for each share that goes
        ("JNL", {}, ("transfer", 500.0)),
        ("FOPT", {}, ("transfer", 500.0)),
        ("MEM", {}, ("transfer", 500.0)),  # a deposit that is told before it has come
        ("DIV", {"activity_sub_type": "SDIV"}, ("dividend", 0.0)),  # which was paid in cash after all
        ("PTR", {}, ("fee", 0.0)),
    ],
)
def test_what_is_paid_on_shares_moves_none_of_them(kind, facts, expected):
    found = event_of(row(kind, symbol="AAPL", qty="500", net_amount="100", **facts), SHARES)
    assert (found.kind, found.units, found.cash) == (*expected, 100.0)


@pytest.mark.parametrize(("currency", "cash"), [("USD", 10_000.0), (None, 10_000.0), ("", 10_000.0), ("JPY", 0.0)])
def test_cash_in_another_currency_is_no_number_of_dollars(currency, cash):
    found = event_of(row("CSD", net_amount="10000", currency=currency), SHARES)
    assert (found.kind, found.cash) == ("transfer", cash)


@pytest.mark.parametrize("cash", ["0", None])
def test_a_dividend_in_shares_is_the_shares_that_came(cash):
    found = event_of(row("DIV", activity_sub_type="SDIV", symbol="AAPL", qty="2.5", net_amount=cash), SHARES)
    assert (found.kind, found.units, found.cash) == ("split", 2.5, 0.0)


def test_an_activity_that_was_taken_back_is_told_as_such_and_one_to_come_is_not_told():
    told = [event_of(one, SHARES) for one in (row("DIV", status=status) for status in ("canceled", "executed", None))]
    assert [one.taken_back for one in told] == [True, False, False]
    assert [counts(row("DIV", status=status)) for status in ("pending", "canceled")] == [False, True]


@pytest.mark.parametrize("status", ["done_for_day", "calculated"])
@pytest.mark.parametrize(
    ("tif", "filled", "expected"),
    [("day", "0", "expired"), ("opg", "4", "partly"), ("cls", "10", "filled"), ("gtc", "4", "open")],
)
def test_an_order_of_the_day_that_is_done_for_it_has_ended(status, tif, filled, expected):
    told = {
        "client_order_id": "1", "symbol": "AAPL", "side": "buy", "qty": "10", "filled_qty": filled, "status": status,
        "time_in_force": tif,
    }  # fmt: skip
    assert booked_order(told, SHARES).status == expected


@pytest.mark.parametrize("tail", ["", "/", "/v2", "/v2/"])
def test_the_address_is_the_one_that_alpacas_page_shows(tail):
    assert alpaca_settings(f"https://paper-api.alpaca.markets{tail}").endpoint == "https://paper-api.alpaca.markets"


def told(units, cash, *, taken_back=False):
    return Event(7, "20260302000000000::1", "dividend", "AAPL", units, cash, taken_back)


def test_what_is_told_otherwise_later_is_booked_by_what_differs(tmp_path):
    ledger = Ledger(tmp_path, synchronous="normal")
    ledger.open("a", "b", {})
    steps = [
        (told(0.0, 0.0, taken_back=True), []),  # it never counted
        (told(0.0, 100.0), [(0.0, 100.0)]),
        (told(0.0, 100.0), []),
        (told(5.0, 103.0), [(5.0, 3.0)]),
        (told(5.0, 103.0), []),
        (told(5.0, 103.0, taken_back=True), [(-5.0, -103.0)]),
        (told(5.0, 103.0, taken_back=True), []),
        (told(5.0, 103.0), []),  # an older answer
    ]
    for one, expected in steps:
        new = ledger.book_events(ledger.amended([one]), bar="")
        assert [(each.units, each.cash) for each in new] == expected
    assert ledger.positions() == {}
    ledger.close()


def test_of_several_events_of_one_id_the_first_counts_however_often_they_are_told(tmp_path):
    ledger = Ledger(tmp_path, synchronous="normal")
    ledger.open("a", "b", {})
    both = [told(-100.0, 0.0), told(10.0, 0.0)]
    assert [ledger.book_events(ledger.amended(both), bar="") for _ in range(3)] == [both[:1], [], []]
    ledger.close()


@pytest.mark.parametrize(
    ("kind", "gap", "expected"),
    [("other", -50.0, 0.0), ("other", -80.0, -30.0), ("other", 50.0, 50.0), ("transfer", -50.0, -50.0)],
)
def test_units_that_an_event_told_of_and_that_never_came_are_no_flow(kind, gap, expected):
    event = {"kind": kind, "symbol": "A", "units": 50.0, "cash": 0.0}
    now = Account(equity=1000.0, cash=1000.0, told=1000.0)
    assert flows.untold(BEFORE, now, [], [event], gaps={"A": gap}, marks={"A": 1.0}) == expected
