"""A venue whose close is set by an auction, behind the end of its session: the bar before it is none to decide on."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.trading.test_live import FIRST, days, desk, end_of
from wealtharena.data import calendars

__all__ = ["desk"]  # a fixture
MINUTE = dt.timedelta(minutes=1)
DAY = FIRST + dt.timedelta(days=2)


@pytest.fixture
def auction(desk, monkeypatch):
    """Return the desk of a venue whose close stands half an hour behind its session's end, and is another until then."""
    monkeypatch.setitem(calendars._SETTLING, "24/7", 45)
    official = desk.frames["BTC-USD"].set_index("day")["close"][DAY]
    desk.change("BTC-USD", DAY, close=0.98, volume=0.5)
    desk.change("BTC-USD", DAY, at=end_of(DAY) + 32 * MINUTE, close=1.0 / 0.98, volume=2.0)
    return desk, official


@pytest.mark.slow
def test_a_bar_is_decided_on_once_its_close_is_official(auction):
    """Two looks a minute apart were alike at the price before the auction."""
    desk, official = auction
    closes = desk.trade(5)
    found = desk.read()
    assert found["days"] == days(FIRST, 5)
    assert closes[2].features.panel.close[-1, 0] == pytest.approx(official, rel=1e-6)
    assert (found["told"], found["revisions"]) == ([], [])


@pytest.mark.slow
def test_patience_that_is_short_is_half_spent_before_the_first_look(auction):
    desk, _ = auction
    short = desk.spec.paper.model_copy(update={"bar_patience": 1200.0})
    desk.spec = desk.spec.model_copy(update={"paper": short})
    desk.trade(5)
    found = desk.read()
    assert found["days"] == days(FIRST, 5)
    assert [one[:2] for one in found["told"]] == [(str(DAY), "revised")]


def test_sydney_and_europe_have_auctions_behind_their_sessions_new_york_has_none_and_others_may_have():
    found = {name: calendars.settling(name) for name in ("XASX", "XLON", "XNYS", "24/7", "weekday24", "XSWX")}
    assert {name: one / MINUTE for name, one in found.items()} == {
        "XASX": 45.0, "XLON": 30.0, "XNYS": 0.0, "24/7": 0.0, "weekday24": 0.0, "XSWX": 45.0,
    }  # fmt: skip
    closes = calendars.opening_hours("XASX", dt.date(2026, 3, 2), dt.date(2026, 3, 2))["close"].iloc[0]
    assert closes.tz_convert("Australia/Sydney").time() == dt.time(16)  # the auction is not counted in
