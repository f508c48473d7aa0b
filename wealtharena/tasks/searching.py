"""One search under way, and what it writes to the ledger: the windows that choose, and every configuration that was scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.evaluation.ledger import Ledger, RunIdentity
from wealtharena.evaluation.significance import moments
from wealtharena.tasks.pipeline import Prepared, identity
from wealtharena.tasks.record import RunRecord
from wealtharena.tuning.rows import TrialRow
from wealtharena.tuning.selection import BARS_KEY, RETURNS_KEY


@dataclass(frozen=True, eq=False)
class Search:
    """One search under way: what it was asked, and the data behind the wall."""

    spec: ExperimentSpec
    base: tuple[str, ...]  # overrides of every trial
    prepared: Prepared
    folder: Path
    study_path: Path


def record_choosing(job: Search, record: RunRecord) -> None:
    """Write by which windows the search chooses, before a trial shows a figure: a look that no end of it can undo."""
    spec = compose(job.base)
    who = RunIdentity(record.run_id, identity(spec, job.prepared), spec.asset.agent, "sweep", spec.seed)
    Ledger(job.spec.paths.ledger).record_trial(who, window=job.prepared.sealed.selection)


def record_trials(job: Search, record: RunRecord, trials: Sequence[TrialRow]) -> None:
    """Write every configuration that was scored to the ledger: it deflates the agent's Sharpe ratios from now on.

    It was tried for the test window, and chosen by validation windows that may be the test window of another split.
    """
    ledger, sealed = Ledger(job.spec.paths.ledger), job.prepared.sealed
    window = replace(sealed.window, dates=(*sealed.selection.dates, *sealed.window.dates))
    own = (e for e in ledger.entries() if e["kind"] == "trial" and e["run_id"] == record.run_id)
    known = {e["config_hash"] for e in own if e.get("sharpe_annual") is not None}  # not what `record_choosing` wrote
    for row in trials:
        returns = np.asarray(row.extra.get(RETURNS_KEY, ()), dtype=np.float64)
        if returns.size < 2:  # it showed nothing; its settings may be those that cannot be composed
            continue
        spec = compose([*job.base, *row.overrides])
        if (config := identity(spec, job.prepared)) in known:
            continue
        known.add(config)
        who = RunIdentity(record.run_id, config, spec.asset.agent, "sweep", spec.seed)
        annual = moments(returns).sharpe * float(row.extra.get(BARS_KEY) or bars_per_year(job)) ** 0.5
        ledger.record_trial(who, window=window, sharpe=annual)


def bars_per_year(job: Search) -> float:
    """Return how many bars a year has on the rows that the trials see."""
    return job.prepared.sealed.training(0).features.panel.bars_per_year
