"""Every kind of page that the project makes, from made-up facts: for tests in a browser, and for benchmarks/screens.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arena import page as arena
from tests.deployment.rooms import live
from tests.envs.markets import random_panel
from tests.registry.shelf import save, stocked
from tests.reporting.made_up import report_data, search_result
from tests.reporting.test_leaderboard import row
from tests.trading.desks import a_world, go, risk_of
from wealtharena.deployment import keys
from wealtharena.registry import promote
from wealtharena.reporting import inspection, leaderboard, report, sweep

ROOT = Path(__file__).parents[1]
LONG = "a_policy_of_mine_with_a_name_that_nobody_has_ever_broken_up_into_words_of_its_own"


def written(folder: Path) -> dict[str, Path]:
    """Write a page of each kind into `folder` and return them by name."""
    report.write(folder / "report.html", report_data())
    tilted = report_data()
    active = {"annual_return": 0.01, "symbols": {"BTC-USD": {"earned": 0.02, "cost": 0.001}}}
    compared = {**tilted.run["comparison"], "anchor": {"active": active}}
    report.write(folder / "tilted.html", replace(tilted, run={**tilted.run, "comparison": compared}))
    report.write(folder / "simulated.html", report_data(simulated=True, shorts=True, bars=3000, unit="h"))
    outside = replace(report_data(), held=False, journal=(), audit=(), seeds=())
    named = {**outside.run, "algo": "returns", "agent": LONG, "returns_of": f"{LONG}.csv"}
    report.write(folder / "outside.html", replace(outside, run=named, agent=replace(outside.agent, name=LONG)))
    rows = [row("etf", 1), row("commodities", 2, simulated=True), row("x", None, status="failed", metrics={})]
    leaderboard.write(folder / "leaderboard.html", {"rows": rows})
    sweep.write(folder / "search.html", search_result())
    (folder / "arena.html").write_text(arena.render(board()), encoding="utf-8")
    inspection.write(folder / "inspection.html", seen())
    return {path.stem: path for path in folder.glob("*.html")}


def seen() -> inspection.Inspection:
    """Return what task=inspect would have found in a file of three symbols."""
    panel = replace(random_panel(np.random.default_rng(3), bars=200), simulated=True, notes=("Volume is in units.",))
    facts = (("separator", "semicolon"), ("stamps", "text, day first: 31/01/2020"), ("volume", "counts units"))
    rows = [
        {
            "symbol": name,
            "bars": "200",
            "first": "2020-01-01",
            "last": "2020-07-18",
            "findings": "missing_values: 1 rows",
        }
        for name in panel.symbols
    ]
    return inspection.Inspection(panel, (("my bars of last year.csv", facts),), rows)


def board() -> dict[str, Any]:
    """Return the content of a made-up arena.json: planted and recorded courses, one entrant that does not fit."""
    from tests.benchmarks.test_arena import of_board

    made = of_board("ppo", "sac+tilt", "direct", LONG)
    lost = {
        "course": "tiny",
        "entrant": LONG,
        "seed": 4,
        "status": "does not fit",
        "why": "reads 9 numbers, this market shows 213",
    }
    return {**made, "not_played": [*made["not_played"], {**lost, "cell_seconds": 1.0}]}


@contextmanager
def service(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield the address of a running service with two accounts on paper, the accounts' folder and a key."""
    store = stocked(folder)
    save(store, "f1", agent="currency_pairs", weights=(0.6, -0.4, 0.2))
    promote(store, "forex", "f1")
    paper = folder / "paper"
    rules = risk_of(symbol_weight={"max_weight": 0.3, "action": "shrink"})
    go(paper / "cryptocurrencies" / "default", a_world(risk=rules))
    go(paper / "etf" / "second", a_world(seed=2), source="simulated")
    secret = keys.create_key(folder / "keys.json", "alice")
    with live(folder, overrides=(f"paper.root={paper}",)) as (address, _):
        yield address, paper, secret


def site(folder: Path) -> str:
    """Build the documentation into `folder`, strictly, and return what was said; AssertionError where it does not build."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr
