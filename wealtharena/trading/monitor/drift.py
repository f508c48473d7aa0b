"""Whether what an agent sees, or asks for, is still distributed as in its training window: the population stability index.

PSI = sum over bins of (share now - share then) log(share now / share then), bins at the deciles of the training window, pooled
over symbols. Features that move slowly have large indices without having drifted, so each is told in what it seldom passes in
windows put together from the training window itself: two stretches of sessions, of any length and from anywhere. The
statistic is the largest of these over features; its limit comes from the same windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
BINS: Final = 10
DRAWS: Final = 2000
LOOKS_A_YEAR: Final = 4
LEAST_WINDOWS: Final = 6  # of a training window, for it to be a reference
_LEAST: Final = 1e-4  # share of a bin that holds nothing, so that its logarithm exists


@dataclass(frozen=True, eq=False)
class Reference:
    """The training window of one monitor, and where it alarms."""

    names: tuple[str, ...]  # [F]
    edges: tuple[Floats, ...]  # [F] inner edges of the bins
    shares: Floats  # [F, BINS]
    scale: Floats  # [F] what the index of each seldom passes by itself
    limit: float  # of the largest index over features, in `scale`
    sessions: int  # of a window that is compared
    false_alarms: float  # share of years, at most

    def index(self, window: Floats) -> tuple[float, str]:
        """Return the largest index over the features of a window [sessions, A, F], in its scale, and the feature's name."""
        return self.index_of(self.counts(window))

    def counts(self, window: Floats) -> Floats:
        """Return how many values of a window lie in each bin, [F, BINS]; those of its parts add up."""
        return np.asarray(_counts(window, self.edges).sum(axis=0))

    def index_of(self, counts: Floats) -> tuple[float, str]:
        """Return the index of a window of which this is known."""
        found = _psi(counts[None], self.shares)[0] / self.scale
        worst = int(np.argmax(found))
        return float(found[worst]), self.names[worst]


def reference(
    training: Floats, names: tuple[str, ...], *, bars_per_year: float, false_alarms: float, rng: np.random.Generator
) -> Reference | None:
    """Return the reference of a training window [T, A, F]; None where it is too short to say how much windows differ.

    A window is a quarter of a year, looked at as often, so that no session counts twice.
    """
    sessions = max(10, round(bars_per_year / LOOKS_A_YEAR))
    if len(training) < LEAST_WINDOWS * sessions:
        return None
    edges = tuple(_edges(training[:, :, at]) for at in range(training.shape[2]))
    counts = _counts(training, edges)
    total = counts.sum(axis=0)
    shares = total / np.maximum(total.sum(axis=-1, keepdims=True), 1.0)
    sums = np.concatenate([np.zeros((1, *counts.shape[1:])), np.cumsum(np.concatenate([counts, counts]), axis=0)])
    drawn = np.empty((DRAWS, len(names)))
    for n in range(DRAWS):
        start = int(rng.integers(len(counts)))
        cut = int(rng.integers(1, sessions + 1))  # the rest comes from another time, where the first part is shorter
        other = int(rng.integers(len(counts)))
        found = sums[start + cut] - sums[start] + sums[other + sessions - cut] - sums[other]
        drawn[n] = _psi(found[None], shares)[0]
    a_look = 1.0 - (1.0 - false_alarms) ** (1.0 / LOOKS_A_YEAR)
    scale = np.maximum(np.quantile(drawn, 1.0 - a_look, axis=0), _LEAST)
    limit = float(np.quantile((drawn / scale).max(axis=1), 1.0 - a_look))
    return Reference(names, edges, shares, scale, limit, sessions, false_alarms)


def _edges(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0)
    return np.unique(np.quantile(known, np.arange(1, BINS) / BINS))


def _counts(window: Floats, edges: tuple[Floats, ...]) -> Floats:
    """Return how many values of each session lie in each bin, [sessions, F, BINS]; what is not known counts nowhere."""
    found = np.zeros((len(window), len(edges), BINS))
    first = BINS * np.arange(len(window))[:, None]  # bin of each session
    for at, inner in enumerate(edges):
        values = window[:, :, at]
        place = first + np.searchsorted(inner, values, side="right")
        told = np.bincount(place[np.isfinite(values)], minlength=BINS * len(window))
        found[:, at] = told.reshape(len(window), BINS)
    return found


def _psi(counts: Floats, shares: Floats) -> Floats:
    """Return the index of each feature, [n, F], for counts [n, F, BINS]."""
    total = counts.sum(axis=-1, keepdims=True)
    now = np.maximum(counts / np.maximum(total, 1.0), _LEAST)
    then = np.maximum(shares, _LEAST)
    index = ((now - then) * np.log(now / then)).sum(axis=-1)
    return np.asarray(np.where(total[..., 0] > 0.0, index, 0.0))
