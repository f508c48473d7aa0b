"""Bars as they come while the disk takes nothing: the sessions of that time are missed, written down later, and the account goes on."""

import contextlib
import datetime as dt
import sqlite3

import pytest

from tests.trading.test_live import FIRST, days, desk, end_of  # noqa: F401 - a fixture is found by its name
from wealtharena.trading import database
from wealtharena.trading.feeds import live
from wealtharena.trading.feeds.seen import FILE as BARS
from wealtharena.trading.ledger import Ledger

pytestmark = pytest.mark.slow


def test_sessions_at_which_nothing_can_be_written_are_missed_and_the_next_is_decided_on(desk, monkeypatch):  # noqa: F811 - the fixture
    monkeypatch.setattr(database, "SECONDS", 0.01)
    first, last = FIRST + dt.timedelta(days=2), FIRST + dt.timedelta(days=4)
    holds = contextlib.ExitStack()

    def hold():
        other = holds.enter_context(contextlib.closing(sqlite3.connect(desk.folder / BARS, isolation_level=None)))
        other.execute("BEGIN IMMEDIATE")  # another program, which does not come to an end

    desk.clock.plan += [(end_of(first), hold), (end_of(last), holds.close)]
    with holds:
        desk.hide("ETH-USD", first, until=end_of(first) + dt.timedelta(minutes=30))  # so that something is to be told
        desk.trade(4)
    ledger = Ledger(desk.folder)
    with contextlib.closing(ledger):
        missed = [
            one["bar"][:10] for one in ledger.interventions() if (one["rule"], one["action"]) == ("disk", "missed")
        ]
        late = [one["bar"][:10] for one in ledger.interventions() if one["action"] == "late"]
        assert missed == [str(first), str(first + dt.timedelta(days=1))]
        assert late == [str(first)]
        assert sorted([*missed, *(bar[:10] for bar in ledger.wanted())]) == days(FIRST, 6)
        assert ledger.state() == ("trading", "")


def test_what_cannot_be_written_is_told_in_its_order_once_there_is_room(desk):  # noqa: F811 - the fixture
    told, full = [], []

    def write(bar, one):
        if full:
            raise database.FullError("no room")
        told.append((bar, one.action))

    feed = live.Live(desk.spec, desk.scaler, now=desk.clock.now, seen=_Nothing(), told=write)
    full.append(1)
    feed._say("a", live.Intervention("bars", "late", (), {}))
    feed._say("b", live.Intervention("disk", "missed", (), {}))
    assert told == []
    full.clear()
    feed._say_rest()
    feed._say("c", live.Intervention("bars", "late", (), {}))
    assert told == [("a", "late"), ("b", "missed"), ("c", "late")]


class _Nothing:
    def histories(self):
        return {}
