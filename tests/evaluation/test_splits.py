import contextlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wealtharena.config.specs.split import SplitSpec
from wealtharena.errors import ConfigError
from wealtharena.evaluation.splits import Segment, Windows, make_folds, track_records, training_runs


def spec(name="holdout", **changes):
    values = {
        "validation_share": 0.2,
        "test_share": 0.2,
        "purge_bars": 0,
        "embargo_bars": 0,
        "folds": 3,
        "test_folds": 2,
        "window": "expanding",
    }
    return SplitSpec(name=name, **(values | changes))


def folds_or_none(s, bars):
    with contextlib.suppress(ConfigError):
        return make_folds(s, bars)
    return None


def rows(segments):
    return np.concatenate([segment.rows() for segment in segments])


def test_holdout_takes_the_last_rows_for_the_test_and_purges_before_each_border():
    (fold,) = make_folds(spec(purge_bars=3), 100)
    assert fold.train == (Segment(0, 54),)
    assert fold.validation == Segment(57, 77)
    assert fold.test == (Segment(80, 100),)


def test_walk_forward_expanding_tiles_the_tail_and_always_trains_from_the_first_row():
    folds = make_folds(spec("walk_forward", test_share=0.5, validation_share=0.1, folds=5), 100)
    assert [f.test for f in folds] == [(Segment(a, a + 10),) for a in (50, 60, 70, 80, 90)]
    assert [f.train for f in folds] == [(Segment(0, a),) for a in (40, 50, 60, 70, 80)]
    assert [f.validation for f in folds] == [Segment(a - 10, a) for a in (50, 60, 70, 80, 90)]


def test_walk_forward_rolling_keeps_the_training_length():
    folds = make_folds(
        spec("walk_forward", test_share=0.5, validation_share=0.1, folds=5, window="rolling", purge_bars=2), 100
    )
    assert {f.train[0].bars for f in folds} == {36}
    assert [f.train[0].start for f in folds] == [0, 10, 20, 30, 40]


def test_cpcv_3_2_has_skfolios_published_rows():
    """Twelve rows, three groups, two of them tested: the index example of skfolio's CombinatorialPurgedCV."""
    tests = [[[0, 1, 2, 3], [4, 5, 6, 7]], [[0, 1, 2, 3], [8, 9, 10, 11]], [[4, 5, 6, 7], [8, 9, 10, 11]]]
    plain = [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]
    purged = [[9, 10, 11], [5, 6], [0, 1, 2]]
    embargoed = [[9, 10, 11], [5, 6, 7], [0, 1, 2, 3]]
    for expected, purge, embargo in ((plain, 0, 0), (purged, 1, 0), (embargoed, 0, 1)):
        for test, train in zip(tests, expected, strict=True):
            segments = tuple(Segment(group[0], group[-1] + 1) for group in test)
            assert rows(training_runs(12, segments, purge_bars=purge, embargo_bars=embargo)).tolist() == train


def test_a_purge_that_is_longer_than_what_stands_before_a_test_takes_all_of_that():
    assert training_runs(12, (Segment(2, 4),), purge_bars=3, embargo_bars=0) == [Segment(7, 12)]


def test_cpcv_purges_between_what_is_trained_on_and_what_chooses():
    (fold, *_) = make_folds(spec("cpcv", folds=5, test_folds=1, purge_bars=3), 100)
    assert (fold.train, fold.validation) == ((Segment(23, 77),), Segment(80, 100))


def test_cpcv_3_2_gives_3_splits_and_2_paths():
    folds = make_folds(spec("cpcv", folds=3, test_folds=2), 12)
    assert [f.test for f in folds] == [
        (Segment(0, 4), Segment(4, 8)),
        (Segment(0, 4), Segment(8, 12)),
        (Segment(4, 8), Segment(8, 12)),
    ]
    assert [f.paths for f in folds] == [(0, 0), (1, 0), (1, 1)]
    assert len(track_records(folds)) == 2


def test_cpcv_5_2_gives_10_splits_and_4_paths_each_covering_every_row_once():
    folds = make_folds(spec("cpcv", folds=5, test_folds=2), 100)
    assert len(folds) == 10
    paths = track_records(folds)
    assert len(paths) == 4
    for path in paths:
        assert rows([segment for _, segment in path]).tolist() == list(range(100))
    assert [fold for fold, _ in paths[0]] == [0, 0, 1, 2, 3]  # skfolio: recombined_paths[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "k", "purge", "embargo"), [(3, 2, 0, 0), (5, 2, 2, 3), (6, 3, 1, 0), (8, 2, 0, 4), (5, 4, 1, 1)]
)
def test_cpcv_agrees_with_skfolio(n, k, purge, embargo):
    selection = pytest.importorskip(
        "skfolio.model_selection", reason="comes with the extra `dev`: pip install -e '.[dev]'"
    )
    reference = selection.CombinatorialPurgedCV(n_folds=n, n_test_folds=k, purged_size=purge, embargo_size=embargo)
    bars = 203
    folds = make_folds(spec("cpcv", folds=n, test_folds=k, purge_bars=purge, embargo_bars=embargo), bars)
    assert len(folds) == reference.n_splits
    assert len(track_records(folds)) == reference.n_test_paths
    assert np.array_equal([f.paths for f in folds], reference.get_path_ids())
    for fold, (train, tests) in zip(folds, reference.split(np.zeros((bars, 1))), strict=True):
        runs = training_runs(bars, fold.test, purge_bars=purge, embargo_bars=embargo)
        assert rows(runs).tolist() == train.tolist()
        assert [s.rows().tolist() for s in fold.test] == [t.tolist() for t in tests]
        assert set(rows((*fold.train, fold.validation)).tolist()) <= set(train.tolist())


def test_cpcv_trains_on_separate_segments_around_a_test_group():
    folds = make_folds(spec("cpcv", folds=5, test_folds=1), 100)
    assert folds[2].train == (Segment(0, 40), Segment(60, 80))
    assert folds[2].validation == Segment(80, 100)


@settings(max_examples=60)
@given(
    st.sampled_from(["holdout", "walk_forward", "cpcv"]),
    st.integers(30, 400),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(3, 6),
    st.integers(1, 2),
    st.sampled_from(["expanding", "rolling"]),
)
def test_no_fold_uses_a_row_twice_and_none_selects_inside_a_border(name, bars, purge, embargo, n, k, window):
    s = spec(name, purge_bars=purge, embargo_bars=embargo, folds=n, test_folds=k, window=window)
    folds = folds_or_none(s, bars)
    assume(folds is not None)
    for fold in folds:
        learnt = rows((*fold.train, fold.validation))
        held = rows(fold.test)
        assert np.unique(np.concatenate([learnt, held])).size == learnt.size + held.size
        for segment in fold.test:
            before = learnt[learnt < segment.start]
            assert before.size == 0 or segment.start - before.max() > purge
            after = learnt[learnt >= segment.stop]
            assert after.size == 0 or after.min() - segment.stop >= (purge + embargo if name == "cpcv" else 0)
        trained = rows(fold.train)
        chosen_by = trained[trained < fold.validation.start]
        assert chosen_by.size == 0 or fold.validation.start - chosen_by.max() > purge
        assert max(s.stop for s in (*fold.train, fold.validation, *fold.test)) <= bars
    if name == "cpcv":
        assert len(folds) == math.comb(n, k)
    for path in track_records(folds):
        for (_, left), (_, right) in itertools.pairwise(path):
            assert left.stop == right.start


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"validation_share": 0.5, "test_share": 0.5}, "train on"),
        ({"name": "cpcv", "folds": 2, "test_folds": 2}, "test_folds"),
        ({"name": "cpcv", "folds": 20, "test_folds": 10}, "trainings"),
        ({"name": "walk_forward", "folds": 40}, "folds"),
        ({"purge_bars": 80}, "train on"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(changes, word):
    with pytest.raises(ConfigError, match=word):
        make_folds(spec(**changes), 60)


DAYS = np.datetime64("2020-01-01") + np.arange(400)


@pytest.mark.parametrize("family", [{}, {"name": "walk_forward"}])
@pytest.mark.parametrize("other", [DAYS[90:], DAYS[::2], np.r_[DAYS[0] - np.arange(50, 0, -1), DAYS]])
def test_windows_are_found_by_their_moments_among_other_bars(family, other):
    folds = make_folds(spec(purge_bars=2, **family), DAYS.size)
    for fold, found in zip(folds, Windows(folds, DAYS).among(other), strict=True):
        assert found.train[0].start == 0
        for own, placed in zip(
            (*fold.train, fold.validation, *fold.test), (*found.train, found.validation, *found.test), strict=True
        ):
            within = other[placed.start : placed.stop]
            assert within[-1] <= DAYS[own.stop - 1] < within[-1] + np.timedelta64(2, "D")
            assert placed.start == 0 or DAYS[own.start] <= within[0] < DAYS[own.start] + np.timedelta64(2, "D")
    assert Windows(folds, DAYS).among(DAYS) == folds


@pytest.mark.parametrize("other", [DAYS[:390], DAYS[:350], DAYS[300:]])
def test_bars_that_do_not_reach_over_a_window_are_refused(other):
    with pytest.raises(ConfigError, match=r"cannot be set against others over 20.*; search among bars"):
        Windows(make_folds(spec(), DAYS.size), DAYS).among(other)
