"""Intraday bars that are stamped by their ends: the sessions' own hours tell."""

import itertools
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.sample import walk
from wealtharena.data import calendars, intervals
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import inspect
from wealtharena.errors import ProviderError


def spans(calendar, step, *, first="2023-11-13", last="2023-12-08", clock=False, lunch=None):
    """Return begin and end of each bar of the sessions; on the clock a session's first bar is shorter, else its last may be."""
    hours = calendars.opening_hours(calendar, date.fromisoformat(first), date.fromisoformat(last))
    found = []
    for opened, closed in zip(hours["open"], hours["close"], strict=True):
        edges = sorted({opened, *pd.date_range(opened.ceil(step) if clock else opened, closed, freq=step), closed})
        if lunch is not None:
            edges = [edge for edge in edges if not lunch[0] < edge - edge.normalize() < lunch[1]]
        found += [pair for pair in itertools.pairwise(edges) if pair[1] - pair[0] <= pd.Timedelta(step)]
    return pd.DatetimeIndex([a for a, _ in found]), pd.DatetimeIndex([b for _, b in found])


@pytest.fixture
def look(specs):
    """Return `look(stamps, interval, symbol=)`: the bars kept, the findings by kind, and how many rows were repaired."""

    def run(stamps, interval, symbol="T", *, dividend=None, **actions):
        spec = specs["stocks"]
        table = walk(np.random.default_rng(2), symbol, stamps.tz_localize(None), price=50, sigma=0.002, volume=1e6)
        if dividend is not None:
            table["dividend"] = np.where(stamps == dividend, 0.5, 0.0)
        raw = RawBars(
            "files", symbol, interval, raw_table(table), "USD", "units", "splits", datetime(2026, 1, 1, tzinfo=UTC)
        )
        bars, report = inspect(raw, spec.asset, spec.data.quality.model_copy(update=actions))
        return bars, {finding.kind: finding for finding in report.findings}

    return run


CASES = [
    ("T", "XNYS", "5m", {}),
    ("T", "XNYS", "1h", {}),  # 9:30 to 15:30, the last half as long
    ("T", "XNYS", "1h", {"clock": True}),  # 9:30, 10:00, ... 15:00
    ("BHP.AX", "XASX", "30m", {}),
    ("7203.T", "XTKS", "30m", {"lunch": (pd.Timedelta(hours=2.5), pd.Timedelta(hours=3.5))}),
    ("T", "XNYS", "15m", {"first": "2023-03-06", "last": "2023-03-17"}),  # over the change of clocks
]


@pytest.mark.parametrize(("symbol", "calendar", "interval", "given"), CASES)
def test_bars_that_are_stamped_by_their_ends_stand_at_their_beginnings(look, symbol, calendar, interval, given):
    """A half day is among them (2023-11-24 in New York)."""
    begins, ends = spans(calendar, intervals.length(interval), **given)
    bars, findings = look(ends, interval, symbol)
    assert bars.table["timestamp"].tolist() == begins.tolist()
    assert bars.repairs.rows == 0
    assert any("its times are the ends of bars" in note for note in bars.notes)
    assert findings["end_stamps"].rows == len(ends)
    assert "outside_sessions" not in findings


@pytest.mark.parametrize(("symbol", "calendar", "interval", "given"), CASES)
def test_bars_that_are_stamped_by_their_beginnings_stay(look, symbol, calendar, interval, given):
    begins, _ = spans(calendar, intervals.length(interval), **given)
    bars, findings = look(begins, interval, symbol)
    assert bars.table["timestamp"].tolist() == begins.tolist()
    assert "end_stamps" not in findings


def test_a_session_that_lacks_bars_is_shifted_like_the_others(look):
    begins, ends = spans("XNYS", pd.Timedelta("15min"))
    kept = np.random.default_rng(3).random(len(ends)) < 0.7
    bars, _ = look(ends[kept], "15m")
    assert bars.table["timestamp"].tolist() == begins[kept].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("odd", ["few", "before", "after", "auction", "first dropped"])
def test_what_the_hours_do_not_tell_is_left_as_it_is(look, odd):
    begins, ends = spans("XNYS", step := pd.Timedelta("5min"))
    closes = pd.DatetimeIndex([stamp for stamp in ends if stamp not in begins])
    stamps = {
        "few": ends[ends < begins[0] + pd.Timedelta("4D")],
        "before": ends.union(begins - pd.Timedelta("1h")),  # trading before the open
        "after": ends.union(closes + step),
        "auction": begins.union(closes),  # the close's own print among bars by their beginnings
        "first dropped": begins[np.isin(begins - step, begins)],
    }[odd]
    bars, findings = look(stamps, "5m")
    assert "end_stamps" not in findings
    assert bars.table["timestamp"].tolist() == stamps.tolist()


def test_days_that_end_in_a_shorter_step_may_have_a_quote_there_and_are_refused(look):
    """Hourly bars from 9:30 with a print at 16:00, which reads like the last half hour of bars by their ends."""
    begins, ends = spans("XNYS", pd.Timedelta("1h"))
    closes = pd.DatetimeIndex([stamp for stamp in ends if stamp not in begins])
    with pytest.raises(ProviderError, match="19 days end in a step of less than 1h"):
        look(begins.union(closes), "1h")
    bars, _ = look(begins.union(closes[:2]), "1h")
    assert bars.table["timestamp"].tolist() == begins.tolist()


def test_its_cash_goes_with_a_bar(look):
    begins, ends = spans("XNYS", pd.Timedelta("1h"))
    bars, _ = look(ends, "1h", dividend=ends[20])
    paid = bars.table[bars.table["dividend"] > 0]
    assert paid["timestamp"].tolist() == [begins[20]]


def test_they_can_be_left_or_refused(look):
    _, ends = spans("XNYS", pd.Timedelta("1h"))
    bars, findings = look(ends, "1h", end_stamps="warn")
    assert bars.table["timestamp"].tolist() == ends.tolist()
    assert findings["end_stamps"].action == "warn"
    with pytest.raises(ProviderError, match=r"100% of 19 sessions of XNYS have a bar at their close"):
        look(ends, "1h", end_stamps="refuse")
