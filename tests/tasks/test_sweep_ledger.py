"""What a search writes to the ledger: every configuration that it looked at, however it ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.tasks.conftest import SMALL
from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.tasks import sweep
from wealtharena.tasks.pipeline import Prepared, prepare
from wealtharena.tuning.engine import TrialRow
from wealtharena.tuning.selection import RETURNS_KEY

RECORD: Any = SimpleNamespace(run_id="s", content={})


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(compose(SMALL))


@pytest.fixture
def job(prepared: Prepared, tmp_path: Path) -> sweep.Search:
    typed = [*SMALL, "sweep=ppo", f"paths.ledger={tmp_path / 'ledger.jsonl'}"]
    spec = compose(typed)
    return sweep.Search(spec, sweep.trial_overrides(spec, typed), prepared, tmp_path, tmp_path / "study.journal")


def scored(number: int, *overrides: str, state: str = "COMPLETE") -> TrialRow:
    returns = np.random.default_rng(number).normal(0.001, 0.01, 50).tolist()
    return TrialRow(number, state, overrides, 0.1 * number, 2, {RETURNS_KEY: returns})


def trials(job: sweep.Search) -> list[dict[str, Any]]:
    return [entry for entry in Ledger(job.spec.paths.ledger).entries() if entry["kind"] == "trial"]


def test_a_failed_trial_that_cannot_be_composed_does_not_end_the_search(job: sweep.Search) -> None:
    impossible = ("algo=sac", "model=gru")
    with pytest.raises(ConfigError):
        compose([*job.base, *impossible])
    rows = [TrialRow(0, "FAIL", impossible, None, 0, {}, "ConfigError: no"), scored(1, "algo.gamma=0.9")]
    sweep.record_trials(job, RECORD, rows)
    (line,) = trials(job)
    assert line["sharpe_annual"] > 0
