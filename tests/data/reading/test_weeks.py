"""Currencies within the day, whose times bear no zone: where their weekends lie tells by whose clock they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import load_written
from wealtharena.data import calendars
from wealtharena.data.reading import unzoned
from wealtharena.data.reading.clocks import METATRADER, instants
from wealtharena.data.reading.weeks import CLOCKS
from wealtharena.errors import DataError

PAIR = calendars.WEEKDAYS
YEAR, MONTH = ("2023-01-02", "2023-12-29"), ("2023-06-05", "2023-06-30")


def week(step, first, last):
    """Return the beginnings of the bars of foreign exchange, in UTC: those of four hours begin with a day in New York."""
    hours = calendars.opening_hours(PAIR, pd.Timestamp(first).date(), pd.Timestamp(last).date())
    days = [
        pd.date_range(a, b, freq=step, inclusive="left") for a, b in zip(hours["open"], hours["close"], strict=True)
    ]
    return pd.DatetimeIndex(np.concatenate([day.as_unit("ns").asi8 for day in days])).tz_localize("UTC")


def shown(stamps, zone):
    """Return what a clock shows, in ns."""
    ahead = pd.Timedelta(hours=7 if zone == METATRADER else 0)
    local = stamps.tz_convert("America/New_York" if zone == METATRADER else zone).tz_localize(None) + ahead
    return np.asarray(local.as_unit("ns").asi8)


def told(**walls):
    return unzoned.zones({name: (wall, PAIR) for name, wall in walls.items()}, where="bars.csv")


@pytest.mark.parametrize("zone", CLOCKS)
@pytest.mark.parametrize("step", ["5min", "15min", "30min", "1h"])
def test_a_year_tells_the_clock(step, zone):
    assert told(EURUSD=shown(week(step, *YEAR), zone)) == {"EURUSD": zone}


@pytest.mark.parametrize("zone", [METATRADER, "America/New_York"])
def test_bars_of_four_hours_by_a_broker_begin_with_the_week(zone):
    assert told(EURUSD=shown(week("4h", *YEAR), zone)) == {"EURUSD": zone}


@pytest.mark.parametrize("zone", CLOCKS)
@pytest.mark.parametrize(("step", "dates"), [("1min", MONTH), ("1h", MONTH), ("1h", ("2023-01-09", "2023-01-31"))])
def test_a_few_weeks_tell_the_instants(step, dates, zone):
    stamps = week(step, *dates)
    wall = shown(stamps, zone)
    assert (instants(wall, told(EURUSD=wall)["EURUSD"]) == stamps.as_unit("ns").asi8).all()


@pytest.mark.parametrize("zone", CLOCKS)
@pytest.mark.parametrize("step", ["15min", "1h"])
def test_weeks_that_a_broker_ends_an_hour_early_tell_the_clock(step, zone):
    stamps = week(step, *YEAR)
    local = stamps.tz_convert("America/New_York")
    kept = stamps[~((local.day_of_week == 4) & (local.hour == 16))]
    assert told(EURUSD=shown(kept, zone)) == {"EURUSD": zone}


def test_bars_of_four_hours_on_the_clock_of_utc_lie_across_the_weekends_ends():
    hours = week("1h", *YEAR)
    stamps = hours.floor("4h").unique()
    assert told(EURUSD=shown(stamps, "UTC")) == {"EURUSD": "UTC"}


def test_late_first_and_missing_last_bars_and_holidays_do_not_hide_it():
    stamps = week("5min", *YEAR)
    york = stamps.tz_convert("America/New_York")
    minute = york.hour * 60 + york.minute
    late = (york.day_of_week == 6) & (minute < 17 * 60 + 15)
    early = (york.day_of_week == 4) & (minute >= 16 * 60 + 55) & (minute < 17 * 60)
    feasts = (york.month == 12) & (york.day > 21)
    left = stamps[~(late | early | feasts)]
    for zone in CLOCKS:
        assert told(EURUSD=shown(left, zone))["EURUSD"] == zone


@pytest.mark.parametrize(
    "left_out",
    [
        lambda utc: utc.day_of_week == 6,  # vendors who drop Sunday's bars
        lambda utc: (utc.day_of_week == 4) & (utc.hour >= 20),
        lambda utc: (utc.hour < 7) | (utc.hour > 15),  # London's day alone
    ],
)
def test_weeks_that_are_cut_tell_nothing_and_are_utc(left_out):
    stamps = week("1h", *YEAR)
    assert told(EURUSD=shown(stamps[~left_out(stamps)], "UTC")) == {"EURUSD": "UTC"}


def test_bars_through_weekends_and_one_weekend_tell_nothing():
    always = pd.date_range("2023-01-02", "2023-03-31", freq="1h", tz="UTC")
    assert told(EURUSD=shown(always, "UTC")) == {"EURUSD": "UTC"}
    assert told(EURUSD=shown(week("1h", "2023-06-05", "2023-06-15"), METATRADER)) == {"EURUSD": "UTC"}


def test_a_pair_of_few_months_is_by_the_clock_that_the_longer_ones_tell():
    """By itself it is by any of those that show the same hours in these months."""
    long, short = week("1h", *YEAR), week("1h", *MONTH)
    zone = "Europe/Athens"
    assert told(EURUSD=shown(short, zone))["EURUSD"] == METATRADER
    assert set(told(EURUSD=shown(short, zone), USDJPY=shown(long, zone)).values()) == {zone}


def test_pairs_by_two_clocks_are_refused_and_a_silent_one_follows():
    stamps = week("1h", *YEAR)
    london = stamps[(stamps.hour > 6) & (stamps.hour < 16)]
    found = told(EURUSD=shown(stamps, METATRADER), USDTRY=shown(london, METATRADER))
    assert set(found.values()) == {METATRADER}
    with pytest.raises(DataError, match=r"by their weekends times of EURUSD are in UTC, of USDJPY in New York \+ 7 h"):
        told(EURUSD=shown(stamps, "UTC"), USDJPY=shown(stamps, METATRADER))


@pytest.mark.slow
@pytest.mark.parametrize("zone", [METATRADER, "Etc/GMT+5", "UTC"])
def test_a_file_by_a_brokers_clock_is_the_file_with_offsets(tmp_path: Path, zone: str) -> None:
    stamps = week("1h", "2023-02-06", "2023-06-30")
    close = np.round(1.1 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 5e-4, len(stamps)))), 5)
    frame = pd.DataFrame({"time": stamps, "symbol": "EURUSD", "close": close})
    overrides = ("asset=forex", "data.interval=1h")
    honest = load_written(frame, tmp_path / "bars.csv", *overrides)
    local = frame.assign(time=pd.DatetimeIndex(shown(stamps, zone)).strftime("%Y.%m.%d %H:%M"))
    panel = load_written(local, tmp_path / "bars.csv", *overrides)
    assert panel.fingerprint == honest.fingerprint
    notes = " ".join(panel.notes)
    assert ("MetaTrader's clock, seven hours before New York's, as their weekends tell" in notes) == (
        zone == METATRADER
    )
    assert ("are taken as UTC" in notes) == (zone == "UTC")


def test_shares_and_coins_by_metatraders_clock():
    """One terminal exports all by its own clock; coins, who tell nothing, follow the others."""
    first, last = (pd.Timestamp(day).date() for day in ("2023-02-06", "2023-06-30"))
    hours = calendars.opening_hours("XNYS", first, last)
    shares = [
        pd.date_range(a.floor("h"), b, freq="1h", inclusive="left")
        for a, b in zip(hours["open"], hours["close"], strict=True)
    ]
    york = pd.DatetimeIndex(np.concatenate([day.as_unit("ns").asi8 for day in shares])).tz_localize("UTC")
    coins = pd.date_range("2023-02-06", "2023-02-28", freq="1h", tz="UTC")
    hours = calendars.opening_hours("CMES", first, last)
    nights = zip(hours["open"], hours["close"], strict=True)
    gold = pd.DatetimeIndex(
        np.concatenate([pd.date_range(a, b, freq="1h", inclusive="left").as_unit("ns").asi8 for a, b in nights])
    ).tz_localize("UTC")
    walls = {"AAPL": (york, "XNYS"), "EURUSD": (week("1h", first, last), PAIR), "BTCUSD": (coins, calendars.ALWAYS)}
    walls["XAUUSD"] = (gold, "CMES")
    found = unzoned.zones(
        {name: (shown(one, METATRADER), code) for name, (one, code) in walls.items()}, where="bars.csv"
    )
    assert set(found.values()) == {METATRADER}
    for name in ("AAPL", "XAUUSD"):
        alone = {name: (shown(walls[name][0], METATRADER), walls[name][1])}
        assert unzoned.zones(alone, where="bars.csv") == {name: METATRADER}
