"""What is put to agent and baseline alike; the best days of a record are those of its exchange, and what they leave."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.evaluation import metrics, stress
from wealtharena.evaluation.splits import Segment


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


class Playing:
    """A backtest of a market of no bars: it notes how it is played, and earns less the harder that is."""

    features = SimpleNamespace(panel=SimpleNamespace(timestamps=worlds.trajectory(np.zeros(60)).timestamps))
    env, window, markets = SimpleNamespace(window=3), Segment(30, 61), (None,)

    def __init__(self, gain):
        self.gain, self.asked = gain, []

    def simulate(self, *, window=None, cost_factor=1.0, delay_bars=0):
        self.asked.append((window or self.window, cost_factor, delay_bars))
        return worlds.trajectory(np.array([0.0, -0.1, self.gain, 0.0, 0.0]) - 0.001 * cost_factor - 0.01 * delay_bars)


@pytest.fixture
def stressed(spec, monkeypatch):
    """Return `stressed(**changes)`: the rows of a table over two seeds, how each seed was played, and how the baseline was."""

    def run(**changes):
        beside = Playing(0.02)

        def of_baselines(features, env, window, *, cost_factor, delay_bars, **how):
            return {"hold": beside.simulate(window=window, cost_factor=cost_factor, delay_bars=delay_bars)}

        monkeypatch.setattr(stress.backtest, "of_baselines", of_baselines)
        bare = {"windows": {}, "cost_factors": (), "delay_bars": 0, "drop_best_days": 0} | changes
        asked = spec.evaluation.model_copy(update={"stress": spec.evaluation.stress.model_copy(update=bare)})
        seeds = [Playing(0.03), Playing(-0.3)]
        rows = stress.table(seeds, [], evaluation=asked, baseline="hold", rng=np.random.default_rng(0))
        assert seeds[0].asked == seeds[1].asked
        return rows, seeds[0].asked, beside.asked

    return run


def test_agent_and_baseline_meet_the_same_worse_condition(stressed):
    rows, agent, baseline = stressed(cost_factors=(2.0, 5.0), delay_bars=3)
    assert agent == baseline == [(Playing.window, 2.0, 0), (Playing.window, 5.0, 0), (Playing.window, 1.0, 3)]
    assert [row.name for row in rows] == ["2 times the costs", "5 times the costs", "3 bars later"]
    assert sorted(row.baseline["total_return"] for row in rows) == [rows[n].baseline["total_return"] for n in (2, 1, 0)]


def test_the_worst_drawdown_of_the_seeds_stands_in_the_table(stressed):
    (row,), *_ = stressed(cost_factors=(0.0,))
    assert row.metrics["max_drawdown"] == pytest.approx(0.9 * 0.7 - 1.0)


@pytest.mark.parametrize(
    ("first", "last", "played", "seen"),
    [
        ("2022-01-11", "2022-01-15", Segment(9, 15), True),  # five bars, the first of them in the first return
        ("2022-01-11", "2022-01-14", None, False),
        (
            "2022-01-29",
            "2022-02-03",
            Segment(27, 34),
            True,
        ),  # it begins before the window that was played, and ends in it
        ("2022-01-31", "2022-02-04", Segment(29, 35), False),
        ("2021-12-01", "2022-01-08", Segment(2, 8), True),  # what has no whole observation before it is not played
    ],
)
def test_a_crisis_is_all_of_its_bars_and_in_sample_where_any_lies_before_the_window(
    stressed, first, last, played, seen
):
    (row,), agent, baseline = stressed(windows={"crisis": (first, last)})
    assert agent == baseline == ([] if played is None else [(played, 1.0, 0)])
    assert row.in_sample is seen
    assert ("no bars" in row.note) is (played is None)
