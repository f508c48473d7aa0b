import contextlib
import dataclasses
import datetime as dt
import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.reporting.test_report import addresses, look_up
from tests.tasks.test_backtest import checkpoint
from tests.trading.killing import elsewhere
from wealtharena.config import compose, config_hash, plugins
from wealtharena.data.store import Store
from wealtharena.errors import ConfigError
from wealtharena.evaluation import metrics
from wealtharena.reporting.words import finite
from wealtharena.tasks import dispatch
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.monitor.watch import Monitors

pytestmark = pytest.mark.slow

MARKET = (
    "asset=crypto",
    "data=simulated",
    "data.simulator.bars=500",
    "data.symbols=[BTC-USD,ETH-USD]",
    "features.names=[log_return_1,rsi_14]",
    "evaluation.bootstrap_draws=200",
    "tracking=quiet",
    "tracking.report=false",
)
ACCOUNT = Path("paper/cryptocurrencies/default")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "mine")
    return tmp_path


def run(*overrides, task="paper"):
    return dispatch(compose([f"task={task}", *MARKET, *overrides]))


def trade(*overrides):
    return run("paper.checkpoints=[mine]", *overrides)


def records(task):
    """The records of a task's runs, in the order in which they ended: of two that began in one second the names say nothing."""
    ended = sorted(Path().glob("outputs/*/*/run.json"), key=lambda path: path.stat().st_mtime_ns)
    found = (json.loads(path.read_text()) for path in ended)
    return [one for one in found if one["task"] == task]


@pytest.mark.parametrize("risk", ["none", "default"])
def test_paper_over_the_test_window_is_the_backtest(here, capsys, risk):
    assert (
        trade(
            "tracking.report=true",
            f"risk={risk}",
            "risk.daily_loss=null" if risk == "none" else "risk.daily_loss.max_loss=0.00005",
        )
        == 0
    )
    (record,) = records("paper")
    found = record["paper"]
    assert found["largest_deviation"] < 1e-9
    assert found["paper"]["trades"] == found["backtest"]["trades"] > 0
    assert ("daily_loss: flatten" in found["interventions"]) == (risk == "default")
    assert found["state"] == ("halted" if risk == "default" else "trading")
    assert {"latency_ms", "features_limit", "actions_limit", "orders"} <= set(
        json.loads((ACCOUNT / "health.json").read_text())
    )
    (page,) = Path().glob("outputs/*/*/report.html")
    told = page.read_text()
    assert "paper account played over all its closes" in told
    assert f"At its end the account is {found['state']}" in told
    assert ("daily_loss: flatten, 1 time" in told) == (risk == "default")
    assert "Backtest" in told
    shown = [path for path, _ in addresses(told)]
    assert {path.rpartition(".")[0] for path in shown} == {"paper.paper", "paper.backtest"}
    for path, value in addresses(told):
        assert (float(value) if value else None) == finite(look_up(record, path)), path
    assert 'class="windows"' not in told  # there is one window, and its dates are said
    said = capsys.readouterr().out
    assert "PAPER" in said
    assert "SIMULATED DATA" in said
    run(
        "backtest.checkpoints=[mine]",
        f"risk={risk}",
        *(["risk.daily_loss.max_loss=0.00005"] if risk == "default" else []),
        task="backtest",
    )
    (backtest,) = records("backtest")
    equity = 1.0 + found["paper"]["total_return"]
    assert 1.0 + backtest["metrics"]["test"]["total_return"] == pytest.approx(equity, rel=1e-9)
    assert (backtest["risk"] is None) == (risk == "none")


def test_what_a_rule_takes_off_orders_is_told_as_a_share_of_their_value(here, capsys):
    tight = ("risk=default", "risk.daily_loss=null", "risk.order_volume.max_share=1e-9", "tracking.report=true")
    assert trade(*tight) == 0
    found = records("paper")[0]["paper"]
    assert found["interventions"]["order_volume: shrink"] > 1
    assert found["unfilled"] > 0.5
    told = f"{found['unfilled']:.1%} of the order value that it asked for was cut or lapsed"
    assert told in " ".join(capsys.readouterr().out.split())
    (page,) = Path().glob("outputs/*/*/report.html")
    assert told in page.read_text()
    assert trade("paper.account=free") == 0
    assert records("paper")[1]["paper"]["unfilled"] < 1e-6, "what its limits do not allow it has not asked for"
    assert "was cut or lapsed" not in capsys.readouterr().out


def test_how_far_an_account_with_the_least_history_is_from_one_with_all_of_it_is_printed(here, capsys):
    assert trade("paper.history=least") == 0
    (record,) = records("paper")
    assert record["paper"]["paper"]["trades"] > 0
    apart = record["paper"]["largest_deviation"]
    assert apart < 1e-6
    assert f"Largest deviation of equity from the backtest: {apart:.2g}" in capsys.readouterr().out


def ledger_says(ask, folder=ACCOUNT):
    """Return what an account's ledger answers."""
    with contextlib.closing(Ledger(folder)) as ledger:
        return ask(ledger)


def test_a_killed_run_goes_on_and_a_second_process_is_refused(here):
    """Case 21."""
    process = elsewhere(lambda: trade("paper.speed=1000000"))
    until = time.monotonic() + 240
    while time.monotonic() < until and process.is_alive():
        if (ACCOUNT / "ledger.sqlite").exists() and ledger_says(lambda ledger: ledger.last_close()) is not None:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGSTOP)  # it would come to its end while a busy machine tries the second
    with pytest.raises(ConfigError, match="another process trades"):
        trade()
    os.kill(process.pid, signal.SIGKILL)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    before = len(ledger_says(lambda ledger: ledger.closes()))
    assert trade() == 0
    (found,) = (one["paper"] for one in records("paper") if one["status"] == "completed")
    assert 0 < before < found["bars"]
    assert found["largest_deviation"] < 1e-9


def test_an_account_that_missed_a_close_is_not_laid_beside_a_backtest_of_other_bars(here):
    trade()
    with contextlib.closing(sqlite3.connect(ACCOUNT / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("DELETE FROM closes WHERE bar = (SELECT bar FROM closes ORDER BY bar LIMIT 1 OFFSET 20)")
    assert trade() == 0
    whole, missed = (one["paper"] for one in records("paper"))
    assert "largest_deviation" in whole
    assert "largest_deviation" not in missed
    assert missed["bars"] == whole["bars"] - 1


def test_an_account_keeps_to_what_it_was_opened_with_until_it_begins_anew(here, capsys):
    trade()
    with pytest.raises(ConfigError, match=r"was opened otherwise: broker was paper, is shadow; name"):
        trade("broker=shadow")
    trade("broker=shadow", "paper.action=restart")
    (found,) = (one["paper"] for one in records("paper") if one.get("paper", {}).get("epoch") == 2)
    assert (found["epoch"], found["paper"]["trades"], found["paper"]["total_return"]) == (2, 0, 0.0)
    assert {one.status for one in ledger_says(lambda ledger: ledger.intents())} == {"shadow"}
    assert found["paper"]["sharpe"] is None
    assert "nan" not in capsys.readouterr().out.lower()  # a ratio of no returns is a dash


def test_a_halt_is_released_by_a_person_with_a_reason(here, capsys, caplog):
    trade("risk.daily_loss.max_loss=0.00005")
    with pytest.raises(ConfigError, match="needs a reason"):
        run("paper.action=release")
    (ACCOUNT / "KILL").touch()
    with pytest.raises(ConfigError, match="remove it first"):
        run("paper.action=release", "paper.reason=seen")
    (ACCOUNT / "KILL").unlink()
    run("paper.action=release", "paper.reason=seen")
    assert ledger_says(lambda ledger: ledger.state()) == ("trading", "released: seen")
    run("paper.action=status")
    assert "released: seen" in capsys.readouterr().out
    run("paper.action=release", "paper.reason=again")
    assert "nothing was released" in caplog.text
    assert ledger_says(lambda ledger: ledger.state()) == ("trading", "released: seen")
    assert "kill switch" not in capsys.readouterr().out
    (ACCOUNT / "KILL").write_text("flatten")
    run("paper.action=status")
    assert "The kill switch is thrown: flatten." in capsys.readouterr().out


def test_what_an_agent_does_is_compared_with_its_training_and_an_alarm_stands_once_among_the_interventions(
    here, capsys, monkeypatch
):
    """With a limit of nothing a monitor alarms."""
    from wealtharena.tasks import watching
    from wealtharena.trading.monitor import drift

    made = watching.baseline_of

    def strict(spec, prepared, chosen):
        found = made(spec, prepared, chosen)
        assert found.record is None  # a checkpoint folder by itself has no verdict
        features = dataclasses.replace(found.features, limit=-1.0, sessions=10)
        return dataclasses.replace(found, features=features, actions=None)

    monkeypatch.setattr(watching, "baseline_of", strict)
    monkeypatch.setattr(drift, "LEAST_WINDOWS", 2)  # this market is short
    trade()
    told = [one for one in ledger_says(lambda ledger: ledger.interventions()) if one["rule"] == "monitor"]
    assert [one["action"] for one in told] == ["features"]
    assert "train.retrain=cryptocurrencies" in capsys.readouterr().out


def test_the_record_is_compared_less_what_cash_earned_by_its_dates(here, monkeypatch):
    """As the promise is; an account that is taken up again counts its past closes in the same way."""
    dates = pd.to_datetime([f"{year}-01-02" for year in range(2015, 2027)])
    rates = pd.DataFrame({"series": "DFF", "date": dates, "realtime_start": dates, "value": np.linspace(0.1, 8.0, 12)})
    Store(here / "data").write_macro("DFF", rates, fetched_at=dt.datetime(2026, 1, 3, tzinfo=dt.UTC))
    told, tell = [], Monitors.tell

    def watched(self, *, excess, **more):
        told.append(excess)
        return tell(self, excess=excess, **more)

    monkeypatch.setattr(Monitors, "tell", watched)
    dated = ("data.simulator.end=2025-06-30", "asset.costs.cash_bps_per_year=DFF")
    trade(*dated)
    live = [one for one in told if one is not None]
    told.clear()
    trade(*dated)
    assert [one for one in told if one is not None] == pytest.approx(live, abs=1e-15)
    found = records("paper")[-1]["paper"]["paper"]
    assert metrics.sharpe(live, bars_per_year=365.25) == pytest.approx(found["sharpe"], abs=1e-9)


def test_a_promise_is_the_hardest_rival_plus_the_lower_bound():
    from wealtharena.tasks.watching import promised_sharpe

    evidence = {"sharpe": 1.4, "sharpe_difference": 0.6, "sharpe_difference_low": 0.1}
    assert promised_sharpe({"evidence": evidence}) == pytest.approx(0.9)
    assert promised_sharpe({"evidence": {**evidence, "sharpe_difference_low": None}}) is None
    assert promised_sharpe({}) is None


def test_live_bars_of_a_source_without_any_are_refused(here):
    with pytest.raises(ConfigError, match="no bar of today"):
        trade("paper.feed=live")
    assert not (ACCOUNT / "bars.sqlite").exists()


def test_risk_rules_are_refused_where_nothing_would_heed_them(here):
    with pytest.raises(ConfigError, match="no use for risk rules"):
        run("risk=default", task="train")
    with pytest.raises(ConfigError, match="a baseline"):
        run("risk=default", "backtest.baseline=cash", task="backtest")


def test_risk_is_part_of_the_configuration_only_when_on():
    plain, off, on, other = (
        config_hash(compose([*MARKET, *more]))
        for more in ((), ("risk=none",), ("risk=default",), ("risk=default", "risk.drawdown.max_drawdown=0.1"))
    )
    assert plain == off
    assert len({off, on, other}) == 3


@pytest.mark.parametrize("broker", ["alpaca", "webhook"])
def test_a_replay_never_reaches_anybody_outside(here, broker, monkeypatch):
    def opened(opening):
        raise AssertionError("bars of the past must not be traded")

    monkeypatch.setattr(plugins.load("trading.brokers", broker), "open_broker", opened)
    with pytest.raises(ConfigError, match="bars of the past"):
        trade(f"broker={broker}", "env.fill=next_open", "paper.action=run")
    assert trade("paper.action=restart") == 0


def test_the_weights_are_written_as_scripts(here, capsys):
    trade()
    assert trade("paper.action=pine") == 0
    scripts = sorted(ACCOUNT.glob("*.pine"))
    assert [path.name for path in scripts] == ["weights-BTC-USD.pine", "weights-ETH-USD.pine"]
    assert "//@version=6" in scripts[0].read_text()
    assert "weights-BTC-USD.pine" in capsys.readouterr().out
