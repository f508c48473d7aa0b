"""The same with a broker outside: killed between two lines, its exchange goes on, and nothing is lost or done twice."""

import dataclasses
import signal

import pytest

from tests.trading.desks import account, risk_of
from tests.trading.killing import killed_again_and_again, until_killed
from tests.trading.outside import Place, a_market, an_exchange, trade
from tests.trading.serving import serving
from wealtharena.trading.trader import POINTS

SEEDS = 2  # of random kills; benchmarks/paper_kills.py plays fifty
WORLD = a_market(bars=68, risk=risk_of(drawdown={"max_drawdown": 0.04, "action": "flatten"}))


def trading(place, exchange):
    return lambda at: trade(place, exchange, at=at)


def told_by(folder):
    found = account(folder)
    fills = sorted((one.client_id, one.bar, one.symbol, one.units, one.price) for one in found["fills"])
    kept = ("closes", "wanted", "interventions", "state", "positions")
    # how an order was sent is told with its answer, and an answer that was lost tells nothing
    intents = [dataclasses.replace(one, note="") for one in found["intents"]]
    return {"fills": fills, "intents": intents, **{name: found[name] for name in kept}}


def undisturbed_in(folder):
    """Return the account that nobody kills."""
    exchange = an_exchange(WORLD)
    with serving(exchange) as url:
        trade(Place(folder, WORLD, url), exchange)
    found = told_by(folder)
    assert {one.leg for one in found["intents"]} == {1, 2}
    assert found["state"][0] == "halted"
    assert exchange.held == found["positions"] == {}
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return undisturbed_in(tmp_path_factory.mktemp("undisturbed"))


def assert_whole(folder, exchange, undisturbed):
    names = [one["client_order_id"] for one in exchange.orders.values()]
    assert len(set(names)) == len(names)
    found = told_by(folder)
    assert exchange.held == found["positions"]
    assert sorted(names) == sorted(one.client_id for one in found["intents"] if one.status != "expired")
    assert found == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("point", [one for one in POINTS if one != "while migrating"])
def test_killed_at_a_named_point_an_account_outside_goes_on(tmp_path, undisturbed, point):
    exchange = an_exchange(WORLD)
    with serving(exchange) as url:
        trades = trading(Place(tmp_path, WORLD, url), exchange)
        assert until_killed(trades, point, 1) == -signal.SIGKILL, f"{point} is never reached"
        if until_killed(trades, point, 3) != 0:  # it may be reached less often again
            assert until_killed(trades, "", 0) == 0
    assert_whole(tmp_path, exchange, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_any_moment_again_and_again_an_account_outside_goes_on(tmp_path, undisturbed, seed):
    exchange = an_exchange(WORLD)
    with serving(exchange) as url:
        assert killed_again_and_again(trading(Place(tmp_path, WORLD, url), exchange), seed) > 3
    assert_whole(tmp_path, exchange, undisturbed)
