"""One trial of a search, on whatever worker it lands: compose, train on the training view, score on validation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena.agents.policy import load_policy
from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec, seed_after
from wealtharena.config.suggest import did_you_mean
from wealtharena.errors import ConfigError
from wealtharena.evaluation import backtest, metrics
from wealtharena.evaluation.firewall import TrainingView
from wealtharena.evaluation.splits import Windows
from wealtharena.files import temporary_folder
from wealtharena.training.checkpoints import METRICS_FILE, best_path
from wealtharena.training.job import KEPT_SHARE, TrainingJob
from wealtharena.training.trainer import train
from wealtharena.tuning.engine import Report
from wealtharena.tuning.selection import ACTIVE_KEY, BARS_KEY, RETURNS_KEY

VALIDATION = "validation."
Returns = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class TrainingObjective:
    """Trains what the overrides say and reports at every evaluation how its best candidate so far did on validation.

    The best is that of `train.select_by`, as in any training: it is what a finalist keeps, whatever the search is about.

    `base` are the search's own overrides without those of the sweep; `view_key` says which data the shared view holds,
    so that a trial that searches over data or features makes its own, behind the same wall and over the same `windows`:
    features that begin later would move all of them, and one trial be chosen by what another is tested on.
    """

    base: tuple[str, ...]
    metric: str  # a measure of the validation window, `validation.` in front or not
    seeds: int
    view_key: str
    windows: Windows

    def __call__(self, overrides: Sequence[str], *, number: int, report: Report, shared: Any) -> None:
        """Train once a seed; the score reported is the mean over seeds begun of each one's best candidate so far."""
        spec = compose([*self.base, *overrides])
        view = shared if data_key(spec) == self.view_key else own_view(spec, self.windows)
        done: list[tuple[float, Returns]] = []
        for offset in range(self.seeds):
            seeded = spec.model_copy(update={"seed": seed_after(spec.seed, offset)})
            with temporary_folder("trial") as folder:
                watch = _Watch(self, seeded, view, folder, report, tuple(done))
                job = TrainingJob(seeded, view.features, view.train, view.validation, folder)
                train(job, listener=watch)
                done.append((watch.best, watch.returns))


_LOSSES: Final = ("max_drawdown", "var_95", "cvar_95")  # measures that are no more than 0, or below it


def check_metric(metric: str, mode: str = "max") -> None:
    """Raise ConfigError where a search is for what no validation backtest measures, or for the deepest loss.

    Each trial would train for nothing.
    """
    known = (*metrics.names(), KEPT_SHARE)
    if metric.removeprefix(VALIDATION) not in known:
        raise ConfigError(
            f"sweep.metric={metric} is no measure of a validation backtest",
            hint=did_you_mean(metric.rpartition(".")[2], known),
        )
    if mode == "min" and metric.removeprefix(VALIDATION) in _LOSSES:
        raise ConfigError(
            f"sweep.mode=min with sweep.metric={metric} looks for the largest loss: a loss is a number below 0",
            hint="try sweep.mode=max",
        )


def score_of(measures: Mapping[str, Any], metric: str) -> float:
    """Return the measure that a search is about; 0 of an agent that never traded, whose ratios are not defined.

    A tilt of cash that kept nothing of what it learned earns what cash does: that is an answer and no failure.
    """
    value = float(measures[metric.removeprefix(VALIDATION)])
    return 0.0 if math.isnan(value) and measures.get("trades") == 0 else value


def data_key(spec: ExperimentSpec) -> str:
    """Return a text that is the same for specs whose training views hold the same rows and features."""
    parts = (spec.asset, spec.data, spec.features, spec.split)
    return json.dumps([part.model_dump(mode="json") for part in parts], sort_keys=True)


def own_view(spec: ExperimentSpec, windows: Windows) -> TrainingView:
    """Return the training view of the first fold of the spec's own data, over the windows of the search."""
    from wealtharena.tasks.pipeline import prepare

    return prepare(spec, windows=windows).sealed.training(0)


@dataclass
class _Watch:
    """Listener of a trial's training."""

    objective: TrainingObjective
    spec: ExperimentSpec
    view: TrainingView
    folder: Path
    report: Report
    done: tuple[tuple[float, Returns], ...]  # score and returns of each seed before this one
    best: float = field(default=math.nan)
    returns: Returns = field(default_factory=dict)

    def on_iteration(self, record: Mapping[str, Any]) -> None:
        """Do nothing: only evaluations count."""

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        """Report the score of the chosen candidate, with its validation returns; of several seeds the mean of both."""
        self.best, self.returns = score_of(self._measures(), self.objective.metric), self._returns()
        scores, shown = zip(*self.done, (self.best, self.returns), strict=True)
        means = {key: np.mean([one[key] for one in shown], axis=0) for key in self.returns}
        kept = {key: np.round(values, 10).tolist() for key, values in means.items()}
        per_year = self.view.features.panel.bars_per_year
        self.report(float(np.mean(scores)), {**kept, BARS_KEY: per_year, "x_env_step": record["env_step"]})

    def _measures(self) -> dict[str, float]:
        """Return the validation measures of the chosen candidate, NaN for those that are not defined."""
        found = json.loads((best_path(self.folder) / METRICS_FILE).read_text())["validation"]
        return {**dict.fromkeys((*metrics.names(), KEPT_SHARE), math.nan), **found}

    def _returns(self) -> Returns:
        """Return what the chosen candidate earned on validation, less cash, and of a tilt also less its anchor."""
        policy = load_policy(best_path(self.folder))
        env = self.spec.env.model_copy(update={"action": policy.action})
        piece = backtest.Piece(policy, policy.scaler, self.view.validation)
        one = backtest.Backtest(self.spec.algo.name, self.view.features, env, (piece,))
        played, anchor = one.simulate(), backtest.of_anchor(one)
        cash = metrics.risk_free(played, self.spec.asset.risk_free_per_year)
        found = {RETURNS_KEY: metrics.excess(played.returns, cash)}
        if anchor is not None:
            found[ACTIVE_KEY] = played.returns - anchor.returns
        return found
