"""Each fault that a person would stumble over is found where it is planted, and nothing on a page without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import screens

pytestmark = pytest.mark.browser

SOUND = """<p>Words in a sentence <a href="x">with a link</a> that goes on.</p><button>Go</button>
<div style="overflow-x:auto" tabindex="0"><div style="width:3000px">far</div></div>"""
FAULTS = {
    "scrolls to": '<div style="width:3000px;height:9px"></div>',
    "off the screen": '<div style="position:absolute;left:375px;width:9px;white-space:nowrap">a long line of words</div>',
    "cut": '<div style="overflow:hidden;width:30px;white-space:nowrap">a long line of words</div>',
    "over each other": '<div style="height:0">first of two</div><div>second of two</div>',
    "not reached by the keyboard": '<div style="overflow-x:auto"><div style="width:3000px">far</div></div>',
    "pale": '<p style="color:#999">hardly there</p>',
    "pale, 1.": '<div style="opacity:.2"><p>hardly there</p></div>',
    "without a name": '<button style="width:50px;height:50px"></button>',
    "a link by colour alone": '<p>In a sentence <a href="x" style="text-decoration:none">a link</a> that goes on.</p>',
}
OF_ANY_FONT = ("pale", "without", "a link")


def shown(browser: Any, folder: Path, body: str, *, dark: bool = False) -> None:
    (folder / "page.html").write_text(
        f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><body>{body}</body>',
        encoding="utf-8",
    )
    screens.visit(browser, folder / "page.html", width=390, dark=dark)


def test_a_sound_page_has_none(browser: Any, tmp_path: Path) -> None:
    shown(browser, tmp_path, SOUND)
    assert [look for look in screens.looks(browser, tmp_path / "page.html", width=390) if screens.faults(browser)] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_one_is_found(browser: Any, tmp_path: Path, fault: str) -> None:
    shown(browser, tmp_path, SOUND + FAULTS[fault])
    assert [one for one in screens.faults(browser) if one.startswith(fault)]
    of_a_font = [one for one in screens.faults(browser, family="serif") if one.startswith(fault)]
    assert bool(of_a_font) is not fault.startswith(OF_ANY_FONT)


def test_what_only_the_dark_shows_is_found(browser: Any, tmp_path: Path) -> None:
    shown(browser, tmp_path, '<p style="color:#333">dark on light</p>')
    assert screens.faults(browser) == []
    shown(browser, tmp_path, '<p style="color:#333">dark on dark</p>', dark=True)
    assert screens.faults(browser)


def test_what_only_a_font_does_is_found(browser: Any, tmp_path: Path) -> None:
    body = '<div style="overflow:hidden;white-space:nowrap;width:14ch;font:16px sans-serif">iiiiiiiiiiiiiiiiiiii</div>'
    shown(browser, tmp_path, body)
    assert screens.faults(browser) == []
    screens.wear(browser, "monospace")
    assert [one for one in screens.faults(browser, family="monospace") if one.startswith("cut")]
    screens.wear(browser, "")
    assert screens.faults(browser) == []


def test_what_is_asked_for_is_told(browser: Any, tmp_path: Path) -> None:
    shown(browser, tmp_path, '<img src="missing.png" alt="nothing">')
    assert screens.asked(browser) == [(tmp_path / name).as_uri() for name in ("page.html", "missing.png")]
    assert browser.get_log("browser")


def test_a_page_is_visited_when_all_of_it_is_there(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "long.html").write_text("<!doctype html>" + "<p>words</p>" * 60_000, encoding="utf-8")
    with screens.opened(tmp_path / "profile", strategy="none") as hasty:
        screens.visit(hasty, tmp_path / "long.html")
        assert hasty.execute_script("return document.querySelectorAll('p').length") == 60_000
