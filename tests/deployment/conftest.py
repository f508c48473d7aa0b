"""Accounts that have traded, and a service that shows them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.deployment.rooms import Client, client
from tests.registry.shelf import stocked
from tests.trading.desks import a_world, go, risk_of
from wealtharena.trading.ledger import Ledger

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two accounts: one goes on, one was halted with a hostile reason."""
    root = tmp_path_factory.mktemp("paper")
    go(
        root / "cryptocurrencies" / "default",
        a_world(risk=risk_of(symbol_weight={"max_weight": 0.3, "action": "shrink"})),
    )
    go(root / "etf" / "second", a_world(seed=2))
    ledger = Ledger(root / "etf" / "second")
    ledger.set_state("halted", HOSTILE)
    ledger.close()
    return root


@pytest.fixture
def paper(traded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(traded, tmp_path / "paper"))


@pytest.fixture
def service(paper: Path, tmp_path: Path) -> Client:
    stocked(tmp_path)
    return client(tmp_path, paper=paper)
