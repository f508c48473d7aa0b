import datetime as dt
import errno
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.config import compose, config_hash
from wealtharena.data.store import Store
from wealtharena.errors import ConfigError, DataError
from wealtharena.evaluation import metrics
from wealtharena.reporting import plots
from wealtharena.reporting.words import DASH
from wealtharena.tasks import dispatch

RETURNS = np.random.default_rng(1).normal(0.0003, 0.01, 250)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    days = pd.bdate_range("2023-01-02", periods=len(RETURNS))
    pd.DataFrame({"date": days, "return": RETURNS}).to_csv("my.csv", index=False)
    return tmp_path


def run(*overrides: str) -> tuple[dict, str]:
    assert dispatch(compose(["task=report", "returns=my.csv", "evaluation.bootstrap_draws=200", *overrides])) == 0
    (record,) = Path().glob("outputs/*/*/run.json")
    return json.loads(record.read_text()), (record.parent / "report.html").read_text()


@pytest.mark.slow
def test_returns_alone_are_measured_without_a_verdict_and_without_positions(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, page = run()
    assert record["metrics"]["test"]["sharpe"] == pytest.approx(
        metrics.sharpe(RETURNS, bars_per_year=len(RETURNS) / (350 / 365.25)), rel=0.02
    )
    assert "verdict" not in record
    assert record["shape"]["relative"] is None
    assert 'id="shape"' in page
    assert 'id="positions"' not in page
    (unit,) = (note for note in record["notes"] if "returns are taken as shares" in note)
    assert "returns are taken as shares" in page
    out = " ".join(capsys.readouterr().out.split())
    assert "returns_unit=percent" in out, unit
    assert "No baselines beside it" in out
    assert "returns read from my.csv" in page
    assert not Path("results/ledger.jsonl").exists(), "nothing of ours was looked at"


@pytest.mark.slow
def test_a_picture_that_finds_no_room_costs_neither_page_nor_figures(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(plots, "write", full)
    record, page = run()
    assert record["status"] == "completed"
    assert 'id="shape"' in page
    assert "the plots could not be drawn: OSError" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_baselines_stand_beside_them_where_prices_are_named(mine: Path) -> None:
    prices = ("asset=etf", "data=simulated", "data.simulator.end=2024-03-01", "data.simulator.bars=900")
    record, page = run(*prices, "features.names=[log_return_1]", "evaluation.baselines=[buy_and_hold,cash]")
    assert set(record["comparison"]) == {"buy_and_hold", "cash"}
    assert record["shape"]["relative"]["to"] == "buy_and_hold"
    assert "SIMULATED DATA" in page
    said = " ".join(record["notes"])
    assert "SIMULATED DATA" in said
    assert "Cash is assumed to earn 0 %" in said, "what a training says of prices is said of these"


@pytest.mark.slow
def test_a_baseline_that_is_drawn_is_the_mean_of_its_draws_here_too(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = ("asset=etf", "data=simulated", "data.simulator.end=2024-03-01", "data.simulator.bars=900")
    few = ("evaluation.baselines=[buy_and_hold,random]", "evaluation.random_seeds=4")
    record, page = run(*prices, "features.names=[log_return_1]", *few, "asset.costs.cash_bps_per_year=400")
    random = record["baselines"]["random"]
    assert random["seeds"] == 4
    assert random["sharpe_low"] < random["sharpe"] < random["sharpe_high"]
    assert "turnover" not in random, "nothing is known of the orders behind a record, and none is shown beside it"
    out = capsys.readouterr().out
    assert "random (mean of 4)" in out
    assert "No baselines" not in out
    assert "Random is the mean of 4 draws" in page
    assert record["baselines"]["buy_and_hold"]["invested"] > 0.9


@pytest.mark.slow
def test_prices_that_begin_with_the_returns_are_refused_with_the_warm_up_that_they_lack(mine: Path) -> None:
    prices = ("asset=etf", "data=simulated", "data.simulator.end=2024-01-05", "data.simulator.bars=270")
    with pytest.raises(DataError, match=r"do not cover the returns.*the first 60 bars warm up the features"):
        run(*prices, "evaluation.baselines=[cash]")


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["200", "0"])
def test_cash_has_no_sharpe_ratio_beside_a_record_with_days_on_which_no_price_was_made(mine: Path, rate: str) -> None:
    """A record that has the holidays too: cash earns on them, and its excess over itself is nothing at every bar."""
    open_, shut = (
        pd.bdate_range("2023-01-02", periods=len(RETURNS) - 4),
        pd.date_range("2023-02-04", periods=4, freq="28D"),
    )
    days = open_.union(shut)
    pd.DataFrame({"date": days, "return": RETURNS}).to_csv("my.csv", index=False)
    prices = ("asset=etf", "data=simulated", "data.simulator.end=2024-03-01", "data.simulator.bars=900")
    own = (f"asset.costs.cash_bps_per_year={rate}", "evaluation.baselines=[buy_and_hold,cash]")
    record, page = run(*prices, "features.names=[log_return_1]", *own)
    cash = record["baselines"]["cash"]
    assert cash["sharpe"] is None
    assert cash["sortino"] is None
    assert cash["total_return"] == pytest.approx(float(rate) / 1e4 * (days[-1] - days[0]).days / 365.25, rel=0.02)
    assert f'data-metric="baselines.cash.sharpe">{DASH}</data>' in page


@pytest.mark.slow
def test_without_returns_it_says_what_to_give(mine: Path) -> None:
    with pytest.raises(ConfigError, match=r"try returns=my\.csv"):
        dispatch(compose(["task=report"]))


def test_a_file_that_leaves_a_question_open_is_a_wrong_command_and_leaves_nothing(mine: Path) -> None:
    Path("my.csv").write_text("date,return,return\n2024-01-02,0.01,0.02\n2024-01-03,0.01,0.02\n2024-01-04,0.01,0.03\n")
    with pytest.raises(ConfigError, match="may mean any of return, return") as refused:
        dispatch(compose(["task=report", "returns=my.csv"]))
    assert refused.value.exit_code == 2
    assert [path.name for path in mine.iterdir()] == ["my.csv"]


def test_the_file_of_returns_is_no_part_of_a_configuration() -> None:
    assert config_hash(compose([])) == config_hash(compose(["returns=my.csv"]))


@pytest.mark.slow
def test_a_dated_cash_rate_is_the_hurdle_of_returns_from_elsewhere_too(mine: Path) -> None:
    dates = pd.to_datetime(["2022-12-01", "2023-06-01"])
    rates = pd.DataFrame({"series": "DFF", "date": dates, "realtime_start": dates, "value": [1.0, 9.0]})
    Store(mine / "data").write_macro("DFF", rates, fetched_at=dt.datetime(2024, 1, 3, tzinfo=dt.UTC))
    record, _ = run("asset.costs.cash_bps_per_year=DFF")
    days = pd.bdate_range("2023-01-02", periods=len(RETURNS)).to_numpy()
    since = np.concatenate([[days[0] - np.timedelta64(1, "D")], days[:-1]])
    earned = (
        np.where(since > np.datetime64("2023-06-01"), 0.09, 0.01) * (days - since) / np.timedelta64(1, "D") / 365.25
    )
    truth = metrics.sharpe(RETURNS - earned, bars_per_year=len(RETURNS) / (350 / 365.25))
    assert record["metrics"]["test"]["sharpe"] == pytest.approx(truth, rel=0.02)
    assert any("cash earns DFF, 1.00 to 9.00 % a year" in note for note in record["notes"])
