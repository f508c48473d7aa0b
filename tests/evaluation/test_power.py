"""What the judge lets through: no luck that was picked, next to no luck that was not, and a true edge.

`benchmarks/adversary.py` counts the same over hundreds of groups; these are the first of those.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation import recorded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rules():
    return recorded.rules(draws=300)


def test_no_three_seeds_picked_from_twenty_of_noise_are_promotable(rules):
    found = [recorded.picked(i, bars=4 * recorded.DAYS, evaluation=rules).verdict for i in range(20)]
    assert "promotable" not in [verdict.status for verdict in found]
    for verdict in found:
        assert verdict.evidence.trials == 18, "one configuration, and seventeen runs left out"
        assert any("17 completed runs of this configuration" in reason for reason in verdict.reasons)


def test_of_honest_groups_of_noise_next_to_none_is_promotable(rules):
    """At most 2.5 % by construction: of forty, more than four would be a fault (less than 0.5 % of the time)."""
    found = [recorded.honest(i, bars=4 * recorded.DAYS, evaluation=rules).verdict.status for i in range(40)]
    assert found.count("promotable") <= 3


def test_a_true_edge_passes(rules):
    found = [recorded.edge(i, bars=8 * recorded.DAYS, evaluation=rules) for i in range(10)]
    assert [f.verdict.status for f in found].count("promotable") >= 8
    assert 2.0 < np.mean([f.verdict.evidence.sharpe for f in found]) < 3.0
    assert np.mean([f.baseline_metrics["buy_and_hold"]["sharpe"] for f in found]) == pytest.approx(0.4)
