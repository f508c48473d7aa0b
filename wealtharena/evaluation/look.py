"""One look at a test window, from the line in the ledger that opens it to the one that says what it showed.

Whoever judges (training, search, backtest, ensemble) asks for the window, the facts that a judgement needs and the
random streams here, so that two tasks cannot judge one agent by different facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.evaluation import pins
from wealtharena.evaluation.evaluate import Evaluation, Facts
from wealtharena.evaluation.firewall import OpenedView, SealedPanel
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.evaluation.splits import Segment
from wealtharena.evaluation.trials import Completed, History, Trials
from wealtharena.features.panel import FeaturePanel

Audit = Literal["passed", "failed"]

# The seed of a run and one of these make a stream of random numbers. Each use has its own: no two share their draws.
STREAMS: Mapping[str, int] = {
    "report": 7,
    "audit": 11,
    "judgement": 20_260_101,
    "leaderboard": 20_260_606,
    "challenge": 20_261_126,
    "monitor": 20_261_127,
}


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers that the run with this seed uses for `name`; the same pair, the same numbers."""
    return np.random.default_rng([seed, STREAMS[name]])


@dataclass(frozen=True, eq=False)
class Look:
    """Who looks at the test window of what, and what may be known of it before and after."""

    spec: ExperimentSpec
    sealed: SealedPanel
    identity: RunIdentity
    beside: Segment | None = None  # rows that are the test window of what is played, and not of this split

    @property
    def window(self) -> Window:
        """Return the test window that is looked at."""
        return self.sealed.window if self.beside is None else self.sealed.window_and(self.beside)

    @cached_property
    def ledger(self) -> Ledger:
        """Return the ledger that this look is written to."""
        return Ledger(self.spec.paths.ledger)

    def open(self) -> tuple[OpenedView, ...]:
        """Open the test window of every fold, once each, after a line of the ledger each; FirewallError without it."""
        folds = range(len(self.sealed.folds))
        return tuple(self.sealed.open_test(fold, ledger=self.ledger, identity=self.identity) for fold in folds)

    def open_all(self) -> FeaturePanel:
        """Open every fold, or the rows beside them, and return all rows up to the last that was opened."""
        if self.beside is not None:
            return self.sealed.open_rows(self.beside, ledger=self.ledger, identity=self.identity)
        return max((view.features for view in self.open()), key=lambda features: features.bars)

    def history(self) -> History:
        """Return what the ledger knows that bears on this window."""
        run_ids = (self.identity.run_id,)
        return History.of(self.ledger, self.identity.agent, self.window, run_ids=run_ids)

    def facts(self, *, audit: Audit | None, degenerate: str | None = None, seeds: int = 1, **doubts: Any) -> Facts:
        """Return what the judgement has to know beside the backtests; to be asked after the window was opened.

        `degenerate` is what a training's validation found, which is not what this window shows; `doubts` are further fields of
        `Facts` that only the task knows. What has no configuration hash, a baseline, is no trial of anything.
        """
        asset = self.spec.asset
        who, history = self.identity.config_hash, self.history()
        return Facts(
            simulated=self.sealed.simulated,
            unadjusted_rolls=asset.instrument.rolls == "unadjusted" and not self.sealed.simulated,
            trials=history.trials(who) if who else Trials(1),
            openings=history.openings(),
            own_openings=history.openings(who) if who else 0,
            costless=asset.costs.trades_for_nothing,
            assumed=asset.assumed,
            benchmark=asset.benchmark,
            risk_free_per_year=asset.risk_free_per_year,
            hurdle_raised=asset.raises_hurdle,
            max_gross=self.spec.env.limits.max_gross,
            degenerate=degenerate and f"on validation {degenerate}",
            audit=audit,
            seeds=seeds,
            **doubts,
        )

    def counted(self, seeds: Sequence[int | None]) -> Callable[[float, Sequence[float]], Trials]:
        """Return what tells, by the Sharpe ratio that is shown and that of each seed, what this group may have been chosen from.

        A group that is judged together has to answer for the runs of its configuration that it lacks, as in a comparison.
        What it shows is written first: of two groups that are judged at once, the later one knows of the earlier.
        """

        def told(sharpe: float, ratios: Sequence[float]) -> Trials:
            each = tuple(zip(seeds, ratios, strict=True))
            shown = each if len(each) > 1 else ()
            self.ledger.record_result(self.identity, window=self.window, sharpe=sharpe, shown=shown)
            history, who = self.history(), self.identity.config_hash
            group = [Completed(self.identity.run_id, seed, ratio) for seed, ratio in each]
            return history.trials(who, left_out=history.left_out(who, group), group=group)

        return told

    def rng(self) -> np.random.Generator:
        """Return the random numbers of the judgement."""
        return stream(self.spec.seed, "judgement")

    def showed(self, found: Evaluation) -> None:
        """Write to the ledger what the window showed of a run that answers for no other seed; a group's is there by `counted`."""
        self.ledger.record_result(self.identity, window=self.window, sharpe=found.metrics["sharpe"])

    def wrote(self, folder: Path, version: Path | None = None) -> None:
        """Pin what a run directory says of this look, once all of it and its `version` are written: nobody edits them unseen."""
        pins.pin(self.ledger, self.identity, window=self.window, folder=folder, version=version)
