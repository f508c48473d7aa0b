"""When a venue is open, found in its sessions by halves, so that a test of a thousand days is not a test of looking them up."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Sequence

MINUTE = dt.timedelta(minutes=1)
Moment = dt.datetime


class Hours:
    """Sessions one after the other, each from its open to its close; none for a market that never closes."""

    def __init__(self, sessions: Sequence[tuple[Moment, Moment]]) -> None:
        self._opens, self._closes = [first for first, _ in sessions], [last for _, last in sessions]
        turns = [moment for session in sessions for moment in session]
        assert turns == sorted(turns), "sessions are given in their order"

    def is_open(self, now: Moment) -> bool:
        return bisect_right(self._opens, now) > bisect_right(self._closes, now)

    def opening(self, now: Moment) -> bool:
        """Return whether this is a session's first minute."""
        return self.is_open(now) and now < self._opens[bisect_right(self._opens, now) - 1] + MINUTE

    def closed_at(self, now: Moment) -> Moment | None:
        """Return the last close, this moment's too; None before the first."""
        past = bisect_right(self._closes, now)
        return self._closes[past - 1] if past else None

    def closing(self, now: Moment) -> bool:
        """Return whether this is the first minute after a session."""
        last = self.closed_at(now)
        return last is not None and now < last + MINUTE

    def next_open(self, now: Moment, *, default: Moment) -> Moment:
        return next(iter(self._opens[bisect_right(self._opens, now) :]), default)

    def next_close(self, now: Moment, *, default: Moment) -> Moment:
        return next(iter(self._closes[bisect_right(self._closes, now) :]), default)
