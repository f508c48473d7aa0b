"""The kill switch by signals, and a stop that loses nothing."""

import concurrent.futures
import contextlib
import datetime as dt
import errno
import itertools
import os
import signal

import numpy as np
import pytest

from tests.trading.desks import a_world, account, go
from wealtharena.trading import loop
from wealtharena.trading import switch as switching
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.clock import Due, Timer
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


@pytest.mark.slow
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


@pytest.mark.slow
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
