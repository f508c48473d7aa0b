"""Dates written in words, as periods, or with a zone behind them: the instants that they mean, or one line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_zones import SUMMER, _read, _sessions, _times
from wealtharena.data.reading import spelled, stamps
from wealtharena.data.reading.files import split_symbols
from wealtharena.errors import DataError

DAYS = pd.date_range("2022-11-02", "2024-02-28", freq="9D")
HOURS = pd.date_range("2023-10-30", "2023-11-10", freq="h", tz="America/New_York")  # over the hour that comes twice
_FIRST = {language: [names.split("/") for names in text.split()] for language, text in spelled._TEXT}


def _parsed(cells: list[str]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps.parse(pd.Series(cells), "AAA.csv").wall)


@pytest.mark.parametrize("language", _FIRST)
def test_months_of_a_language_are_read_in_its_own_words(language: str) -> None:
    forms = (
        "{day}. {month} {year}",
        "{day:02d}-{month}-{year}",
        "{year}. {month}. {day}.",
        "{day} de {month} de {year}",
    )
    for form, which, spell in zip(forms, (0, -1, -1, 0), (str, str.upper, str, str.title), strict=True):
        words = [names[which] for names in _FIRST[language]]
        cells = [form.format(day=day.day, month=spell(words[day.month - 1]), year=day.year) for day in DAYS]
        assert list(_parsed(cells)) == list(DAYS)


def test_a_month_that_two_languages_mean_apart_is_asked_and_an_unknown_one_is_refused() -> None:
    with pytest.raises(DataError, match="the month 'listopad' is another one in Polish than in Croatian"):
        _parsed([f"{day} listopad 2023" for day in range(1, 9)])
    with pytest.raises(DataError, match="'marraskoo' is no month"):
        _parsed([f"{day} marraskoo 2023" for day in range(1, 9)])


def test_a_day_of_the_week_is_no_part_of_a_date() -> None:
    for form in ("%a, %d %b %Y", "%A %d %B %Y", "%a %b %d %Y", "%Y-%b-%d", "%a %b %d 00:00:00 %Y"):
        assert list(_parsed(list(DAYS.strftime(form)))) == list(DAYS)
    german = ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"]
    assert list(_parsed([f"{german[day.day_of_week]}, {day:%d.%m.%Y}" for day in DAYS])) == list(DAYS)


def test_weeks_and_quarters_are_their_first_days() -> None:
    mondays = pd.date_range("2019-12-30", "2021-01-25", freq="W-MON")
    weeks = [f"{year}-W{week:02d}" for year, week, _ in (day.isocalendar() for day in mondays)]
    assert list(_parsed(weeks)) == list(mondays)
    starts = pd.date_range("2020-01-01", periods=9, freq="QS")
    for form in ("{}Q{}", "{}-Q{}"):
        assert list(_parsed([form.format(day.year, day.quarter) for day in starts])) == list(starts)
    with pytest.raises(DataError, match="cannot be read: '2025-W00' in row 1"):
        _parsed(["2025-W00", "2025-W01"])


@pytest.mark.slow
def test_a_month_and_two_digits_are_a_year_where_each_follows_the_one_before() -> None:
    months = pd.date_range("1998-11-01", "2003-02-01", freq="MS")
    for form in ("%b-%y", "%y-%b", "%B %y"):
        cells = list(months.strftime(form))
        assert list(_parsed(cells)) == list(months)
        assert list(_parsed(cells[::-1])) == list(months[::-1])
    for other in (["Jan-03", "Jan-04", "Jan-05"], ["Jan-10", "Feb-10", "Mar-10"]):
        with pytest.raises(DataError, match="a month of a year, or a day of a month"):
            _parsed(other)


@pytest.mark.parametrize("form", ["%Y%m%d %H:%M:%S US/Eastern", "%Y-%m-%d %H:%M:%S America/New_York", "%Y-%m-%d %H:%M:%S %Z",
                                  "%m/%d/%Y %I:%M %p %Z", "%a %b %d %H:%M:%S %Z %Y", "%a %b %d %Y %H:%M:%S GMT%z (%Z)",
                                  "%a, %d %b %Y %H:%M:%S %z"])  # fmt: skip
def test_a_zone_behind_the_times_gives_their_instants(form: str) -> None:
    hours = _sessions(SUMMER).tz_localize("America/New_York") if "%Z" not in form and "%z" not in form else HOURS
    assert list(_times(_read(hours.strftime(form)))) == list(hours.tz_convert("UTC"))


def test_greenwich_and_summer_time_stand_in_one_column() -> None:
    hours = HOURS.tz_convert("Europe/London") - pd.Timedelta(days=4)
    assert {"GMT", "BST"} == set(hours.strftime("%Z"))
    assert list(_times(_read(hours.strftime("%Y-%m-%d %H:%M:%S %Z")))) == list(hours.tz_convert("UTC"))
    rfc = hours.tz_convert("UTC").strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert list(_times(_read(rfc))) == list(hours.tz_convert("UTC"))


@pytest.mark.parametrize("word", ["IST", "CST", "EST"])
def test_a_word_that_may_be_several_zones_is_asked_and_answered_by_the_columns_name(word: str) -> None:
    local = _sessions(SUMMER)
    cells = local.strftime(f"%Y-%m-%d %H:%M:%S {word}")
    with pytest.raises(DataError, match=f"{word} of date may be ") as refused:
        _read(cells)
    assert "call the column of times by its zone" in refused.value.hint
    zone = {"IST": "Asia/Jerusalem", "CST": "Asia/Shanghai", "EST": "America/New_York"}[word]
    assert list(_times(_read(cells, f"Datetime ({zone})"))) == list(local.tz_localize(zone).tz_convert("UTC"))
    with pytest.raises(DataError, match=f"states two time zones, Europe/Paris and {word}"):
        _read(cells, "Datetime (Europe/Paris)")


def test_dates_keep_their_day_whatever_zone_stands_behind_them() -> None:
    made = _read(DAYS.strftime("%Y-%m-%d 00:00:00 EST"))
    assert list(_times(made).tz_localize(None)) == list(DAYS)


def test_a_zone_behind_some_times_alone_is_refused() -> None:
    cells = np.array(_sessions(SUMMER).strftime("%Y-%m-%d %H:%M:%S EDT"), dtype=object)
    cells[7] = cells[7].removesuffix(" EDT")
    with pytest.raises(DataError, match="some timestamps have a zone and others have none"):
        _read(cells)


def test_a_zone_behind_a_time_of_day_beside_its_date_counts_too() -> None:
    hours = _sessions(SUMMER)
    made = _read(hours.strftime("%Y-%m-%d"), time=hours.strftime("%H:%M ET"))
    assert list(_times(made)) == list(hours.tz_localize("America/New_York").tz_convert("UTC"))


@pytest.mark.parametrize(
    "form",
    ["%d%b%Y", "%d/%b/%Y", "%d.%b.%Y", "%b-%d-%Y", "%b/%d/%Y", "%b.%d.%Y", "%Y%b%d", "%Y/%b/%d", "%d%b%Y:00:00:00",
     "%d/%b/%Y:00:00:00", "%Y-%m-%d:00:00"],
)  # fmt: skip
@pytest.mark.parametrize("spell", [str.upper, str.lower, str])
def test_a_month_by_its_name_is_read_whatever_stands_around_it(form: str, spell: Callable[[str], str]) -> None:
    cells = [day.strftime(form) for day in DAYS]
    assert list(_parsed([spell(cell) for cell in cells])) == list(DAYS)


def test_what_cannot_be_read_is_shown_as_it_stands_in_the_file() -> None:
    with pytest.raises(DataError, match="'31JUN2023' in row 2 is not on the calendar"):
        _parsed(["01JUN2023", "31JUN2023"])
    with pytest.raises(DataError, match="cannot be read: 'Mon, noday' in row 2"):
        _parsed(["Mon, 05 Jun 2023", "Mon, noday"])


YEARS = [f"{day.year}" for day in DAYS]


@pytest.mark.parametrize("months", ["%m", "%B", "%b"])
@pytest.mark.parametrize("clock", [{}, {"Hour": "0", "Minute": "0"}, {"hour": "0"}, {"Time": "00:00"}])
def test_dates_in_columns_of_year_month_and_day_are_dates(months: str, clock: dict[str, str]) -> None:
    frame = pd.DataFrame(
        {
            "Year": YEARS,
            "Month": [day.strftime(months).lstrip("0") for day in DAYS],
            "Day": [f"{day.day}" for day in DAYS],
            **clock,
            "Close": np.arange(1.0, len(DAYS) + 1),
        }
    )
    numbered = frame.assign(Year=frame["Year"].astype(int), Day=frame["Day"].astype(float))
    for table in (frame, numbered):
        made = split_symbols(table, where="AAA.csv", only_symbol="AAA").tables["AAA"]
        assert made["timestamp"].dt.strftime("%Y-%m-%d").tolist() == DAYS.strftime("%Y-%m-%d").tolist()


def test_columns_of_a_date_beside_a_date_are_passed_over_and_years_of_two_digits_refused() -> None:
    parts = pd.DataFrame(
        {"year": YEARS, "month": [f"{day.month}" for day in DAYS], "day": [f"{day.day}" for day in DAYS]}
    )
    close = {"close": np.arange(1.0, len(DAYS) + 1)}
    made = split_symbols(parts.assign(**close, date=DAYS), where="AAA.csv", only_symbol="AAA").tables["AAA"]
    assert list(made["timestamp"].dt.tz_localize(None)) == list(DAYS)
    with pytest.raises(DataError, match="year is '22' in row 1, no year of four digits"):
        split_symbols(parts.assign(year=[year[2:] for year in YEARS], **close), where="AAA.csv", only_symbol="AAA")


def test_a_year_and_a_month_alone_are_a_months_bar() -> None:
    months = pd.date_range("2020-01-01", periods=30, freq="MS")
    frame = pd.DataFrame({"year": months.year, "month": months.month, "close": np.arange(1.0, 31.0)})
    made = split_symbols(frame, where="AAA.csv", only_symbol="AAA").tables["AAA"]
    assert list(made["timestamp"].dt.tz_localize(None)) == list(months)


@pytest.mark.parametrize("index", ["", "index", "Unnamed: 0"])
def test_an_index_of_times_counts_before_columns_made_of_it(index: str) -> None:
    times = pd.date_range("2023-01-02", periods=96, freq="15min")
    parts = {"year": times.year, "month": times.month, "day": times.day, "hour": times.hour}
    frame = pd.DataFrame({index: times, **parts, "close": np.arange(1.0, 97.0)})
    made = split_symbols(frame, where="AAA.csv", only_symbol="AAA").tables["AAA"]
    assert list(made["timestamp"].dt.tz_localize(None)) == list(times)


@pytest.mark.parametrize("before", ["1ms", "1s"])
@pytest.mark.parametrize("step", ["1h", "15min"])
def test_times_that_name_the_last_moment_of_a_bar_are_its_beginning(before: str, step: str) -> None:
    begins = pd.date_range("2024-03-04", periods=200, freq=step, tz="UTC")
    ends = begins + pd.Timedelta(step) - pd.Timedelta(before)
    for written in (ends.astype(str), ends.as_unit("ms").asi8):
        frame = pd.DataFrame({"close_time": written, "close": np.arange(1.0, 201.0)}).rename(
            columns={"close_time": "timestamp"}
        )
        made = split_symbols(frame, where="AAA.csv", only_symbol="AAA")
        assert list(made.tables["AAA"]["timestamp"]) == list(begins)
        assert any("last moments of bars" in note for note in made.notes)


@pytest.mark.parametrize("words", [
    "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez", "Jän. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
    "Jan Fév Mar Avr Mai Jun Jul Aoû Sep Oct Nov Déc",
])  # fmt: skip
def test_a_whole_year_of_abbreviated_months_is_of_one_language(words: str) -> None:
    """Excel's own 02. Mrz 2023 was read in no file that held a February as well."""
    days = pd.date_range("2023-01-02", "2023-12-29", freq="B")
    names = words.split()
    assert list(_parsed([f"{at.day:02}. {names[at.month - 1]} {at.year}" for at in days])) == list(days)


@pytest.mark.parametrize(
    "form", ["%m/%Y", "%m.%Y", "%m-%Y", "%Y.%m", "%Y %b", "%Y-%b", "%Y-%B", "%b. %Y", "%b.-%y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y"]
)  # fmt: skip
@pytest.mark.parametrize("step", [1, -1])
def test_months_are_read_in_every_usual_order(form: str, step: int) -> None:
    """01/02/2021 among firsts of months for more than a year was asked about: no file has the first twelve days of Januaries alone."""
    months = pd.date_range("2020-03-01", "2022-02-01", freq="MS")[::step]
    assert list(_parsed(list(months.strftime(form)))) == list(months)


@pytest.mark.parametrize("periods", [5, 12])
def test_twelve_firsts_of_months_may_be_days_of_a_month(periods: int) -> None:
    for form in ("%d/%m/%Y", "%m/%d/%Y"):
        with pytest.raises(DataError, match="may mean day or month first"):
            _parsed(list(pd.date_range("2022-01-01", periods=periods, freq="MS").strftime(form)))
    gappy = pd.date_range("2020-01-01", periods=24, freq="MS").delete(7)
    with pytest.raises(DataError, match="may mean day or month first"):
        _parsed(list(gappy.strftime("%d/%m/%Y")))


@pytest.mark.slow
def test_quarters_and_days_with_a_year_of_two_digits_are_read_as_offices_write_them() -> None:
    quarters = pd.date_range("2019-01-01", "2022-10-01", freq="QS")
    for form in ("{q}Q{y}", "{q}Q {y}", "Q{q}{y}", "Q{q} {y}", "{y}-Q{q}"):
        assert list(_parsed([form.format(q=at.quarter, y=at.year) for at in quarters])) == list(quarters)
    assert list(_parsed([f"{at:%d}. {at:%b}. {at:%y}" for at in DAYS])) == list(DAYS)
