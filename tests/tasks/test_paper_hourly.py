"""task=paper paper.feed=live data.interval=1h: a day of hours through the command, its ledger, its record and its lines."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.fixtures import server, stub  # noqa: F401 - fixtures of the loopback services
from tests.data.market_stub.sample import walk
from tests.data.market_stub.table import BarStore
from tests.tasks.test_backtest import checkpoint
from tests.tasks.test_paper import MARKET, ledger_says
from wealtharena.config import compose
from wealtharena.data import provider
from wealtharena.tasks import paper
from wealtharena.tasks.record import RunContext
from wealtharena.trading import errand
from wealtharena.trading.switch import Signals

pytestmark = pytest.mark.slow

SYMBOLS = ("BTC-USD", "ETH-USD")
FIRST = dt.datetime(2024, 6, 10, 12, tzinfo=dt.UTC)


@pytest.fixture
def hourly(stub):  # noqa: F811 - the fixture
    """Serve hours of two coins in place of the stub's own bars."""
    rng, hours = np.random.default_rng(4), pd.date_range("2024-05-20", periods=24 * 30, freq="h")
    own = stub.stub.bars
    stub.stub.bars = BarStore(
        pd.concat([walk(rng, name, hours, price=100.0, sigma=0.01, volume=1e5) for name in SYMBOLS], ignore_index=True)
    )
    yield stub
    stub.stub.bars = own


def test_a_day_of_hours_is_traded_bar_by_bar(tmp_path, hourly, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "coins")
    at = [FIRST + dt.timedelta(minutes=20)]

    def wait(signals, seconds):
        at[0] += dt.timedelta(seconds=seconds)
        hourly.stub.cfg["now"] = int(at[0].timestamp())
        signals.stop = at[0] >= FIRST + dt.timedelta(hours=24, minutes=30)

    wait(Signals(), 0.0)
    monkeypatch.setattr(provider, "now", lambda: at[0])
    monkeypatch.setattr(Signals, "wait", wait)
    monkeypatch.setattr(errand, "TURN_SECONDS", 60.0)
    manners = {"base_url": hourly.url("yahoo"), "requests_per_second": 1000, "requests_per_run": 10**5}
    words = (
        *(one for one in MARKET if not one.startswith("data")),
        f"data.symbols=[{','.join(SYMBOLS)}]",
        *(f"data.manners.{name}={value}" for name, value in manners.items()),
        "data=yahoo",
        "data.interval=1h",
        "paper.feed=live",
        "paper.checkpoints=[coins]",
        "paper.synchronous=normal",
    )
    monkeypatch.setattr(RunContext, "current", lambda: RunContext(tmp_path / "run", words))
    assert paper.run(compose(["task=paper", *words])) == 0
    bars = [row["bar"][:16] for row in ledger_says(lambda ledger: ledger.closes())]
    assert bars == [(FIRST + dt.timedelta(hours=n)).isoformat()[:16] for n in range(24)]
    assert ledger_says(lambda ledger: ledger.fills())
    assert not ledger_says(lambda ledger: ledger.interventions())
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["paper"]["bars"] == 24
    out = capsys.readouterr().out
    assert "2024-06-10 23:00" in out
    assert "2024-06-11 01:00" in out
