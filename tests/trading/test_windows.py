"""At which minute Alpaca takes which order, by its own clock and to the second."""

from __future__ import annotations

import datetime as dt

import pytest

from wealtharena.trading.alpaca.windows import NEW_YORK, Clock, for_share
from wealtharena.trading.broker import NotYetError

OPEN, CLOSE = dt.time(9, 30), dt.time(16, 0)


def clock(at: str, *, close: dt.time = CLOSE) -> Clock:
    """Return the clock of a Tuesday, whose session ends at `close`."""
    now = dt.datetime.fromisoformat(f"2024-05-14T{at}").replace(tzinfo=NEW_YORK)
    is_open = OPEN <= now.time() < close
    ended = now.time() >= close
    ends = dt.datetime.combine(now.date() + dt.timedelta(days=int(ended)), CLOSE if ended else close, NEW_YORK)
    return Clock(now, is_open, ends)


def sent(units: float, at: str, *, leg: int = 1, fill: str = "next_open", close: dt.time = CLOSE) -> str | None:
    """Return how an order is sent at that moment, None where it has to wait."""
    try:
        return for_share(units, leg, fill=fill, daily=True, clock=clock(at, close=close)).time_in_force
    except NotYetError:
        return None


@pytest.mark.parametrize(
    ("at", "whole", "part"),
    [
        ("06:00:00", "opg", "day"),
        ("09:27:59", "opg", "day"),
        ("09:28:00", "day", "day"),  # the auction is shut, and its open is still to come
        ("09:29:59", "day", "day"),
        ("09:30:00", "day", "day"),
        ("15:59:59", "day", "day"),
        ("16:00:00", None, "day"),
        ("18:59:59", None, "day"),
        ("19:00:00", "opg", "day"),
    ],
)
def test_for_the_open_whole_shares_go_to_the_auction_while_it_takes_them(at, whole, part):
    assert sent(5.0, at) == sent(-5.0, at) == whole
    assert sent(0.5, at) == part


@pytest.mark.parametrize(
    ("at", "close", "whole", "part"),
    [
        ("06:00:00", CLOSE, "cls", None),
        ("09:29:59", CLOSE, "cls", None),
        ("15:49:59", CLOSE, "cls", None),
        ("15:50:00", CLOSE, None, None),
        ("15:54:59", CLOSE, None, None),
        ("15:55:00", CLOSE, None, "day"),
        ("15:59:59", CLOSE, None, "day"),
        ("16:00:00", CLOSE, None, None),
        ("18:59:59", CLOSE, None, None),
        ("19:00:00", CLOSE, "cls", None),
        ("12:49:59", dt.time(13, 0), "cls", None),  # a half day
        ("12:50:00", dt.time(13, 0), None, None),
        ("12:55:00", dt.time(13, 0), None, "day"),
        ("13:00:00", dt.time(13, 0), None, None),
    ],
)
def test_for_the_close_whole_shares_go_to_the_auction_and_parts_minutes_before_it(at, close, whole, part):
    assert sent(5.0, at, fill="next_close", close=close) == whole
    assert sent(0.5, at, fill="next_close", close=close) == part


def test_a_session_that_is_not_open_takes_no_part_of_a_share_for_its_close_however_near_that_is():
    shut = Clock(clock("15:57:00").now, False, clock("15:57:00").next_close)
    with pytest.raises(NotYetError, match="five minutes before"):
        for_share(0.5, 1, fill="next_close", daily=True, clock=shut)


def test_a_second_half_goes_at_once_and_says_so_and_so_does_every_order_of_bars_within_the_day():
    first, second = (for_share(5.0, leg, fill="next_open", daily=True, clock=clock("10:00:00")) for leg in (1, 2))
    assert (first.time_in_force, first.note) == ("day", "at once: the open has passed")
    assert (second.time_in_force, second.note) == ("day", "at once, for the second half")
    hourly = for_share(5.0, 1, fill="next_close", daily=False, clock=clock("17:00:00"))
    assert hourly.time_in_force == "day"


@pytest.mark.parametrize("wrong", [{"timestamp": "2024-05-14T10:00:00"}, {"is_open": "yes"}])
def test_a_clock_without_a_zone_or_a_word_is_none(wrong):
    told = {"timestamp": "2024-05-14T14:00:00Z", "next_close": "2024-05-14T20:00:00Z", "is_open": True}
    assert Clock.of(told).now.time() == dt.time(10, 0)
    with pytest.raises(ValueError, match="without a zone"):
        Clock.of(told | wrong)
