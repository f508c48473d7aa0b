"""A live quote among daily bars: left out where its time of day proves it, and nothing else is."""

from __future__ import annotations

import pandas as pd
import pytest

from wealtharena.data.reading import Reading, split_symbols

DAYS = pd.bdate_range("2023-01-02", periods=40)


def _read(times: list[str], symbols: list[str] | None = None) -> Reading:
    frame = pd.DataFrame({"date": times, "close": [100.0 + place for place in range(len(times))]})
    if symbols:
        frame["symbol"] = symbols
    return split_symbols(frame, where="AAA.csv", only_symbol="AAA", venue=lambda _: ("America/New_York", True))


def _told(made: Reading) -> bool:
    return any("rows left out: a time of day among dates is of a quote" in note for note in made.notes)


@pytest.mark.parametrize(("form", "quote"), [
    ("%Y-%m-%d", "2023-02-27 14:35:07"),
    ("%Y-%m-%d", "2023-02-27 14:30"),
    ("%Y-%m-%d", "2023-02-24 15:12:07"),  # beside the last date's own row
    ("%Y-%m-%d 00:00:00-05:00", "2023-02-27 10:30:00-05:00"),
    ("%Y-%m-%d 16:00:00-05:00", "2023-02-27 10:33:00-05:00"),
    ("%Y-%m-%dT14:30:00Z", "2023-02-27T18:35:12Z"),
])  # fmt: skip
@pytest.mark.parametrize("first", [False, True])
def test_a_quote_of_a_day_that_was_not_over_is_left_out_and_said(form: str, quote: str, first: bool) -> None:
    times = DAYS.strftime(form).tolist()
    made = _read([quote, *times[::-1]] if first else [*times, quote])
    assert len(made.tables["AAA"]) == 40
    assert made.tables["AAA"]["timestamp"].max() == pd.Timestamp(DAYS[-1], tz="UTC")
    assert _told(made)


def test_each_symbols_quote_is_left_out() -> None:
    times = [*DAYS.strftime("%Y-%m-%d"), "2023-02-27 14:35:07"]
    made = _read(times * 2, ["AAA"] * 41 + ["BBB"] * 41)
    assert [len(table) for table in made.tables.values()] == [40, 40]
    assert any("2 of 82 rows left out" in note for note in made.notes)


def test_half_days_midnights_of_summer_and_bars_of_hours_are_no_quotes() -> None:
    half = [*DAYS.strftime("%Y-%m-%d 16:00:00-05:00")[:-1], "2023-02-24 13:00:00-05:00"]
    london = pd.bdate_range("2022-11-01", "2023-03-29", tz="Europe/London").tz_convert("UTC")
    hours = pd.date_range("2023-01-02", periods=40, freq="h").strftime("%Y-%m-%d %H:%M")
    for times in (half, london.strftime("%Y-%m-%dT%H:%M:%SZ").tolist(), [*hours, "2023-01-03 16:20:10"]):
        made = _read(list(times))
        assert len(made.tables["AAA"]) == len(times)
        assert not _told(made)
