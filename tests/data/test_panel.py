from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import pytest

from tests.evaluation import worlds
from wealtharena.data.panel import COLUMNS, Panel, closing_rate, trade_dates


def full(bars: int = 40) -> Panel:
    """Return a panel in which every array that a panel can have is there."""
    bare = worlds.panel(bars)
    grid = np.arange(bars * 3, dtype=np.float64).reshape(bars, 3) + 1.0
    return replace(
        bare,
        high=grid + 2.0,
        low=grid,
        volume=grid * 10.0,
        macro=grid[:, :2].copy(),
        macro_names=("rate", "gap"),
        cash=grid[:, 0] / 1e3,
    )


def test_the_columns_are_all_the_arrays_of_a_panel() -> None:
    """By the annotations, so that a new field is found whether or not a test's panel fills it."""
    arrays = {item.name for item in fields(Panel) if "Array" in str(item.type)}
    assert arrays == set(COLUMNS)
    panel = full()
    assert {item.name for item in fields(Panel) if isinstance(getattr(panel, item.name), np.ndarray)} == arrays


def test_taking_rows_leaves_no_other_row_behind() -> None:
    panel = full()
    rows = np.array([3, 4, 9, 10, 11])
    taken = panel.take(rows)
    for name, axes in COLUMNS.items():
        value, whole = getattr(taken, name), getattr(panel, name)
        assert not np.shares_memory(value, whole) or not axes.startswith("T")
        assert np.array_equal(value, whole[rows] if axes.startswith("T") else whole), name
    assert taken.bars == 5
    assert panel.slice(3, 5).fingerprint == panel.take(rows[:2]).fingerprint


def test_a_panel_says_what_it_is_in_one_line() -> None:
    panel = full()
    first, last = (str(panel.timestamps[at])[:10] for at in (0, -1))
    of_bars = f"40 bars of {panel.frequency}, 3 symbols, {first} to {last}"
    assert repr(panel) == f"Panel({panel.asset} of {panel.source}: {of_bars})"
    assert (
        repr(panel.take(slice(0, 0)))
        == f"Panel({panel.asset} of {panel.source}: 0 bars of {panel.frequency}, 3 symbols)"
    )


def test_bars_a_year_are_those_of_the_bars_that_there_are() -> None:
    """Where bars were taken out the time between is nobody's: 231 instead of 365 a year was the figure of a split."""
    panel = full()
    per_year = panel.bars_per_year
    kept = panel.take(np.array([0, 1, 2, 3, 8, 9, 10, 11]))
    assert kept.seams == (4,)
    assert kept.bars_per_year == pytest.approx(per_year)
    assert kept.slice(2, 8).seams == (2,)
    assert kept.slice(2, 8).bars_per_year == pytest.approx(per_year)
    assert kept.take(np.array([3, 4, 6])).seams == (1, 2)
    assert kept.slice(4, 8).seams == panel.slice(2, 9).seams == ()
    assert panel.slice(2, 9).bars_per_year == pytest.approx(per_year)


def sessions(first: str, days: int, minutes: int) -> np.ndarray:
    """Return the beginnings of the bars of share sessions, 9:30 to 16:00, [n]."""
    opened = pd.bdate_range(first, periods=days) + pd.Timedelta("9h30min")
    return np.concatenate(
        [(day + pd.to_timedelta(np.arange(0, 390, minutes), unit="min")).to_numpy() for day in opened]
    )


@pytest.mark.parametrize(
    ("first", "days"), [("2024-03-04", 5), ("2024-03-06", 5), ("2024-03-04", 9), ("2024-01-01", 63)]
)
@pytest.mark.parametrize("minutes", [1, 5, 30])
def test_the_last_night_of_a_market_that_closes_is_time_too(first: str, days: int, minutes: int) -> None:
    """From first to last bar of one week of sessions are four and a half days: 170,000 minutes a year for 101,748."""
    rate = closing_rate(sessions(first, days, minutes))
    assert rate == pytest.approx(5 * 390 / minutes * 365.25 / 7)


def test_a_panel_counts_whole_weeks_where_its_market_closes() -> None:
    stamps = sessions("2024-03-04", 5, 30)
    panel = replace(worlds.panel(len(stamps)), timestamps=stamps.astype("datetime64[ns]"), frequency="30m")
    assert panel.bars_per_year == pytest.approx(5 * 13 * 365.25 / 7)


@pytest.mark.parametrize("step", ["1min", "4h", "1D", "B", "W", "MS"])
def test_a_market_that_never_closes_and_dated_bars_are_counted_by_their_span(step: str) -> None:
    stamps = pd.date_range("2024-01-01", periods=500, freq=step).to_numpy()
    assert closing_rate(stamps) is None
    assert closing_rate(np.delete(stamps, [100, 101, 102])) is None  # a hole is no night


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [
        ("Australia/Sydney", 10, 16),  # 23:00 to 5:00 UTC in summer, 0:00 to 6:00 in winter
        ("Pacific/Auckland", 10, 17),
        ("Asia/Tokyo", 9, 15),
        ("Europe/London", 8, 17),
        ("America/New_York", 9, 16),
        ("America/New_York", 4, 20),  # before and after hours, which end behind midnight UTC in winter
    ],
)
def test_bars_within_the_day_bear_the_date_of_their_session(zone: str, first: int, last: int) -> None:
    days = pd.bdate_range("2023-01-02", "2023-12-29")
    local = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(first, last)])
    stamps = local.tz_localize(zone).tz_convert("UTC").tz_localize(None)
    assert (trade_dates(stamps.to_numpy()) == local.to_numpy().astype("datetime64[D]")).all()


@pytest.mark.parametrize("step", ["1h", "1D", "W", "MS"])
def test_bars_of_a_market_that_never_closes_and_longer_ones_bear_the_date_of_utc(step: str) -> None:
    stamps = pd.date_range("2024-01-01", periods=500, freq=step).to_numpy()
    assert (trade_dates(stamps) == stamps.astype("datetime64[D]")).all()


def test_currencies_which_rest_on_weekends_alone_bear_the_dates_of_utc() -> None:
    hours = pd.date_range("2024-01-01", periods=2000, freq="1h")
    stamps = hours[hours.day_of_week < 5].to_numpy()
    assert closing_rate(stamps) is not None
    assert (trade_dates(stamps) == stamps.astype("datetime64[D]")).all()


def test_an_array_that_no_list_names_is_refused() -> None:
    """A time column that `take` does not know would hand test rows to training."""

    @dataclass(frozen=True, eq=False)
    class Wider(Panel):
        spread: np.ndarray | None = None

    known = {item.name: getattr(full(), item.name) for item in fields(Panel)}
    with pytest.raises(ValueError, match=r"panel\.spread is an array"):
        Wider(**known, spread=np.zeros(40))


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_a_column_of_another_shape_is_refused(name: str) -> None:
    panel = full()
    with pytest.raises(ValueError, match="shape"):
        replace(panel, **{name: getattr(panel, name)[:-1]})
