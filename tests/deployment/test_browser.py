"""The service's page in a real browser; skipped where Debian's chromium and its driver are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import screens
from tests.deployment.rooms import live
from tests.registry.shelf import AGENT, save, stocked
from tests.screens import visit
from wealtharena.registry import promote

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    store = stocked(folder)
    save(store, "f1", agent="currency_pairs", weights=(0.6, -0.4, 0.2))
    promote(store, "forex", "f1")
    with live(folder) as (found, _):
        yield found


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_asks_for_nothing_else_and_its_policy_lets_its_style_in(browser: Any, address: str, path: str) -> None:
    visit(browser, address + path)
    assert browser.get_log("browser") == []
    assert screens.asked(browser) == [address + path]
    radius = browser.execute_script("return getComputedStyle(document.querySelector('.card')).borderTopLeftRadius")
    assert radius == "14px"


@pytest.mark.parametrize("width", screens.WIDTHS)
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_is_cut_covered_pale_or_without_a_name(browser: Any, address: str, path: str, width: int) -> None:
    for dark, family in screens.looks(browser, address + path, width=width):
        for details in browser.find_elements("css selector", "details"):
            browser.execute_script("arguments[0].open = true", details)
        assert screens.faults(browser, family=family) == [], (dark, family)


def test_the_page_fits_a_phone_in_light_and_dark(browser: Any, address: str) -> None:
    backgrounds = set()
    for dark in (False, True):
        visit(browser, address + "/", width=360, dark=dark)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 360
        small = browser.execute_script(
            "return Math.min(...[...document.querySelectorAll('summary')].map(e => e.offsetHeight))"
        )
        assert small >= 44, "rows must be tall enough for a thumb"
        backgrounds.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


def test_a_person_sees_what_an_agent_holds_and_opens_why(browser: Any, address: str) -> None:
    visit(browser, address + "/")
    card = browser.find_element("id", AGENT)
    assert "In production" in card.text
    assert "Promotable" in card.text
    assert "Buy and hold" in card.text
    summary = card.find_element("css selector", "summary")
    assert summary.text.startswith("BTC-USD")
    assert "log_return_1" not in card.text
    summary.click()
    assert "log_return_1" in card.text
    marked = browser.find_element("id", "etf")
    assert "SIMULATED" in marked.text
    assert "ETH-USD" in browser.find_element("id", "currency_pairs").text
    assert browser.find_elements("css selector", "#currency_pairs rect.short"), "a short position is drawn as one"
    assert "Nothing promoted" in browser.find_element("id", "asx_stocks").text


def test_the_chart_has_a_line_each_and_says_so_in_words(browser: Any, address: str) -> None:
    visit(browser, address + "/")
    chart = browser.find_element("css selector", f"#{AGENT} svg.chart")
    assert chart.get_attribute("aria-label") == "Growth of 1 over the test window: agent, buy and hold"
    assert len(chart.find_elements("css selector", "polyline")) == 2
