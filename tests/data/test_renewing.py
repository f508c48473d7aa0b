"""What a source adds, corrects, loses or answers otherwise reaches the store, and what is stored is not lost by it."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.rooms import DAYS, MONDAY, Other, Room, at, history
from wealtharena.data import catalog
from wealtharena.data.bars import RawBars
from wealtharena.data.collecting import Outcome
from wealtharena.data.provider import UnknownSymbolError


@pytest.mark.slow
# -- the day that is not over
@pytest.mark.parametrize("end", ["2026-05-18", "2026-05-19"])
def test_a_day_that_was_not_over_is_asked_for_again(room: Room, end: str) -> None:
    last = date.fromisoformat(end)
    room.collect(end=last)
    assert room.bars().index[-1] == at("2026-05-15")
    assert room.entry["asked_end"] == "2026-05-17"
    assert room.collect(end=date(2026, 5, 17)).status == "current"  # a Sunday: nothing can be missing
    room.now += timedelta(days=7)
    assert room.collector().store.missing("stocks", ["AAPL"], "1d", None, last) == ("AAPL",)
    assert room.collect(end=last).status == "updated"
    assert room.bars().index[-1] == at(end)
    assert room.collect(end=last).status == "current"


def test_a_day_that_is_over_where_it_is_traded_counts_as_asked_for(room: Room) -> None:
    room.now = datetime(2026, 5, 18, 21, 30, tzinfo=UTC)
    room.collect(end=date(2026, 5, 18))
    assert room.entry["asked_end"] == "2026-05-18"
    assert room.collect(end=date(2026, 5, 18)).status == "current"


@pytest.mark.slow
def test_a_share_abroad_has_days_of_its_own_venue(room: Room) -> None:
    room.now = datetime(2026, 1, 26, 12, tzinfo=UTC)  # Sydney has a holiday, New York has yet to open
    abroad: dict[str, Any] = {"asset": ("asset=stocks", "universe=asx_large"), "end": date(2026, 1, 26)}
    room.collect(**abroad)
    assert room.entry["asked_end"] == "2026-01-25"
    room.now += timedelta(days=1)
    assert room.collect(**abroad).status == "updated"
    assert room.bars().index[-1] == at("2026-01-26")


def test_a_bar_that_is_late_is_waited_for(room: Room) -> None:
    room.now = datetime(2026, 5, 18, 21, 30, tzinfo=UTC)
    room.table = history(DAYS.drop([at("2026-05-18")]))
    room.collect(end=date(2026, 5, 18))
    assert room.entry["asked_end"] == "2026-05-17"
    room.now += timedelta(days=1)
    room.collect(end=date(2026, 5, 18))
    assert room.entry["asked_end"] == "2026-05-18"  # a halt, not a delay


def test_a_bar_that_came_without_prices_is_waited_for(room: Room) -> None:
    room.now = datetime(2026, 5, 18, 21, 30, tzinfo=UTC)
    room.table.loc[room.table["timestamp"] == at("2026-05-18"), ["open", "high", "low", "close"]] = np.nan
    room.collect(end=date(2026, 5, 18))
    assert room.entry["asked_end"] == "2026-05-17"
    room.table = history()
    room.now += timedelta(hours=2)
    assert room.collect(end=date(2026, 5, 18)).status == "refetched"
    assert room.bars().index[-1] == at("2026-05-18")
    assert room.collect(end=date(2026, 5, 18)).status == "current"


def test_hours_that_are_late_are_waited_for(room: Room) -> None:
    hours = history(pd.date_range("2026-03-01", "2026-05-19", freq="h", tz="UTC", inclusive="left"))
    room.now = datetime(2026, 5, 19, 0, 5, tzinfo=UTC)
    hourly: dict[str, Any] = {"asset": ("asset=crypto",), "interval": "1h", "end": date(2026, 5, 18)}
    found = []
    for table, later in ((hours.iloc[:-1], 0), (hours, 1), (hours, 1)):
        room.table = table
        room.now += timedelta(hours=later)
        made = room.collector(**hourly)
        status = made.collect("AAPL").status
        entry = made.store.catalog()["bars"]["crypto/AAPL/1h"]
        found.append((status, entry["asked_end"], entry["end"][11:13]))
    assert found == [("new", "2026-05-17", "22"), ("updated", "2026-05-18", "23"), ("current", "2026-05-18", "23")]


def test_an_entry_from_before_counts_the_day_of_its_fetching_as_open() -> None:
    old = {"asked_start": None, "asked_end": "2026-05-18", "fetched_at": MONDAY.isoformat()}
    assert not catalog.reaches(old, None, date(2026, 5, 18))
    assert catalog.reaches(old, None, date(2026, 5, 17))


# -- what changes further back than the overlap
def changed(table: pd.DataFrame, how: str) -> pd.DataFrame:
    table = table.copy()
    if how == "dividend":
        table.loc[table["timestamp"] == at("2026-03-02"), "dividend"] = 1.5
    elif how == "filled":
        return history()
    else:
        table.loc[table["timestamp"] < at("2025-06-02"), ["open", "high", "low", "close"]] *= 0.9
    return table


@pytest.mark.slow
@pytest.mark.parametrize("how", ["dividend", "filled", "rescaled"])
def test_what_changed_before_the_overlap_arrives_within_the_days_of_comparing(room: Room, how: str) -> None:
    if how == "filled":
        room.table.loc[room.table["timestamp"] == at("2026-03-02"), ["open", "high", "low", "close"]] = np.nan
    room.collect()
    room.table = changed(room.table, how)
    room.now += timedelta(days=6)
    assert room.collect().status == "updated"  # the overlap only: not seen yet
    room.now += timedelta(days=3)
    assert room.collect().status == "refetched"
    wanted = room.table.set_index("timestamp")
    found = room.bars()
    np.testing.assert_allclose(found["close"], wanted["close"].reindex(found.index))
    assert found["dividend"].sum() == (1.5 if how == "dividend" else 0)
    assert at("2026-03-02") in found.index


@pytest.mark.slow
def test_the_whole_history_is_asked_for_once_in_those_days(room: Room) -> None:
    room.collect()
    whole = []
    for day in range(1, 15):
        room.now = MONDAY + timedelta(days=day)
        assert room.collect().status in ("updated", "current")
        assert room.source is not None
        whole += [day for asked in room.source.asked if asked[0] is None]
    assert whole == [9]  # the first update after seven days: a holiday was the Monday


def test_zero_days_compare_at_every_update(room: Room) -> None:
    room.collect()
    room.table = changed(room.table, "dividend")
    room.now += timedelta(days=1)
    assert room.collect(compare_days=0).status == "refetched"


# -- other words of the request
def test_bars_of_two_forms_are_not_joined(room: Room) -> None:
    room.settings = {"plan": "free"}
    room.collect()
    room.table = changed(room.table, "dividend")
    room.settings = {"plan": "paid"}
    assert room.collect().status == "refetched", "the same day: nothing is new but the plan"
    assert room.bars()["dividend"].sum() == 1.5
    room.settings = {"plan": "free", "reach": date(2026, 1, 5)}
    back = room.collect()
    assert back.status == "failed"
    assert "bars that are stored" in back.cause


def test_another_name_at_the_source_is_another_instrument(room: Room) -> None:
    room.settings = {"tables": {"MSFT": history(seed=2)}}
    room.collect(provider_symbols={"AAPL": "GOOG"})
    assert room.collector().store.missing("stocks", ["AAPL"], "1d", None, None, names={"AAPL": "MSFT"}) == ("AAPL",)
    assert room.collector().store.missing("stocks", ["AAPL"], "1d", None, None, names={"AAPL": "GOOG"}) == ()
    outcome = room.collect(provider_symbols={"AAPL": "MSFT"})
    assert (outcome.status, outcome.note) == ("refetched", "replaces bars of GOOG")
    found = room.bars()
    np.testing.assert_allclose(found["close"], history(seed=2).set_index("timestamp")["close"].reindex(found.index))
    assert room.collect(provider_symbols={"AAPL": "MSFT"}).status == "current"
    assert room.collect().note == "replaces bars of MSFT"


def test_an_entry_without_a_name_is_of_the_symbols_own(room: Room) -> None:
    room.collect()
    made = room.collector()
    old = {key: value for key, value in room.entry.items() if key not in ("source_symbol", "form", "compared_at")}
    assert room.source is not None
    assert made._renewal.is_same(old, room.source, "AAPL")
    other = room.collector(provider_symbols={"AAPL": "MSFT"})
    assert not other._renewal.is_same(old, room.source, "AAPL")


# -- clocks and neighbours
@pytest.mark.slow
def test_bars_fetched_in_the_future_are_fetched_again(room: Room) -> None:
    room.now = datetime(2027, 5, 10, 15, tzinfo=UTC)
    room.collect()
    room.now = MONDAY + timedelta(days=7)
    outcome = room.collect()
    assert outcome.status == "refetched"
    assert "2027-05-10T15:00, is yet to come" in outcome.note
    room.now += timedelta(days=2)
    assert room.collect().status == "updated"


def test_a_collection_overtaken_by_a_longer_one_does_not_replace_it(room: Room) -> None:
    short, whole = room.collector(start=date(2026, 1, 5)), room.collector()
    fetch = short._renewal._fetch

    def slowly(*asked: Any) -> RawBars:
        raw = fetch(*asked)
        worker = threading.Thread(target=whole.collect, args=("AAPL",))
        worker.start()
        worker.join()
        return raw

    short._renewal._fetch = slowly  # as if the other had been quicker
    outcome = short.collect("AAPL")
    assert outcome.status == "current"
    assert room.bars().index[0] == DAYS[0]
    assert len(room.bars()) == outcome.bars


# -- what a source does not reach any more
@pytest.mark.slow
def test_older_bars_stay_where_the_source_reaches_back_less(room: Room) -> None:
    room.collect(start=date(2024, 1, 17))
    before = len(room.bars())
    room.settings = {"reach": date(2024, 3, 4)}
    room.now += timedelta(days=28)
    assert room.collect(start=date(2024, 1, 17)).status == "updated"
    dead = room.collect(start=date(2024, 1, 17), refresh=True)
    assert (dead.status, dead.remedy) == ("failed", "set data.start=2024-03-04")
    way_out = room.collect(start=date(2024, 3, 4), refresh=True)
    assert way_out.status == "refetched"
    assert "begins on 2024-03-04; the older stored bars stay" in way_out.note
    assert len(room.bars()) == before + 20
    assert room.entry["asked_start"] == "2024-01-17"
    assert room.collect(refresh=True, start=date(2024, 3, 4)).bars == before + 20


@pytest.mark.slow
@pytest.mark.parametrize("days", [7, 1000])
def test_after_a_long_pause_the_way_out_leads_on_and_keeps_what_is_stored_until_told(room: Room, days: int) -> None:
    room.now = datetime(2025, 6, 10, 23, tzinfo=UTC)
    room.collect(start=date(2025, 3, 3))
    before = len(room.bars())
    room.now, room.settings = MONDAY, {"reach": date(2026, 1, 12)}
    stuck = room.collect(start=date(2025, 3, 3), compare_days=days)
    assert (stuck.status, stuck.remedy) == ("failed", "set data.start=2026-01-12")
    next_step = room.collect(start=date(2026, 1, 12), compare_days=days)
    assert next_step.status == "failed"
    assert "only 0 of the" in next_step.cause
    assert "collect.refresh=true" in next_step.remedy
    assert len(room.bars()) == before
    taken = room.collect(start=date(2026, 1, 12), refresh=True)
    assert taken.status == "refetched"
    assert f"{before} of the {before} bars that were stored are not in" in taken.note
    assert room.bars().index[0] == at("2026-01-12")
    assert room.entry["asked_start"] == "2026-01-12"


@pytest.mark.parametrize("zone", ["Australia/Sydney", "Europe/London", "America/New_York"])
def test_hourly_bars_are_continued_wherever_the_sources_day_begins(room: Room, zone: str) -> None:
    room.table = history(pd.date_range("2026-01-01", "2026-06-30", freq="h", tz="UTC"))
    room.settings = {"zone": zone}
    asked = {"interval": "1h", "start": date(2026, 1, 5), "compare_days": 1000}
    assert room.collect(**asked).status == "new"
    room.now += timedelta(days=2)
    outcome = room.collect(**asked)
    assert (outcome.status, outcome.added) == ("updated", 48)
    assert room.source is not None
    assert len(room.source.asked) == 1


# -- what is lost is said
def test_bars_that_a_refetch_drops_are_said(room: Room) -> None:
    room.collect()
    shorter = history().iloc[40:].copy()
    shorter[["open", "high", "low", "close"]] /= 2
    room.table = shorter
    room.now += timedelta(days=1)
    outcome = room.collect()
    assert outcome.status == "refetched"
    lacking = "40 of the 620 bars that were stored are not in the history fetched anew"
    assert outcome.note == f"{lacking}; 580 of 580 closes that were stored are 0.5 times what they were"


def chained(room: Room, other: pd.DataFrame, **changes: Any) -> Outcome:
    """Return what comes of asking a second source where the first does not know the symbol."""
    made = room.collector(**changes)
    made.data = made.data.model_copy(update={"source": "auto"})
    made._renewal._data = made.data
    made.chain = ("yahoo", "coingecko")

    def unknown(symbol: str, *_: Any) -> RawBars:
        raise UnknownSymbolError("yahoo", symbol, "is not known", hint="check it")

    made._providers["yahoo"].fetch = unknown
    made._providers["coingecko"] = Other(made.data, made.asset, other, lambda: room.now)
    return made.collect("AAPL")


@pytest.mark.slow
def test_the_next_source_of_the_chain_replaces_no_longer_history_and_no_opens(room: Room) -> None:
    room.collect()
    room.now += timedelta(days=1)
    short = chained(room, history().iloc[-200:])
    assert (short.status, short.provider) == ("failed", "coingecko")
    assert "which came from yahoo" in short.cause
    closes = history().assign(open=np.nan, high=np.nan, low=np.nan)
    poor = chained(room, closes)
    assert poor.status == "failed"
    assert "has closes only" in poor.cause
    assert room.entry["provider"] == "yahoo"
    equal = chained(room, history())
    assert (equal.status, equal.note) == ("new", "replaces bars of yahoo")
    room.collect(refresh=True)
    assert chained(room, closes, refresh=True).status == "new"


class Fred:
    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def releases(self, series: str) -> pd.DataFrame:
        return self.frame


@pytest.mark.parametrize(("kept", "status"), [(5, "failed"), (95, "updated")])
def test_a_macro_series_does_not_shrink_in_silence(room: Room, kept: int, status: str) -> None:
    days = pd.date_range("2020-01-01", periods=100)
    frame = pd.DataFrame({"series": "DGS10", "date": days, "realtime_start": days, "value": np.arange(100.0)})

    def collect(frame: pd.DataFrame, **changes: Any) -> Outcome:
        made = room.collector(**changes)
        made._providers["fred"] = Fred(frame)
        return made.collect_series("DGS10")

    assert collect(frame).status == "new"
    room.now += timedelta(days=1)
    outcome = collect(frame.iloc[:kept])
    assert outcome.status == status
    rows = len(room.collector().store.read_macro("DGS10"))
    if status == "failed":
        assert "only 5 of the 100 values" in outcome.cause
        assert rows == 100
        assert collect(frame.iloc[:kept], refresh=True).note == "95 of the 100 stored values are gone"
    else:
        assert outcome.note == "5 of the 100 stored values are gone"
        assert rows == 95


def test_a_late_bar_is_asked_for_before_the_next_has_ended(room: Room) -> None:
    room.now = datetime(2026, 5, 15, 21, 30, tzinfo=UTC)  # a Friday
    room.table = history(DAYS.drop([at("2026-05-15")]))
    assert room.collect().end == "2026-05-14"
    room.table = history()
    room.now += timedelta(days=1)
    assert room.collect().end == "2026-05-15"
    assert room.collect().status == "current"


def test_bars_up_to_an_earlier_end_are_not_all_there_is(room: Room) -> None:
    assert room.collect(end=date(2025, 6, 30)).end == "2025-06-30"
    assert room.collect(end=date(2025, 6, 30)).status == "current"
    whole = room.collect()
    assert (whole.status, whole.end) == ("updated", "2026-05-15")
    assert room.collect().status == "current"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "interval"),
    [
        (pd.date_range("2015-01-02", periods=400, freq="W-FRI", tz="UTC"), "1d"),
        (pd.date_range("2005-01-01", periods=200, freq="MS", tz="UTC"), "1d"),
        (pd.date_range("2024-01-01", periods=400, freq="4D", tz="UTC"), "1d"),
        (pd.date_range("1970-01-20", periods=400, freq="s", tz="UTC"), "1d"),
        (pd.date_range("2026-01-01", periods=400, freq="h", tz="UTC"), "1d"),
        (DAYS, "1h"),
    ],
)
def test_bars_of_another_interval_are_refused(room: Room, index: pd.DatetimeIndex, interval: str) -> None:
    room.table = history(index)
    outcome = room.collect(interval=interval)
    assert outcome.status == "failed"
    assert f"bars of {interval} are typically" in outcome.cause


@pytest.mark.parametrize("every", [1, 2, 9])
def test_few_bars_and_those_of_a_market_that_trades_seldom_are_taken(room: Room, every: int) -> None:
    seldom = np.random.default_rng(0).random(len(DAYS)) < 1 / every
    room.table = history(DAYS[seldom])
    assert room.collect().status == "new"
    room.table = history(DAYS[-38:-28:4])
    assert room.collector().collect("MSFT").status == "new"
