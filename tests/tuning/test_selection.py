from __future__ import annotations

import numpy as np
import pytest

from wealtharena.evaluation import significance
from wealtharena.tuning.rows import TrialRow
from wealtharena.tuning.selection import ACTIVE_KEY, RETURNS_KEY, Finalist, best, rank, selection_bias, strategies


def row(
    number: int,
    score: float | None,
    *,
    state: str = "COMPLETE",
    x: float | None = None,
    returns: np.ndarray | None = None,
) -> TrialRow:
    extra = {} if returns is None else {RETURNS_KEY: returns.tolist()}
    return TrialRow(number, state, (f"x={number if x is None else x}",), score, 1, extra)


def test_the_best_trials_are_complete_and_distinct() -> None:
    trials = [
        row(0, 1.0),
        row(1, 3.0, x=7),
        row(2, 2.9, x=7),
        row(3, 9.0, state="PRUNED"),
        row(4, None, state="FAIL"),
        row(5, 2.0),
    ]
    assert [item.number for item in best(trials, 2, mode="max")] == [1, 5]
    assert [item.number for item in best(trials, 2, mode="min")] == [0, 5]


def test_a_lucky_seed_does_not_win() -> None:
    lucky, steady = Finalist(("a=1",), (0.9, 1.0, 4.0)), Finalist(("a=2",), (0.9, 0.95, 1.0))
    assert rank([lucky, steady], mode="max")[0] is steady
    assert lucky.median > steady.median


def test_the_ranking_follows_the_mode() -> None:
    low, high = Finalist(("a=1",), (1.0, 1.1)), Finalist(("a=2",), (2.0, 2.1))
    assert rank([low, high], mode="max")[0] is high
    assert rank([low, high], mode="min")[0] is low


def test_a_search_over_noise_shows_its_overfitting_and_one_true_edge_does_not() -> None:
    rng = np.random.default_rng(3)
    noise = [rng.normal(0, 0.01, 800) for _ in range(20)]
    null = selection_bias([row(i, 0.0, returns=series) for i, series in enumerate(noise)], blocks=8)
    edge = selection_bias(
        [row(i, 0.0, returns=series + (0.002 if i == 7 else 0)) for i, series in enumerate(noise)], blocks=8
    )
    assert null.trials == edge.trials == 20
    assert null.pbo is not None
    assert null.pbo > 0.2
    assert edge.pbo is not None
    assert edge.pbo < 0.05


def test_stopped_trials_count_as_tried_and_failed_ones_that_showed_nothing_do_not() -> None:
    rng = np.random.default_rng(4)
    trials = [row(i, 0.0, state="PRUNED" if i % 2 else "COMPLETE", returns=rng.normal(0, 1, 40)) for i in range(6)]
    bias, beside = (selection_bias(rows, blocks=16) for rows in (trials, [*trials, row(9, None, state="FAIL")]))
    assert beside.trials == bias.trials == 6
    assert beside.expected_maximum_sharpe == bias.expected_maximum_sharpe


def test_the_best_trials_ratio_is_of_the_kind_that_luck_is_told_of() -> None:
    rng = np.random.default_rng(6)
    trials = [row(i, float(i), returns=rng.normal(0, 1, 40)) for i in range(4)]
    whole = selection_bias(trials, blocks=8)
    assert whole.ratio == "sharpe"
    assert whole.best_sharpe == significance.moments(trials[3].extra[RETURNS_KEY]).sharpe
    lowest = selection_bias(trials, blocks=8, mode="min")
    assert lowest.best_sharpe == significance.moments(trials[0].extra[RETURNS_KEY]).sharpe
    trials[3].extra[ACTIVE_KEY] = rng.normal(0, 1, 40).tolist()
    assert selection_bias(trials, blocks=8).ratio == "either"
    for trial in trials[:3]:
        trial.extra[ACTIVE_KEY] = rng.normal(0, 1, 40).tolist()
    tilts = selection_bias(trials, blocks=8)
    assert tilts.ratio == "information_ratio"
    assert tilts.best_sharpe == significance.moments(trials[3].extra[ACTIVE_KEY]).sharpe


def test_what_a_tilt_adds_to_its_anchor_is_what_was_chosen_among() -> None:
    tilts, whole = (row(i, 0.0, returns=np.full(20, float(i))) for i in range(2))
    tilts.extra[ACTIVE_KEY] = [0.25] * 20
    assert strategies([tilts, whole]).tolist() == [[0.25, 1.0]] * 20


def test_records_of_several_lengths_end_with_the_same_bar() -> None:
    """A longer window of features begins later, and ends where all do."""
    long, short = row(0, 0.0, returns=np.arange(5.0)), row(1, 0.0, returns=10.0 + np.arange(3.0))
    assert strategies([long, short]).tolist() == [[2.0, 10.0], [3.0, 11.0], [4.0, 12.0]]


def test_what_trials_and_seeds_vary_by_is_that_of_a_sample() -> None:
    rng = np.random.default_rng(7)
    trials = [row(i, float(i), returns=rng.normal(0, 1, 40)) for i in range(3)]
    ratios = [significance.moments(trial.extra[RETURNS_KEY]).sharpe for trial in trials]
    assert selection_bias(trials, blocks=8).sharpe_variance == pytest.approx(np.var(ratios, ddof=1))
    assert Finalist(("a=1",), (1.0, 3.0)).spread == pytest.approx(np.sqrt(2.0))
    assert Finalist(("a=1",), (1.0,)).spread == 0.0


@pytest.mark.parametrize("bars", [10, 17, 40, 200])
def test_a_search_has_one_probability_of_overfitting(bars: int) -> None:
    """The one in sweep.json and the one in the verdict, also where the record is short."""
    rng = np.random.default_rng(5)
    trials = [row(i, 0.0, returns=rng.normal(0, 1, bars)) for i in range(6)]
    judged = significance.overfitting(strategies(trials), blocks=16)
    assert selection_bias(trials, blocks=16).pbo == (judged.probability if judged is not None else None)
    assert (judged is None) is (bars < 16)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_trials_leave_the_bias_unknown(count: int) -> None:
    bias = selection_bias([row(i, 0.0, returns=np.ones(30)) for i in range(count)], blocks=8)
    assert bias.pbo is None
    assert bias.trials == count
