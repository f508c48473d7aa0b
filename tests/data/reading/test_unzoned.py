"""Times within the day behind which no zone is written: the hours of the exchange tell whose clock they were read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.quality.test_end_stamps import spans
from tests.data.reading.test_cases import load_written
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, calendars, intervals, load, load_panel
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # scores of files are written and read

YEAR = {"first": "2023-02-06", "last": "2023-11-24"}  # clocks change twice, on both sides of the equator


def _bars(stamps: pd.DatetimeIndex, symbol: str = "AAA", *, seed: int = 5) -> pd.DataFrame:
    """Return a walk with its instants, in UTC."""
    close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.002, len(stamps)))), 4)
    first = np.r_[100.0, close[:-1]]
    columns = {"time": stamps.tz_convert("UTC"), "symbol": symbol, "open": first, "high": np.maximum(first, close)}
    return pd.DataFrame(columns | {"low": np.minimum(first, close), "close": close, "volume": 1e6})


def _shown(frame: pd.DataFrame, zone: str) -> pd.DataFrame:
    """Return the bars with what a clock of `zone` shows, and nothing of the zone."""
    return frame.assign(time=frame["time"].dt.tz_convert(zone).dt.strftime("%Y-%m-%d %H:%M:%S"))


def _load(frame: pd.DataFrame, folder: Path, interval: str, *overrides: str, **changes: Any) -> Panel:
    return load_written(frame, folder / "bars.csv", "asset=etf", f"data.interval={interval}", *overrides, **changes)


EXCHANGES = [
    ("T", "XNYS", "1h", {}),  # 9:30, 10:30, ... 15:30
    ("T", "XNYS", "1h", {"clock": True}),  # 9:30, 10:00, ... 15:00
    ("T", "XNYS", "5m", {"first": "2023-03-06", "last": "2023-03-17"}),
    ("BHP.AX", "XASX", "1h", {}),
    ("7203.T", "XTKS", "30m", {"lunch": (pd.Timedelta(hours=2.5), pd.Timedelta(hours=3.5)), "first": "2023-05-01"}),
    ("VOD.L", "XLON", "1h", {}),  # an hour from UTC in summer, none in winter
    ("SAP.DE", "XETR", "15m", {"first": "2023-10-16", "last": "2023-11-10"}),
]


@pytest.mark.parametrize("by_ends", [False, True])
@pytest.mark.parametrize(("symbol", "calendar", "interval", "given"), EXCHANGES)
def test_a_file_by_its_exchanges_clock_is_the_file_with_offsets(
    tmp_path: Path, symbol: str, calendar: str, interval: str, given: dict[str, Any], by_ends: bool
) -> None:
    frame = _bars(spans(calendar, intervals.length(interval), **(YEAR | given))[by_ends], symbol)
    honest = _load(frame, tmp_path, interval)
    zone = calendars.time_zone(calendar)
    panel = _load(_shown(frame, zone), tmp_path, interval)
    assert panel.fingerprint == honest.fingerprint
    assert f"times of {symbol} have no zone and are taken as {zone}'s, as the hours of {calendar} tell" in " ".join(
        panel.notes
    )
    utc = _load(_shown(frame, "UTC"), tmp_path, interval)
    assert utc.fingerprint == honest.fingerprint
    assert f"times of {symbol} have no zone and are taken as UTC" in " ".join(utc.notes)


@pytest.mark.parametrize("day", [(4, 20), (8, 17), (9, 16)])  # o'clock there
def test_hours_before_and_after_the_sessions_tell_too(tmp_path: Path, day: tuple[int, int]) -> None:
    dates = calendars.sessions("XNYS", pd.Timestamp("2023-02-06").date(), pd.Timestamp("2023-11-24").date())
    hours = [date.tz_localize(None) + pd.Timedelta(hours=hour) for date in dates for hour in range(*day)]
    frame = _bars(pd.DatetimeIndex(hours).tz_localize("America/New_York"))
    honest = _load(frame, tmp_path, "1h")
    for zone in ("America/New_York", "UTC"):
        panel = _load(_shown(frame, zone), tmp_path, "1h")
        assert panel.fingerprint == honest.fingerprint
        assert f"are taken as {zone}" in " ".join(panel.notes)


def test_a_future_may_be_by_the_clock_of_its_exchange_or_of_new_york(tmp_path: Path) -> None:
    hours = calendars.opening_hours("CMES", pd.Timestamp("2023-03-06").date(), pd.Timestamp("2023-03-24").date())
    pairs = zip(hours["open"], hours["close"], strict=True)
    stamps = pd.DatetimeIndex(
        np.concatenate([pd.date_range(a, b, freq="h", inclusive="left") for a, b in pairs]), tz="UTC"
    )
    frame = _bars(stamps, "GC=F")
    found = [
        load_written(one, tmp_path / "bars.csv", "asset=commodities", "data.interval=1h")
        for one in (frame, *(_shown(frame, zone) for zone in ("America/Chicago", "America/New_York", "UTC")))
    ]
    assert {panel.fingerprint for panel in found} == {found[0].fingerprint}


def test_a_share_that_is_seldom_traded_follows_those_that_tell(tmp_path: Path) -> None:
    begins, _ = spans("XNYS", pd.Timedelta("1h"))
    midday = begins[begins.tz_convert("America/New_York").hour.isin([11, 12, 13])]
    seldom = midday[np.random.default_rng(1).random(len(midday)) < 0.8]
    frame = pd.concat([_bars(begins, "T"), _bars(seldom, "SPY")], ignore_index=True)
    honest = _load(frame, tmp_path, "1h")
    assert _load(_shown(frame, "America/New_York"), tmp_path, "1h").fingerprint == honest.fingerprint
    assert _load(_shown(frame, "UTC"), tmp_path, "1h").fingerprint == honest.fingerprint


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/London", "Australia/Sydney", "each its own"])
def test_shares_of_several_exchanges_may_be_by_the_clock_of_one(tmp_path: Path, zone: str) -> None:
    """Each by its own evidence, they would stand hours apart of one another where one clock showed them all."""
    months = {"first": "2023-05-08", "last": "2023-06-30"}
    places = {"BHP.AX": "XASX", "VOD.L": "XLON", "AAPL.US": "XNYS"}
    frames = [_bars(spans(calendar, pd.Timedelta("1h"), **months)[0], name) for name, calendar in places.items()]
    honest = _load(pd.concat(frames, ignore_index=True), tmp_path, "1h")
    own = zone == "each its own"
    shown = [
        _shown(frame, calendars.time_zone(calendar) if own else zone)
        for frame, calendar in zip(frames, places.values(), strict=True)
    ]
    assert _load(pd.concat(shown, ignore_index=True), tmp_path, "1h").fingerprint == honest.fingerprint


def test_who_tells_no_clock_follows_one_and_not_two(tmp_path: Path) -> None:
    months = {"first": "2023-05-08", "last": "2023-06-30"}
    begins, _ = spans("XNYS", pd.Timedelta("1h"), **months)
    sydney, _ = spans("XASX", pd.Timedelta("1h"), **months)
    local = sydney.tz_convert("Australia/Sydney")
    few = sydney[local.hour.isin([11, 12, 13]) & (local.day < 8) & (local.month == 6)][:9]
    frame = pd.concat([_bars(begins, "AAPL.US"), _bars(few, "BHP.AX")], ignore_index=True)
    honest = _load(frame, tmp_path, "1h")
    assert _load(_shown(frame, "America/New_York"), tmp_path, "1h").fingerprint == honest.fingerprint
    london = _bars(spans("XLON", pd.Timedelta("1h"), **months)[0], "VOD.L")
    two = pd.concat([_shown(frame, "America/New_York"), _shown(london, "UTC")], ignore_index=True)
    with pytest.raises(
        DataError, match=r"times of BHP.AX tell no clock, and those of others are in America/New_York and in UTC"
    ):
        _load(two, tmp_path, "1h")


def test_a_time_that_the_clock_of_the_others_never_shows_is_told(tmp_path: Path) -> None:
    begins, _ = spans("XNYS", pd.Timedelta("1h"), first="2023-02-27", last="2023-03-24")
    frame = _shown(_bars(begins, "T"), "America/New_York")
    odd = _shown(_bars(pd.date_range("2023-03-10 02:00", periods=80, freq="h", tz="UTC"), "SPY"), "UTC")
    with pytest.raises(DataError, match="SPY has a time that comes there twice, or never") as caught:
        _load(pd.concat([frame, odd], ignore_index=True), tmp_path, "1h")
    assert "write an offset" in caught.value.hint


def _of_folder(folder: Path) -> Panel:
    spec = with_data(compose(["asset=etf", "data=files", "data.interval=1h"]), path=str(folder))
    return load(spec.asset, spec.data, seed=0)


def test_two_clocks_in_one_folder_are_refused(tmp_path: Path) -> None:
    begins, _ = spans("XNYS", pd.Timedelta("1h"))
    for name, zone in (("QQQ", "UTC"), ("SPY", "America/New_York")):
        _shown(_bars(begins, name), zone).to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(DataError, match=r"times of QQQ are in UTC, of SPY in America/New_York") as caught:
        _of_folder(tmp_path)
    assert "write an offset" in caught.value.hint


def test_a_part_with_offsets_is_not_moved_with_one_without(tmp_path: Path) -> None:
    begins, _ = spans("XNYS", pd.Timedelta("1h"))
    frame = _bars(begins, "T")
    frame[:50].to_csv(tmp_path / "1.csv", index=False)
    _shown(frame[50:], "UTC").to_csv(tmp_path / "2.csv", index=False)
    joined = _of_folder(tmp_path)
    assert joined.fingerprint == load_panel(frame, asset="etf").fingerprint


def test_what_tells_no_clock_is_taken_as_utc_and_said(tmp_path: Path) -> None:
    begins, _ = spans("XNYS", pd.Timedelta("1h"))
    around = pd.date_range("2023-11-13", "2023-12-08", freq="h", tz="America/New_York")
    places = {"by Berlin": "Europe/Berlin", "by Chicago": "America/Chicago"}
    for name, stamps in (("short", begins[:28]), ("round the clock", around), *((name, begins) for name in places)):
        zone = places.get(name, "America/New_York")
        frame = _shown(_bars(stamps), zone)
        panel = _load(frame, tmp_path, "1h")
        assert panel.fingerprint == _load(frame.assign(time=frame["time"] + "Z"), tmp_path, "1h").fingerprint, name
        assert "times of AAA have no zone and are taken as UTC" in " ".join(panel.notes)


def test_hours_of_another_exchange_are_not_taken_for_those_of_the_universe(tmp_path: Path) -> None:
    """New York's 9:30 is half an hour before Sydney opens, which bars of an hour on the clock don't begin at."""
    begins, _ = spans("XNYS", pd.Timedelta("1h"))
    panel = load_written(
        _shown(_bars(begins, "ZZZ"), "America/New_York"), tmp_path / "bars.csv", "asset=stocks", "data.interval=1h"
    )
    assert str(panel.timestamps[0]).startswith("2023-11-13T09:30")


def test_a_coin_and_a_pair_of_currencies_have_no_hours_that_tell(tmp_path: Path) -> None:
    hours = pd.date_range("2023-11-13", "2023-12-08", freq="h", tz="UTC")
    coin = load_written(
        _shown(_bars(hours, "BTC-USD"), "UTC"), tmp_path / "bars.csv", "asset=crypto", "data.interval=1h"
    )
    assert str(coin.timestamps[0]).startswith("2023-11-13T00:00")
    assert "times of BTC-USD have no zone and are taken as UTC" in " ".join(coin.notes)


def test_a_table_at_hand_is_read_as_a_file_is(tmp_path: Path) -> None:
    begins, _ = spans("XASX", pd.Timedelta("1h"))
    frame = _bars(begins, "BHP.AX")
    local = frame.assign(time=frame["time"].dt.tz_convert("Australia/Sydney").dt.tz_localize(None))
    assert load_panel(local, asset="stocks").fingerprint == load_panel(frame, asset="stocks").fingerprint
