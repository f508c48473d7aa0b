"""The same with a broker outside: killed between two lines, its exchange goes on, and nothing is lost or done twice."""

import multiprocessing
import os
import signal

import numpy as np
import pytest

from tests.trading.desks import account, risk_of
from tests.trading.outside import Place, a_market, an_exchange, trade
from tests.trading.serving import serving
from wealtharena.trading.trader import POINTS

FORK = multiprocessing.get_context("fork")
WORLD = a_market(bars=68, risk=risk_of(drawdown={"max_drawdown": 0.04, "action": "flatten"}))


def child(place, exchange, point, count):
    left = count

    def at(reached):
        nonlocal left
        left -= reached == point
        if reached == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    trade(place, exchange, at=at)


def until_killed(place, exchange, point, count):
    process = FORK.Process(target=child, args=(place, exchange, point, count))
    process.start()
    process.join(120)
    return process.exitcode


def told_by(folder):
    found = account(folder)
    fills = sorted((one.client_id, one.bar, one.symbol, one.units, one.price) for one in found["fills"])
    kept = ("closes", "intents", "wanted", "interventions", "state", "positions")
    return {"fills": fills, **{name: found[name] for name in kept}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    exchange = an_exchange(WORLD)
    with serving(exchange) as url:
        trade(Place(folder, WORLD, url), exchange)
    found = told_by(folder)
    assert {one.leg for one in found["intents"]} == {1, 2}
    assert found["state"][0] == "halted"
    assert exchange.held == found["positions"] == {}
    return found


@pytest.mark.parametrize("point", [one for one in POINTS if one != "while migrating"])
@pytest.mark.parametrize("count", [1, 3])
def test_killed_at_a_named_point_an_account_outside_goes_on(tmp_path, undisturbed, point, count):
    exchange = an_exchange(WORLD)
    with serving(exchange) as url:
        place = Place(tmp_path, WORLD, url)
        if until_killed(place, exchange, point, count) != -signal.SIGKILL:
            assert count > 1, f"{point} is never reached"
            pytest.skip(f"{point} is reached less than {count} times")
        assert until_killed(place, exchange, "", 0) == 0
    names = [one["client_order_id"] for one in exchange.orders.values()]
    assert len(set(names)) == len(names)
    found = told_by(tmp_path)
    assert exchange.held == found["positions"]
    assert sorted(names) == sorted(one.client_id for one in found["intents"] if one.status != "expired")
    assert found == undisturbed


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_again_and_again_an_account_outside_goes_on(tmp_path, undisturbed, seed):
    rng, kills = np.random.default_rng(seed), 0
    exchange = an_exchange(WORLD)
    with serving(exchange) as url:
        for attempt in range(40):
            process = FORK.Process(target=child, args=(Place(tmp_path, WORLD, url), exchange, "", 0))
            process.start()
            process.join(rng.uniform(0.0, 0.1 + 0.05 * attempt))
            if process.is_alive():
                process.kill()
                kills += 1
            process.join(120)
            if process.exitcode == 0:
                break
    assert process.exitcode == 0
    assert kills > 3
    names = [one["client_order_id"] for one in exchange.orders.values()]
    assert len(set(names)) == len(names)
    found = told_by(tmp_path)
    assert exchange.held == found["positions"]
    assert found == undisturbed
