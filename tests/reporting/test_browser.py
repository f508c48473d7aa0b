"""The pages in a real browser; skipped where Debian's chromium and its driver are not installed."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import gallery, screens
from tests.reporting.made_up import report_data
from tests.reporting.test_leaderboard import row
from tests.screens import visit
from wealtharena.reporting import leaderboard, report
from wealtharena.reporting.words import MEASURES, figure, finite

pytestmark = pytest.mark.browser
KINDS = ("report", "tilted", "simulated", "outside", "leaderboard", "search", "inspection", "arena")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return gallery.written(tmp_path_factory.mktemp("pages"))


def test_every_kind_of_page_is_looked_at(pages: dict[str, Path]) -> None:
    assert pages.keys() == set(KINDS)


@pytest.mark.parametrize("width", screens.WIDTHS)
@pytest.mark.parametrize("name", KINDS)
def test_a_page_asks_for_nothing_complains_of_nothing_and_can_be_read(
    browser: Any, pages: dict[str, Path], name: str, width: int
) -> None:
    for dark, family in screens.looks(browser, pages[name], width=width):
        assert browser.get_log("browser") == []
        assert screens.asked(browser) == ([] if family else [pages[name].as_uri()])
        assert screens.faults(browser, family=family) == [], (dark, family)


def test_shown_figures_are_those_of_run_json(browser: Any, pages: dict[str, Path]) -> None:
    run: Any = report_data().run
    visit(browser, pages["report"])
    script = (
        "return [...document.querySelectorAll('data[data-metric]')].map(d => [d.dataset.metric, d.value,"
        " d.checkVisibility({visibilityProperty: true}) ? d.textContent : ''])"
    )
    shown = browser.execute_script(script)
    assert len(shown) > 150
    for path, value, text in shown:
        expected = run
        for key in path.split("."):
            expected = expected[int(key)] if isinstance(expected, list) else expected[key]
        assert (float(value) if value else None) == finite(expected), path
        if path.startswith("metrics.test."):
            measure = MEASURES[path.rsplit(".", 1)[1]]
            assert text == figure(measure.kind, expected, signed=measure.signed)


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_no_wider_than_a_screen_between_the_two(browser: Any, pages: dict[str, Path], name: str) -> None:
    visit(browser, pages[name], width=820)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 820


def test_settings_that_tell_rows_apart_push_no_figure_off_the_screen(browser: Any, tmp_path: Path) -> None:
    """They stood on one line as long as they were: verdict and figures began a screen further right."""
    long = ["algo.gamma=0.9", f"asset.universe.symbols=[{','.join(f'SYMBOL{k}' for k in range(60))}]"]
    page = leaderboard.write(tmp_path / "board.html", {"rows": [row("etf", 1, settings=long), row("etf", 2)]})
    for width in screens.WIDTHS:
        visit(browser, page, width=width)
        assert screens.faults(browser) == []
        script = "return document.querySelector('td .mark').getBoundingClientRect().right"
        assert browser.execute_script(script) < 0.5 * width, width


def test_the_first_screen_tells_what_where_when_and_the_verdict(browser: Any, pages: dict[str, Path]) -> None:
    visit(browser, pages["report"])
    bottom = browser.execute_script(
        "return Object.fromEntries(['h1', '.meta', '.tiles', '.verdict', '.first svg.wide'].map("
        "s => [s, document.querySelector(s).getBoundingClientRect().bottom]))"
    )
    assert max(bottom.values()) <= 900, bottom


@pytest.mark.parametrize("width", [390, 1280])
def test_no_figure_is_empty_or_drawn_twice(browser: Any, pages: dict[str, Path], width: int) -> None:
    script = """return [...document.querySelectorAll('figure')].map(
      f => [...f.querySelectorAll('svg.chart')].filter(s => s.getClientRects().length).length)"""
    for name, most in (("report", 2), ("search", 1)):  # a figure of the report may hold two that belong together
        visit(browser, pages[name], width=width)
        shown = browser.execute_script(script)
        assert len(shown) > 5, name
        assert 1 <= min(shown) <= max(shown) <= most, (name, shown)


@pytest.mark.parametrize("width", [390, 1280])
def test_labels_at_line_ends_do_not_overlap(browser: Any, pages: dict[str, Path], width: int) -> None:
    visit(browser, pages["report"], width=width)
    script = """return [...document.querySelectorAll('svg.chart')].filter(s => s.getClientRects().length).map(
      s => [...s.querySelectorAll('text.end')].map(t => { const b = t.getBoundingClientRect(); return [b.top, b.right]; }))"""
    charts = browser.execute_script(script)
    assert max(map(len, charts)) > 1, "with one label alone there is nothing to overlap"
    for labels in charts:
        tops = sorted(top for top, _ in labels)
        assert all(b - a > 11 for a, b in itertools.pairwise(tops)), labels
        assert all(right <= width for _, right in labels), labels


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["report", "simulated", "search"])
def test_no_text_leaves_its_chart_in_any_font(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    visit(browser, pages[name], width=width)
    script = """return [...document.querySelectorAll('svg.chart')].filter(s => s.getClientRects().length).flatMap(s => {
      const box = s.getBoundingClientRect();
      return [...s.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]).filter(
        ([, t]) => t.left < box.left - 1 || t.right > box.right + 1).map(([words, t]) => [words, t.left - box.left, t.right - box.right]);
    })"""
    for family in screens.FAMILIES:
        screens.wear(browser, family)
        assert browser.execute_script(script) == [], family
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, family


@pytest.mark.parametrize("name", ["report", "search"])
def test_text_can_be_read_at_every_width(browser: Any, pages: dict[str, Path], name: str) -> None:
    for width in (390, 820, 1280):
        visit(browser, pages[name], width=width)
        smallest = browser.execute_script(
            "return Math.min(...[...document.querySelectorAll('svg.chart text')].filter(t => t.getClientRects().length)"
            ".map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a))"
        )
        assert smallest >= 9.5, width


def test_a_dark_page_is_dark_and_its_lines_are_light(browser: Any, pages: dict[str, Path]) -> None:
    colours = {}
    for dark in (False, True):
        visit(browser, pages["report"], dark=dark)
        colours[dark] = [
            brightness(browser.execute_script(f"return getComputedStyle(document.querySelector('{where}')).{what}"))
            for where, what in (("body", "backgroundColor"), ("body", "color"), ("path.line.agent", "stroke"))
        ]
    light, night = colours[False], colours[True]
    assert light[0] > 240
    assert max(light[1:]) < 110
    assert night[0] < 40
    assert min(night[1:]) > 150


def brightness(colour: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_pointer_reads_values_off_a_chart(browser: Any, pages: dict[str, Path]) -> None:
    visit(browser, pages["report"])
    box = browser.execute_script(
        "const b = document.querySelector('.first svg.wide').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]"
    )
    at = {"type": "mouseMoved", "x": box[0] + box[2] * 0.4, "y": box[1] + box[3] / 2}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", at)
    shown = browser.execute_script("return document.querySelector('.first figure .tip:not([hidden])').textContent")
    assert "Agent" in shown
    assert "Buy & hold" in shown
    assert "2022" in shown
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("name", ["leaderboard", "report"])
def test_rules_and_ranks_are_read_on_a_phone_without_scrolling_sideways(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    visit(browser, pages[name], width=390)
    cells = browser.execute_script(
        """return [...document.querySelectorAll('table.board td, table.audit td')].map(cell => {
          const box = cell.getBoundingClientRect();
          return [cell.textContent, getComputedStyle(cell, '::before').content, box.left, box.right, cell.scrollWidth - cell.clientWidth]})"""
    )
    assert cells
    assert [text for text, _, left, right, over in cells if left < 0 or right > 390 or over > 1] == []
    assert {label.strip('"') for _, label, *_ in cells} >= ({"Sharpe"} if name == "leaderboard" else {"Result"})


@pytest.mark.parametrize("width", [390, 1280])
def test_names_of_windows_never_overlap_however_short_a_window_is(browser: Any, tmp_path: Path, width: int) -> None:
    data = report_data()
    split = {
        "train": ["2018-01-01", "2022-12-01"],
        "validation": ["2022-12-02", "2022-12-20"],
        "test": ["2022-12-21", "2023-01-10"],
    }
    report.write(tmp_path / "short.html", replace(data, run={**data.run, "split": split}))
    visit(browser, tmp_path / "short.html", width=width)
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('.legend > span, .windows span')].map(s => [s.textContent, ...['left', 'right'].map("
        "side => s.getBoundingClientRect()[side])])"
    )
    assert [name for name, *_ in boxes] == ["train", "validation", "test"]
    assert all(before[2] <= after[1] for before, after in itertools.pairwise(boxes)), boxes


def test_the_chart_keeps_its_place_beside_the_verdict_of_an_agent_that_tilts(
    browser: Any, pages: dict[str, Path]
) -> None:
    visit(browser, pages["tilted"])
    places = (
        "return ['figure svg.wide', '.verdict'].map(s => document.querySelector(s).getBoundingClientRect().toJSON())"
    )
    chart, verdict = browser.execute_script(places)
    assert chart["width"] > 700
    assert abs(chart["top"] - verdict["top"]) < 200
    assert chart["right"] <= verdict["left"]
