"""A thousand bars at a server that fails one request in five, in every way it can, and a disk that is full now and then."""

import contextlib

import numpy as np

from tests.trading.desks import account
from tests.trading.outside import START, Place, a_market, an_exchange, trade
from tests.trading.serving import serving
from wealtharena.trading.ledger import Ledger

BARS, CLEAN = 1_000, 8  # the last ones without a fault, so that what is on its way arrives


def test_a_thousand_bars_with_one_request_in_five_failing(tmp_path, record_property):
    world = a_market(bars=START + BARS)
    exchange = an_exchange(world)
    exchange.slow_seconds = 0.06
    rng = np.random.default_rng(11)
    seen = {"bars": 0, "full": 0}

    def before(close, trader):
        seen["bars"] += 1
        faulty = seen["bars"] <= BARS - CLEAN
        exchange.share, exchange.rng = (0.2, rng) if faulty else (0.0, None)
        full = faulty and seen["bars"] % 10 == 0
        pages = trader.ledger._db.execute("PRAGMA page_count").fetchone()[0] if full else 2**30
        trader.ledger._db.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own way to run out of room
        seen["full"] += full

    with serving(exchange) as url:
        trade(
            Place(tmp_path, world, url), exchange,
            before=before, timeout_seconds=0.03, attempts=3,
        )  # fmt: skip
    found = account(tmp_path)
    failed = sum(kind != "" for _, _, kind in exchange.log)
    record_property("requests", len(exchange.log))
    record_property("failed", failed)
    assert failed > 0.15 * len(exchange.log)
    assert_every_bar_is_accounted_for(tmp_path, world, found)
    assert_the_books_are_the_brokers(exchange, found)
    assert found["state"][0] == "trading"


def assert_every_bar_is_accounted_for(folder, world, found):
    """Each bar was decided on, or it is written why it was not."""
    stamps = {str(stamp) for stamp in world.features.panel.timestamps[START:]}
    missed = {one["bar"] for one in found["interventions"] if one["rule"] == "disk"}
    blind = {one["bar"] for one in found["interventions"] if one["rule"] == "unknown_account"}
    decided = set(found["wanted"])
    assert missed
    assert decided | missed | blind == stamps
    assert not decided & blind
    assert len(decided) > 0.5 * len(stamps)
    with contextlib.closing(Ledger(folder)) as ledger:
        assert ledger.decision().bar == max(stamps)


def assert_the_books_are_the_brokers(exchange, found):
    assert found["positions"] == exchange.held
    names = [one["client_order_id"] for one in exchange.orders.values()]
    assert len(set(names)) == len(names)
    theirs, ours = {}, {}
    for row in (one for one in exchange.activities if one["activity_type"] == "FILL"):
        name = exchange.orders[row["order_id"]]["client_order_id"]
        theirs[name] = theirs.get(name, 0.0) + float(row["qty"])
    for fill in found["fills"]:
        ours[fill.client_id] = ours.get(fill.client_id, 0.0) + abs(fill.units)
    assert ours == theirs
    filled = {one.client_id: abs(one.filled) for one in found["intents"] if one.filled}
    assert filled == theirs
    assert not [
        one
        for one in found["intents"]
        if one.status in ("new", "sending", "open") and one.bar < found["closes"][-1]["bar"]
    ]
