"""Killed at every named point, and at any moment: nothing is lost, nothing is done twice."""

import contextlib
import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.trading.desks import a_world, account, go, risk_of
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.database import connect
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.schema import STEPS
from wealtharena.trading.trader import POINTS

FORK = multiprocessing.get_context("fork")  # a process of its own, without importing everything anew
ELSEWHERE = ("between legs", "while migrating")  # one is for brokers outside, the other before anything is traded
WORLD = a_world(risk=risk_of(drawdown={"max_drawdown": 0.04, "action": "flatten"}))


def child(folder, point, count):
    left = count

    def at(reached):
        nonlocal left
        left -= reached == point
        if reached == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    go(folder, WORLD, at=at)


def until_killed(folder, point, count):
    process = FORK.Process(target=child, args=(folder, point, count))
    process.start()
    process.join(120)
    return process.exitcode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    go(folder, WORLD)
    found = account(folder)
    assert found["state"][0] == "halted"
    assert {one.status for one in found["intents"]} >= {"filled", "partly", "expired"}
    return found


def the_brokers_own(folder):
    broker = open_broker(Opening(folder, WORLD.env, 1, "normal"))
    with contextlib.closing(broker):
        *_, close = WORLD.feed().closes(None)
        broker.advance(close.market)
        return broker.positions(), broker.account(), list(broker.fills(0))


def assert_whole(folder, undisturbed):
    found = account(folder)
    held, money, fills = the_brokers_own(folder)
    assert found["positions"] == held
    assert found["closes"][-1]["equity"] == money.equity
    assert found["fills"] == fills
    ordered = [one.client_id for one in fills if one.client_id is not None]
    assert len(set(ordered)) == len(ordered)
    assert found == undisturbed  # decisions, orders, executions and equity, to the last bit


@pytest.mark.parametrize("point", [one for one in POINTS if one not in ELSEWHERE])
@pytest.mark.parametrize("count", [1, 4])
def test_killed_at_a_named_point_the_account_goes_on_as_if_nothing_had_been(tmp_path, undisturbed, point, count):
    if until_killed(tmp_path, point, count) != -signal.SIGKILL:
        assert count > 1, f"{point} is never reached"
        pytest.skip(f"{point} is reached less than {count} times")
    assert until_killed(tmp_path, "", 0) == 0
    assert_whole(tmp_path, undisturbed)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_again_and_again(tmp_path, undisturbed, seed):
    rng, kills = np.random.default_rng(seed), 0
    for attempt in range(40):
        process = FORK.Process(target=child, args=(tmp_path, "", 0))
        process.start()
        time.sleep(rng.uniform(0.0, 0.1 + 0.05 * attempt))
        if process.is_alive():
            process.kill()
            kills += 1
        process.join(120)
        if process.exitcode == 0:
            break
    assert process.exitcode == 0
    assert_whole(tmp_path, undisturbed)


def old_ledger(folder):
    """Write a ledger of the first version, with an order on its way."""
    db = connect(folder / FILE, STEPS[:1])
    db.execute("INSERT INTO accounts VALUES (1, 'noise', 'test', '', '{}')")
    db.execute("INSERT INTO decisions VALUES (1, '2020-01-01', '', '{}', '[0.1]', '{}', 0, 0)")
    db.execute("INSERT INTO intents VALUES ('a', 1, '2020-01-01', 'S0', 1, 1, 5.0, 'sending', '')")
    db.execute("INSERT INTO fills VALUES ('x', 1, 3, 'a', '2020-01-01', 'S0', 5.0, 1.0, 1.0, 0.0)")
    db.close()


def migrating(folder, count):
    left = count

    def at(reached):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    Ledger(folder, at=at)


@pytest.mark.parametrize("count", [1, 2, sum(map(len, STEPS[1:]))])
def test_killed_while_migrating_the_ledger_is_whole_and_moves_on(tmp_path, count):
    old_ledger(tmp_path)
    process = FORK.Process(target=migrating, args=(tmp_path, count))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    ledger = Ledger(tmp_path)
    with contextlib.closing(ledger):
        assert [(one.client_id, one.status, one.filled) for one in ledger.pending()] == [("a", "sending", 0.0)]
        assert [one.execution_id for one in ledger.fills()] == ["x"]
        ledger.write_note("cursor", "7")
        assert (ledger.last_sequence(), ledger.last_event()) == (3, 7)


def test_the_page_names_every_point():
    page = (Path(__file__).parents[2] / "docs" / "trading.md").read_text()
    assert re.findall(r"^\| `([^`]+)` \|", page.split("## Killed")[1].split("\n## ")[0], re.M) == list(POINTS)
