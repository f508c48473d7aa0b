"""The best days of a record are those of its exchange, and what they leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.evaluation import metrics, stress


def test_the_best_days_are_days_not_bars():
    """Two bars a day: the day that gained most over both its bars goes, not the bars that gained most."""
    returns = np.array([0.05, -0.05, 0.03, 0.03, 0.0, 0.0])
    stamps = np.datetime64("2024-01-01T00", "ns") + np.array([0, 6, 18, 30, 42, 54, 66]) * np.timedelta64(1, "h")
    played = replace(worlds.trajectory(returns), timestamps=stamps)
    kept = played.returns[stress.not_best_days(played, 1)]
    assert kept.tolist() == pytest.approx([0.05, -0.05, 0.0, 0.0])
    assert not stress.not_best_days(played, 99).any()


def test_the_best_days_are_those_of_the_exchange():
    """Sydney's session of a date begins at 23:00 UTC of the day before, with the gap since its last close."""
    days = np.datetime64("2023-01-08T23", "ns") + np.arange(10) * np.timedelta64(1, "D")
    stamps = (days[:, None] + np.arange(6) * np.timedelta64(1, "h")).reshape(-1)
    returns = np.zeros(len(stamps) - 1)
    returns[11], returns[12:18] = 0.02, 0.01  # the gap before the third session, its hours, and the gap after it
    played = replace(worlds.trajectory(returns), timestamps=stamps)
    assert np.flatnonzero(~stress.not_best_days(played, 1)).tolist() == list(range(11, 17))


def test_a_day_that_lost_more_than_all_is_no_best_day():
    """A loss of more than all is not floored to one just above all: it orders and counts as what it is."""
    played = worlds.trajectory(np.array([0.02, 0.05, -1.3, 0.0, 0.0]))
    kept = played.returns[stress.not_best_days(played, 1)]
    assert kept.tolist() == pytest.approx([0.02, -1.3, 0.0, 0.0])
    assert metrics.total_return(kept) == pytest.approx(1.02 * -0.3 - 1)
    owing = worlds.trajectory(np.zeros(3), equity=np.array([1e6, -5e5, -5e5, -5e5]))
    assert owing.returns[stress.not_best_days(owing, 2)].tolist() == [-1.5]
