"""The day under which weeks and months stand: one for all of a symbol's bars, and the month that a midnight elsewhere begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.reading import read_path
from wealtharena.data.reading.moments import bar_times
from wealtharena.data.reading.stamps import parse
from wealtharena.errors import DataError

MONDAYS = pd.date_range("2019-01-07", periods=60, freq="7D")
FIRSTS = pd.date_range("2018-01-01", periods=40, freq="MS")
LASTS = FIRSTS + pd.offsets.MonthEnd(0)


def _dates(cells: list[object], zone: str = "America/New_York") -> list[str]:
    made = bar_times(
        parse(pd.Series(cells), "AAA.csv"), dated=True, zone=zone, weekdays=zone != "UTC", where="AAA.csv: AAA"
    )
    return made.dt.strftime("%Y-%m-%d").tolist()


def _days(index: pd.DatetimeIndex) -> list[object]:
    return list(index.strftime("%Y-%m-%d"))


@pytest.mark.parametrize(("days", "words"), [
    ([*MONDAYS[:20], *(MONDAYS[20:] + pd.Timedelta("4D"))], "weeks are labelled by their Mondays up to 2019-05-20 and by their Fridays from 2019-05-31"),
    ([*(MONDAYS[:20] + pd.Timedelta("4D")), *MONDAYS[20:]], "by their Fridays up to 2019-05-24 and by their Mondays from 2019-05-27"),
    ([*MONDAYS[:20], *(MONDAYS[20:] - pd.Timedelta("1D"))], "by their Mondays up to 2019-05-20 and by their Sundays from 2019-05-26"),
    ([*FIRSTS[:20], *LASTS[20:]], "months are labelled by their first days up to 2019-08-01 and by their last days from 2019-09-30"),
    ([*LASTS[:20], *FIRSTS[20:]], "by their last days up to 2019-08-31 and by their first days from 2019-09-01"),
    ([*FIRSTS[:20], *(FIRSTS[20:] + pd.Timedelta("14D"))], "by their days in their middle from 2019-09-15"),
])  # fmt: skip
def test_labels_that_change_their_day_are_refused_with_the_dates_of_the_change(
    days: list[pd.Timestamp], words: str
) -> None:
    for order in (1, -1):
        with pytest.raises(DataError, match=words) as refused:
            _dates(_days(pd.DatetimeIndex(days[::order])))
        assert refused.value.message.startswith("AAA.csv: AAA: its ")
        assert "under one day" in refused.value.hint


def test_holidays_and_weeks_of_another_first_session_move_no_label(tmp_path: Path) -> None:
    sessions = pd.bdate_range("2019-01-07", periods=400)
    rng = np.random.default_rng(1)
    sessions = sessions[rng.random(len(sessions)) > 0.05]  # closed on one day of twenty
    for weeks in (
        sessions.to_series().groupby(sessions.to_period("W")),
        sessions.to_series().groupby(sessions.to_period("M")),
    ):
        for labels in (pd.DatetimeIndex(weeks.min()), pd.DatetimeIndex(weeks.max())):
            assert _dates(_days(labels)) == _days(labels)
    moved = _days(MONDAYS[:30].append(MONDAYS[30:] + pd.Timedelta("1D")))  # Thursdays became Fridays in Riyadh
    assert _dates(moved) == moved


def test_a_folder_of_two_files_is_held_to_one_label_too(tmp_path: Path) -> None:
    for name, days in (("2019-01", MONDAYS[:30]), ("2019-08", MONDAYS[30:] + pd.Timedelta("4D"))):
        frame = pd.DataFrame({"date": _days(days), "close": np.arange(len(days)) + 100.0})
        frame.to_csv(tmp_path / f"AAA-1w-{name}.csv", index=False)
    with pytest.raises(
        DataError, match="AAA: its weeks are labelled by their Mondays up to 2019-07-29 and by their Fridays"
    ):
        read_path(tmp_path)


@pytest.mark.parametrize(
    "home", ["Asia/Tokyo", "Australia/Sydney", "Asia/Kolkata", "Pacific/Auckland", "Europe/London", "America/New_York"]
)
@pytest.mark.parametrize("venue", ["America/New_York", "UTC", "Australia/Sydney"])
def test_epochs_of_a_months_first_midnight_are_that_month_wherever_it_is(home: str, venue: str) -> None:
    epochs: list[object] = [int(instant.timestamp()) for instant in FIRSTS.tz_localize(home)]
    assert [date[:7] for date in _dates(epochs, venue)] == list(FIRSTS.strftime("%Y-%m"))


def test_a_months_last_morning_that_is_the_first_nowhere_is_refused() -> None:
    epochs: list[object] = [
        int(instant.timestamp()) for instant in (LASTS + pd.Timedelta("7h")).tz_localize("America/New_York")
    ]
    with pytest.raises(
        DataError, match=r"AAA: monthly bars stamped like 2018-01-31 07:00 may be of the month that ends or the next"
    ) as refused:
        _dates(epochs)
    assert "plain dates" in refused.value.hint


DAYS = pd.bdate_range("2004-03-01", periods=60)


@pytest.mark.parametrize(("moved", "words"), [
    ("-1D", "its days are Sundays to Thursdays"),  # midnights of Tokyo, cut to their dates in UTC
    ("1D", "its days are Tuesdays to Saturdays"),  # the midnight at which a day ends
    ("3653D", "its days are Sundays to Thursdays"),  # a count since 1960 taken for one since 1970
    ("-11323D", "its days are Thursdays to Mondays"),  # since 2001
])  # fmt: skip
def test_days_that_rest_on_other_days_than_the_weekend_are_refused(moved: str, words: str) -> None:
    wrong = DAYS + pd.Timedelta(moved)
    for cells in (_days(wrong), list(wrong.as_unit("s").asi8)):
        with pytest.raises(DataError, match=words) as caught:
            _dates(cells)
        assert "2222.SR" in caught.value.hint
    assert _dates(_days(wrong), "UTC") == _days(wrong)  # a coin's, or a venue's that trades on Sundays


@pytest.mark.parametrize("days", [
    DAYS, DAYS[:14] - pd.Timedelta("1D"), DAYS.union(DAYS[3::40] + pd.Timedelta("1D")), pd.date_range("2021-03-01", periods=60),
    DAYS.union(DAYS[::5] - pd.Timedelta("1D")), DAYS[::2], MONDAYS - pd.Timedelta("1D"),
], ids=["weekdays", "few", "two Saturdays", "every day", "Sunday evenings", "every other", "weeks"])  # fmt: skip
def test_days_of_an_honest_week_keep_their_dates(days: pd.DatetimeIndex) -> None:
    assert _dates(_days(days)) == _days(days)
