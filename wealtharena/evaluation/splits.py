"""Cutting time into training, validation and test, with nothing that touches both sides of a border.

Rows are indices into one FeaturePanel. `purge_bars` rows are taken out of training before each validation or test
segment and after each test segment; `embargo_bars` more are taken out after a test segment, since features there
still look back into it (Lopez de Prado 2018, chapters 7 and 12).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.split import SplitSpec
from wealtharena.errors import ConfigError

MIN_SEGMENT_BARS = 2
MAX_FOLDS = 100  # trainings; each keeps its own training rows on disk
_APART = np.timedelta64(7, "D")  # that the ends of two records may lie apart: a weekend, holidays


IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, order=True)
class Segment:
    """Consecutive rows [start, stop) with no gap in time between them."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"segment [{self.start}, {self.stop}) has no rows")

    @property
    def bars(self) -> int:
        return self.stop - self.start

    def rows(self) -> IntArray:
        """Return the row indices, shape [bars]."""
        return np.arange(self.start, self.stop, dtype=np.int64)

    def shifted(self, by: int) -> Segment:
        """Return the same length, `by` rows later."""
        return Segment(self.start + by, self.stop + by)


@dataclass(frozen=True)
class Fold:
    """One training with its selection window and its held-out rows; the three never overlap."""

    index: int
    train: tuple[Segment, ...]
    validation: Segment
    test: tuple[Segment, ...]
    paths: tuple[int, ...] = (0,)  # for each test segment, the track record that it belongs to


@dataclass(frozen=True, eq=False)
class Windows:
    """Folds with the moments of the rows [T] that they index, by which the same windows are found among other bars."""

    folds: tuple[Fold, ...]
    timestamps: npt.NDArray[np.datetime64]

    def among(self, timestamps: npt.NDArray[np.datetime64]) -> tuple[Fold, ...]:
        """Return the folds over the same moments of other bars; what begins with the first row begins with their first.

        Raises:
            ConfigError: these bars do not reach over a validation or test window, or have next to none in a window.
        """
        return tuple(
            replace(
                fold,
                train=tuple(self._among(timestamps, segment) for segment in fold.train),
                validation=self._among(timestamps, fold.validation, whole=True),
                test=tuple(self._among(timestamps, segment, whole=True) for segment in fold.test),
            )
            for fold in self.folds
        )

    def _among(self, timestamps: npt.NDArray[np.datetime64], segment: Segment, *, whole: bool = False) -> Segment:
        first, last = self.timestamps[segment.start], self.timestamps[segment.stop - 1]
        start = 0 if segment.start == 0 else int(np.searchsorted(timestamps, first, side="left"))
        stop = int(np.searchsorted(timestamps, last, side="right"))
        covered = timestamps[0] - _APART <= first and last <= timestamps[-1] + _APART
        if stop - start < MIN_SEGMENT_BARS or (whole and not covered):
            ends = [np.datetime_as_string(at, unit="D") for at in (first, last, timestamps[0], timestamps[-1])]
            raise ConfigError(
                "bars from {2} to {3} cannot be set against others over {0} to {1}".format(*ends),
                hint="search among bars that reach over the same validation and test windows",
            )
        return Segment(start, stop)


def make_folds(spec: SplitSpec, bars: int) -> tuple[Fold, ...]:
    """Return the folds of `bars` rows, in time order of their tests; raises ConfigError where they do not fit."""
    folds = _FAMILIES[spec.name](spec, bars)
    for fold in folds:
        _check(fold, bars)
    return folds


def track_records(folds: tuple[Fold, ...]) -> tuple[tuple[tuple[int, Segment], ...], ...]:
    """Return the out-of-sample paths: for each, its (fold index, test segment) pieces in time order.

    `holdout` and `walk_forward` have one path; `cpcv` has `k / n * C(n, k)`, each covering every row once.
    """
    pieces: dict[int, list[tuple[int, Segment]]] = {}
    for fold in folds:
        for path, segment in zip(fold.paths, fold.test, strict=True):
            pieces.setdefault(path, []).append((fold.index, segment))
    return tuple(tuple(sorted(pieces[path], key=lambda item: item[1])) for path in sorted(pieces))


def _holdout(spec: SplitSpec, bars: int) -> tuple[Fold, ...]:
    test = Segment(bars - _share(spec.test_share, bars, "split.test_share"), bars)
    return (_forward_fold(spec, bars, index=0, test=test, train_start=0),)


def _walk_forward(spec: SplitSpec, bars: int) -> tuple[Fold, ...]:
    """Tile the last `test_share` of the rows; the window before each tile trains and validates."""
    start = bars - _share(spec.test_share, bars, "split.test_share")
    edges = [start + (bars - start) * i // spec.folds for i in range(spec.folds + 1)]
    folds = []
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        if right - left < MIN_SEGMENT_BARS:
            raise _too_few(bars, f"split.folds={spec.folds} cuts test segments of {right - left} bars")
        train_start = left - start if spec.window == "rolling" else 0
        folds.append(_forward_fold(spec, bars, index=index, test=Segment(left, right), train_start=train_start))
    return tuple(folds)


def _forward_fold(spec: SplitSpec, bars: int, *, index: int, test: Segment, train_start: int) -> Fold:
    validation_bars = _share(spec.validation_share, bars, "split.validation_share")
    validation_stop = test.start - spec.purge_bars
    validation_start = validation_stop - validation_bars
    train_stop = validation_start - spec.purge_bars
    if train_stop - train_start < MIN_SEGMENT_BARS:
        raise _too_few(bars, f"validation, test and purge leave {max(train_stop - train_start, 0)} bars to train on")
    return Fold(index, (Segment(train_start, train_stop),), Segment(validation_start, validation_stop), (test,))


def _cpcv(spec: SplitSpec, bars: int) -> tuple[Fold, ...]:
    """Every choice of k test groups among n (Lopez de Prado 2018, section 12.4)."""
    n, k = spec.folds, spec.test_folds
    if not 1 <= k < n:
        raise ConfigError(
            f"split.test_folds={k} must be below split.folds={n}", hint="try split.folds=6 split.test_folds=2"
        )
    if math.comb(n, k) > MAX_FOLDS:
        raise ConfigError(
            f"split.folds={n} and split.test_folds={k} make {math.comb(n, k)} trainings", hint="try split.folds=6"
        )
    size = bars // n
    if size < MIN_SEGMENT_BARS:
        raise _too_few(bars, f"split.folds={n} cuts groups of {size} bars")
    groups = [Segment(g * size, bars if g == n - 1 else (g + 1) * size) for g in range(n)]
    seen = dict.fromkeys(range(n), 0)
    folds = []
    for index, chosen in enumerate(itertools.combinations(range(n), k)):
        paths = tuple(seen[g] for g in chosen)
        for g in chosen:
            seen[g] += 1
        folds.append(_combinatorial_fold(spec, bars, index=index, test=tuple(groups[g] for g in chosen), paths=paths))
    return tuple(folds)


def _combinatorial_fold(
    spec: SplitSpec, bars: int, *, index: int, test: tuple[Segment, ...], paths: tuple[int, ...]
) -> Fold:
    runs = training_runs(bars, test, purge_bars=spec.purge_bars, embargo_bars=spec.embargo_bars)
    runs = [run for run in runs if run.bars >= MIN_SEGMENT_BARS]
    if not runs:
        raise _too_few(bars, "purge and embargo leave nothing to train on")
    host = max(runs, key=lambda run: (run.bars, run.start))
    wanted = _share(spec.validation_share, bars, "split.validation_share")
    validation_bars = min(wanted, (host.bars - spec.purge_bars) // 2)
    left = host.bars - validation_bars - spec.purge_bars
    if min(validation_bars, left) < MIN_SEGMENT_BARS:
        raise _too_few(
            bars, f"the longest stretch without test rows has {host.bars} bars, too few to train and validate"
        )
    train = tuple(Segment(run.start, run.start + left) if run == host else run for run in runs)
    return Fold(index, train, Segment(host.stop - validation_bars, host.stop), test, paths)


def training_runs(bars: int, test: tuple[Segment, ...], *, purge_bars: int, embargo_bars: int) -> list[Segment]:
    """Return the stretches of rows that neither are test rows nor lie in a purge or embargo beside them."""
    free = np.ones(bars, dtype=np.bool_)
    for segment in test:
        free[segment.start : segment.stop] = False
    blocked = ~free
    for start, stop in _runs(blocked):
        free[max(start - purge_bars, 0) : start] = False
        free[stop : stop + purge_bars + embargo_bars] = False
    return [Segment(start, stop) for start, stop in _runs(free)]


def _runs(mask: BoolArray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _share(share: float, bars: int, key: str) -> int:
    rows = round(share * bars)
    if rows < MIN_SEGMENT_BARS:
        raise _too_few(bars, f"{key}={share} is {rows} bars")
    return rows


def _too_few(bars: int, cause: str) -> ConfigError:
    return ConfigError(
        f"{bars} bars cannot be split: {cause}",
        hint="take a longer history (data.start) or a smaller share, purge or number of folds",
    )


def _check(fold: Fold, bars: int) -> None:
    """Raise ValueError unless the three parts are disjoint and inside the panel."""
    used = np.zeros(bars, dtype=np.int64)
    for segment in (*fold.train, fold.validation, *fold.test):
        if segment.stop > bars:
            raise ValueError(f"fold {fold.index} reaches row {segment.stop} of {bars}")
        used[segment.start : segment.stop] += 1
    if used.max() > 1:
        raise ValueError(f"fold {fold.index} uses a row twice")


_FAMILIES = {"holdout": _holdout, "walk_forward": _walk_forward, "cpcv": _cpcv}
