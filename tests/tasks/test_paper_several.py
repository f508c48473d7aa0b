"""paper.agents: several agents in one process, each with its account, its record and its end."""

import datetime as dt
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.data.market_stub.fixtures import server, stub  # noqa: F401 - fixtures of the loopback services
from tests.tasks.test_backtest import checkpoint
from tests.tasks.test_paper import MARKET, ledger_says
from tests.trading.killing import elsewhere
from wealtharena.config import compose
from wealtharena.data import provider
from wealtharena.errors import ConfigError
from wealtharena.tasks import paper
from wealtharena.tasks.record import RunContext
from wealtharena.tasks.watching import Watcher
from wealtharena.trading import errand, loop, reading
from wealtharena.trading.feeds import conversion
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Signals

pytestmark = pytest.mark.slow

SHARED = (*(one for one in MARKET if not one.startswith(("asset=", "data.symbols="))), "paper.synchronous=normal")
CRYPTO = "crypto data.symbols=[BTC-USD,ETH-USD] paper.checkpoints=[coins]"
ETF = "etf data.symbols=[SPY,TLT] paper.checkpoints=[funds]"
NAMES = ("cryptocurrencies", "etf")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "coins")
    checkpoint(tmp_path / "funds", symbols=("SPY", "TLT"), seed=1)
    return tmp_path


def listed(*agents):
    return f"paper.agents=[{','.join(repr(one) for one in agents)}]"


@pytest.fixture
def run(here, monkeypatch):
    def _run(*overrides, folder="run"):
        given = (*SHARED, *overrides)
        monkeypatch.setattr(RunContext, "current", lambda: RunContext(here / folder, given))
        return paper.run(compose(["task=paper", *given]))

    return _run


def standing(agent):
    ledger = Ledger(Path("paper") / agent / "default")
    found = (ledger.closes(), ledger.intents(), ledger.fills(), ledger.state())
    ledger.close()
    return found


def test_each_has_an_account_and_a_record_of_its_own_and_is_what_it_would_be_alone(run, here, capsys):
    assert run(listed(CRYPTO, ETF)) == 0
    said = capsys.readouterr().out
    for name in NAMES:
        record = json.loads((here / "run" / name / "run.json").read_text())
        assert (record["status"], record["agent"]) == ("completed", name)
        assert record["paper"]["largest_deviation"] < 1e-9
        assert record["paper"]["paper"]["trades"] > 0
        assert f"\n{name}  20" in said  # each line says whose it is
    assert [agent for agent, _, _ in reading.accounts(Path("paper"))] == list(NAMES)
    assert run(listed(CRYPTO, ETF), "paper.action=status") == 0
    said = capsys.readouterr().out
    assert all(f"{name}: trading" in said for name in NAMES)
    together = standing("etf")
    (here / "paper").rename(here / "together")
    assert run(listed(ETF), folder="alone") == 0
    assert standing("etf") == together


def test_one_that_cannot_begin_is_told_of_and_the_others_trade(run, here, capsys):
    assert run(listed(CRYPTO, ETF.replace("funds", "nowhere"))) != 0
    assert "etf has ended: " in capsys.readouterr().out
    assert json.loads((here / "run" / "etf" / "run.json").read_text())["status"] == "failed"
    assert json.loads((here / "run" / "cryptocurrencies" / "run.json").read_text())["status"] == "completed"


def test_a_fault_of_the_program_keeps_its_traceback(run, here, monkeypatch):
    made = paper.trading

    def broken(spec, context, room):
        if spec.asset.agent == "etf":
            raise RuntimeError("a fault of ours")
        yield from made(spec, context, room)

    monkeypatch.setattr(paper, "trading", lambda *given: (one for one in broken(*given)))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        run(listed(ETF, CRYPTO))
    assert json.loads((here / "run" / "cryptocurrencies" / "run.json").read_text())["status"] == "completed"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([listed(CRYPTO, f"{CRYPTO} paper.account=second")], "names cryptocurrencies twice"),
        ([listed(CRYPTO, f"{ETF} paper.feed=live")], "has another paper.feed"),
        ([listed(CRYPTO, f"{ETF} asset=forex")], "etf cannot have a asset=forex"),
        ([listed(CRYPTO, f"{ETF} task=train")], "etf cannot have a task=train"),
        ([listed(CRYPTO, f"{ETF} paper.agents=[forex]")], "etf cannot have a paper.agents"),
        ([listed(CRYPTO, f"{ETF} paper.speed=2")], "has another paper.speed"),
        ([listed(CRYPTO, ETF), "paper.action=release", "paper.reason=seen"], "a word on one account"),
        ([listed(CRYPTO, "etf broker=alpaca asset.account_currency=AUD")], "keeps accounts in USD"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_opened(run, here, overrides, message):
    with pytest.raises(ConfigError, match=message):
        run(*overrides)
    assert not (here / "paper").exists()


def test_after_a_kill_of_the_process_all_go_on(run, here):
    process = elsewhere(lambda: run(listed(CRYPTO, ETF), "paper.speed=1000000"))
    until = time.monotonic() + 240
    folders = [Path("paper") / name / "default" for name in NAMES]
    while time.monotonic() < until and process.is_alive():
        if all(
            (one / "ledger.sqlite").exists() and ledger_says(lambda ledger: ledger.last_close(), one) is not None
            for one in folders
        ):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGSTOP)  # it would come to its end while a busy machine tries the second
    with pytest.raises(ConfigError, match="another process trades etf"):
        run(listed(ETF))
    os.kill(process.pid, signal.SIGKILL)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    before = [len(ledger_says(lambda ledger: ledger.closes(), one)) for one in folders]
    assert run(listed(CRYPTO, ETF), folder="again") == 0
    for name, count in zip(NAMES, before, strict=True):
        found = json.loads((here / "again" / name / "run.json").read_text())["paper"]
        assert 0 < count < found["bars"]
        assert found["largest_deviation"] < 1e-9


def test_two_venues_trade_live_on_one_clock_each_session_once(run, here, stub, monkeypatch, capsys):  # noqa: F811 - the fixture
    """Shares when New York has closed, coins at midnight UTC; a day of real time passes at once."""
    checkpoint(here / "shares", symbols=("ACME", "BETA"), seed=2)
    at, end = [dt.datetime(2024, 6, 10, 12, tzinfo=dt.UTC)], dt.datetime(2024, 6, 13, 12, tzinfo=dt.UTC)

    def wait(signals, seconds):
        at[0] += dt.timedelta(seconds=seconds)
        stub.stub.cfg["now"] = int(at[0].timestamp())
        signals.stop = at[0] >= end

    monkeypatch.setattr(provider, "now", lambda: at[0])
    monkeypatch.setattr(Signals, "wait", wait)
    monkeypatch.setattr(errand, "TURN_SECONDS", 60.0)  # so that no time passes while the stub answers
    traders, watchers, tend, tended = set(), set(), loop.tend, Watcher.tended
    monkeypatch.setattr(Watcher, "tended", lambda watcher: (watchers.add(watcher), tended(watcher)))
    monkeypatch.setattr(loop, "tend", lambda trader, switch: (traders.add(trader), tend(trader, switch)))
    manners = {
        "base_url": stub.url("yahoo"),
        "requests_per_second": 1000,
        "timeout_seconds": 5,
        "requests_per_run": 10**5,
    }
    live = ["data=yahoo", "paper.feed=live", *(f"data.manners.{name}={value}" for name, value in manners.items())]
    simulated = [one for one in SHARED if one.startswith("data")]
    monkeypatch.setattr("tests.tasks.test_paper_several.SHARED", [one for one in SHARED if one not in simulated])
    monkeypatch.setattr(
        conversion.Rates, "ended", lambda rates: f"no rates on {rates._now():%d %B} for {rates._spec.asset.name}"
    )
    shares = "etf data.symbols=[ACME,BETA] paper.checkpoints=[shares]"
    assert run(listed(CRYPTO, shares), *live) == 0
    days = ["2024-06-10", "2024-06-11", "2024-06-12"]
    for name in NAMES:
        closes, _, _, (state, _) = standing(name)
        assert [row["bar"][:10] for row in closes] == days
        assert state == "trading"
        assert json.loads((here / "run" / name / "run.json").read_text())["status"] == "completed"
    assert {one.reached("2024-06-10T00:00:00.000000000")[:10] for one in traders} == {"2024-06-11"}  # by now it is over
    assert len(watchers) == 2
    assert standing("cryptocurrencies")[2]
    out = capsys.readouterr().out
    assert " ".join(out.split()).count("no rates on 10 June for etf") == 1
    assert out.count("fills at the next open") == 2  # what auto stands for, as in run.json
    assert {json.loads((here / "run" / name / "run.json").read_text())["fill"] for name in NAMES} == {"next_open"}
    said = [line.split()[:2] for line in out.splitlines() if "  equity " in line]
    assert said == [[name, day] for day in days for name in ("etf", "cryptocurrencies")]  # as the venues close


def test_a_value_with_blanks_stands_in_quotes_behind_an_agents_name():
    typed = [*SHARED, "paper.agents=[\"crypto data=files data.path='my bars.csv' seed=3\"]"]
    (one,) = paper.members(compose(["task=paper", *typed]), typed)
    assert (one.data.path, one.seed) == ("my bars.csv", 3)


def test_what_nothing_reads_is_told_and_what_is_of_another_task_refused_behind_an_agents_name_too(caplog):
    typed = [*SHARED, listed(f"{CRYPTO} model=gru", ETF)]
    with caplog.at_level("WARNING"):
        paper.members(compose(["task=paper", *typed]), typed)
    line = "paper.agents: crypto: model=gru has no effect: task=paper trains nothing"
    assert line in [one.getMessage() for one in caplog.records]
    typed = [*SHARED, listed(CRYPTO, f"{ETF} backtest.window=all")]
    with pytest.raises(ConfigError, match=r"paper.agents: etf: task=paper does not read backtest.window=all"):
        paper.members(compose(["task=paper", *typed]), typed)
