"""What Alpaca tells of an account, as its documents and its users show it: whose it is, what of it counts, and how often."""

import contextlib
import datetime as dt

import pytest

from tests.trading.days import days
from tests.trading.test_cases_positions import rescale
from wealtharena.trading import loop
from wealtharena.trading.alpaca.words import sequence_of
from wealtharena.trading.broker import UnreachableError

pytestmark = pytest.mark.slow  # each goes through days at a broker's server

COIN = {"symbols": ("BTC-USD",), "coins": True}


def at(text):
    return int(dt.datetime.fromisoformat(text).timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "20210510100104650::88", "transaction_time": "2021-05-10T14:01:04.650275Z"}, "2021-05-10T14:01:04.650275Z"),
        ({"id": "20210510100104650::88"}, "2021-05-10T14:01:04.650Z"),
        ({"id": "20210112000000000::46", "date": "2021-01-12"}, "2021-01-12T05:00:00Z"),
    ],
)  # fmt: skip
def test_an_id_is_in_new_yorks_time(row, expected):
    assert sequence_of(row) == at(expected)


@pytest.mark.parametrize("strangers", ["halt", "adopt"])
def test_what_is_executed_within_hours_of_the_opening_is_booked(tmp_path, strangers):
    """In New York's time, it has ids of before the opening in UTC."""
    with days(tmp_path, [[0.5]], strangers=strangers, **COIN) as day:
        day.run(3)
        assert len(day.ledger.fills()) == 1
        assert day.ledger.closes()[1]["traded"] == pytest.approx(50_000.0)
        assert day.ledger.state() == ("trading", "")
        assert day.told("strangers") == []


def test_what_was_before_is_nobodys_also_where_the_broker_was_silent_at_the_first_close(tmp_path):
    with days(tmp_path, [[0.0]]) as day:
        day.morning(tend=False)
        for units in (10.0, -10.0):
            day.exchange.by_hand("AAPL", units)
        day.exchange.pay("DIV", "AAPL", 25.0)
        day.exchange.fail("500", times=99, path="/v2/*")
        day.evening()
        day.exchange.faults.clear()
        assert day.ledger.decision().weights is None
        loop.tend(day.trader, day.switch)
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert day.ledger.fills() == day.ledger.events() == []


def move(day, cash, **facts):
    with day.exchange.lock:
        day.exchange.cash += cash
        day.exchange.act({"activity_type": "CSD", "net_amount": str(cash), "status": "executed", **facts})


def test_a_deposit_is_the_accounts_by_when_it_was_told_of_and_not_by_its_day(tmp_path):
    with days(tmp_path, [[0.0]], **COIN) as day:
        move(day, 1000.0)
        day.run(1)
        move(day, 500.0)  # on the day of the opening, which its id begins with
        day.run(1)
        day.run(3)
        today, day.exchange.now = day.exchange.now, day.exchange.now - dt.timedelta(days=6)
        move(day, 700.0)  # dated a day before the opening
        day.exchange.now = today
        day.run(1)
        assert [one["cash"] for one in day.ledger.events()] == [700.0, 500.0]
        assert [row["flow"] for row in day.ledger.closes()] == [0.0, 500.0, 0.0, 0.0, 0.0, 700.0]


@pytest.mark.parametrize("status", ["canceled", "pending"])
def test_a_deposit_that_never_came_or_is_still_to_come_is_none(tmp_path, status):
    with days(tmp_path, [[0.0]]) as day:
        day.run(1)
        day.exchange.act({"activity_type": "CSD", "net_amount": "1500", "status": status})
        day.run(2)
        assert day.ledger.events() == []
        assert not any(row["flow"] for row in day.ledger.closes())


def test_what_has_no_name_here_is_kept_and_what_is_told_elsewhere_is_not(tmp_path):
    """A kind that Alpaca adds or drops ends no question: it is asked by category, and executions are passed over."""
    with days(tmp_path, [[0.5]], **COIN) as day:
        day.run(1)
        with day.exchange.lock:
            day.exchange.cash += 10.0
            day.exchange.act({"activity_type": "SWP", "net_amount": "10"})
            day.exchange.act({"activity_type": "CFEE", "symbol": "BTCUSD", "qty": "-1", "net_amount": "0"})
        day.run(2)
        assert [(one["kind"], one["cash"], one["units"]) for one in day.ledger.events()] == [("other", 10.0, 0.0)]
        assert day.ledger.state() == ("trading", "")


@pytest.mark.parametrize("rows", [["500"], ["-500", "1000"]])
@pytest.mark.parametrize("later", [0, 1, 3])
def test_a_split_that_is_seen_first_and_told_of_later_counts_once(tmp_path, rows, later):
    """It is told by what more there is, or by what went and what came."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(3)
        day.exchange.split("AAPL", 2.0, booked=False)
        rescale(day, 2.0)
        day.run(later)
        for units in rows:
            day.exchange.act({"activity_type": "SPLIT", "symbol": "AAPL", "qty": units, "net_amount": "0"})
        day.run(3)
        assert day.ledger.state() == ("trading", "")
        assert day.ledger.positions() == {"AAPL": 1000.0}
        assert day.told("positions") == day.told("strangers") == []
        assert [row["flow"] for row in day.ledger.closes()] == [0.0] * (6 + later)
        assert [row["equity"] for row in day.ledger.closes()] == pytest.approx([100_000.0] * (6 + later))


@pytest.mark.parametrize("wanted", [0.3, 0.6])
def test_what_is_traded_at_the_open_of_a_splits_date_is_in_shares_of_after_it(tmp_path, wanted):
    with days(tmp_path, [[0.5], [0.5], [wanted]]) as day:
        day.run(3)
        (order,) = [one for one in day.intents() if one.status == "open"]
        day.exchange.split("AAPL", 3.0, booked=False)
        rescale(day, 3.0)
        day.run(1)
        assert day.told("positions") == day.told("strangers") == []
        assert day.ledger.positions() == {"AAPL": 1500.0 + order.units}
        assert day.fits()
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert [row["flow"] for row in day.ledger.closes()] == [0.0] * 6


@pytest.mark.parametrize("rows", [("SPLIT", "CIL"), ("CIL", "SPLIT"), ("CIL",), ("SPLIT",), ()])
def test_the_units_and_the_cash_of_a_split_each_count_once_in_whatever_order_they_are_told(tmp_path, rows):
    with days(tmp_path, [[0.5]]) as day:
        day.run(3)
        day.exchange.split("AAPL", 4 / 3, booked=False)
        rescale(day, 4 / 3)
        day.run(1)
        paid = 100_000.0 - 500.0 * 100.0 + 2 / 3 * 75.0
        assert day.exchange.cash == pytest.approx(paid)
        for kind in rows:
            qty, cash = ("166", "0") if kind == "SPLIT" else ("0", "50")
            day.exchange.act({"activity_type": kind, "symbol": "AAPL", "qty": qty, "net_amount": cash})
            day.run(1)
        day.run(2)
        assert day.ledger.state() == ("trading", "")
        assert day.ledger.positions() == {"AAPL": 666.0}
        assert sum(one["cash"] for one in day.ledger.events()) == pytest.approx(50.0, abs=0.1)
        assert day.told("positions") == []
        assert not any(row["flow"] for row in day.ledger.closes())


QUESTIONS = {
    "account": lambda broker: broker.account(),
    "positions": lambda broker: broker.positions(),
    "fills": lambda broker: broker.fills(0),
    "events": lambda broker: broker.events(0),
    "open orders": lambda broker: broker.open_orders(),
    "cursor": lambda broker: broker.cursor(),
    "an order": lambda broker: broker.order_by_client_id("none"),
    "a cancel": lambda broker: broker.cancel("none"),
}


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_a_question_that_is_refused_is_one_without_an_answer(tmp_path, status):
    """And never an error that ends the account; that there is no order is an answer."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        for question in QUESTIONS.values():
            day.exchange.fail("refuse", times=99, path="/v2/*", answer=(status, 40310000, "forbidden."))
            with contextlib.suppress(UnreachableError):
                assert question(day.broker) is None
            day.exchange.faults.clear()
        day.exchange.fail("refuse", times=99, path="/v2/*", answer=(status, 40310000, "forbidden."))
        day.run(1)
        assert day.ledger.decision().weights is None
        day.exchange.faults.clear()
        day.run(1)
        assert day.ledger.decision().weights is not None


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/v2/account", "equity", 10**400),
        ("/v2/positions", "qty", 10**400),
        ("/v2/orders", "filled_qty", 10**400),
        ("/v2/clock", "timestamp", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_a_number_or_a_time_beyond_all_bounds_is_an_answer_without_one(tmp_path, path, name, value):
    with days(tmp_path, [[0.5]]) as day:
        handle, broken = day.exchange.handle, True

        def answered(method, asked, query, body, headers):
            status, found = handle(method, asked, query, body, headers)
            if not broken or status != 200 or asked.partition(":")[0] != path:
                return status, found
            return status, [{**row, name: value} for row in found] if isinstance(found, list) else {
                **found,
                name: value,
            }

        day.run(1)
        day.exchange.handle = answered
        day.run(3)
        broken = False
        day.run(2)
        assert day.ledger.decision().weights is not None
        assert day.ledger.positions() == day.exchange.held
        assert day.ledger.state() == ("trading", "")


def test_the_side_says_which_way_an_order_went_whatever_sign_its_quantity_has(tmp_path):
    """Positions that are short have one below zero."""
    with days(tmp_path, [[-0.5]]) as day:
        fill, handle = day.exchange.list_activities, day.exchange.handle

        def signed(row):
            turned = {name: f"-{row[name]}" for name in ("qty", "filled_qty") if row.get(name) not in (None, "0")}
            return {**row, **turned} if row["side"] == "sell" else row

        def answered(method, path, query, body, headers):
            status, found = handle(method, path, query, body, headers)
            return status, signed(found) if isinstance(found, dict) and "side" in found else found

        day.exchange.list_activities = lambda kind, query: (200, [signed(row) for row in fill(kind, query)[1]])
        day.exchange.handle = answered
        day.run(3)
        assert day.ledger.positions() == day.exchange.held == {"AAPL": -500.0}
        assert [one.filled for one in day.intents()] == [-500.0]
        assert day.ledger.state() == ("trading", "")


def test_pages_without_an_end_are_no_answer(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        row = day.exchange.activities[0]
        asked = []

        def same(kind, query):
            asked.append(kind)
            return 200, [row] * 100 if len(asked) < 20 else []

        day.exchange.list_activities = same
        with pytest.raises(UnreachableError, match="again and again"):
            day.broker.fills(0)
        assert len(asked) < 20


@pytest.mark.parametrize("strangers", ["halt", "adopt"])
@pytest.mark.parametrize(("side", "legs", "named"), [("", ("A1", "A2"), "A1 A2"), ("buy", (), "several legs")])
def test_a_persons_order_of_several_legs_is_a_strangers_and_hides_nothing(tmp_path, strangers, side, legs, named):
    """Side and symbol stand in its legs, and are empty or left out at its top."""
    with days(tmp_path, [[0.5]], strangers=strangers) as day:
        day.run(2)
        order = day.exchange.book("", 1.0, side, "a person's", "gtc")
        order.update(order_class="mleg", legs=[{"symbol": one, "side": "buy", "qty": "1"} for one in legs])
        day.run(1)
        assert day.told("strangers")[0]["numbers"] == {named: 1.0}
        assert day.ledger.state()[0] == ("halted" if strangers == "halt" else "trading")
        assert day.ledger.decision().weights is not None
        assert day.fits()


def test_what_the_digits_of_many_executions_lack_together_is_nobodys_position(tmp_path):
    with days(tmp_path, [[0.002]]) as day:
        day.run(2)
        day.exchange.held["AAPL"] += 4e-9
        day.run(2)
        assert day.told("strangers") == day.told("positions") == []
        assert day.ledger.state()[0] == "trading"


@pytest.mark.parametrize("strangers", ["halt", "adopt"])
@pytest.mark.parametrize(("word", "qty"), [("trade_correct", "500"), ("trade_bust", None)])
def test_an_execution_that_is_corrected_or_broken_afterwards_is_no_second_one(tmp_path, strangers, word, qty):
    """Of a broken one the units are gone: that is what positions tell, and what `paper.strangers` is for."""
    with days(tmp_path, [[0.5]], strangers=strangers) as day:
        day.run(2)
        (fill,) = [one for one in day.exchange.activities if one["activity_type"] == "FILL"]
        with day.exchange.lock:
            day.exchange.act({**fill, "transaction_time": day.exchange.now.isoformat(), "type": word, "qty": qty})
            if word == "trade_bust":
                day.exchange.hold("AAPL", -500.0)
                day.exchange.cash += 50_000.0
            else:
                day.exchange.cash -= 50.0
        day.run(1 if word == "trade_correct" else 2)
        assert [one.units for one in day.ledger.fills()][:1] == [500.0]
        if word == "trade_correct":
            assert len(day.ledger.fills()) == 1
            assert day.fits()
            assert day.told("strangers") == day.told("positions") == []
        else:
            assert day.told("strangers")[0]["numbers"] == {"AAPL": -500.0}
        assert day.ledger.state()[0] == ("halted" if strangers == "halt" and word == "trade_bust" else "trading")
        assert not any(row["flow"] for row in day.ledger.closes())
