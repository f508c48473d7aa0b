"""Everything is to be closed: what waits is stopped, what is held goes at once, and nothing is sold twice."""

import datetime as dt
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.trading.days import days
from tests.trading.outside import day_of
from wealtharena.trading import loop
from wealtharena.trading.broker import Fill
from wealtharena.trading.crossing import Met

pytestmark = pytest.mark.slow  # each goes through days at a broker's server


def waiting(day):
    """Decide an hour before the auction takes orders; return the close."""
    close = day.closes[day.day]
    _, closes = day_of(close.bar)
    day.exchange.go(closes + dt.timedelta(hours=2))
    loop.on_close(day.trader, close, day.switch)
    day.day += 1
    assert [one.status for one in day.intents() if one.bar == close.bar] == ["new"]
    return closes


@pytest.mark.parametrize("word", ["freeze", "flatten"])
@pytest.mark.parametrize("restart", [False, True])
def test_an_order_that_waits_for_its_window_is_not_sent_once_the_switch_is_thrown(tmp_path, word, restart):
    """With `flatten` it was bought hours later, and held over a session."""
    with days(tmp_path, [[0.5]]) as day:
        day.morning()
        closes = waiting(day)
        day.switch.file.write_text(word)
        if restart:
            day.again()
        day.exchange.go(closes + dt.timedelta(hours=4))
        loop.tend(day.trader, day.switch)
        assert day.exchange.orders == {}
        assert [one.status for one in day.intents()] == ["cancelled"]
        day.run(1)
        assert (day.ledger.state()[0], day.exchange.held) == ("halted", {})


def test_what_makes_a_position_smaller_is_sent_although_everything_is_closed_after_it(tmp_path):
    with days(tmp_path, [[0.5], [0.2]]) as day:
        day.run(1)
        day.morning()
        closes = waiting(day)
        day.switch.file.write_text("flatten")
        day.exchange.go(closes + dt.timedelta(hours=4))
        loop.tend(day.trader, day.switch)
        day.morning(tend=False)
        assert day.exchange.held == {"AAPL": 200.0}
        for _ in range(2):
            loop.tend(day.trader, day.switch)
            day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
        assert day.exchange.held == {}


def test_a_second_leg_is_not_sent_once_everything_is_to_be_closed(tmp_path):
    """The first had been filled: a position on the other side was opened after the word to close all."""
    with days(tmp_path, [[0.5], [-0.5]]) as day:
        day.run(2)
        day.morning(tend=False)  # the first leg is filled at the open, and nobody has looked yet
        day.switch.file.write_text("flatten")
        loop.tend(day.trader, day.switch)
        assert [one.status for one in day.intents()] == ["filled", "filled", "cancelled"]
        day.run(1)
        assert (day.ledger.state()[0], day.exchange.held) == ("halted", {})


@pytest.mark.parametrize("point", ["after persist", "sent"])
def test_a_restart_under_a_thrown_switch_opens_nothing_that_was_decided_before(tmp_path, point):
    """What a kill had left unsent was sent before all was closed."""

    def killed(reached):
        if reached == point:
            raise KeyboardInterrupt

    with days(tmp_path, [[0.5]]) as day:
        if point == "sent":
            day.exchange.fail("500", times=9, method="POST")
        day.at = killed
        day.morning(tend=False)
        with pytest.raises(KeyboardInterrupt):
            day.evening()
        day.at = lambda reached: None
        day.exchange.faults.clear()
        day.switch.file.write_text("flatten")
        day.again()
        loop.on_close(day.trader, day.closes[0], day.switch)
        loop.tend(day.trader, day.switch)
        assert day.exchange.orders == {}
        day.day = 1
        day.run(1)
        assert (day.ledger.state()[0], day.exchange.held) == ("halted", {})


def test_an_order_that_could_not_be_taken_back_is_asked_for_again_until_its_market_opens(tmp_path):
    """While all is closed nobody asked again before the next close: it was filled at the open between."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.switch.file.write_text("flatten")
        day.exchange.fail("500", times=9, path="/v2/orders:by_client_order_id")
        loop.tend(day.trader, day.switch)
        (told,) = day.told("kill_switch")
        assert told["numbers"] == {"not_taken_back": 1.0}
        day.exchange.faults.clear()
        loop.tend(day.trader, day.switch)
        day.morning()
        assert day.exchange.held == {}


def test_while_the_account_is_unknown_the_word_to_close_all_stands(tmp_path):
    """It was halted after some days, with "nothing is held any more", and what was held stayed."""
    with days(tmp_path, [[0.5]], rules={"unknown_account": {"max_bars": 2, "action": "halt"}}) as day:
        day.run(2)
        day.switch.file.write_text("flatten")
        day.exchange.fail("500", times=1e9)
        day.run(4)
        assert day.ledger.state() == ("reducing", "kill switch: flatten")
        assert [one["action"] for one in day.told("unknown_account")] == ["skip"] * 4
        day.exchange.faults.clear()
        day.run(2)
        assert day.exchange.held == {}
        assert day.ledger.state() == ("halted", "kill switch: flatten; nothing is held any more")


def test_who_asks_a_halted_account_to_close_all_is_told_once_that_it_does_not(tmp_path):
    """The service says 409; the file was taken for obeyed."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.ledger.set_state("halted", "unknown_account")
        day.switch.file.write_text("flatten")
        loop.tend(day.trader, day.switch)
        day.again()
        day.run(2)
        (told,) = day.told("kill_switch")
        assert (told["action"], told["symbols"]) == ("flatten: halted", ["AAPL"])
        assert [one.title for one in day.ledger.untold()].count("flatten closes nothing") == 1
        assert day.exchange.held == {"AAPL": 500.0}
        day.switch.file.unlink()
        day.ledger.release("seen")
        day.switch.file.write_text("flatten")
        day.run(4)
        assert day.exchange.held == {}
        assert [one["action"] for one in day.told("kill_switch")] == ["flatten: halted", "flatten"]


def noon(day):
    """Go to the middle of the day's session."""
    opens, _ = day_of(day.closes[day.day].bar)
    day.exchange.go(opens + dt.timedelta(hours=3))


def test_what_is_held_is_closed_within_the_session_that_the_word_comes_in(tmp_path):
    """It was held until the open of the next day."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning()
        assert day.exchange.held == {"AAPL": 500.0}
        noon(day)
        day.switch.file.write_text("flatten")
        for _ in range(3):
            loop.tend(day.trader, day.switch)
            day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
        assert day.exchange.held == {}
        assert [(one.units, one.status, one.note) for one in day.intents()][1:] == [
            (-500.0, "filled", "at once: the open has passed")
        ]
        assert day.ledger.state() == ("halted", "kill switch: flatten; nothing is held any more")
        day.evening()
        assert day.ledger.closes()[-1]["positions"] == {}
        assert day.fits()


def test_what_is_held_over_a_weekend_is_closed_at_its_end_though_no_bar_comes(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(2)
        day.switch.file.write_text("flatten")
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        assert [one.status for one in day.intents()][1:] == ["open"]
        day.morning()
        assert day.exchange.held == {}


def test_an_order_that_fills_while_it_is_taken_back_is_closed_with_the_rest(tmp_path):
    with days(tmp_path, [[0.5], [0.8]]) as day:
        day.run(2)
        day.morning(tend=False)  # the second is filled, and nobody has looked yet
        day.switch.file.write_text("flatten")
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
        loop.tend(day.trader, day.switch)
        assert day.exchange.held == {}
        assert day.fits()


@pytest.mark.parametrize("point", ["mid-flatten", "acknowledged"])
def test_a_kill_while_all_is_closed_closes_nothing_twice(tmp_path, point):
    def killed(reached):
        if reached == point:
            raise KeyboardInterrupt

    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning()
        noon(day)
        day.switch.file.write_text("flatten")
        day.at = killed
        with pytest.raises(KeyboardInterrupt):
            loop.tend(day.trader, day.switch)
        day.at = lambda reached: None
        day.again()
        for _ in range(3):
            loop.tend(day.trader, day.switch)
            day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
        assert day.exchange.held == {}
        assert len(day.exchange.orders) == 2
        day.run(2)
        assert day.exchange.held == {}


def test_no_more_is_closed_than_the_broker_and_our_executions_both_know(tmp_path):
    """Somebody sells at the broker at the same time; and what somebody bought there is not ours to sell."""
    for theirs, left in ((200.0, {}), (700.0, {"AAPL": 200.0}), (-5.0, {"AAPL": -5.0})):
        with days(tmp_path / str(theirs), [[0.5]]) as day:
            day.run(1)
            day.morning()
            noon(day)
            day.exchange.held["AAPL"] = theirs
            day.switch.file.write_text("flatten")
            for _ in range(3):
                loop.tend(day.trader, day.switch)
                day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
            assert day.exchange.held == left
            assert day.ledger.state()[0] == "reducing"


def test_a_closing_order_that_is_refused_is_tried_again_at_the_next_close_and_not_each_minute(tmp_path):
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning()
        noon(day)
        day.switch.file.write_text("flatten")
        day.exchange.fail("refuse", times=9, method="POST", answer=(403, 40310000, "not now"))
        for _ in range(5):
            loop.tend(day.trader, day.switch)
        assert [one.status for one in day.intents()][1:] == ["rejected"]
        day.exchange.faults.clear()
        day.evening()
        day.morning()
        assert day.exchange.held == {}


def test_coins_are_closed_at_once_too_less_the_fee_that_was_kept_of_them(tmp_path):
    with days(tmp_path, [[0.5]], symbols=("BTC-USD",), coins=True, fee=0.0025, coin_fee=0.005) as day:
        day.run(1)
        day.morning()
        held = day.exchange.held["BTC/USD"]
        assert 0.0 < held < day.intents()[0].units
        day.switch.file.write_text("flatten")
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        assert day.intents()[-1].units == pytest.approx(-held)
        assert day.exchange.held == {}
        day.evening()
        assert (day.ledger.state()[0], day.ledger.positions()) == ("halted", {})


def test_what_a_neighbour_is_about_to_buy_is_closed_once_it_has(tmp_path):
    met = [Met("etf/default", tmp_path, ("AAPL",), known=True)]
    neighbours = SimpleNamespace(against=lambda orders, *, place: met, sharing=lambda mark: None)
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning()
        noon(day)
        day.switch.file.write_text("flatten")
        day.trader = replace(day.trader, neighbours=neighbours)
        loop.tend(day.trader, day.switch)
        assert day.exchange.held == {"AAPL": 500.0}
        met.clear()
        loop.tend(day.trader, day.switch)
        assert day.exchange.held == {}


def test_an_execution_that_is_not_told_yet_is_waited_for_before_the_rest_is_closed(tmp_path, monkeypatch):
    """The order is filled, says the broker, and its positions are those of before: they would be sold a second time."""
    with days(tmp_path, [[0.5], [0.2]]) as day:
        day.run(2)
        day.morning(tend=False)  # the open sells 300 of 500
        noon(day)
        day.switch.file.write_text("flatten")
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(day.broker, "fills", lambda since: [])
            meanwhile.setattr(day.broker, "positions", lambda: {"AAPL": 500.0})
            loop.tend(day.trader, day.switch)
        assert [one.status for one in day.intents()] == ["filled", "filled"]
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        assert day.exchange.held == {}
        assert day.fits()


def test_what_the_agent_does_not_trade_is_left_to_a_person(tmp_path):
    with days(tmp_path, [[0.5]], strangers="adopt") as day:
        day.run(1)
        day.morning()
        noon(day)
        day.exchange.prices["TSLA"] = 100.0
        day.exchange.hold("TSLA", 7.0)
        day.ledger.book([Fill(day.broker.cursor(), "theirs", None, "", "TSLA", 7.0, 100.0, 100.0, 0.0)], late=True)
        day.switch.file.write_text("flatten")
        for _ in range(2):
            loop.tend(day.trader, day.switch)
        assert day.exchange.held == {"TSLA": 7.0}


def test_who_trades_at_the_close_does_not_wait_for_it_where_all_is_closed(tmp_path):
    with days(tmp_path, [[0.5]], fill="next_close") as day:
        day.run(2)
        assert day.exchange.held == {"AAPL": 500.0}
        day.morning()
        noon(day)
        day.switch.file.write_text("flatten")
        for _ in range(2):
            loop.tend(day.trader, day.switch)
            day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
        assert day.exchange.held == {}
        assert day.intents()[-1].note == "at once: the open has passed"


@pytest.mark.parametrize("seed", [10, 15, 23])
def test_whatever_fails_meanwhile_everything_is_closed_once(tmp_path, seed):
    """One request in five fails, orders are filled in parts, and people release and throw again."""
    rng = np.random.default_rng(seed)
    wants = rng.uniform(0.0, 0.45, size=(8, 2))
    with days(tmp_path, wants, symbols=("AAPL", "MSFT"), strangers="adopt") as day:
        for _ in range(3):
            day.exchange.share, day.exchange.rng = 0.0, rng
            day.run(2)
            day.morning()
            noon(day)
            day.exchange.share, day.exchange.slow_seconds = 0.2, 0.0
            day.exchange.filling = float(rng.choice([0.4, 1.0]))
            day.switch.file.write_text("flatten")
            for minute in range(120):
                loop.tend(day.trader, day.switch)
                assert all(units >= 0.0 for units in day.exchange.held.values()), f"sold twice, minute {minute}"
                day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
                if day.ledger.state()[0] == "halted":
                    break
            assert (day.ledger.state()[0], day.exchange.held) == ("halted", {})
            day.exchange.share, day.exchange.filling = 0.0, 1.0
            day.switch.file.unlink()
            day.evening()
            day.ledger.release("looked")
        assert day.fits()


def test_a_closing_order_whose_executions_are_told_before_it_is_left_to_go_on(tmp_path, monkeypatch):
    """It looked larger than what is still held, as if it opened something, and was taken back half filled."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning()
        noon(day)
        day.exchange.filling = 0.4
        day.switch.file.write_text("flatten")
        loop.tend(day.trader, day.switch)
        asked = day.broker.order_by_client_id
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(
                day.broker, "order_by_client_id", lambda name: replace(asked(name), filled=0.0, status="open")
            )
            for _ in range(2):
                day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
                loop.tend(day.trader, day.switch)
        assert 0.0 < day.exchange.held["AAPL"] < 500.0
        assert [one["status"] for one in day.exchange.live()] == ["partially_filled"]


def test_what_is_closed_after_a_split_is_what_is_held_since(tmp_path):
    """Orders of before a split are taken back; those that close all are sized by what is held now."""
    with days(tmp_path, [[0.5]]) as day:
        day.run(1)
        day.morning()
        noon(day)
        day.exchange.split("AAPL", 2.0)
        day.switch.file.write_text("flatten")
        for _ in range(3):
            loop.tend(day.trader, day.switch)
            day.exchange.go(day.exchange.now + dt.timedelta(minutes=1))
        assert day.exchange.held == {}
        assert [one.units for one in day.intents()][1:] == [-1000.0]
