"""What Alpaca tells of an account that is not as it was told of before, or as anybody else tells it."""

import pytest

from tests.trading.days import days
from tests.trading.test_cases_positions import rescale
from wealtharena.trading.broker import RejectedError, UnreachableError
from wealtharena.trading.sending import Order

pytestmark = pytest.mark.slow  # each goes through days at a broker's server

BRAKES = {"daily_loss": {"max_loss": 0.1, "action": "flatten"}}
COIN = {"symbols": ("BTC-USD",), "coins": True}


def told(day, kind, *, cash=0.0, **facts):
    with day.exchange.lock:
        day.exchange.cash += cash
        row = {"activity_type": kind, "net_amount": str(cash), "status": "executed", **facts}
        day.exchange.act(row)
    return row


def test_coins_that_a_person_takes_off_are_no_loss(tmp_path):
    with days(tmp_path, [[0.5]], rules=BRAKES, **COIN) as day:
        day.run(3)
        day.exchange.hold("BTC/USD", -200.0)
        told(day, "OCT", symbol="BTCUSD", qty="-200")
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert [row["flow"] for row in day.ledger.closes()] == [0.0, 0.0, 0.0, -20_000.0, 0.0]


def test_what_a_fund_pays_on_its_shares_is_a_dividend_and_no_share(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        told(day, "CGD", cash=100.0, symbol="AAPL", qty="500", per_share_amount="0.2")
        day.run(3)
        assert day.ledger.state() == ("trading", "")
        assert day.told("positions") == day.told("strangers") == []
        assert [row["dividends"] for row in day.ledger.closes()] == [0.0, 0.0, 100.0, 0.0, 0.0]


def test_a_dividend_in_shares_is_held_as_it_is_told(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.exchange.hold("AAPL", 15.0)
        told(day, "DIV", symbol="AAPL", qty="15", activity_sub_type="SDIV")
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert day.told("positions") == day.told("strangers") == []
        assert [(one["action"], one["numbers"]["units"]) for one in day.told("event")] == [("split", 15.0)]
        assert day.fits()


def test_units_of_a_kind_without_a_name_that_never_came_leave_growth_as_it_is(tmp_path):
    with days(tmp_path, [[0.5]], strangers="adopt") as day:
        day.run(2)
        told(day, "XYZ", symbol="AAPL", qty="500")
        day.run(3)
        assert [row["flow"] for row in day.ledger.closes()] == [0.0] * 4
        assert {row["scale"] for row in day.ledger.closes()} == {1.0}


def test_a_dividend_that_is_taken_back_is_none(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        row = told(day, "DIV", cash=1500.0, symbol="AAPL", qty="500")
        day.run(1)
        day.exchange.cash -= 1500.0
        row["status"] = "canceled"
        day.run(2)
        assert [one["dividends"] for one in day.ledger.closes()] == [0.0, 0.0, 1500.0, -1500.0, 0.0]
        assert [one["numbers"]["cash"] for one in day.told("event")] == [1500.0, -1500.0]


def test_a_split_that_is_taken_back_before_it_came_halts_nobody(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        row = told(day, "SPLIT", symbol="AAPL", qty="500")
        day.run(1)
        row["status"] = "canceled"
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert day.ledger.positions() == {"AAPL": 500.0}
        assert day.fits()


def test_a_split_that_was_taken_back_says_nothing_of_one_that_came(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(3)
        day.exchange.split("AAPL", 2.0, booked=False)
        rescale(day, 2.0)
        day.run(1)
        told(day, "SPLIT", symbol="AAPL", qty="500", status="canceled")
        day.run(2)
        assert day.ledger.positions() == {"AAPL": 1000.0}
        assert day.told("positions") == day.told("strangers") == []


def test_an_order_that_is_refused_by_a_code_of_many_meanings_is_refused_and_told(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.exchange.fail("refuse", times=99, method="POST", answer=(422, 40010001, "qty must be integer"))
        day.evening()
        (order,) = day.intents()
        assert (order.status, order.note) == ("rejected", "alpaca: AAPL: qty must be integer")
        assert [one.title for one in day.ledger.untold()] == [f"orders were refused at {order.bar[:10]}"]


@pytest.mark.parametrize("words", ['asset "CLS" is not active', "CLS is not fractionable"])
def test_a_refusal_that_names_a_share_is_no_word_on_the_auction_of_that_name(tmp_path, words):
    with days(tmp_path, [[0.5]], symbols=("CLS",)) as day:
        day.exchange.fail("refuse", times=99, method="POST", answer=(422, 42210000, words))
        day.evening()
        (order,) = day.intents()
        assert (order.status, order.note) == ("rejected", f"alpaca: CLS: {words}")


def test_an_order_whose_id_is_taken_is_the_one_that_is_booked(tmp_path):
    with days(tmp_path, [[0.0]]) as day:
        order = Order("agent/test/9/1", "AAPL", 3.0)
        booked = day.broker.submit(order)
        assert day.broker.submit(order) == booked
        day.exchange.fail("refuse", method="POST", answer=(422, 40010001, "client_order_id must be unique"))
        with pytest.raises(UnreachableError, match="is taken"):
            day.broker.submit(Order("agent/test/9/2", "AAPL", 3.0))
        day.exchange.fail("refuse", method="POST", answer=(422, 40010001, "symbol is required"))
        with pytest.raises(RejectedError, match="symbol is required"):
            day.broker.submit(Order("agent/test/9/3", "AAPL", 3.0))


def test_an_order_whose_id_is_taken_is_known_where_its_last_decimals_are_not_sent(tmp_path):
    with days(tmp_path, [[0.0]], **COIN) as day:
        order = Order("agent/test/9/1", "BTC-USD", 0.00012345678)
        assert [day.broker.submit(order).units for _ in range(2)] == [0.000123457] * 2


def test_another_order_of_the_same_id_is_not_the_one_that_was_meant(tmp_path):
    """As where two machines trade one account under the same names, each in a folder of its own, at the same moment."""
    with days(tmp_path, [[-0.3]]) as day:
        look, seen = day.broker.open_orders, []
        there = day.exchange.book

        def meanwhile():
            seen.append(look())
            there("AAPL", 500.0, "buy", f"agent/test/1/{day.closes[0].bar}/AAPL/1/1", "opg")
            return seen[0]

        day.broker.__dict__["open_orders"] = meanwhile
        day.evening()
        del day.broker.__dict__["open_orders"]
        (order,) = day.intents()
        assert (order.status, order.units) == ("rejected", -300.0)
        assert order.note.startswith("alpaca: AAPL: its client id is that of an order of +500; look who else trades")
        assert [one.title for one in day.ledger.untold()] == [f"orders were refused at {order.bar[:10]}"]


@pytest.mark.parametrize("refusal", [(422, 40010001, "order_id is missing"), (404, 40410000, "order not found")])
def test_an_execution_that_names_no_order_is_a_strangers(tmp_path, refusal):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.exchange.by_hand("AAPL", 10.0)
        day.exchange.activities[-1]["order_id"] = None
        day.exchange.fail("refuse", times=99, path="/v2/orders/None", answer=refusal)
        day.run(1)
        assert day.ledger.state() == ("halted", "the broker holds or trades what we did not order: AAPL")
        assert day.ledger.positions() == {"AAPL": 510.0}


@pytest.mark.parametrize("lacks", ["account_number", "currency"])
@pytest.mark.parametrize("null", [True, False])
def test_an_account_without_its_number_or_currency_is_an_answer_without_one(tmp_path, lacks, null):
    with days(tmp_path, [[0.5]]) as day:
        whole = day.exchange.account()
        day.exchange.account = lambda: (
            {name: one for name, one in whole.items() if name != lacks} | ({lacks: None} if null else {})
        )
        with pytest.raises(UnreachableError, match="something else"):
            day.broker.account()
        day.close()
        with pytest.raises(UnreachableError, match="something else"):
            day.open()


@pytest.mark.parametrize("coins", [True, False])
@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"status": "INACTIVE", "crypto_status": "ACTIVE"}, "status=INACTIVE"),
        ({"status": "ACCOUNT_UPDATED"}, "status=ACCOUNT_UPDATED"),
        ({"trading_blocked": True, "crypto_status": "ACTIVE"}, "trading_blocked"),
    ],
)
def test_an_account_that_may_not_trade_says_why_and_coins_have_a_status_of_their_own(tmp_path, coins, facts, why):
    with days(tmp_path, [[0.5]], **(COIN if coins else {})) as day:
        whole = day.exchange.account()
        day.exchange.account = lambda: whole | facts
        if coins and why == "status=INACTIVE":
            assert day.broker.account().equity == 100_000.0
        else:
            with pytest.raises(UnreachableError, match=rf"is blocked \({why}\): ask Alpaca why"):
                day.broker.account()


@pytest.mark.parametrize("name", ["null", ""])
def test_executions_without_an_id_are_an_answer_without_one(tmp_path, name):
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning(tend=False)
        rows, day.exchange.activities = day.exchange.activities, []
        day.exchange.list_activities = lambda kind, query: (
            200, [{**{one: row[one] for one in row if one != "id"}, **({"id": None} if name else {})} for row in rows]
        )  # fmt: skip
        with pytest.raises(UnreachableError, match="something else"):
            day.broker.fills(0)


def test_a_server_that_is_at_another_address_says_what_to_set(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.exchange.handle = lambda *asked: (301, None)
        with pytest.raises(UnreachableError, match=r"another address, .* broker\.url is to be that one"):
            day.broker.account()
        with pytest.raises(UnreachableError, match="another address"):
            day.broker.submit(Order("agent/test/9/1", "AAPL", 3.0, urgent=True))
