"""Bars of shares and futures as they come, by the hours of their exchanges, and by when their source can tell them."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.trading import test_live
from tests.trading.test_live import Clock, Desk
from wealtharena.data import calendars
from wealtharena.data.providers import yahoo
from wealtharena.trading import errand

pytestmark = pytest.mark.slow


@pytest.fixture
def desk_of(tmp_path, make_spec, stub, monkeypatch):
    """Return `desk_of(universe, symbols, start)`: a desk of shares, whose source knows the time."""
    monkeypatch.setattr(errand, "TURN_SECONDS", 60.0)  # so that no time of the clock passes while the stub answers

    def made(universe, symbols, start, *, asset="stocks", source="yahoo", **options):
        monkeypatch.setattr(test_live, "SYMBOLS", symbols)
        names = ",".join(f"'{one}'" for one in symbols)
        spec = make_spec(
            asset, source, universe=universe, data__symbols=f"[{names}]",
            features__names="[log_return_1,volatility_20]", paper__feed="live", **options,
        )  # fmt: skip
        desk = Desk(tmp_path / "account", spec, stub.stub.bars.frames, Clock(start))
        passing = desk.clock.wait

        def wait(seconds):
            passing(seconds)
            stub.stub.cfg["now"] = int(desk.clock.at.timestamp())

        desk.clock.wait = wait
        wait(0.0)
        return desk

    return made


@pytest.mark.parametrize("patience", [21600.0, 3600.0])
@pytest.mark.parametrize(
    ("universe", "symbols", "start", "days", "end"),
    [
        # summer time begins in New York on the 10th of March, and ends in Sydney on the 7th of April
        ("nyse", ("ACME", "BETA"), "2024-03-07 12:00", ["2024-03-07", "2024-03-08", "2024-03-11"], "2024-03-11 20:17"),
        ("asx_large", ("BHP.AX",), "2024-04-04 00:00", ["2024-04-04", "2024-04-05", "2024-04-08"], "2024-04-08 06:47"),
    ],
)
def test_a_share_is_decided_on_minutes_behind_its_official_close(
    desk_of, universe, symbols, start, days, end, patience
):
    """Each session was told as late, an hour behind the close, and with a patience of an hour each was missed."""
    desk = desk_of(universe, symbols, dt.datetime.fromisoformat(f"{start}+00:00"), paper__bar_patience=patience)
    desk.trade(3)
    found = desk.read()
    assert (found["days"], found["told"]) == (days, [])
    assert desk.clock.at <= dt.datetime.fromisoformat(f"{end}+00:00")


def test_a_share_of_a_venue_that_closes_later_is_waited_for(desk_of, monkeypatch):
    """One of New York among those of Sydney was missing at every session: its day was over when patience was not any more.

    The source tells of its running day too, before New York has opened.
    """
    monkeypatch.setattr(yahoo.Provider, "_finished", lambda self, table, *rest: table)
    start = dt.datetime(2024, 4, 9, tzinfo=dt.UTC)
    desk = desk_of("asx_large", ("BHP.AX", "ACME"), start, paper__bar_patience=3600.0)
    closes = desk.trade(3)
    found = desk.read()
    assert found["days"] == ["2024-04-09", "2024-04-10", "2024-04-11"]
    assert found["told"] == [
        ("2024-04-09", "late", ("BHP.AX", "ACME"))
    ]  # whose venue nobody knew till it was asked for
    assert all((one.features.panel.close[-1] > 0.0).all() for one in closes)
    assert desk.clock.at <= dt.datetime(2024, 4, 11, 20, 17, tzinfo=dt.UTC)  # before Sydney opens


@pytest.mark.parametrize("patience", [21600.0, 3600.0])
def test_a_future_is_decided_on_once_its_source_has_the_bar(desk_of, patience):
    """Yahoo's day of a future is over at midnight in New York, six hours behind its session: each was missed."""
    start = dt.datetime(2024, 3, 7, 12, tzinfo=dt.UTC)  # summer time begins on the 10th
    desk = desk_of("commodities_front", ("GC=F",), start, asset="commodities", paper__bar_patience=patience)
    desk.clock.plan.append((start + dt.timedelta(days=7), lambda: pytest.fail("nothing was decided")))
    desk.trade(3)
    found = desk.read()
    assert (found["days"], found["told"]) == (["2024-03-07", "2024-03-08", "2024-03-11"], [])
    assert desk.clock.at <= dt.datetime(2024, 3, 12, 4, 2, tzinfo=dt.UTC)


def test_a_pair_is_asked_for_once_its_day_is_over(desk_of, stub):
    """Asked for from five in New York on, a free key's requests of a day were spent on bars that could not be there."""
    start = dt.datetime(2024, 3, 7, 12, tzinfo=dt.UTC)
    desk = desk_of("fx_majors", ("EURUSD",), start, asset="forex", source="alpha_vantage")
    desk.clock.plan.append((start + dt.timedelta(days=7), lambda: pytest.fail("nothing was decided")))
    desk.trade(3)
    found = desk.read()
    assert (found["days"], found["told"]) == (["2024-03-07", "2024-03-08", "2024-03-11"], [])
    assert len(stub.log("alphavantage")) == 2 * 3


@pytest.mark.parametrize(
    ("calendar", "day", "moment"),
    [
        ("XNYS", "2024-07-03", "2024-07-03 17:15"),  # half a day
        ("XASX", "2024-12-24", "2024-12-24 03:55"),  # likewise, and 45 minutes
        ("XNYS", "2024-07-04", "2024-07-05 00:00"),  # no session
        ("weekday24", "2024-07-03", "2024-07-04 00:00"),
        ("24/7", "2024-07-06", "2024-07-07 00:00"),
    ],
)
def test_when_the_bar_of_a_date_is_its_venues_close(calendar, day, moment):
    assert calendars.settled(calendar, dt.date.fromisoformat(day)) == dt.datetime.fromisoformat(f"{moment}+00:00")
