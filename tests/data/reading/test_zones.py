"""The zone that a file states beside its times: in the name of their column, or in a column of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from wealtharena.data.reading import Reading, read_path, split_symbols
from wealtharena.errors import DataError

NEW_YORK = "America/New_York"
SUMMER = pd.date_range("2023-02-20", "2023-03-31", freq="h")  # over the change of clocks
WINTER = pd.date_range("2023-01-02", "2023-02-10", freq="h")


def _sessions(hours: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return hours[(hours.day_of_week < 5) & (hours.hour >= 10) & (hours.hour < 16)]


def _read(times: Any, header: str = "date", **beside: Any) -> Reading:
    frame = pd.DataFrame({header: times, "close": range(100, 100 + len(times)), **beside})
    return split_symbols(frame.astype({header: "str"}), where="AAA.csv", only_symbol="AAA")


def _times(made: Reading) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(made.tables["AAA"]["timestamp"])


@pytest.mark.parametrize(("header", "zone"), [
    ("Datetime (America/New_York)", NEW_YORK), ("Datetime [US/Eastern]", NEW_YORK), ("Time (New York)", NEW_YORK),
    ("Time (ET)", NEW_YORK), ("Time ET", NEW_YORK), ("Time (EET)", "EET"), ("datetime_eet", "EET"), ("Date (UTC+2)", "Etc/GMT-2"),
    ("Date (GMT-05:00)", "Etc/GMT+5"), ("Time (JST)", "Asia/Tokyo"), ("Gmt time", "UTC"), ("datetime_utc", "UTC"),
])  # fmt: skip
def test_a_zone_in_the_name_of_the_times_gives_their_instants(header: str, zone: str) -> None:
    local = _sessions(SUMMER)
    made = _read(local, header)
    assert list(_times(made)) == list(local.tz_localize(zone).tz_convert("UTC"))
    assert not made.unzoned


@pytest.mark.parametrize(("name", "cell", "zone"), [
    ("timezone", NEW_YORK, NEW_YORK), ("tz", "EET", "EET"), ("utc_offset", "-05:00", "Etc/GMT+5"), ("UTC Offset", "+0200", "Etc/GMT-2"),
    ("gmtoffset", -18000, "Etc/GMT+5"), ("gmtoffset", -300, "Etc/GMT+5"), ("gmtoffset", -5, "Etc/GMT+5"), ("tz", "UTC", "UTC"),
])  # fmt: skip
def test_a_column_of_zones_or_offsets_gives_the_times_their_instants(name: str, cell: object, zone: str) -> None:
    local = _sessions(SUMMER)
    made = _read(local, **{name: cell})
    assert list(_times(made)) == list(local.tz_localize(zone).tz_convert("UTC"))
    assert any(f"as its column {name} says" in note for note in made.notes) == (zone != "UTC")
    assert any(f"{cell} (UTC-05:00)" in note for note in made.notes) == isinstance(cell, int)  # its unit is said


def test_a_word_that_may_be_two_zones_is_taken_where_both_are_one() -> None:
    winter = _sessions(WINTER)
    assert _times(_read(winter, "Time (EST)"))[0] == winter[0].tz_localize(NEW_YORK)
    with pytest.raises(DataError, match=r"EST of Time \(EST\) may be UTC-05:00 or America/New_York"):
        _read(_sessions(SUMMER), "Time (EST)")


@pytest.mark.parametrize(
    "header", ["Time (XYZ)", "Time (local)", "Local time", "Datetime (exchange time)", "Date (Mars/Base)"]
)
def test_a_zone_that_is_not_known_is_refused(header: str) -> None:
    with pytest.raises(DataError, match="time zone that is not known") as refused:
        _read(_sessions(WINTER), header)
    assert "America/New_York" in refused.value.hint


@pytest.mark.parametrize("header", ["Date (yyyy-mm-dd hh:mm)", "Time (bar start)", "Datetime (ISO 8601)", "time (s)"])
def test_what_else_stands_in_brackets_is_no_zone(header: str) -> None:
    local = _sessions(WINTER)
    made = _read(local, header)
    assert list(_times(made)) == list(local.tz_localize("UTC"))
    assert made.unzoned == {"AAA"}


def test_a_zone_changes_no_dates_and_no_instants_that_are_known() -> None:
    days = pd.bdate_range("2023-01-02", periods=30)
    for header in ("Date (America/New_York)", "Date (UTC+2)", "Date (local)"):
        assert list(_times(_read(days, header))) == list(days.tz_localize("UTC"))
    closes = (days + pd.Timedelta("16:00:00")).strftime("%Y-%m-%d %H:%M")
    assert list(_times(_read(closes, "Date (local)"))) == list(days.tz_localize("UTC"))
    known = _sessions(WINTER).tz_localize("UTC")
    assert list(_times(_read(known.as_unit("s").asi8, gmtoffset=-18000))) == list(known)
    assert list(_times(_read(known.strftime("%Y-%m-%dT%H:%M:%SZ"), timezone=NEW_YORK))) == list(known)


@pytest.mark.parametrize("backwards", [False, True])
def test_an_hour_that_the_clock_shows_twice_is_told_by_its_two_rows(backwards: bool) -> None:
    instants = pd.date_range("2023-10-30", "2023-11-10", freq="h", tz="UTC")
    local = instants.tz_convert(NEW_YORK).tz_localize(None)
    rows = local[::-1] if backwards else local
    assert sorted(_times(_read(rows, "Date (America/New_York)"))) == list(instants)


def test_an_hour_that_may_be_either_or_does_not_exist_is_refused() -> None:
    once = pd.date_range("2023-11-03", "2023-11-07", freq="h")
    with pytest.raises(DataError, match="2023-11-05 01:00 comes twice in America/New_York"):
        _read(once, "Date (America/New_York)")
    with pytest.raises(DataError, match="2023-03-12 02:00 does not exist in America/New_York"):
        _read(pd.date_range("2023-03-10", "2023-03-14", freq="h"), "Date (America/New_York)")


def test_two_zones_in_the_names_of_date_and_time_are_refused() -> None:
    local = _sessions(WINTER)
    dates, clock = local.strftime("%Y-%m-%d"), local.strftime("%H:%M")
    with pytest.raises(DataError, match="state two time zones"):
        _read(dates, "Date (UTC)", **{"Time (EET)": clock})
    assert _times(_read(dates, "Date", **{"Time (EET)": clock}))[0] == local[0].tz_localize("EET")


@pytest.mark.parametrize(("line", "zone"), [
    ("# Timezone: America/New_York", NEW_YORK), ("Time zone;EET;", "EET"), ('"TZ","UTC+2"', "Etc/GMT-2"),
    ("All times are in UTC", "UTC"), ("times in EET.", "EET"), ("Bars of AAA, all times in full", ""), ("AAA", ""),
])  # fmt: skip
def test_a_zone_in_a_line_above_the_header_counts(tmp_path: Path, line: str, zone: str) -> None:
    local = _sessions(WINTER)
    table = pd.DataFrame({"time": local, "close": range(100, 100 + len(local)), "volume": 1})
    path = tmp_path / "AAA.csv"
    path.write_text(f"{line}\n{table.to_csv(index=False)}", encoding="utf-8")
    made = read_path(path)
    assert list(_times(made)) == list(local.tz_localize(zone or "UTC").tz_convert("UTC"))
    assert bool(made.unzoned) == (not zone)
    path.write_text(f"# Timezone: exchange\n{table.to_csv(index=False)}", encoding="utf-8")
    with pytest.raises(DataError, match="a line above the header states a time zone that is not known: 'exchange'"):
        read_path(path)
