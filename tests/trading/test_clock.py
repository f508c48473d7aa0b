"""Sessions of every kind of venue: each decided on once, at its own end, through a year of changes."""

import datetime as dt
import itertools
import types
import warnings

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from tests.trading.clocks import passing
from wealtharena.errors import ConfigError
from wealtharena.trading.clock import Timer, from_date, sessions_of
from wealtharena.trading.clock import each_session as sessions_due
from wealtharena.trading.loop import steps
from wealtharena.trading.turns import Turns

PATIENCE = dt.timedelta(hours=6)
VENUES = {"XASX": "XASX", "XNYS": "XNYS", "CME": "CMES", "round the clock": "24/7", "currencies": "weekday24"}


class Simulated:
    """A clock that tests turn: waits are late or early, and it can be set back."""

    def __init__(self, start, *, seed=0):
        self.at = start
        rng = np.random.default_rng(seed)
        self.factors = itertools.cycle(rng.choice([0.3, 0.999, 1.0, 1.0, 1.02, 4.0], 997).tolist())
        self.timer = Timer(lambda: self.at, self.wait)

    def wait(self, seconds):
        self.at += dt.timedelta(seconds=max(seconds * next(self.factors), 0.05))


def bar_of(date):
    return None if date is None else np.datetime64(date, "ns")


def each_session(calendar, timer, *, after, **given):
    return passing(sessions_due(calendar, timer.now, after=bar_of(after), **given), timer)


def reference(calendar, year):
    """Return date -> (open, close) as the calendar's own library says, or as the week of currencies is defined."""
    first, last = f"{year}-01-01", f"{year}-12-31"
    if calendar == "weekday24":
        days = pd.bdate_range(first, last)
        ends = {day.date(): pd.Timestamp(f"{day.date()} 17:00", tz="America/New_York") for day in days}
        return {
            day: (pd.Timestamp(f"{day - dt.timedelta(days=1)} 17:00", tz="America/New_York"), end)
            for day, end in ends.items()
        }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's, about its own code
        known = exchange_calendars.get_calendar(calendar, start=first, end=last).schedule
    return {day.date(): (row["open"], row["close"]) for day, row in known.iterrows()}


@pytest.mark.slow
@pytest.mark.parametrize("calendar", VENUES.values(), ids=VENUES)
def test_a_year_is_decided_on_exactly_once_a_session(calendar):
    """Case 20: no repeats after the close, no busy loop, no drift; stopped and started again in between."""
    year, rng = 2025, np.random.default_rng(5)
    wanted = reference(calendar, year)
    clock = Simulated(dt.datetime(year - 1, 12, 31, 23, 30, tzinfo=dt.UTC))
    decided, missed, last = [], [], dt.date(year - 1, 12, 31)
    while clock.at.year == year or clock.at.month == 12:
        for session, deadline in each_session(
            calendar, clock.timer, after=last, patience=PATIENCE, missed=missed.append
        ):
            if session.date.year > year:
                break
            begins, ends = wanted[session.date]
            assert (session.opens, session.closes) == (begins, ends)
            assert ends <= clock.at < deadline <= ends + PATIENCE
            decided.append(session.date)
            last = session.date
            clock.at += dt.timedelta(minutes=float(rng.uniform(0, 30)))
            if rng.random() < 0.2:  # killed, and up again soon
                break
        if session.date.year > year:
            break
        clock.at += dt.timedelta(hours=float(rng.uniform(0, 3)))
    assert decided == sorted(wanted)
    assert missed == []


@pytest.mark.parametrize(
    ("calendar", "date", "opens", "closes"),
    [
        ("XASX", "2025-04-04", "2025-04-03 23:00", "2025-04-04 05:00"),  # summer time ends in Sydney on the 6th
        ("XASX", "2025-04-07", "2025-04-07 00:00", "2025-04-07 06:00"),
        ("XASX", "2025-10-03", "2025-10-03 00:00", "2025-10-03 06:00"),  # and begins on the 5th of October
        ("XASX", "2025-10-07", "2025-10-06 23:00", "2025-10-07 05:00"),
        ("XASX", "2025-12-24", "2025-12-23 23:00", "2025-12-24 03:10"),  # case 29: half a day, to 14:10 in Sydney
        ("XASX", "2025-12-31", "2025-12-30 23:00", "2025-12-31 03:10"),
        ("XNYS", "2025-03-07", "2025-03-07 14:30", "2025-03-07 21:00"),  # summer time begins in New York on the 9th
        ("XNYS", "2025-03-10", "2025-03-10 13:30", "2025-03-10 20:00"),
        ("XNYS", "2025-10-31", "2025-10-31 13:30", "2025-10-31 20:00"),
        ("XNYS", "2025-11-03", "2025-11-03 14:30", "2025-11-03 21:00"),
        ("XNYS", "2025-11-28", "2025-11-28 14:30", "2025-11-28 18:00"),  # the day after Thanksgiving
        ("XNYS", "2025-07-03", "2025-07-03 13:30", "2025-07-03 17:00"),
        ("CMES", "2025-03-10", "2025-03-09 22:00", "2025-03-10 22:00"),  # the evening before, in Chicago
        ("24/7", "2025-03-09", "2025-03-09 00:00", "2025-03-10 00:00"),
        ("weekday24", "2025-03-07", "2025-03-06 22:00", "2025-03-07 22:00"),
        ("weekday24", "2025-03-10", "2025-03-09 21:00", "2025-03-10 21:00"),  # Sunday evening to Monday evening
        ("weekday24", "2025-11-03", "2025-11-02 22:00", "2025-11-03 22:00"),
    ],
)
def test_days_that_are_known_by_hand(calendar, date, opens, closes):
    (found,) = [one for one in sessions_of(calendar, 2025) if str(one.date) == date]
    assert (found.opens, found.closes) == (pd.Timestamp(opens, tz="UTC"), pd.Timestamp(closes, tz="UTC"))
    assert found.bar == f"{date}T00:00:00.000000000"


@pytest.mark.parametrize(
    ("calendar", "date"),
    [
        ("XASX", "2022-09-22"),  # a day of mourning, decreed eleven days before
        ("XNYS", "2025-01-09"),
        ("XNYS", "2025-04-18"),
        ("CMES", "2025-04-18"),
        ("weekday24", "2025-04-19"),
    ],
)
def test_on_a_closed_day_nothing_is_decided(calendar, date):
    """Case 29."""
    day = dt.date.fromisoformat(date)
    assert day not in {one.date for one in sessions_of(calendar, day.year)}


def test_what_was_slept_through_is_told_and_not_decided_late():
    clock = Simulated(dt.datetime(2025, 6, 2, 12, tzinfo=dt.UTC))
    missed, decided = [], []
    for session, _ in each_session(
        "XNYS", clock.timer, after=dt.date(2025, 5, 30), patience=PATIENCE, missed=missed.append
    ):
        decided.append(str(session.date))
        if len(decided) == 1:
            clock.at += dt.timedelta(days=3)
        if len(decided) == 2:
            break
    assert decided == ["2025-06-02", "2025-06-05"]
    assert [str(one.date) for one in missed] == ["2025-06-03", "2025-06-04"]


@pytest.mark.slow
def test_hours_of_a_venue_without_a_night_are_each_decided_on_once():
    """Through the turn of a year and a leap day; stopped and started again in between, now and then for too long."""
    first, stop = dt.datetime(2023, 12, 20, tzinfo=dt.UTC), dt.datetime(2024, 3, 2, tzinfo=dt.UTC)
    patience, rng, clock = dt.timedelta(minutes=15), np.random.default_rng(3), Simulated(first)
    decided, missed, last = [], [], np.datetime64("2023-12-19T23:00", "ns")
    while clock.at < stop:
        for session, deadline in each_session(
            "24/7", clock.timer, after=last, patience=patience, missed=missed.append, interval="1h"
        ):
            assert session.closes - session.opens == dt.timedelta(hours=1)
            assert session.stamp == np.datetime64(session.opens.replace(tzinfo=None), "ns")
            assert session.closes <= clock.at < deadline == session.closes + patience
            decided.append(session)
            last = session.stamp
            clock.at += dt.timedelta(minutes=float(rng.uniform(0, 5)))
            if rng.random() < 0.05:  # killed
                clock.at += dt.timedelta(minutes=float(rng.uniform(0, 300)))
                break
            if clock.at >= stop:
                break
    starts = [one.opens for one in decided]
    assert starts == sorted(set(starts))
    between = pd.date_range(starts[0], starts[-1], freq="h")
    assert {*starts, *(one.opens for one in missed)} >= set(between.to_pydatetime())
    assert not {*starts} & {one.opens for one in missed}
    assert len(missed) > 50
    assert dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC) in {*starts, *(one.opens for one in missed)}


def live(timer, *, ended, tended=lambda: None, after=None):
    """Play the sessions of New York as a live account does, doing nothing at a close, until `ended(session)` says so."""
    switch = types.SimpleNamespace(stop=False)

    def told(one):
        switch.stop = ended(*one)

    closes = sessions_due("XNYS", timer.now, after=bar_of(after), patience=dt.timedelta(hours=1))
    agent = steps(None, closes, switch, told=told, now=timer.now, carry=lambda work: iter(()), tended=tended)
    turns = Turns({"one": agent}, lambda name, error: None)
    turns.begin()
    turns.play(timer)
    assert not turns.failed


@pytest.mark.parametrize(
    ("days", "right", "expected"),
    [
        (1, "06-03 10:05", ["06-03", "06-04", "06-05"]),
        (30, "06-03 10:05", ["06-03", "06-04", "06-05"]),
        (31, "06-04 23:00", ["06-05", "06-06", "06-09"]),  # what was over by then stays missed
    ],
)
def test_what_a_clock_that_was_ahead_has_passed_by_is_still_to_come_once_it_is_set_right(days, right, expected):
    clock = Simulated(dt.datetime(2025, 6, 3, 10, tzinfo=dt.UTC))
    set_right, decided = dt.datetime.fromisoformat(f"2025-{right}+00:00"), []
    timer = Timer(lambda: clock.at + (dt.timedelta(days=days) if clock.at < set_right else dt.timedelta(0)), clock.wait)

    def ended(session, deadline):
        if clock.at >= set_right:
            assert session.closes <= clock.at < deadline
            decided.append(f"{session.date:%m-%d}")
        return len(decided) == len(expected) or clock.at.month > 6

    live(timer, ended=ended, after=dt.date(2025, 6, 2))
    assert decided == expected


def test_while_a_clock_is_set_back_the_account_is_looked_after():
    clock, looks = Simulated(dt.datetime(2025, 6, 3, 18, tzinfo=dt.UTC)), []
    back = dt.datetime(2025, 6, 3, 18, 30, tzinfo=dt.UTC)
    timer = Timer(lambda: clock.at - dt.timedelta(hours=1 if clock.at >= back else 0), clock.wait)
    live(timer, ended=lambda *_: True, tended=lambda: looks.append(clock.at), after=dt.date(2025, 6, 2))
    assert max(later - one for one, later in itertools.pairwise(looks)) < dt.timedelta(minutes=10)
    assert looks[-1] >= dt.datetime(2025, 6, 3, 20, 55, tzinfo=dt.UTC)  # the close, an hour late by that clock


def test_a_new_account_begins_with_the_newest_session_that_can_still_be_decided_on():
    close = next(from_date("XNYS", dt.date(2025, 6, 2))).closes
    for late, expected in ((dt.timedelta(hours=1), "2025-06-02"), (dt.timedelta(hours=7), "2025-06-03")):
        missed = []
        clock = Simulated(close + late)
        session, _ = next(each_session("XNYS", clock.timer, after=None, patience=PATIENCE, missed=missed.append))
        assert str(session.date) == expected
        assert missed == []


def test_patience_ends_with_the_next_session():
    clock = Simulated(dt.datetime(2025, 6, 2, 1, tzinfo=dt.UTC))
    session, deadline = next(each_session("24/7", clock.timer, after=None, patience=dt.timedelta(days=9)))
    assert deadline - session.closes == dt.timedelta(days=1)


def test_a_clock_that_is_set_back_is_waited_for_and_a_stop_is_heard():
    clock = Simulated(dt.datetime(2025, 6, 2, 19, 59, tzinfo=dt.UTC))
    jumps = iter([dt.timedelta(hours=-2)])

    def wait(seconds):
        clock.at += dt.timedelta(seconds=seconds) + next(jumps, dt.timedelta(0))

    timer = Timer(lambda: clock.at, wait)
    session, _ = next(each_session("XNYS", timer, after=dt.date(2025, 6, 1), patience=PATIENCE))
    assert clock.at >= session.closes
    stopped = Timer(lambda: clock.at, wait, lambda: True)
    assert list(each_session("XNYS", stopped, after=session.date, patience=PATIENCE)) == []


def test_a_calendar_without_an_end_in_sight_says_so():
    with pytest.raises(ConfigError, match="no session after"):
        next(from_date("XSHG", dt.date(2190, 1, 1)))
