import json

import numpy as np
import pytest

from tests.envs.markets import random_panel
from wealtharena.config import compose
from wealtharena.tasks import audit, judging, pipeline


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ["task=audit", "asset=stocks", "audit.bars=3", "features.names=[log_return_1,volatility_20]"]


def run_json(folder):
    return json.loads(next(folder.glob("outputs/*/*/run.json")).read_text())


@pytest.mark.slow
def test_the_task_prints_every_check_and_returns_zero(small, tmp_path, capsys):
    data = ["data=simulated", "data.simulator.bars=200", "universe.max_symbols=2"]
    assert audit.run(compose([*small, *data])) == 0
    said = capsys.readouterr().out
    for word in (
        "features",
        "market",
        "observation",
        "reward",
        "scaler",
        "fill",
        "repair",
        "SIMULATED",
        "No look-ahead",
    ):
        assert word in said
    assert run_json(tmp_path)["audit"]["passed"] is True


@pytest.mark.slow
def test_a_run_is_audited_with_the_bars_that_its_features_were_warmed_up_with(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec = compose(["asset=stocks", "data=simulated", "data.simulator.bars=120", "universe.max_symbols=3"])
    prepared = pipeline.prepare(spec)
    visible = prepared.sealed.training(0).features
    assert visible.bars < visible.warmup_bars  # a second warm-up would leave nothing
    pipeline.require_audit(spec, prepared)
    report = judging.run_audit(spec, prepared)
    assert report.passed
    assert all(check.passed is not False for check in report.checks)


@pytest.mark.slow
def test_a_finding_returns_one_and_names_feature_symbol_and_bar(small, tmp_path, capsys):
    panel = random_panel(np.random.default_rng(0), bars=200, assets=1)
    top, bottom = np.fmax(panel.open, panel.close), np.fmin(panel.open, panel.close)
    top[:-1], bottom[:-1] = np.fmax(panel.close[:-1], top[1:]), np.fmin(panel.close[:-1], bottom[1:])
    rows = ["timestamp,symbol,open,high,low,close,volume"]
    for t in range(200):
        prices = ",".join(f"{x[t, 0]:.6f}" for x in (panel.open, top, bottom, panel.close))
        rows.append(f"{str(panel.timestamps[t])[:10]},BHP.AX,{prices},1000")
    (tmp_path / "late.csv").write_text("\n".join(rows))
    data = [
        "data=files",
        f"data.path={tmp_path / 'late.csv'}",
        "data.quality.leaking_bars=warn",
        "data.max_repaired_share=1",
    ]
    assert audit.run(compose([*small, *data, "data.quality.leak_correlation=0.4"])) == 1
    assert "of BHP.AX, bar" in capsys.readouterr().out
    assert run_json(tmp_path)["audit"]["passed"] is False
