"""Charts of a search whose trials are not all alike."""

from __future__ import annotations

import re

import numpy as np
import pytest

from wealtharena.evaluation.significance import probability_of_backtest_overfitting
from wealtharena.reporting.charts import search
from wealtharena.reporting.svg import Size

SIZE = Size(820, 330)


def trial(number: int, score: float | None, **params: object) -> search.TrialPoint:
    return search.TrialPoint(number, "COMPLETE" if score is not None else "FAIL", score, params)


@pytest.mark.parametrize("scored", [0, 1, 2, 5])
def test_a_parameter_that_only_failed_trials_drew_is_left_out(scored: int) -> None:
    trials = [
        trial(0, None, gamma=0.9, heads=4),
        *(trial(n, 0.1 * n, gamma=0.9 + n / 100) for n in range(1, scored + 1)),
    ]
    for drawn in (
        search.history(SIZE, trials, mode="max", metric="sharpe"),
        search.parallel(SIZE, trials, mode="max", metric="sharpe"),
        search.contour(SIZE, trials, ("gamma", "heads"), mode="max", metric="sharpe"),
    ):
        assert drawn.startswith("<svg")
        assert "heads" not in re.sub(r"<title>.*?</title>|aria-label=\"[^\"]*\"", "", drawn)


def test_a_line_passes_the_axis_of_a_parameter_that_its_trial_did_not_draw() -> None:
    trials = [trial(0, 0.1, gamma=0.9, heads=4, clip=0.1), trial(1, 0.2, gamma=0.95, clip=0.2)]
    lines = re.findall(r'class="line[^"]*" d="([^"]+)"', search.parallel(SIZE, trials, mode="max", metric="sharpe"))
    assert [line.count("M") for line in lines] == [1, 1]
    assert sorted(line.count("L") for line in lines) == [2, 3]


@pytest.mark.parametrize("trials", [2, 3, 5])
def test_the_boxes_at_or_below_zero_are_the_probability_of_overfitting(trials: int) -> None:
    """The middle of an odd number of trials has a logit of 0, which stood among those above it."""
    returns = np.random.default_rng(trials).normal(0.0, 0.01, (240, trials))
    found = probability_of_backtest_overfitting(returns, blocks=8)
    drawn = search.logits(SIZE, found.logits, probability=found.probability)
    boxes = re.findall(r'<title>([\d.]+)\u00a0%</title><rect class="bar (base-buy_and_hold|agent)"', drawn)
    below = sum(float(share) for share, css in boxes if css == "base-buy_and_hold")
    assert below == pytest.approx(100 * found.probability, abs=0.1 * len(boxes))
    assert sum(float(share) for share, _ in boxes) == pytest.approx(100, abs=0.1 * len(boxes))
