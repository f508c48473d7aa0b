"""The trading view in a real browser; skipped where Debian's chromium and its driver are not installed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests import gallery, screens
from tests.screens import visit
from tests.trading.serving import listening
from wealtharena.deployment.board import Board
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.switch import FILE as KILL

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, str]]:
    """Yield address, folder of accounts and a key of a running service."""
    with gallery.service(tmp_path_factory.mktemp("trading")) as (address, paper, secret):
        yield address.replace("http://", f"http://x:{secret}@"), paper, secret


@pytest.mark.parametrize("width", screens.WIDTHS)
def test_it_fits_can_be_read_and_everything_has_a_name(browser: Any, desk: tuple[str, Path, str], width: int) -> None:
    address, _, _ = desk
    for dark, family in screens.looks(browser, f"{address}/trading", width=width):
        assert screens.faults(browser, family=family) == [], (dark, family)
        low = "return Math.min(...[...document.querySelectorAll('input,button')].map(e=>e.offsetHeight))"
        assert browser.execute_script(low) >= 44
        told = "return [document.documentElement.lang, document.querySelectorAll('h1').length]"
        assert browser.execute_script(told) == ["en", 1]
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_what_changes_is_shown_and_the_switch_is_thrown(browser: Any, desk: tuple[str, Path, str]) -> None:
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


def test_an_account_that_cannot_be_read_any_more_is_not_shown_as_it_was(
    browser: Any, desk: tuple[str, Path, str]
) -> None:
    address, paper, _ = desk
    gone = paper / "etf" / "gone"
    shutil.copytree(paper / "etf" / "second", gone)
    visit(browser, f"{address}/trading")
    assert browser.find_elements("id", "account-etf--gone")
    (gone / FILE).write_bytes(b"no database" * 1000)
    wait_for(lambda: "how it stands is not known" in browser.find_element("id", "account-etf--gone").text)
    wait_for(lambda: "etf/gone cannot be read" in browser.find_element("id", "totals").text)
    shutil.rmtree(gone)
    wait_for(lambda: not browser.find_elements("id", "account-etf--gone"))
    wait_for(lambda: "cannot be read" not in browser.find_element("id", "totals").text)


def test_a_page_whose_stream_was_refused_asks_again(browser: Any) -> None:
    """A browser gives an answer such as a proxy's 502, or 429, up for good: the page stood old until somebody loaded it anew."""
    refusals = [429, 502]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            asks = self.path == "/trading/stream"
            kind = "text/event-stream" if asks else "text/html"
            body = "retry: 500\n\nevent: still\ndata: 0\n\n" if asks else Board(None).page(keyed=False)
            self.send_response(refusals.pop() if asks and refusals else 200)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

    with listening(Handler) as address:
        visit(browser, f"{address}/trading")
        wait_for(lambda: "Live" in browser.find_element("id", "link").text)
    assert refusals == []


def wait_for(condition: Any, *, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.1)
