"""Times of other calendars and in other digits: each is read to the day that the plain date names, or its calendar is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from wealtharena.data.reading import read_path
from wealtharena.data.reading.eras import in_common_era
from wealtharena.data.reading.stamps import clock, parse
from wealtharena.errors import DataError

_DAYS = pd.date_range("2010-11-01", periods=400, freq="B")  # over the hundredth year of Minguo
_TIMES = pd.date_range("2024-01-20 00:00", periods=60, freq="30min")  # whose days are above 12


def _wide(text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) if sign.isascii() and sign != " " else sign for sign in text)


def _spanish(time: pd.Timestamp, blank: str) -> str:
    return f"{time:%Y-%m-%d %I:%M:%S}{blank}{'a' if time.hour < 12 else 'p'}.{blank}m."


@pytest.mark.parametrize(
    "spell",
    [
        lambda day: _wide(f"{day:%Y-%m-%d}"),
        lambda day: _wide(f"{day:%Y/%m/%d}"),
        lambda day: f"{_wide(str(day.year))}{day:%m%d}",
        lambda day: f"{day.year - 1911}/{day:%m/%d}",
        lambda day: f"民國{day.year - 1911}年{day.month}月{day.day}日",
        lambda day: f"{day.year + 543}-{day:%m-%d}",
        lambda day: f"{day.year + 543}{day:%m%d}",
        lambda day: f"{day.day}/{day.month}/{day.year + 543}",
        lambda day: f"{day:%d %b} {day.year + 543}",
        lambda day: f"H{day.year - 1988}.{day.month}.{day.day}",
        lambda day: f"平成{day.year - 1988}年{day.month}月{day.day}日",
    ],
)
def test_a_date_of_another_calendar_is_the_day_that_it_names(spell: Callable[[pd.Timestamp], str]) -> None:
    read = parse(pd.Series([spell(day) for day in _DAYS]), "f")
    np.testing.assert_array_equal(read.wall, _DAYS.as_unit("ns").asi8)


def test_a_first_year_and_a_change_of_era(tmp_path: Path) -> None:
    read = parse(pd.Series(["H31.4.30", "令和元年5月1日", "R6.1.4"]), "f")
    assert [str(pd.Timestamp(wall).date()) for wall in read.wall] == ["2019-04-30", "2019-05-01", "2024-01-04"]
    assert read.form.endswith("Japanese eras")


@pytest.mark.parametrize(
    "spell",
    [
        lambda time: _spanish(time, " "),
        lambda time: _spanish(time, "\u00a0"),
        lambda time: f"{time:%m/%d/%Y, %I:%M:%S}\u202f{time:%p}",
        lambda time: f"{time.year}/{time.month}/{time.day} {'上午' if time.hour < 12 else '下午'} {time:%I:%M:%S}",
        lambda time: f"{time.day}/{time.month}/{time.year + 543} {time:%H:%M}",
        lambda time: _wide(f"{time:%Y-%m-%d %H:%M}"),
    ],
)
def test_halves_of_a_day_stand_behind_any_blank_or_before_the_clock(spell: Callable[[pd.Timestamp], str]) -> None:
    read = parse(pd.Series([spell(time) for time in _TIMES]), "f")
    np.testing.assert_array_equal(read.wall, _TIMES.as_unit("ns").asi8)
    alone = clock(pd.Series([_spanish(time, "\u00a0")[11:] for time in _TIMES]))
    assert alone is not None
    np.testing.assert_array_equal(alone, _TIMES.as_unit("ns").asi8 % (86_400 * 10**9))


@pytest.mark.parametrize("cells", [["113/01/02", "2024/01/03"], ["R6.1.4", "6.1.5"], ["2700-01-02"]])
def test_cells_of_two_calendars_and_years_to_come_are_refused(cells: list[str]) -> None:
    with pytest.raises(DataError, match=r"(cannot be read|on the calendar)"):
        parse(pd.Series(cells), "f")


def test_days_before_a_year_of_ours_are_no_buddhist_years() -> None:
    """25012024 is the 25th of January; as a year and a month of its own it would be 1958, and no month."""
    text = pd.Series(["25012024", "26022024", "24032024"], dtype="string")
    assert in_common_era(text)[1] == ""


def test_years_of_two_digits_alone_are_ours() -> None:
    assert "Minguo" not in parse(pd.Series(["98/12/30", "98/12/31", "99/01/04"]), "f").form


def test_the_persian_and_the_islamic_calendar_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1402 may be a year of the Persian or the Islamic calendar"):
        parse(pd.Series(["1402-10-12"]), "f")


def test_prices_in_wide_digits_are_numbers(tmp_path: Path) -> None:
    frame = shares("AAA", bars=30).drop(columns="symbol")
    frame.to_csv(tmp_path / "plain.csv", index=False)
    frame.assign(close=[_wide(f"{price:.2f}") for price in frame["close"]]).to_csv(tmp_path / "wide.csv", index=False)
    made = read_path(tmp_path / "wide.csv").tables["wide"]["close"]
    np.testing.assert_allclose(made, frame["close"].round(2))
