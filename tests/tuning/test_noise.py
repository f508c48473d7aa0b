"""A search over strategies that know nothing must not end in anything that one may use."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.worlds import trajectory
from wealtharena.config import compose
from wealtharena.evaluation.evaluate import Facts, judge
from wealtharena.evaluation.trials import Trials
from wealtharena.tuning.rows import TrialRow
from wealtharena.tuning.selection import RETURNS_KEY, best, selection_bias, strategies

pytestmark = pytest.mark.slow

SEARCHES, TRIALS, BARS, SEEDS = 20, 20, 500, 3


def noise_search(number: int) -> str:
    """Return the verdict on the winner of one search over noise, judged by the statistical rules alone."""
    rng = np.random.default_rng([number, 5])
    rows = []
    for k in range(TRIALS):
        returns = rng.normal(0, 0.01, BARS)
        score = float(returns.mean() / returns.std(ddof=1) * np.sqrt(252))
        rows.append(TrialRow(k, "COMPLETE", (f"x={k}",), score, 1, {RETURNS_KEY: returns.tolist()}))
    spec = compose(
        [
            "evaluation.verdict.allow_simulated=true",
            "evaluation.verdict.require_audit=false",
            "evaluation.bootstrap_draws=500",
        ]
    )
    bias = selection_bias(rows, blocks=spec.evaluation.cscv_blocks)
    assert best(rows, 1, mode="max")[0].score > 0.5, "the winner of twenty always looks good"
    agents = [trajectory(rng.normal(0, 0.01, BARS)) for _ in range(SEEDS)]
    hold = trajectory(rng.normal(0, 0.01, BARS), name="buy_and_hold")
    facts = Facts(
        simulated=True,
        unadjusted_rolls=False,
        trials=Trials(bias.trials, 252 * (bias.sharpe_variance or 0.0)),
        openings=1,
    )
    judged = judge(
        agents, {"buy_and_hold": hold}, evaluation=spec.evaluation, facts=facts, rng=rng, strategies=strategies(rows)
    )
    return judged.verdict.status


def test_of_twenty_searches_over_noise_at_least_nineteen_are_rejected_and_none_is_promotable() -> None:
    verdicts = [noise_search(number) for number in range(SEARCHES)]
    assert verdicts.count("rejected") >= 19
    assert "promotable" not in verdicts
