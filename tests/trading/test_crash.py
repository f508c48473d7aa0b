"""Killed at every named point, and at any moment: nothing is lost, nothing is done twice."""

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

from tests.forks import Fork
from tests.trading.desks import a_world, account, go, risk_of
from tests.trading.killing import killed_again_and_again, until_killed
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.database import connect
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.schema import STEPS
from wealtharena.trading.trader import POINTS

SEEDS = 4  # of random kills; benchmarks/paper_kills.py plays fifty
ELSEWHERE = ("between legs", "while migrating")  # one is for brokers outside, the other before anything is traded
WORLD = a_world(risk=risk_of(drawdown={"max_drawdown": 0.04, "action": "flatten"}))


def trading(folder):
    return lambda at: go(folder, WORLD, at=at)


def undisturbed_in(folder):
    """Return the account that nobody kills."""
    go(folder, WORLD)
    found = account(folder)
    assert found["state"][0] == "halted"
    assert {one.status for one in found["intents"]} >= {"filled", "partly", "expired"}
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return undisturbed_in(tmp_path_factory.mktemp("undisturbed"))


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


@pytest.mark.slow
@pytest.mark.parametrize("point", [one for one in POINTS if one not in ELSEWHERE])
@pytest.mark.parametrize("count", [1, 4])
def test_killed_at_a_named_point_the_account_goes_on_as_if_nothing_had_been(tmp_path, undisturbed, point, count):
    if until_killed(trading(tmp_path), point, count) != -signal.SIGKILL:
        assert count > 1, f"{point} is never reached"
        pytest.skip(f"{point} is reached less than {count} times")
    assert until_killed(trading(tmp_path), "", 0) == 0
    assert_whole(tmp_path, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_any_moment_again_and_again(tmp_path, undisturbed, seed):
    killed_again_and_again(trading(tmp_path), seed)
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
    process = Fork(target=migrating, args=(tmp_path, count))
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
