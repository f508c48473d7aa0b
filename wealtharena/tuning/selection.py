"""Choose a configuration on validation data, and say how much of the choice is luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from wealtharena.evaluation import significance
from wealtharena.tuning.rows import TrialRow

FloatArray = npt.NDArray[np.float64]
Ratio = Literal["sharpe", "information_ratio", "either"]
RETURNS_KEY = "x_validation_returns"  # less what cash earned
ACTIVE_KEY = "x_validation_active_returns"  # of a trial that tilts: less its anchor's
BARS_KEY = "x_bars_per_year"  # of those returns


@dataclass(frozen=True)
class Finalist:
    """A configuration trained again over several seeds; `rank_score` is the median score less its spread."""

    overrides: tuple[str, ...]
    scores: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.scores))

    @property
    def spread(self) -> float:
        """Return the standard deviation over seeds; 0 for one seed."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else 0.0

    def rank_score(self, mode: Literal["max", "min"]) -> float:
        """Return what finalists are ranked by; higher is better in either mode."""
        return (self.median if mode == "max" else -self.median) - self.spread


@dataclass(frozen=True, eq=False)
class SelectionBias:
    """What the search's own breadth does to its best result; None where there are too few trials or bars to tell."""

    trials: int  # distinct configurations whose validation returns are known: those chosen among
    pbo: float | None
    logits: FloatArray
    sharpe_variance: float | None  # of the trials' validation ratios, a bar
    expected_maximum_sharpe: float | None  # a bar: what the best of so many worthless trials would show
    ratio: Ratio  # of what these ratios are: of tilts less their anchor, of the others less cash
    best_sharpe: float | None  # a bar: the ratio of the best trial by score


def best(trials: Sequence[TrialRow], count: int, *, mode: Literal["max", "min"]) -> tuple[TrialRow, ...]:
    """Return the best `count` completed trials with distinct overrides, best first."""
    sign = -1.0 if mode == "max" else 1.0
    chosen: dict[tuple[str, ...], TrialRow] = {}
    scored = [row for row in trials if row.state == "COMPLETE" and row.score is not None]
    for row in sorted(scored, key=lambda row: (sign * float(row.score or 0.0), row.number)):
        chosen.setdefault(row.overrides, row)
    return tuple(chosen.values())[:count]


def rank(finalists: Sequence[Finalist], *, mode: Literal["max", "min"]) -> tuple[Finalist, ...]:
    """Return the finalists by median less spread, best first; a lucky seed does not win."""
    return tuple(sorted(finalists, key=lambda finalist: -finalist.rank_score(mode)))


def strategies(trials: Sequence[TrialRow]) -> FloatArray | None:
    """Return the validation returns [T, N] of the distinct configurations, cut to the shortest; None for fewer than two.

    They are without what cash, or the anchor of one that tilts, earned by itself.
    """
    series = _series(trials)
    return np.column_stack(tuple(series.values())) if len(series) > 1 else None


def _series(trials: Sequence[TrialRow]) -> dict[tuple[str, ...], FloatArray]:
    """Return the columns of `strategies` by configuration, of a single one too."""
    series = {
        row.overrides: np.asarray(row.extra.get(ACTIVE_KEY) or row.extra[RETURNS_KEY], dtype=np.float64)
        for row in trials
        if row.extra.get(RETURNS_KEY)
    }
    bars = min((len(values) for values in series.values()), default=0)
    return {name: values[-bars:] for name, values in series.items()}


def ratio_of(trials: Sequence[TrialRow]) -> Ratio:
    """Return of what the trials' ratios are: an information ratio to its anchor of one that tilts, else a Sharpe ratio."""
    tilts = {bool(row.extra.get(ACTIVE_KEY)) for row in trials if row.extra.get(RETURNS_KEY)}
    return "either" if len(tilts) > 1 else "information_ratio" if True in tilts else "sharpe"


def selection_bias(trials: Sequence[TrialRow], *, blocks: int, mode: Literal["max", "min"] = "max") -> SelectionBias:
    """Return PBO and the deflation that the trials' validation returns imply, beside the best trial's own ratio.

    Every trial that reported returns counts, stopped ones too: what was looked at was chosen among. One that failed
    before that showed nothing. Series are cut to the shortest. PBO is that of the verdict, by the same rule for short
    records.
    """
    series, ratio = _series(trials), ratio_of(trials)
    ratios = {name: float(np.nan_to_num(significance.moments(own).sharpe)) for name, own in series.items()}
    own = next((ratios[row.overrides] for row in best(trials, 1, mode=mode) if row.overrides in ratios), None)
    performance = strategies(trials)
    if performance is None:
        return SelectionBias(len(series), None, np.empty(0), None, None, ratio, own)
    variance = float(np.var(list(ratios.values()), ddof=1))
    expected = significance.expected_maximum_sharpe(len(series), variance=variance)
    found = significance.overfitting(performance, blocks=blocks)
    pbo, logits = (None, np.empty(0)) if found is None else (found.probability, found.logits)
    return SelectionBias(len(series), pbo, logits, variance, expected, ratio, own)
