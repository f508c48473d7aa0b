from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wealtharena.reporting import marks, svg, words
from wealtharena.reporting.svg import Canvas, Scale, Size


def test_labels_keep_apart_and_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        wanted = rng.uniform(0, 300, 9).tolist()
        placed = svg.spread(wanted, gap=14, low=0, high=300)
        ordered = sorted(placed)
        assert min(np.diff(ordered)) >= 14 - 1e-9
        assert ordered[0] >= -1e-9
        assert ordered[-1] <= 300 + 1e-9
        assert np.argsort(wanted, kind="stable").tolist() == np.argsort(placed, kind="stable").tolist()


def test_labels_with_room_stay_where_they_are() -> None:
    assert svg.spread([10.0, 200.0, 100.0], gap=14, low=0, high=300) == [10.0, 200.0, 100.0]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.037, 0.052), (3.0, 12_000.0), (-5.0, -4.99)])
def test_ticks_are_round_inside_and_about_as_many_as_asked(low: float, high: float) -> None:
    found = marks.ticks(low, high, 5)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    assert np.ptp(np.diff(found)) < 1e-9


def test_ticks_of_nothing_are_one() -> None:
    assert marks.ticks(1.0, 1.0, 5) == [1.0]


@pytest.mark.parametrize(
    ("start", "stop", "labels"),
    [
        ("2021-01-01", "2023-12-31", ["2021", "Jul", "2022", "Jul", "2023", "Jul"]),
        ("1998-05-01", "2021-01-01", ["2000", "2005", "2010", "2015", "2020"]),
        ("1870-01-01", "2025-12-31", ["1900", "1950", "2000"]),
        ("2022-03-01T00", "2022-03-02T00", ["1 Mar", "06:00", "12:00", "18:00", "2 Mar"]),
    ],
)
def test_moments_on_the_axis_are_round(start: str, stop: str, labels: list[str]) -> None:
    found = marks.time_ticks(np.datetime64(start, "ns"), np.datetime64(stop, "ns"), 6)
    assert [words for _, words in found] == labels


def test_an_axis_of_a_narrow_chart_has_more_than_one_moment() -> None:
    found = marks.time_ticks(np.datetime64("2024-02-01", "ns"), np.datetime64("2025-04-01", "ns"), 2)
    assert [words for _, words in found] == ["Jul \u201924", "2025"]


def test_thinning_keeps_the_highest_and_lowest_point() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=20_000).cumsum()
    x = np.arange(20_000.0)
    tx, ty = svg.thin(x, y, columns=300)
    assert len(tx) <= 602
    assert (ty.min(), ty.max()) == (y.min(), y.max())
    assert (tx[0], tx[-1]) == (0.0, 19_999.0)
    assert (np.diff(tx) > 0).all()


def test_a_gap_lifts_the_pen() -> None:
    path = svg.line_path(np.arange(5.0), np.array([1.0, 2.0, np.nan, 3.0, 4.0]))
    assert path.count("M") == 2


def test_a_log_scale_spaces_factors_evenly() -> None:
    scale = Scale(1.0, 100.0, 0.0, 200.0, log=True)
    assert scale([1.0, 10.0, 100.0]).tolist() == pytest.approx([0.0, 100.0, 200.0])


def test_text_and_titles_are_escaped() -> None:
    canvas = Canvas(Size(300, 200), '"><script>')
    canvas.text(1, 1, "<b>")
    canvas.line(np.arange(3.0), np.arange(3.0), "agent", "<i>")
    canvas.end_labels([(10.0, "<u>", "<s>", "agent")])
    times = np.array(["2021-01-01", "2021-01-02", "2021-01-03"], dtype="datetime64[ns]")
    canvas.read_out(np.arange(3.0), times, [("<q>", "agent", np.arange(3.0))], kind="ratio")
    assert not re.search(r"<(script|b|i|u|s|q)>", canvas.render())


@given(
    low=st.floats(-1.0, 1.0, allow_subnormal=False),
    span=st.floats(1e-5, 50.0),
    size=st.sampled_from([1e-13, 1e-6, 1.0, 1e3, 1e6, 1e13]),
    count=st.integers(3, 7),
)
@example(low=1.06, span=0.03, size=1.0, count=5)
@example(low=-1.0, span=11.0, size=1.0, count=4)
def test_each_label_of_an_axis_says_where_its_mark_is(low: float, span: float, size: float, count: int) -> None:
    """An account that hardly moves had an axis of 0.00 %, 0.00 % and 0.00 %, and a rate one of 1.08, 1.08 and 1.07."""
    found = marks.ticks(low * size, (low + span) * size, count)
    assert len(found) > 1, "one mark tells no scale"
    for mark, figure in zip(found, marks.figures(found, signed=True, unit="×"), strict=True):
        assert _read(figure.removesuffix("×")) == pytest.approx(mark, abs=1e-3 * (found[1] - found[0]))
    if size == 1.0:
        for mark, share in zip(found, marks.percents(found), strict=True):
            assert _read(share.removesuffix(f"{words.UNIT_GAP}%")) == pytest.approx(100 * mark, abs=1e-9)


def _read(label: str) -> float:
    plain = label.replace(words.MINUS, "-").replace(",", "")
    power = {"k": 3, "M": 6, "G": 9, "T": 12}.get(plain[-1], 0)
    return float(plain[:-1] if power else plain) * 10.0**power


@pytest.mark.parametrize(
    ("value", "words"),
    [(999_999, "1M"), (1234.5, "1.23k"), (1e12, "1T"), (0.0825, "0.0825"), (-7.5e-6, "\u22128e\u221206")],
)
def test_a_number_alone_is_short(value: float, words: str) -> None:
    assert marks.compact(value) == words


def test_ticks_of_a_long_scale_are_few_and_evenly_apart() -> None:
    found = marks.log_ticks(1e-3, 1e12, 6)
    assert len(found) <= 8
    assert np.ptp(np.diff(np.log10(found))) < 1e-9
