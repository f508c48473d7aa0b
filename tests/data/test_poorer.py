"""What a history fetched anew lacks besides bars, and what it is of, is seen before it replaces the stored one."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from tests.data.rooms import DAYS, Room, Source, at, history
from wealtharena.data import provider, stored
from wealtharena.data.collecting import Outcome

PRICES = ["open", "high", "low", "close"]
PAID = range(20, 600, 60)


def with_cash(rows: range | list[int] = PAID) -> pd.DataFrame:
    table = history()
    table.loc[list(rows), "dividend"] = 0.4
    return table


def poorer(how: str) -> pd.DataFrame:
    table = with_cash()
    if how == "dividends":
        return history()
    if how == "splits":
        table["split"] = 0.0
    elif how == "opens":
        table[["open", "high", "low"]] = np.nan
    elif how == "volumes":
        table["volume"] = np.nan
    elif how == "instrument":
        table[PRICES] = history(seed=9)[PRICES]
    return table


def full() -> pd.DataFrame:
    table = with_cash()
    table.loc[[100, 300], "split"] = 2.0
    return table


@pytest.mark.parametrize("how", ["dividends", "splits", "opens", "volumes", "instrument"])
def test_what_is_stored_does_not_get_poorer_unless_that_is_meant(room: Room, how: str) -> None:
    room.table = full()
    assert room.collect().status == "new"
    before = room.bars()
    room.table = poorer(how)
    room.now += timedelta(days=9)
    outcome = room.collect()
    assert outcome.status == "failed"
    assert ("another instrument" if how == "instrument" else f"{how} that are stored") in outcome.cause
    pd.testing.assert_frame_equal(room.bars(), before)
    taken = room.collect(refresh=True)
    assert taken.status == "refetched"
    assert ("closes that were stored" if how == "instrument" else f"{how} that were stored") in taken.note


@pytest.mark.parametrize(
    ("times", "split", "taken"), [(100, 0, False), (0.01, 0, False), (100, 0.01, True), (90, 0, True)]
)
def test_prices_that_are_all_of_another_unit_are_refused(room: Room, times: float, split: float, taken: bool) -> None:
    room.collect()
    room.table = history()
    room.table[PRICES] *= times
    room.table.loc[615, "split"] = split
    room.now += timedelta(days=1)
    outcome = room.collect()
    assert outcome.status == ("refetched" if taken else "failed")
    assert taken or f"is {times:g} times what is stored" in outcome.cause
    assert room.collect(refresh=True).status in ("refetched", "current")


@pytest.mark.slow
def test_a_name_that_was_left_out_replaces_no_longer_history(room: Room) -> None:
    """A share that was renamed had its bars under the new name; one collection without it, and the old name's few stood there."""
    room.settings = {"tables": {"GOOG": history()}}
    room.collect(provider_symbols={"AAPL": "GOOG"})
    before, room.table = room.bars(), history().iloc[:100]
    outcome = room.collect()
    assert outcome.status == "failed"
    assert outcome.cause.endswith("only 100 of the 620 bars that are stored, which were asked for as GOOG")
    assert "data.provider_symbols goes on with them as GOOG" in outcome.remedy
    pd.testing.assert_frame_equal(room.bars(), before)
    taken = room.collect(refresh=True)
    assert (taken.status, taken.note[:22]) == ("refetched", "replaces bars of GOOG;")
    assert len(room.bars()) == 100


@pytest.mark.slow
@pytest.mark.parametrize("how", ["gone", "newer"])
def test_without_the_raw_bars_the_clean_ones_are_what_is_not_lost(room: Room, how: str) -> None:
    room.table = full()
    room.collect()
    before, store = room.bars(), room.collector().store
    raw = store.raw_path("stocks", "yahoo", "AAPL", "1d")
    if how == "gone":
        raw.unlink()
    else:  # the disk was full, or the process killed, before the clean bars were written
        received = store.read_raw("stocks", "yahoo", "AAPL", "1d")
        assert received is not None
        stored.write(raw, received.table.iloc[:-1], stored.facts_of(received))
    whole, room.table = room.table, room.table.iloc[400:].reset_index(drop=True)
    room.now += timedelta(days=1)
    outcome = room.collect()
    assert (outcome.status, outcome.cause[-20:]) == ("failed", "bars that are stored")
    pd.testing.assert_frame_equal(room.bars(), before)
    room.table = whole
    again = room.collect()
    assert (again.status, again.note[:34]) == ("refetched", "the raw bars that were stored are ")
    assert len(room.bars()) == len(before) + 1


def test_a_correction_is_taken_and_said(room: Room) -> None:
    room.table = with_cash()
    room.collect()
    room.table = with_cash([20, 83, *PAID[2:-1]])  # one is moved by three bars, one is taken back
    room.now += timedelta(days=9)
    outcome = room.collect()
    assert outcome.status == "refetched"
    assert outcome.note == f"1 of the {len(PAID)} dividends that were stored are not in the history fetched anew"


@pytest.mark.slow
def test_prices_that_are_others_now_are_said(room: Room) -> None:
    room.table = full()
    room.collect()
    room.table = full()
    room.table.loc[room.table["timestamp"] < DAYS[400], PRICES] *= 0.25
    room.now += timedelta(days=9)
    assert room.collect().note == "400 of 620 closes that were stored are 0.25 times what they were"
    room.settings = {"currency": "GBP"}
    room.now += timedelta(days=1)
    assert room.collect().note == "prices are in GBP now, and were in USD"


def test_a_source_that_is_behind_is_said(room: Room) -> None:
    room.table = history(DAYS[at("2026-04-20") > DAYS])
    assert room.collect(end=date(2026, 5, 15)).note == "the bars end on 2026-04-17, 20 sessions before 2026-05-15"
    room.now += timedelta(days=1)
    room.table = history()
    assert room.collect().note == ""


def test_rates_of_an_installation_count_as_asked_for_as_far_as_they_reach(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "host", None)
    monkeypatch.setattr(provider, "found", lambda name: Source)
    room.table = history(DAYS[at("2026-04-20") > DAYS])
    room.collect(end=date(2026, 5, 15))
    assert room.entry["asked_end"] == "2026-04-17"
    room.table = history()
    assert room.collect(end=date(2026, 5, 15)).end == "2026-05-15"


class Fred:
    def releases(self, series: str) -> pd.DataFrame:
        days = pd.date_range("2020-01-01", periods=100)
        return pd.DataFrame({"series": series, "date": days, "realtime_start": days, "value": np.arange(100.0)})


def test_a_macro_series_under_another_name_at_its_source_is_another(room: Room) -> None:
    def collect(named: str) -> Outcome:
        made = room.collector(provider_symbols={"M2": named})
        made._providers["fred"] = Fred()
        return made.collect_series("M2")

    assert collect("M2SL").status == "new"
    assert collect("M2SL").status == "current"
    other = collect("WM2NS")
    assert (other.status, other.note) == ("updated", "replaces values of M2SL")
    assert collect("WM2NS").status == "current"
