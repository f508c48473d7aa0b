"""The trading view with no account and with many, of every kind, in a real browser; and its totals."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import screens
from tests.deployment.rooms import live
from tests.registry.shelf import stocked
from tests.screens import visit
from tests.trading.desks import a_world, go, risk_of
from wealtharena.deployment import keys
from wealtharena.deployment.board import Board
from wealtharena.trading.guard import Intervention
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import FILE as KILL

LONG = "an_account_with_as_long_a_name_as_any_may_have_0123456789_012345"
AGENTS = ("commodities", "cryptocurrencies", "currency_pairs", "etf", "stocks")
FACTS: tuple[dict[str, Any], ...] = (
    {"currency": "USD", "broker": "paper", "source": "simulated"},
    {"currency": "AUD", "broker": "ib", "live": True, "version": "20260101-000000-abcdef"},
    {"currency": "USD", "broker": "webhook"},
    {"currency": "USD", "broker": "shadow"},
)


def filled(root: Path, count: int) -> Path:
    """Return a folder of `count` accounts: two that traded, copied, with every state, broker and currency among them."""
    names = [f"{agent}/{name}" for name in ("default", "second", LONG, "x") for agent in AGENTS][:count]
    for number, facts in enumerate(FACTS[: min(count, len(FACTS))]):
        folder = root / names[number]
        ledger = Ledger(folder, synchronous="normal")
        ledger.open(*names[number].split("/"), facts)
        ledger.close()
        rules = risk_of(symbol_weight={"max_weight": 0.3, "action": "shrink"}) if number % 2 else risk_of()
        go(folder, a_world(seed=number, risk=rules))
    for number, name in enumerate(names):
        folder = root / name
        if not folder.exists():
            shutil.copytree(root / names[number % len(FACTS)], folder)
        odd(folder, number)
    return root


def odd(folder: Path, number: int) -> None:
    """Let something have happened to an account."""
    ledger = Ledger(folder, synchronous="normal")
    if number % 5 == 3:
        ledger.set_state("halted", "drawdown: flatten, " + "for a reason that somebody wrote down at length " * 4)
    if number % 5 == 4:
        ledger.set_state("reducing", "kill switch: flatten")
        (folder / KILL).write_text("flatten")
    if number % 3 == 1:
        symbols = tuple(f"SYMBOL{n}-USD" for n in range(25))
        ledger.intervene("2026-01-02T00:00:00", [Intervention("stale_data", "skip", symbols, {})])
        ledger.intervene("2026-01-02T00:00:00", [Intervention("version", f"replaced by {LONG} on paper", (), {})])
    if number == 7:  # opened anew, no close yet
        ledger.open("nobody", "nothing", {"currency": "JPY", "broker": "paper"})
    ledger.close()


@pytest.mark.slow
def test_totals_are_the_sums_of_what_the_accounts_have_by_currency(tmp_path: Path) -> None:
    board = Board(filled(tmp_path / "paper", 9))
    views = board.views()
    assert len(views) == 9
    total = board.parts()["totals"]
    assert {view.currency for view in views} == {"USD", "AUD", "JPY"}
    for currency in ("USD", "AUD", "JPY"):
        own = [view for view in views if view.currency == currency]
        equity, before, began = (
            math.fsum(getattr(view, name) for view in own) for name in ("equity", "before", "opened_with")
        )
        changes = [f"{100 * (equity / base - 1.0 if base else 0.0):+.2f}".replace("-", "−") for base in (before, began)]
        row = total.partition(f"<tr><td>{currency}</td>")[2].partition("</tr>")[0]
        assert f"<td>{equity:,.2f}</td>" in row
        assert [text in row for text in changes] == [True, True]
    counts = [sum(view.state == state for view in views) for state in ("trading", "reducing", "halted")]
    assert "<h2>9 accounts: {} trading, {} closing all, {} halted</h2>".format(*counts) in total
    assert min(counts) > 0
    assert f"<b>REAL MONEY</b> in {sum(view.live for view in views)} of 9 accounts" in total
    assert f"{sum(view.facts['broker'] == 'webhook' for view in views)} of 9 accounts trade through a bridge" in total
    linked = set(re.findall(r"<a href='#(account-[^']+)'>", total))
    assert linked == {
        f"account-{view.agent}--{view.account}" for view in views if view.state != "trading" or view.switch is not None
    }
    assert linked < set(board.parts())


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the addresses of two running services: one without an account, one with many."""
    few, many = (tmp_path_factory.mktemp(name) for name in ("none", "many"))
    for folder, count in ((few, 0), (many, 9)):
        stocked(folder)
        filled(folder / "paper", count)
    secret = keys.create_key(many / "keys.json", "alice")
    with (
        live(few, overrides=(f"paper.root={few / 'paper'}",)) as (none, _),
        live(many, overrides=(f"paper.root={many / 'paper'}",)) as (some, _),
    ):
        yield {"none": none, "many": some.replace("http://", f"http://x:{secret}@")}


@pytest.mark.browser
@pytest.mark.parametrize("which", ["none", "many"])
@pytest.mark.parametrize("width", screens.WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read(browser: Any, desks: dict[str, str], which: str, width: int, dark: bool) -> None:
    visit(browser, f"{desks[which]}/trading", width=width, dark=dark)
    assert screens.faults(browser) == []
    assert len(browser.find_elements("css selector", "form.kill")) == (9 if which == "many" else 0)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
