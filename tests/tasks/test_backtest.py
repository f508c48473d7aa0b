import datetime as dt
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wealtharena.agents.networks import build_network
from wealtharena.agents.policy import NetworkPolicy, save_policy
from wealtharena.config import compose
from wealtharena.data.store import Store
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import CheckpointError, ConfigError
from wealtharena.evaluation import records
from wealtharena.evaluation.splits import make_folds
from wealtharena.features.panel import Scaler
from wealtharena.tasks import backtest, compare

MARKET = (
    "asset=crypto",
    "data=simulated",
    "data.simulator.bars=500",
    "data.symbols=[BTC-USD,ETH-USD]",
    "features.names=[log_return_1,rsi_14]",
    "evaluation.bootstrap_draws=200",
)
CRISES = {"later": "03", "tested": "11"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(*overrides):
    return compose(["task=backtest", *MARKET, *overrides])


def checkpoint(folder, *, seed=0, symbols=("BTC-USD", "ETH-USD"), std=1.0):
    wanted = compose(MARKET)
    layout = ObservationLayout(symbols=symbols, feature_names=("log_return_1", "rsi_14"), window=wanted.env.window)
    network = build_network(wanted.model, layout, wanted.env.limits, action="weights", seed=seed)
    scaler = Scaler(names=layout.feature_names, mean=np.zeros(2), std=np.full(2, std), clip=5.0)
    save_policy(folder, NetworkPolicy(network, wanted.model, layout, "weights", wanted.env.limits, scaler))
    return folder


def record(root):
    (path,) = root.glob("outputs/*/*/run.json")
    return json.loads(path.read_text()), path.parent


def looks():
    path = Path("results/ledger.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.slow
def test_a_baseline_over_the_test_window_is_a_look_and_no_trial(here, capsys):
    assert backtest.run(spec("backtest.baseline=momentum")) == 0
    content, folder = record(here)
    assert content["status"] == "completed"
    assert content["metrics"]["test"]["trades"] > 0
    assert set(content["baselines"]) >= {"buy_and_hold", "cash", "momentum"}
    (look,) = looks()
    assert look["purpose"] == "backtest"
    assert look["config_hash"] == ""
    assert len(pd.read_parquet(folder / "equity.parquet")) == round(0.2 * content["data"]["bars"])
    assert "momentum over" in capsys.readouterr().out


@pytest.mark.slow
def test_a_dated_cash_rate_is_paid_by_the_market_and_taken_off_by_every_measure(here):
    """Cash earned up to 8 % a year by dates: its own Sharpe ratio is none, and one number would not have said so."""
    dates = pd.to_datetime([f"{year}-01-02" for year in range(2015, 2027)])
    rates = pd.DataFrame({"series": "DFF", "date": dates, "realtime_start": dates, "value": np.linspace(0.1, 8.0, 12)})
    Store(here / "data").write_macro("DFF", rates, fetched_at=dt.datetime(2026, 1, 3, tzinfo=dt.UTC))
    dated = "asset.costs.cash_bps_per_year=DFF"
    assert backtest.run(spec("backtest.baseline=equal_weight", "data.simulator.end=2025-06-30", dated)) == 0
    content, _ = record(here)
    cash, evidence = content["baselines"]["cash"], content["verdict"]["evidence"]
    assert cash["sharpe"] is None
    assert 0.05 < cash["annual_return"] < 0.1
    assert evidence["cash_return"] == pytest.approx(cash["annual_return"], abs=1e-9)
    assert evidence["risk_free_per_year"] == pytest.approx(math.log1p(cash["annual_return"]), rel=0.02)
    assert any("cash earns DFF" in note for note in content["notes"])
    assert not any("assumed to earn 0 %" in note for note in content["notes"])
    assert content["metrics"]["test"]["sharpe"] < again(here)["sharpe"]


def again(here):
    """Return the measures of the same backtest where cash earns nothing."""
    (here / "other").mkdir()
    os.chdir(here / "other")
    backtest.run(spec("backtest.baseline=equal_weight", "data.simulator.end=2025-06-30"))
    return record(here / "other")[0]["metrics"]["test"]


@pytest.mark.slow
def test_a_window_of_training_is_played_without_a_look(here):
    backtest.run(spec("backtest.baseline=equal_weight", "backtest.window=train"))
    content, _ = record(here)
    assert looks() == []
    assert content["verdict"]["status"] in ("unproven", "rejected")
    assert "prove nothing" in content["verdict"]["reasons"][0]


@pytest.mark.slow
def test_dates_that_touch_the_test_window_are_a_look(here):
    backtest.run(spec("backtest.baseline=cash", "backtest.window=all"))
    content, _ = record(here)
    assert len(looks()) == 1
    assert content["backtest"]["end"] == content["data"]["end"]


@pytest.mark.slow
def test_a_checkpoint_folder_is_played(here):
    folder = checkpoint(here / "mine")
    backtest.run(spec(f"backtest.checkpoints=[{folder}]"))
    content, _ = record(here)
    assert content["metrics"]["test"]["total_return"] is not None
    assert len(content["stress"]) == 7
    assert content["comparison"]["buy_and_hold"]["ci95"][0] <= content["comparison"]["buy_and_hold"]["ci95"][1]


@pytest.mark.slow
def test_a_crisis_behind_the_dates_that_are_played_is_told_as_seen_where_training_saw_it(here, capsys):
    dates = ("backtest.start=2024-10-01", "backtest.end=2024-12-31", "data.simulator.end=2025-12-31")
    crises = [f"+evaluation.stress.windows.{name}=[2025-{month}-01,2025-{month}-28]" for name, month in CRISES.items()]
    learnt = {"train": ["2024-08-20", "2025-06-01"], "validation": ["2025-06-02", "2025-09-20"]}
    split = {**learnt, "test": ["2025-09-21", "2025-12-31"]}
    checkpoint(here / "run" / "checkpoints" / "best")
    facts = {"agent": "cryptocurrencies", "split": split, "checkpoint": {"path": "checkpoints/best"}}
    (here / "run" / "run.json").write_text(json.dumps(facts))
    backtest.run(spec("backtest.checkpoints=[run]", *dates, *crises, "tracking=none"))
    content, _ = record(here)
    told = {row["name"]: row["in_sample"] for row in content["stress"] if row["name"] in CRISES}
    assert told == {"later": True, "tested": False}
    assert f"Verdict: {content['verdict']['status']}" in capsys.readouterr().out


@pytest.mark.slow
def test_orders_that_do_not_go_through_are_printed_wherever_their_reason_stands(here, capsys):
    folder = checkpoint(here / "mine")
    backtest.run(spec(f"backtest.checkpoints=[{folder}]", "asset.instrument.lot_size=1000000000000", "tracking=none"))
    reasons, told = record(here)[0]["verdict"]["reasons"], "the agent asked for lapsed or was cut"
    assert next(place for place, reason in enumerate(reasons) if told in reason) >= 3, "or this shows nothing"
    assert " ".join(capsys.readouterr().out.split()).count(told) == 1


@pytest.mark.slow
def test_a_page_says_that_risk_rules_stood_before_the_agent_and_what_they_did(here):
    """An account that they had closed in the ninth week was told as that of an agent that does nothing from then on."""
    strict = ("risk=default", "risk.drawdown.max_drawdown=0.0005")
    backtest.run(spec(f"backtest.checkpoints=[{checkpoint(here / 'mine')}]", *strict))
    content, folder = record(here)
    page = (folder / "report.html").read_text()
    assert content["risk"]["stopped_at"]
    assert "Risk rules stand before the agent" in page
    assert f"Risk rules ended the trading at {content['risk']['stopped_at'][:10]}." in page
    assert "Return with risk rules" in page


@pytest.mark.slow
def test_a_run_directory_is_played_by_its_chosen_candidate_and_counts_as_its_own_configuration(here):
    checkpoint(here / "run" / "checkpoints" / "best")
    (here / "run" / "run.json").write_text(
        json.dumps(
            {
                "agent": "cryptocurrencies",
                "algo": "ppo",
                "config_hash": "abc",
                "checkpoint": {"path": "checkpoints/best"},
            }
        )
    )
    backtest.run(spec("backtest.checkpoints=[run]"))
    assert looks()[0]["config_hash"] == "abc"


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_its_members(here, capsys):
    folders = [checkpoint(here / f"c{i}", seed=i) for i in range(2)]
    backtest.run(spec(f"backtest.checkpoints=[{folders[0]},{folders[1]}]"))
    content, _ = record(here)
    assert content["backtest"]["of"] == "ensemble of 2"
    assert content["ensemble"]["members"] == 2
    assert 0 < content["ensemble"]["mean_spread"] <= content["ensemble"]["max_spread"]
    assert "Spread of the 2 members" in capsys.readouterr().out
    (look,) = looks()
    hashes = {who for who, _ in look["members"]}
    assert len(hashes) == 2, "each by what it learned, since no run says it"
    assert hashes.isdisjoint({"", look["config_hash"]})


@pytest.mark.slow
def test_a_checkpoint_is_tested_where_the_last_fold_was(here):
    """It has learnt from the tests of the folds before."""
    folder = checkpoint(here / "mine")
    backtest.run(spec(f"backtest.checkpoints=[{folder}]", "split=walk_forward"))
    content, played = record(here)
    last = make_folds(spec("split=walk_forward").split, content["data"]["bars"])[-1].test[0]
    assert len(pd.read_parquet(played / "equity.parquet")) == last.bars
    assert "prove nothing" not in content["verdict"]["reasons"][0]


def test_members_that_see_the_market_differently_make_no_ensemble(here):
    folders = [checkpoint(here / "a"), checkpoint(here / "b", std=2.0)]
    with pytest.raises(CheckpointError, match="alike"):
        backtest.run(spec(f"backtest.checkpoints=[{folders[0]},{folders[1]}]"))


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        ((), "either"),
        (("backtest.baseline=cash", "backtest.checkpoints=[x]"), "either"),
        (("backtest.baseline=cash", "backtest.start=2031-01-01"), "backtest.start=2031-01-01 leaves 0 bars"),
        (("backtest.baseline=cash", "backtest.start=soon"), "not a date"),
        (("backtest.baseline=cash", "backtest.end=2024-11"), "backtest.end=2024-11 is not a date"),
        (("backtest.checkpoints=[nowhere]",), "no such checkpoint"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(here, overrides, word):
    with pytest.raises((ConfigError, CheckpointError), match=word):
        backtest.run(spec(*overrides))
    content, _ = record(here)
    assert content["status"] == "failed"


def test_another_agents_checkpoint_names_the_missing_override(here):
    checkpoint(here / "mine")
    (here / "mine" / "metadata.json").write_text(json.dumps({"agent": "etf", "asset": "etf"}))
    with pytest.raises(ConfigError, match="asset=etf"):
        backtest.run(spec("backtest.checkpoints=[mine]"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("backtest.window=test", "the test window"),
        ("backtest.window=train", "bars of training"),
        ("backtest.start=2020-03-01", "the dates asked for"),
    ],
)
def test_a_backtest_leaves_a_report_that_says_what_was_played(here, capsys, asked, said):
    backtest.run(spec("backtest.baseline=buy_and_hold", asked))
    content, folder = record(here)
    page = (folder / "report.html").read_text()
    assert f"buy &amp; hold played over {said}" in page
    assert ("Window played" in page) == (said != "the test window")
    again = compare.build(records.find([folder]), evaluation=spec().evaluation, ledger=None, seed=0)["rows"][0]
    for verdict in (content["verdict"], again["verdict"]):
        reasons = " ".join(rule["reason"] for rule in verdict["rules"])
        assert ("on the test window" in reasons, "The test record has" in reasons) == (said == "the test window",) * 2
        assert ("on the window played" in reasons, "The record has" in reasons) == (said != "the test window",) * 2
    assert "data the agent never saw" not in page
    assert 'data-metric="metrics.test.sharpe"' in page
    shown = capsys.readouterr().out
    assert "Report: outputs/" in shown
    for place in (shown, page):
        assert ("Test window" in place) == (said == "the test window")
    assert ('<th scope="col">Test</th>' in page) == (said == "the test window")
    assert ("orders over the test window" in page) == (said == "the test window")


@pytest.mark.slow
def test_no_report_is_promised_where_none_was_asked_for(here, capsys):
    backtest.run(spec("backtest.baseline=cash", "tracking=none"))
    _, folder = record(here)
    said = capsys.readouterr().out
    assert not (folder / "report.html").exists()
    assert "Report:" not in said
    assert "run.json" in said


@pytest.mark.slow
def test_dates_are_those_of_the_exchange():
    """Sydney's session of a date begins at 23:00 UTC of the day before."""
    days = np.datetime64("2024-01-07T23", "ns") + np.arange(30) * np.timedelta64(1, "D")
    stamps = (days[:, None] + np.arange(6) * np.timedelta64(1, "h")).reshape(-1)
    part = SimpleNamespace(start=0, stop=60)
    fold = SimpleNamespace(train=[part], validation=part, test=[part])
    prepared = SimpleNamespace(folds=[fold], sealed=SimpleNamespace(timestamps=stamps, bars=len(stamps)))
    spec = compose(
        ["asset=stocks", "task=backtest", "backtest.start=2024-01-29", "backtest.end=2024-01-31", "env.window=1"]
    )
    window = backtest.window_rows(spec, prepared, trained=False)
    assert (str(stamps[window.start])[:13], str(stamps[window.stop - 1])[:13]) == ("2024-01-28T23", "2024-01-31T04")
