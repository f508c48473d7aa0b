"""An agent of which its validation kept nothing is told alike by the run, a study and a backtest."""

import json
from pathlib import Path
from typing import Any

import pytest

from wealtharena import Study
from wealtharena.agents.policy import load_policy
from wealtharena.config import compose
from wealtharena.evaluation.verdict import Verdict
from wealtharena.tasks import dispatch

MARKET = (
    "asset=forex", "data=simulated", "data.simulator.bars=700", "universe.max_symbols=2", "asset.costs.commission_bps=300",
    "features.names=[log_return_1,rsi_14]", "evaluation.bootstrap_draws=200", "evaluation.random_seeds=2",
)  # fmt: skip
DEAR = (
    *MARKET, "algo=direct", "env.action=weights", "algo.members=2", "algo.windows=4", "algo.window_bars=16",
    "train.env_steps=2048", "train.evaluations=2", "train.publish=false",
)  # fmt: skip
SAID = ("anchor", "degenerate")


def of_verdict(verdict: Verdict) -> dict[str, tuple[str, str]]:
    return {ruling.rule: (ruling.status, ruling.reason) for ruling in verdict.rulings if ruling.rule in SAID}


def played(place: Path, *overrides: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the record of a job that runs in a folder of its own."""
    before = set(place.glob("outputs/*/*"))
    assert dispatch(compose([*overrides, "tracking=quiet", "tracking.report=false"])) == 0
    (folder,) = set(place.glob("outputs/*/*")) - before
    return folder, json.loads((folder / "run.json").read_text())


@pytest.mark.slow
def test_what_kept_nothing_is_its_anchor_wherever_it_is_judged(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, run = played(tmp_path, *DEAR)
    told = {rule["rule"]: (rule["status"], rule["reason"]) for rule in run["verdict"]["rules"] if rule["rule"] in SAID}
    assert told["anchor"][0] == "unproven"
    assert "lambda 0" in told["anchor"][1]
    assert told["degenerate"][0] == "promotable", "it never trades, and that is honest"

    study = Study.of(None, *DEAR, "paths.ledger=study.jsonl", folder="study")
    own = study.judge(study.train())
    assert own.verdict.status == run["verdict"]["status"]
    assert own.verdict.evidence.kept_share == 0.0
    loaded = study.judge(load_policy(folder / run["checkpoint"]["path"]))
    assert of_verdict(own.verdict) == of_verdict(loaded.verdict) == told

    _, again = played(tmp_path, *MARKET, "task=backtest", f"backtest.checkpoints=[{folder}]")
    rules = again["verdict"]["rules"]
    assert {rule["rule"]: (rule["status"], rule["reason"]) for rule in rules if rule["rule"] in SAID} == told
