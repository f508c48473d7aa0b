"""The machine's clock is set back while an account trades live."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.trading.test_live import FIRST, SYMBOLS, days, desk, end_of

__all__ = ["desk"]  # a fixture
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("under_way", [True, False])
def test_a_clock_that_is_set_back_decides_on_no_session_again(desk, under_way):
    def back():
        desk.clock.at -= dt.timedelta(days=2)

    if under_way:
        desk.clock.plan.append((end_of(FIRST + dt.timedelta(days=2)) + dt.timedelta(hours=1), back))
        desk.trade(5)
    else:
        desk.trade(3)
        back()
        desk.trade(2)
    found = desk.read()
    assert found["days"] == days(FIRST, 5)
    assert found["told"] == []


def test_a_clock_that_is_set_back_from_within_the_patience_of_a_session_to_come_misses_none(desk):
    """It waited two days for that session's bars, and those in between were missed."""
    ahead, day = dt.timedelta(days=1, hours=13), FIRST + dt.timedelta(days=2)
    whole = {symbol: desk.frames[symbol] for symbol in SYMBOLS}

    def forth():
        desk.clock.at += ahead
        for symbol in SYMBOLS:
            desk.hide(symbol, day)

    def back():
        desk.clock.at -= ahead
        desk.frames.update(whole)

    noon = dt.datetime.combine(FIRST + dt.timedelta(days=1), dt.time(12), tzinfo=dt.UTC)
    desk.clock.plan += [(noon, forth), (noon + ahead + dt.timedelta(hours=1), back)]
    desk.trade(5)
    found = desk.read()
    assert found["days"] == days(FIRST, 5)
    assert found["told"] == [(str(FIRST + dt.timedelta(days=1)), "missed", SYMBOLS)]  # by the clock that was ahead
