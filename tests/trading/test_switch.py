"""The kill switch by signals, and a stop that loses nothing."""

import concurrent.futures
import contextlib
import datetime as dt
import errno
import itertools
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.trading.days import days
from tests.trading.desks import a_world, account, go
from tests.trading.outside import day_of
from wealtharena.trading import loop
from wealtharena.trading import switch as switching
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.clock import Due, Timer
from wealtharena.trading.crossing import Met
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import FILE, Signals, Switch, throw
from wealtharena.trading.trader import Trader

AT = 20  # closes before the signal


def go_listening(folder, world, number, *, at=AT):
    """Trade while a switch listens to signals; send `number` to this process after so many closes."""
    ledger, seen = Ledger(folder, synchronous="normal"), []
    if ledger.facts() is None:
        ledger.open("noise", "test", {"of": "tests"})
    broker = open_broker(Opening(folder, world.env, ledger.epoch, "normal"))
    trader = Trader("noise", "test", world.mind, world.env, world.risk, ledger, broker)

    def told(close):
        seen.append(close.bar)
        if len(seen) == at:
            os.kill(os.getpid(), number)

    with contextlib.closing(ledger), contextlib.closing(broker), Signals() as signals:
        loop.run(trader, world.feed().closes(ledger.decision()), Switch(folder, signals), told=told)
    return seen


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_freezes_or_flattens_at_the_next_close_and_the_halt_outlives_it(tmp_path, number):
    """Case 22."""
    before = signal.getsignal(number)
    world = a_world(participation=1.0)
    seen = go_listening(tmp_path, world, number)
    assert signal.getsignal(number) == before
    found = account(tmp_path)
    after = [one for one in found["intents"] if one.bar > seen[AT - 1]]
    held = {bar["bar"]: bar["positions"] for bar in found["closes"]}
    assert held[seen[AT - 1]]
    assert found["state"][0] == "halted"
    if number == signal.SIGUSR1:
        assert after == []
        assert held[seen[-1]] == held[seen[AT]]
    else:
        assert found["state"][1] == "kill switch: flatten; nothing is held any more"
        assert {one.bar for one in after} >= {seen[AT]}
        assert all(np.sign(one.units) == -np.sign(held[one.bar][one.symbol]) for one in after)
        assert found["positions"] == {}
    assert not (tmp_path / FILE).exists()
    go(tmp_path, world)  # another process, which heard no signal
    assert account(tmp_path)["state"] == found["state"]


@pytest.mark.parametrize("first", [signal.SIGUSR1, signal.SIGUSR2])
def test_who_freezes_is_obeyed_whatever_else_is_thrown_and_in_whatever_order(tmp_path, first):
    with Signals() as signals:
        switch = Switch(tmp_path, signals)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert switch.thrown() == "flatten"
        assert throw(tmp_path, "freeze")
        assert switch.thrown() == "freeze"
        switch.file.unlink()
        assert throw(tmp_path, "flatten")
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), first)
        assert switch.thrown() == "freeze"


def test_an_account_that_closes_all_by_a_signal_is_frozen_by_the_file(tmp_path):
    world, folder = a_world(participation=0.0005), tmp_path / "account"
    folder.mkdir()
    ledger, seen = Ledger(folder, synchronous="normal"), []
    ledger.open("noise", "test", {})
    broker = open_broker(Opening(folder, world.env, 1, "normal"))
    trader = Trader("noise", "test", world.mind, world.env, world.risk, ledger, broker)

    def told(close):
        seen.append(ledger.state())
        if len(seen) == AT:
            os.kill(os.getpid(), signal.SIGUSR2)
        if len(seen) == AT + 1:
            throw(folder, "freeze")

    with contextlib.closing(ledger), contextlib.closing(broker), Signals() as signals:
        feed = itertools.islice(world.feed().closes(None), AT + 5)
        loop.run(trader, feed, Switch(folder, signals), told=told)
        assert seen[AT] == ("reducing", "kill switch: flatten")
        assert seen[AT + 1] == ("halted", "kill switch: freeze")
        assert ledger.positions()


def test_of_two_that_throw_it_at_once_the_freeze_stands(tmp_path):
    for _ in range(20):
        with concurrent.futures.ThreadPoolExecutor(4) as several:
            wanted = ("flatten", "freeze", "flatten", "freeze")
            done = list(several.map(lambda command: throw(tmp_path, command), wanted))
        assert (done[1], done[3]) == (True, True)
        assert [path.name for path in tmp_path.iterdir()] == [FILE]
        assert Switch(tmp_path).thrown() == "freeze"
        assert not throw(tmp_path, "flatten")
        (tmp_path / FILE).unlink()
        assert throw(tmp_path, "flatten")
        assert throw(tmp_path, "flatten")
        (tmp_path / FILE).unlink()


def test_where_files_have_one_name_only_everything_can_be_closed_too(tmp_path, monkeypatch):
    """Shared folders of virtual machines, and FAT, have no hard links."""

    def refused(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert throw(tmp_path, "flatten")
    assert Switch(tmp_path).thrown() == "flatten"
    assert throw(tmp_path, "freeze")
    assert not throw(tmp_path, "flatten")
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_after_the_bar_and_what_follows_is_as_if_it_had_not_been(tmp_path, number):
    world = a_world()
    seen = go_listening(tmp_path / "stopped", world, number)
    assert len(seen) == AT
    assert account(tmp_path / "stopped")["state"][0] == "trading"
    go(tmp_path / "stopped", world)
    go(tmp_path / "plain", world)
    assert account(tmp_path / "stopped") == account(tmp_path / "plain")


def test_a_wait_ends_with_a_stop(tmp_path):
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        signals.wait(3600.0)
        assert Switch(tmp_path, signals).stop


def test_between_two_closes_the_switch_is_obeyed_too(tmp_path):
    """A live account waits for hours; what is open is taken back within a minute of them."""
    world, closes, at = a_world(), [], [dt.datetime(2025, 1, 1, tzinfo=dt.UTC)]
    ledger = Ledger(tmp_path, synchronous="normal")
    ledger.open("noise", "test", {})
    broker = open_broker(Opening(tmp_path, world.env, 1, "normal"))
    trader = Trader("noise", "test", world.mind, world.env, world.risk, ledger, broker)
    feed = [*itertools.islice(world.feed().closes(None), AT), Due(at[0] + dt.timedelta(hours=1))]
    with contextlib.closing(ledger), contextlib.closing(broker):
        waits = loop.steps(trader, feed, Switch(tmp_path), told=closes.append, now=lambda: at[0])
        assert next(waits).moment - at[0] == loop.SLICE
        assert len(closes) == AT
        assert broker.open_orders()
        (tmp_path / FILE).write_text("freeze")
        at[0] += loop.SLICE
        assert next(waits).moment - at[0] == loop.SLICE
        assert not broker.open_orders()
        assert ledger.state() == ("halted", "kill switch: freeze")
        at[0] += dt.timedelta(hours=1)
        assert list(waits) == []


def test_a_wake_that_comes_while_it_is_asked_for_is_heard_the_next_time(monkeypatch):
    signals = Signals()
    asked = signals._woken.is_set

    def asked_and_woken():
        found = asked()
        signals.wake()
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(signals._woken, "is_set", asked_and_woken)
        assert not signals.roused()
    assert signals.roused()
    assert not signals.roused()


def test_what_wakes_a_wait_ends_it_early_but_not_at_once_and_is_a_reason_to_look_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(switching.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(switching.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    signals, start = Signals(), dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    timer = Timer(lambda: start + dt.timedelta(seconds=now[0]), signals.wait, signals.roused)
    assert timer.until(start + dt.timedelta(seconds=60))
    assert now[0] == pytest.approx(60.0)
    signals.wake()
    assert not timer.until(start + dt.timedelta(seconds=120))
    assert now[0] == pytest.approx(60.0 + switching.AWAKE_SECONDS, abs=switching.PAUSE_SECONDS)
    assert timer.until(start + dt.timedelta(seconds=120))  # once
    assert now[0] == pytest.approx(120.0, abs=switching.PAUSE_SECONDS)


@pytest.mark.parametrize("kind", ["folder", "link to nothing", "of another user"])
def test_what_cannot_be_read_under_the_name_of_the_switch_freezes(tmp_path, monkeypatch, kind):
    switch = Switch(tmp_path)
    assert switch.thrown() is None
    if kind == "folder":
        switch.file.mkdir()
    elif kind == "link to nothing":
        switch.file.symlink_to(tmp_path / "nowhere")
    else:
        switch.file.write_text("flatten")

        def refused(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(switch.file), "read_text", refused)
    assert switch.thrown() == "freeze"


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
        day.evening()
        assert day.ledger.state() == ("halted", "kill switch: flatten; nothing is held any more")
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
    for theirs, left in ((200.0, {}), (700.0, {"AAPL": 200.0})):
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
