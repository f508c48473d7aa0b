"""The trading view in a real browser; skipped where Debian's chromium and its driver are not installed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.rooms import live
from tests.deployment.test_browser import browser, pytestmark, visit  # noqa: F401 - the fixture and its condition
from tests.registry.shelf import stocked
from tests.trading.desks import a_world, go, risk_of
from wealtharena.deployment import keys
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import FILE as KILL

CONTRAST = """
const light=c=>{c/=255;return c<=.03928?c/12.92:((c+.055)/1.055)**2.4};
const parts=s=>s.match(/[\\d.]+/g).map(Number);
const shade=s=>{const [r,g,b]=parts(s);return .2126*light(r)+.7152*light(g)+.0722*light(b)};
const behind=e=>{for(;e;e=e.parentElement){const c=getComputedStyle(e).backgroundColor;const p=parts(c);if(p.length<4||p[3]>0)return c}return 'rgb(255,255,255)'};
const found=[];
for(const e of document.querySelectorAll('body *')){
  if(!e.offsetParent||![...e.childNodes].some(n=>n.nodeType===3&&n.data.trim()))continue;
  const a=shade(getComputedStyle(e).color),b=shade(behind(e));
  const ratio=(Math.max(a,b)+.05)/(Math.min(a,b)+.05);
  if(ratio<4.5)found.push(e.tagName+'.'+e.className+' '+e.textContent.slice(0,30)+' '+ratio.toFixed(2));
}
return found;
"""
UNNAMED = """
return [...document.querySelectorAll('input,button,svg[role=img]')].filter(e=>
  !(e.textContent.trim()||e.getAttribute('aria-label')||(e.labels&&e.labels.length))).map(e=>e.outerHTML.slice(0,80))
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, str]]:
    """Yield address, folder of accounts and a key of a running service."""
    folder = tmp_path_factory.mktemp("trading")
    stocked(folder)
    paper = folder / "paper"
    rules = risk_of(symbol_weight={"max_weight": 0.3, "action": "shrink"})
    go(paper / "cryptocurrencies" / "default", a_world(risk=rules))
    go(paper / "etf" / "second", a_world(seed=2))
    secret = keys.create_key(folder / "keys.json", "alice")
    with live(folder, overrides=(f"paper.root={paper}",)) as (address, _):
        yield address.replace("http://", f"http://x:{secret}@"), paper, secret


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_can_be_read_and_everything_has_a_name(
    browser: Any,  # noqa: F811 - the fixture
    desk: tuple[str, Path, str],
    width: int,
    dark: bool,
) -> None:
    address, _, _ = desk
    visit(browser, f"{address}/trading", width=width, dark=dark)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CONTRAST) == []
    assert browser.execute_script(UNNAMED) == []
    low = browser.execute_script(
        "return Math.min(...[...document.querySelectorAll('input,button')].map(e=>e.offsetHeight))"
    )
    assert low >= 44
    assert browser.execute_script("return [document.documentElement.lang, document.querySelectorAll('h1').length]") == [
        "en",
        1,
    ]
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_what_changes_is_shown_and_the_switch_is_thrown(browser: Any, desk: tuple[str, Path, str]) -> None:  # noqa: F811 - the fixture
    address, paper, secret = desk
    visit(browser, f"{address}/trading")
    wait_for(lambda: "Live" in browser.find_element("id", "link").text)
    card = browser.find_element("id", "account-etf--second")
    ledger = Ledger(paper / "etf" / "second")
    ledger.set_state("halted", "looked odd")
    ledger.close()
    wait_for(lambda: "looked odd" in card.text)
    form = browser.find_element("css selector", "form[data-path='/trading/cryptocurrencies/default/kill']")
    form.find_element("name", "key").send_keys("wa_wrong")
    form.find_element("css selector", "button[value=freeze]").click()
    wait_for(lambda: "API key is needed" in form.find_element("tag name", "output").text)
    assert not (paper / "cryptocurrencies" / "default" / KILL).exists()
    form.find_element("name", "key").send_keys(secret)
    form.find_element("css selector", "button[value=freeze]").click()
    wait_for(lambda: "Thrown: freeze" in form.find_element("tag name", "output").text)
    assert (paper / "cryptocurrencies" / "default" / KILL).read_text().strip() == "freeze"
    wait_for(lambda: "kill switch is thrown" in browser.find_element("id", "account-cryptocurrencies--default").text)


def wait_for(condition: Any, *, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.1)
