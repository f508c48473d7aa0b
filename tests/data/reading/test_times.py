"""When a bar was: dates on either side of midnight, bars too far apart, and times that cannot be read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading import honest
from tests.data.reading.test_cases import load_written, shares
from wealtharena.data import intervals
from wealtharena.data.reading.moments import bar_times, time_of_rows
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import clock, parse
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # hundreds of files are written and read


def _spelled(instants: pd.DatetimeIndex) -> dict[str, pd.Series]:
    """Return one column of instants as written at its venue, in UTC, as epochs and as datetimes."""
    utc = instants.tz_convert("UTC")
    return {
        "written": pd.Series(instants.strftime("%Y-%m-%dT%H:%M:%S%z")),
        "zulu": pd.Series(utc.strftime("%Y-%m-%dT%H:%M:%SZ")),
        "epoch": pd.Series(utc.as_unit("s").asi8),
        "datetime": pd.Series(instants),
    }


def _dated(values: pd.Series, zone: str, *, weekdays: bool = True) -> list[str]:
    found = parse(values, "bars.csv")
    times = bar_times(found, dated=True, zone=zone, weekdays=weekdays, where="bars.csv: AAA")
    return times.dt.strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(("home", "clock_there", "zone"), [
    ("America/New_York", "16:00", "Australia/Sydney"),  # the next morning there: the date before
    ("America/New_York", "09:30", "Australia/Sydney"),
    ("America/New_York", "16:00", "America/New_York"),
    ("Asia/Hong_Kong", "09:30", "America/New_York"),  # the evening before there: the next date
    ("Europe/London", "08:00", "Australia/Sydney"),
    ("Europe/Paris", "17:30", "Australia/Sydney"),
])  # fmt: skip
def test_a_share_listed_elsewhere_keeps_the_dates_of_its_own_sessions(home: str, clock_there: str, zone: str) -> None:
    days = pd.bdate_range("2022-12-05", periods=150)  # over changes of the clock
    instants = (days + pd.Timedelta(f"{clock_there}:00")).tz_localize(home)
    for name, values in _spelled(instants).items():
        assert _dated(values, zone) == days.strftime("%Y-%m-%d").tolist(), name


def test_a_us_share_among_australian_ones_is_dated_as_in_plain_dates(tmp_path: Path) -> None:
    frame = shares("AAPL", bars=40)
    plain = load_written(frame, tmp_path / "plain.csv", "asset=stocks")
    closes = (pd.DatetimeIndex(frame["date"]) + pd.Timedelta(hours=16)).tz_localize("America/New_York")
    for name, values in _spelled(closes).items():
        panel = load_written(frame.assign(date=values), tmp_path / f"{name}.csv", "asset=stocks")
        assert panel.fingerprint == plain.fingerprint, name


def test_a_half_day_that_closes_before_midnight_there_keeps_its_date() -> None:
    days = pd.bdate_range("2022-12-05", periods=40)
    closes = np.where(days == pd.Timestamp("2022-12-23"), pd.Timedelta("12:30:00"), pd.Timedelta("16:30:00"))
    instants = (days + pd.to_timedelta(closes)).tz_localize("Europe/London")
    assert _dated(_spelled(instants)["zulu"], "Australia/Sydney") == days.strftime("%Y-%m-%d").tolist()


def test_bars_that_fall_on_weekends_on_either_side_of_midnight_are_refused_in_one_line() -> None:
    days = pd.date_range("2023-01-02", periods=28)  # all seven days of the week
    for hour in (6, 18):
        instants = (days + pd.Timedelta(hours=hour)).tz_localize("America/New_York")
        with pytest.raises(DataError, match=r"AAA: bars stamped like 2023-01-07 .* fall on weekends") as refused:
            _dated(_spelled(instants)["zulu"], "America/New_York")
        assert "plain dates" in refused.value.hint
        assert "\n" not in str(refused.value)
    midnight = days.tz_localize("America/New_York")
    assert _dated(_spelled(midnight)["zulu"], "America/New_York") == days.strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(("symbol", "zone", "settings"), [
    ("TEVA.TA", "Asia/Jerusalem", ()), ("2222.SR", "Asia/Riyadh", ("asset.account_currency=SAR",)),
    ("ARAMCO", "Asia/Riyadh", ("universe.calendar=XSAU",)),
    ("COMI.CA", "Africa/Cairo", ("universe.calendar=XFRA", "asset.account_currency=EUR", "universe.currency=EUR")),
])  # fmt: skip
def test_a_week_from_sunday_to_thursday_keeps_its_sundays(
    tmp_path: Path, symbol: str, zone: str, settings: tuple[str, ...]
) -> None:
    days = pd.DatetimeIndex([day for day in pd.date_range("2023-01-01", periods=60) if day.day_of_week not in (4, 5)])
    frame = shares(symbol, bars=len(days))
    closes = (days + pd.Timedelta("14:25:00")).tz_localize(zone)
    for name, values in _spelled(closes).items():
        panel = load_written(frame.assign(date=values), tmp_path / f"{name}.csv", "asset=etf", *settings)
        assert panel.timestamps.astype("datetime64[D]").astype(str).tolist() == days.strftime("%Y-%m-%d").tolist(), name


@pytest.mark.parametrize(("zone", "hour", "weekdays"), [
    ("UTC", 22, True), ("UTC", 22, False), ("UTC", 16, False), ("America/New_York", 23, True),
    ("America/New_York", 16, True), ("Asia/Shanghai", 16, True),
])  # fmt: skip
def test_a_month_that_begins_the_evening_before_is_the_month_that_most_of_it_has(
    zone: str, hour: int, weekdays: bool
) -> None:
    """22:00 UTC as TradingView writes pairs, 23:00 a US share."""
    firsts = pd.date_range("2021-01-01", periods=30, freq="MS")
    evening = (firsts - pd.Timedelta(hours=24 - hour)).tz_localize("UTC")
    for name, values in _spelled(evening).items():
        assert _dated(values, zone, weekdays=weekdays) == firsts.strftime("%Y-%m-%d").tolist(), name


def test_months_dated_by_their_first_or_last_session_or_at_the_end_keep_those_dates() -> None:
    sessions = {"BMS": pd.Timedelta("09:30:00"), "BME": pd.Timedelta("16:00:00")}
    for freq, time in sessions.items():
        days = pd.date_range("2021-01-01", periods=30, freq=freq)
        for zone in ("America/New_York", "Australia/Sydney"):
            instants = (days + time).tz_localize("America/New_York")
            assert _dated(_spelled(instants)["zulu"], zone) == days.strftime("%Y-%m-%d").tolist(), (freq, zone)
    ends = pd.date_range("2021-01-31", periods=30, freq="ME")
    for time in ("00:00:00", "23:59:59"):
        instants = (ends + pd.Timedelta(time)).tz_localize("America/New_York")
        assert _dated(_spelled(instants)["zulu"], "America/New_York") == ends.strftime("%Y-%m-%d").tolist(), time
    firsts = (pd.date_range("2021-01-01", periods=30, freq="MS") + pd.Timedelta(hours=5)).tz_localize("UTC")
    assert all(date.endswith("-01") for date in _dated(_spelled(firsts)["epoch"], "Australia/Sydney"))


@pytest.mark.parametrize("bars", [3, 30])
@pytest.mark.parametrize(("zone", "hour", "weekdays"), [
    ("UTC", 22, True), ("UTC", 22, False), ("America/New_York", 23, True), ("Australia/Sydney", 22, True),
])  # fmt: skip
def test_a_week_that_begins_on_sunday_evening_is_mondays(bars: int, zone: str, hour: int, weekdays: bool) -> None:
    mondays = pd.date_range("2021-01-04", periods=bars, freq="7D")
    evening = (mondays - pd.Timedelta(hours=24 - hour)).tz_localize("UTC")
    for name in ("zulu", "epoch", "datetime"):
        assert _dated(_spelled(evening)[name], zone, weekdays=weekdays) == mondays.strftime("%Y-%m-%d").tolist(), name


def test_months_of_a_pair_load_as_in_plain_dates(tmp_path: Path) -> None:
    firsts = pd.date_range("2021-01-01", periods=30, freq="MS")
    frame = shares("EURUSD", bars=30).assign(volume=0, date=firsts.strftime("%Y-%m-%d"))
    plain = load_written(frame, tmp_path / "plain.csv", "asset=forex", "data.interval=1mo")
    evening = (firsts - pd.Timedelta(hours=2)).tz_localize("UTC")
    panel = load_written(
        frame.assign(date=_spelled(evening)["epoch"]), tmp_path / "evening.csv", "asset=forex", "data.interval=1mo"
    )
    assert panel.fingerprint == plain.fingerprint


@pytest.mark.parametrize(("days", "interval"), [(2, "1d"), (3, "1d"), (4, "1d"), (5, "1w"), (6, "1w"), (8, "1w")])
def test_bars_of_several_days_are_neither_days_nor_weeks(tmp_path: Path, days: int, interval: str) -> None:
    frame = honest.honest_bars().query("symbol == 'BTC-USD'")
    stamps = pd.date_range("2024-01-01", periods=len(frame), freq=f"{days}D", tz="UTC")
    with pytest.raises(DataError, match=rf"bars are {days} days apart, not {interval}") as refused:
        load_written(frame.assign(timestamp=stamps), tmp_path / "b.csv", "asset=crypto", f"data.interval={interval}")
    assert "resample the file" in refused.value.hint
    assert intervals.found_interval(pd.Series(stamps)) is None
    assert intervals.found_interval(pd.Series(stamps[:6])) == interval  # too few to tell


def test_every_other_session_is_no_day_and_a_stretch_of_three_days_is_no_run_of_holes() -> None:
    sessions = pd.bdate_range("2023-01-02", periods=300, tz="UTC")
    assert intervals.found_interval(pd.Series(sessions[::2])) is None
    coins = pd.date_range("2023-01-01", periods=400, tz="UTC")
    with pytest.raises(DataError, match="a stretch of 3 days among bars of 1d"):
        intervals.check_interval(pd.Series(coins[:90:3].append(coins[90:])), "1d", where="x")
    hours = pd.date_range("2024-06-01", periods=300, freq="h", tz="UTC")
    with pytest.raises(DataError, match="a stretch of 1d among bars of 1h"):
        intervals.check_interval(pd.Series(sessions[:60].append(hours)), "1h", where="x")


def test_honest_days_and_weeks_with_holes_are_what_they_are() -> None:
    rng = np.random.default_rng(3)
    sessions = pd.bdate_range("2020-01-01", periods=500, tz="UTC")
    coins = pd.date_range("2020-01-01", periods=500, tz="UTC")
    series = {
        "holidays": sessions.delete(rng.choice(500, 40, replace=False)),
        "half of the sessions": sessions[np.sort(rng.choice(500, 250, replace=False))],
        "four-day weeks": sessions[sessions.day_of_week < 4],
        "three-day weeks": sessions[sessions.day_of_week.isin([0, 1, 3])],
        "coins": coins,
        "coins with holes": coins[np.sort(rng.choice(500, 200, replace=False))],
        "a year apart": sessions[:20].append(sessions[300:]),
        "times of sessions": (sessions.tz_localize(None) + pd.Timedelta(hours=16)).tz_localize("America/New_York"),
    }
    for name, stamps in series.items():
        intervals.check_interval(pd.Series(stamps), "1d", where=name)
    weeks = pd.date_range("2020-01-06", periods=100, freq="7D", tz="UTC")
    holidays = weeks + pd.to_timedelta((rng.integers(0, 10, 100) == 0).astype(int), unit="D")  # Monday closed: Tuesday
    for stamps in (weeks, holidays, weeks[np.sort(rng.choice(100, 70, replace=False))]):
        intervals.check_interval(pd.Series(stamps), "1w", where="weeks")


@pytest.mark.parametrize(("values", "words"), [
    (pd.Series(["2024-01-02", "9999-12-31"]).astype("datetime64[us]"), "9999-12-31T00:00:00 in row 2 lies outside"),
    (pd.Series(["0001-01-01", "2024-01-02"]).astype("datetime64[ms]"), "0001-01-01T00:00:00 in row 1 lies outside"),
    (pd.Series(["2024-01-02", "9999-12-31"]).astype("datetime64[s]").dt.tz_localize("UTC"), "9999-12-31.* in row 2"),
    (pd.Series(pd.PeriodIndex(["2024-01", "9999-12"], freq="M")), "9999-12-01T00:00:00 in row 2 lies outside"),
    (pd.Series([date(2024, 1, 2), date(9999, 12, 31)]), "'9999-12-31' in row 2 is not on the calendar"),
    (pd.Series(["2024-01-02", "٢٠٢٤-٠١-٠٣"]), "'٢٠٢٤-٠١-٠٣' in row 2"),
    (pd.Series(["1704153600", "1704153600", "1" * 30]), "1{30} in row 3 is no date and no epoch"),
    (pd.Series(["1704153600", "1704153600", "5000000000"]), "5000000000 in row 3 is no date and no epoch"),
    (pd.Series(["1704153600", "-" + "9" * 400]), "in row 2 is no date and no epoch"),
    (pd.Series([1704153600, 2**64 - 1], dtype="uint64"), "18446744073709551615 in row 2 is no date and no epoch"),
    (pd.Series([1704153600.0, np.inf]), "inf in row 2 is no date and no epoch"),
    (pd.Series([1704153600.0, -1e300]), "-1e.300 in row 2 is no date and no epoch"),
    (pd.Series([1704153600, -(2**63)]), "-9223372036854775808 in row 2"),
    (pd.Series([1704153600.0, np.nan]), "row 2 has no timestamp"),
    (pd.Series(pd.to_datetime(["2024-01-02", None])), "row 2 has no timestamp"),
    (pd.Series(pd.PeriodIndex(["2024-01", None], freq="M")), "row 2 has no timestamp"),
    (pd.Series(["2024-01-02", "2024-02-30"]), "'2024-02-30' in row 2 is not on the calendar"),
    (pd.Series(["2024-01-02 09:00", "2024-01-02 24:00"]), "'2024-01-02 24:00' in row 2 is not on the calendar"),
    (pd.Series(["2024-01-02 13:30 AM"]), "'2024-01-02 13:30 AM' in row 1 is not on the calendar"),
    (pd.Series(["2024-01-02 09:00+99:00"]), "in row 1 is not on the calendar"),
    (pd.Series([date(2024, 1, 2), 3.5, "x"], dtype=object), "in row 2"),
    (pd.Series(pd.to_timedelta([1, 2], unit="h")), "in row 1"),
])  # fmt: skip
def test_a_time_beyond_what_can_be_held_is_refused_with_its_row(values: pd.Series, words: str) -> None:
    with pytest.raises(DataError, match=rf"^bars.csv: .*{words}|^bars.csv: {words}") as refused:
        parse(values, "bars.csv")
    assert "\n" not in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_a_parquet_file_with_the_last_day_of_all_is_refused_in_one_line(tmp_path: Path, unit: str) -> None:
    frame = shares(bars=40)
    dates = frame["date"].astype(f"datetime64[{unit}]")
    assert load_written(frame.assign(date=dates), tmp_path / "bars.parquet").bars == 40
    dates.iloc[7] = pd.Timestamp("9999-12-31").as_unit("s")
    with pytest.raises(DataError, match=r"bars\.parquet: 9999-12-31.* in row 8"):
        load_written(frame.assign(date=dates), tmp_path / "bars.parquet")


def test_periods_and_datetimes_of_any_unit_are_their_beginnings() -> None:
    months = pd.period_range("1999-11", periods=4, freq="M")
    assert parse(pd.Series(months), "x").wall.tolist() == months.to_timestamp().as_unit("ns").asi8.tolist()
    old = pd.Series(["1800-01-02", "2200-12-31"]).astype("datetime64[us]")
    assert parse(old, "x").wall.tolist() == old.astype("datetime64[ns]").astype("int64").tolist()


def test_times_of_day_are_read_as_in_written_stamps() -> None:
    minutes = {"9:30 a.m.": 570, "9:30 AM": 570, "9:30am": 570, "4:00 p.m.": 960, "12:15 a.m.": 15, "12:00 P.M.": 720,
               "16:00": 960, "09:30:00": 570, "4:00 p. m.": 960, "９:30": 570}  # fmt: skip
    found = clock(pd.Series(list(minutes)))
    assert found is not None
    assert (found // (60 * 10**9)).tolist() == list(minutes.values())
    for text in ("24:00", "9:60", "13:30 AM", "09:30 ET", "٠٩:٣٠", "", "0.375"):
        assert clock(pd.Series(["09:30", text])) is None, text
    assert clock(pd.Series([930, 1600])) is not None
    assert clock(pd.Series([9, 16])) is None
    assert clock(pd.Series([0, 0])) is not None


_MINUTES = pd.DatetimeIndex(
    [f"{day} {time}" for day in ("2024-01-02", "2024-01-03") for time in ("09:30", "13:45", "16:00")]
)
_DATES = pd.Series(_MINUTES.strftime("%Y-%m-%d"))


def _joined(*columns: tuple[str, object]) -> tuple[list[str], Ledger]:
    ledger = Ledger("bars.csv")
    found = time_of_rows([(name, pd.Series(values)) for name, values in columns], ledger)
    return pd.DatetimeIndex(found.instants).strftime("%Y-%m-%d %H:%M").tolist(), ledger


@pytest.mark.parametrize(("cells", "words"), [
    (["09:30 XT", "13:45 XT", "16:00 XT"], "'09:30 XT' in row 1"), (["09:30", "13:45", "24:00"], "'24:00' in row 3"),
    (["09:30", "13:45", ""], "'' in row 3"), (["09:30", "13:45", "٠٩:٣٠"], "'٠٩:٣٠' in row 3"),
    ([0.395833, 0.572917, 0.666667], "'0.395833' in row 1"), (["930", "13:45", "16:00"], "'930' in row 1"),
    ([34200, 49500, 57600], "'49500' in row 2"), ([0, 960, 1800], "'960' in row 2"),
])  # fmt: skip
def test_a_time_of_day_that_cannot_be_read_is_refused_by_its_cell(cells: list[object], words: str) -> None:
    with pytest.raises(DataError, match=words) as refused:
        _joined(("date", _DATES), ("time", cells * 2))
    assert refused.value.message.startswith("bars.csv: time tells rows of one date apart")
    assert "09:30" in refused.value.hint


@pytest.mark.parametrize("cells", [[9, 13, 16], ["9", "13", "16"], ["09", "13", "16"], [9.0, 13.0, 16.0], [0, 1, 2]])
def test_bare_hours_are_refused(cells: list[object]) -> None:
    for values in (cells * 2, pd.Series(cells * 2)):
        with pytest.raises(DataError, match=r"time holds numbers such as 0?[09]: hours or minutes\?") as refused:
            _joined(("date", _DATES), ("time", values))
        assert "09:00" in refused.value.hint


def test_hours_from_midnight_on_are_no_count_of_rows(tmp_path: Path) -> None:
    frame = honest.honest_bars(bars=96, interval="1h").query("symbol == 'BTC-USD'")
    stamps = frame["timestamp"]
    beside = frame.assign(timestamp=stamps.dt.strftime("%Y-%m-%d")).rename(columns={"timestamp": "date"})
    plain = load_written(frame, tmp_path / "plain.csv", "asset=crypto", "data.interval=1h")
    for suffix in (".csv", ".parquet"):
        clocks = {"HHMM": stamps.dt.hour * 100, "HHMMSS": stamps.dt.strftime("%H%M%S")}
        for values in clocks.values():
            panel = load_written(
                beside.assign(time=values), tmp_path / f"b{suffix}", "asset=crypto", "data.interval=1h"
            )
            assert panel.fingerprint == plain.fingerprint
        for name in ("one day", "days"):
            part = beside.assign(time=stamps.dt.hour)[: 24 if name == "one day" else 96]
            with pytest.raises(DataError, match="hours or minutes"):
                load_written(part, tmp_path / f"b{suffix}", "asset=crypto", "data.interval=1h")
    minutes = pd.date_range(
        "2024-01-01", periods=60_000, freq="min"
    )  # times of six digits, in more rows than they count
    found, _ = _joined(("date", minutes.strftime("%Y-%m-%d")), ("time", minutes.strftime("%H%M%S").astype(int)))
    assert found == minutes.strftime("%Y-%m-%d %H:%M").tolist()
    seconds = (minutes.hour * 60 + minutes.minute) * 60
    with pytest.raises(DataError, match="time tells rows of one date apart and cannot be read"):
        _joined(("date", minutes.strftime("%Y-%m-%d")), ("time", seconds))


@pytest.mark.parametrize("dates", [
    _DATES, _DATES + "T00:00:00Z", _DATES + " 00:00:00+00:00", pd.to_datetime(_DATES), pd.to_datetime(_DATES, utc=True),
    pd.to_datetime(_DATES, utc=True).astype("datetime64[s, UTC]").astype("int64"),
])  # fmt: skip
def test_dates_and_times_of_day_are_joined_whatever_the_dates_zone_of_utc(dates: pd.Series) -> None:
    expected = _MINUTES.strftime("%Y-%m-%d %H:%M").tolist()
    for times in (["9:30 a.m.", "1:45 p.m.", "4:00 p.m."], ["09:30", "13:45", "16:00"], [930, 1345, 1600]):
        found, ledger = _joined(("date", dates), ("time", times * 2))
        assert found == expected
        assert ledger.facts["time column"] == "date and time, joined"
        assert any("time is taken as UTC" in note for note in ledger.notes) == ("no zone" not in ledger.facts["stamps"])


@pytest.mark.parametrize("dates", [
    _DATES + "T00:00:00-05:00", _DATES + "T05:00:00Z", pd.to_datetime(_DATES).dt.tz_localize("America/New_York"),
])  # fmt: skip
def test_a_time_of_day_beside_dates_of_another_zone_is_refused(dates: pd.Series) -> None:
    with pytest.raises(DataError, match="and time tells its rows of one date apart") as refused:
        _joined(("date", dates), ("time", ["09:30", "13:45", "16:00"] * 2))
    assert "one column" in refused.value.hint


def test_two_times_of_day_that_differ_are_refused_and_zeros_beside_one_are_none() -> None:
    times = ["09:30", "13:45", "16:00"] * 2
    with pytest.raises(DataError, match="time and utctime tell different times of day"):
        _joined(("date", _DATES), ("time", times), ("utctime", ["14:30", "18:45", "21:00"] * 2))
    for zeros in ([0] * 6, ["00:00"] * 6, ["000000"] * 6):
        assert _joined(("date", _DATES), ("utctime", zeros), ("time", times))[0][1] == "2024-01-02 13:45"


@pytest.mark.parametrize(("name", "values"), [
    ("day", [1, 1, 1, 2, 2, 2]), ("day", [0, 1, 2, 3, 4, 5]), ("day", ["Tue"] * 3 + ["Wed"] * 3), ("index", range(6)),
    ("index", [7000, 4, 5, 9, 11, 2]), ("", range(6)), ("Unnamed: 0", [130, 145, 7, 9, 8, 3]),
    ("index", ["ASX", "S&P", "DAX"] * 2), ("time", [0] * 6), ("time", ["09:30 ET"] * 6), ("time", [16] * 6),
    ("time", ["16:00 ET"] * 3 + ["13:00 ET"] * 3), ("dt", [45293] * 3 + [45294] * 3),
])  # fmt: skip
def test_counts_and_columns_that_tell_no_rows_of_a_date_apart_are_passed_over(name: str, values: object) -> None:
    assert _joined(("date", _DATES), (name, values))[0] == (_DATES + " 00:00").tolist()


def test_a_count_of_rows_that_goes_beyond_a_minutes_seconds_is_passed_over_under_any_name() -> None:
    dates = pd.Series(pd.bdate_range("2023-01-02", periods=100).strftime("%Y-%m-%d").tolist() * 2)
    for name in ("ts", "time", "index"):
        for count in (range(200), range(1, 201), [*range(100), *range(100)]):
            assert _joined(("date", dates), (name, count))[0] == (dates + " 00:00").tolist()


def test_a_days_bar_with_a_zone_and_a_time_of_day_is_of_its_date(tmp_path: Path) -> None:
    frame = honest.honest_bars()
    plain = load_written(frame, tmp_path / "plain.csv", "asset=crypto")
    beside = frame.assign(date=frame["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"), time="16:00")
    panel = load_written(beside.drop(columns="timestamp"), tmp_path / "bars.csv", "asset=crypto")
    assert panel.fingerprint == plain.fingerprint


def test_hours_in_a_column_that_no_name_tells_of_are_not_said_to_be_days(tmp_path: Path) -> None:
    frame = honest.honest_bars(bars=96, interval="1h").query("symbol == 'BTC-USD'")
    beside = frame.assign(timestamp=frame["timestamp"].dt.strftime("%Y-%m-%d"), hour=frame["timestamp"].dt.hour)
    for interval in ("1h", "1d"):
        with pytest.raises(DataError, match="92 of 96 bars repeat the date of another") as refused:
            load_written(beside, tmp_path / "bars.csv", "asset=crypto", f"data.interval={interval}")
        assert "time: 09:30" in refused.value.hint


def test_a_coins_midnight_by_a_written_offset_is_its_date_and_as_an_epoch_refused(tmp_path: Path) -> None:
    frame = honest.honest_bars()
    days = frame["timestamp"].dt.tz_localize(None).dt.tz_localize("Asia/Tokyo")
    plain = load_written(frame, tmp_path / "plain.csv", "asset=crypto")
    written = frame.assign(timestamp=days.dt.strftime("%Y-%m-%dT%H:%M:%S%z"))
    assert load_written(written, tmp_path / "written.csv", "asset=crypto").fingerprint == plain.fingerprint
    epochs = frame.assign(timestamp=days.dt.tz_convert("UTC").dt.as_unit("s").astype("int64"))
    with pytest.raises(DataError, match="15:00 UTC may belong to that date or the next"):
        load_written(epochs, tmp_path / "epochs.csv", "asset=crypto")


def test_two_columns_of_one_name_that_tell_different_times_are_refused() -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=30))
    for columns in (
        [("timestamp", days), ("timestamp", days + pd.Timedelta("1D"))],
        [("date", days), ("date", days[::-1])],
    ):
        with pytest.raises(DataError, match=r"(timestamp|date) and \1 \(2\) tell different times in row 1"):
            time_of_rows([(name, cells.reset_index(drop=True)) for name, cells in columns], Ledger("the table"))
    assert time_of_rows([("date", days), ("date", days)], Ledger("the table")).whole_days
