"""What users of live-trading systems suffered from, played again at an exchange on loopback: cases 1 to 10."""

import datetime as dt

import pytest

from tests.trading.conformance import shipped
from tests.trading.days import days, until
from tests.trading.serving import streaming
from wealtharena.trading import loop
from wealtharena.trading.alpaca import stream as stream_module
from wealtharena.trading.locks import Keys

pytestmark = pytest.mark.slow  # each goes through days at a broker's server


def statuses(day):
    return [(one.leg, one.attempt, one.status) for one in day.intents()]


@pytest.mark.parametrize("kind", ["504", "slow", "truncated", "html"])
def test_case_01_an_order_that_is_booked_without_an_answer_is_one_order(tmp_path, kind):
    hurried = {"timeout_seconds": 1.0} if kind == "slow" else {}  # a busy machine is slow by itself
    with days(tmp_path, [[0.5]], **hurried) as day:
        day.exchange.slow_seconds = 1.5
        day.exchange.fail(kind, method="POST", path="/v2/orders")
        day.run(3)
        assert [one["status"] for one in day.exchange.orders.values()] == ["filled"]
        assert statuses(day) == [(1, 1, "filled")]
        assert day.fits()


@pytest.mark.parametrize("answer", [None, [], "ok", {"id": 1}, [{}]])
def test_an_order_that_is_booked_and_answered_with_something_else_is_one_order(tmp_path, answer):
    with days(tmp_path, [[0.5]]) as day:
        booking = day.exchange.submit
        day.exchange.submit = lambda body: (booking(body)[0], answer)
        day.run(2)
        assert [one.status for one in day.intents()] == ["filled"]
        assert len(day.exchange.orders) == 1
        assert day.fits()


def test_case_01_at_once_filled_it_is_not_among_open_orders_and_still_one(tmp_path):
    with days(tmp_path, [[0.5]], symbols=("BTC-USD",), coins=True) as day:
        day.exchange.fail("504", method="POST", path="/v2/orders")
        day.run(3)
        assert len(day.exchange.orders) == 1
        assert day.fits()


@pytest.mark.parametrize("kind", ["429", "500", "401"])
def test_case_01_an_order_that_was_not_booked_is_sent_again_under_its_id(tmp_path, kind):
    with days(tmp_path, [[0.5]]) as day:
        day.exchange.fail(kind, method="POST", path="/v2/orders")
        day.run(3)
        assert statuses(day) == [(1, 1, "filled")]
        posts = [one for one in day.exchange.log if one[:2] == ("POST", "/v2/orders")]
        assert len(posts) == 2


def test_case_02_while_positions_are_not_told_nothing_is_ordered(tmp_path):
    with days(tmp_path, [[0.5], [0.5], [-0.5]]) as day:
        day.run(2)
        before = len(day.exchange.orders)
        day.exchange.fail("500", times=20, path="/v2/positions")
        day.run(1)
        assert len(day.exchange.orders) == before
        assert day.ledger.decision().weights is None
        day.exchange.faults.clear()
        day.run(1)
        assert day.ledger.decision().weights is not None


def test_case_03_a_frame_that_cannot_be_read_and_a_mute_stream_lose_nothing(tmp_path):
    with days(tmp_path, [[0.5]]) as day, streaming(day.exchange) as address:
        woken = []
        day.broker._broker._settings = day.broker._broker._settings.model_copy(update={"stream_url": address})
        day.broker.stream(lambda: woken.append(1))
        until(lambda: day.exchange.listeners, 20)
        day.exchange.broadcast('{"stream": "trade_upd')
        until(lambda: woken, 20)
        assert day.broker._broker._heard.failures == 1
        assert day.broker.silent_seconds() < 20.0
        day.exchange.muted = True
        heard = day.broker._broker._heard.frames
        day.run(2)
        assert day.broker._broker._heard.frames == heard
        assert statuses(day) == [(1, 1, "filled")]
        assert day.fits()


def test_case_03_frames_that_are_told_again_book_nothing(tmp_path):
    with days(tmp_path, [[0.5]]) as day, streaming(day.exchange) as address:
        woken = []
        day.broker._broker._settings = day.broker._broker._settings.model_copy(update={"stream_url": address})
        day.broker.stream(lambda: woken.append(1))
        until(lambda: day.exchange.listeners, 20)
        day.run(2)
        for frame in 3 * list(day.exchange.frames):
            day.exchange.broadcast(frame)
        until(lambda: len(woken) > 3, 20)
        loop.tend(day.trader, day.switch)
        assert len(day.ledger.fills()) == 1
        assert day.fits()


def test_keys_go_to_no_host_that_was_not_meant(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.broker.stream(lambda: None)
        assert day.broker._broker._heard is None
    assert shipped("alpaca").stream_endpoint == "wss://paper-api.alpaca.markets/stream"
    assert shipped("alpaca").endpoint == "https://paper-api.alpaca.markets"


def test_case_04_a_connection_that_is_refused_is_tried_again_with_longer_pauses(monkeypatch):
    pauses, woken = [], []

    class Stop:
        def is_set(self):
            return len(pauses) > 8

        def wait(self, seconds):
            pauses.append(seconds)

    monkeypatch.setattr(stream_module.threading.Thread, "start", lambda self: None)
    stream = stream_module.Stream(Keys("a", "b"), "ws://127.0.0.1:9", lambda: woken.append(1))
    stream._stop = Stop()
    stream._run()
    assert pauses == sorted(pauses)
    assert pauses[-1] > 90.0  # the server counts a dead connection for so long
    assert stream.failures == len(woken) == 9  # each gap is a reason to ask


def test_case_05_a_sweep_finds_what_the_stream_does_not_tell(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning(tend=False)
        assert day.ledger.fills() == []
        loop.tend(day.trader, day.switch)
        assert len(day.ledger.fills()) == 1


def test_case_06_what_was_filled_while_we_were_gone_is_fetched(tmp_path):
    with days(tmp_path, [[0.5], [0.2]]) as day:
        day.run(1)
        day.close()
        for _ in range(3):
            day.morning(tend=False)
            day.day += 1
        day.open()
        day.morning()
        day.evening()
        assert day.intents()[0].status == "filled"
        assert day.fits()


def test_case_07_the_same_fill_twice_across_a_restart_is_booked_once(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        fills = day.ledger.fills()
        day.again()
        assert day.ledger.unknown_fills(list(day.broker.fills(0))) == []
        assert day.ledger.book(list(day.broker.fills(0))) == 0
        day.run(1)
        assert day.ledger.fills() == fills
        assert day.fits()


def test_case_08_an_older_answer_after_the_fill_undoes_nothing(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        old = day.broker.order_by_client_id(day.intents()[0].client_id)
        day.run(1)
        day.ledger.follow([old])
        assert [(one.status, one.filled) for one in day.intents()] == [("filled", old.units)]
        day.exchange.fail("stale", times=3, path="/v2/positions")
        day.run(1)
        assert day.fits()


def test_case_09_orders_that_a_history_leaves_out_are_all_tracked(tmp_path):
    symbols = tuple(f"S{n}" for n in range(14))
    with days(tmp_path, [[0.05] * 14], symbols=symbols) as day:
        killed = []

        def at(point):
            if point == "acknowledged":
                killed.append(point)
                raise KeyboardInterrupt  # in place of a kill: nothing behind this line is done

        day.at = at
        with pytest.raises(KeyboardInterrupt):
            day.run(1)
        day.at = lambda point: None
        day.again()
        assert len(killed) == 1
        hidden = {name: order for name, order in day.exchange.orders.items() if order["symbol"] in ("S3", "S9")}
        listed = day.exchange.list_orders
        day.exchange.list_orders = lambda query: (200, [one for one in listed(query)[1] if one["id"] not in hidden])
        loop.on_close(day.trader, day.closes[0], day.switch)
        day.day = 1
        assert len(day.ledger.pending()) == 14
        day.run(1)
        assert {one.status for one in day.intents()} == {"filled"}
        assert len(day.exchange.orders) == 14
        assert day.fits()


def test_case_10_what_was_before_the_account_belongs_to_nobody(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.exchange.by_hand("AAPL", 10)
        day.exchange.by_hand("AAPL", -10)
        day.exchange.go(day.exchange.now + dt.timedelta(minutes=5))
        day.run(2)
        assert [one.client_id for one in day.ledger.fills()] == [day.intents()[0].client_id]
        assert day.ledger.state()[0] == "trading"
        assert day.fits()


def test_what_is_less_than_a_millionth_of_equity_is_not_sent_out(tmp_path):
    with days(tmp_path, [[0.5], [0.5 + 1e-8], [0.5 - 4e-8], [0.51]], symbols=("BTC-USD",), coins=True) as day:
        day.run(5)
        assert [round(one.units) for one in day.intents()] == [500, 10]
