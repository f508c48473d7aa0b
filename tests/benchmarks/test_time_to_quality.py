import math

import pytest

from benchmarks import time_to_quality as ttq

pytestmark = pytest.mark.slow


def iteration(step: int, speed: float) -> dict:
    return {"env_step": step, "env_steps_per_second": speed}


def test_the_clock_counts_learning_alone_and_stops_at_the_first_look_that_is_good_enough() -> None:
    def run(clock: ttq.Clock) -> None:
        for step, sharpe in ((1000, 0.5), (3000, 1.5), (4000, 1.7), (5000, 9.0)):
            clock.on_iteration(iteration(step, 500.0))
            clock.on_evaluation({"sharpe": sharpe})

    found = ttq.timed(run, 2.0, share=0.8, limit=100.0)
    assert (found.seconds, found.learned) == (8.0, 8.0)
    assert found.best == pytest.approx(0.85)


def test_who_does_not_get_there_is_censored_with_the_best_share_so_far() -> None:
    def run(clock: ttq.Clock) -> None:
        for n, sharpe in enumerate((1.0, 1.2, math.nan, 0.3, 5.0), start=1):
            clock.on_iteration(iteration(n * 1000, 100.0))
            clock.on_evaluation({"sharpe": sharpe})

    found = ttq.timed(run, 2.0, share=0.8, limit=40.0)
    assert (found.seconds, found.best, found.learned) == (None, 0.6, 40.0)


def test_one_that_passes_at_the_very_limit_has_passed() -> None:
    def run(clock: ttq.Clock) -> None:
        clock.learned = 50.0
        clock.validated(1.8)

    assert ttq.timed(run, 2.0, share=0.8, limit=40.0).seconds == 50.0


def test_a_training_of_ours_is_looked_at_and_stopped() -> None:
    few = ("train.env_steps=8192", "algo.rollout_steps=1024", "model.hidden=[8]")
    stopped = ttq.contend("ppo", 0, r2=0.1, bars=900, share=-9.0, limit=60.0, extra=few)
    assert stopped.seconds is not None
    assert 0.0 < stopped.seconds < 60.0
    whole = ttq.contend("ppo", 0, r2=0.1, bars=900, share=99.0, limit=600.0, extra=few)
    assert whole.seconds is None
    assert whole.learned > stopped.seconds


def test_the_median_counts_the_censored_as_later_than_all() -> None:
    rows = [{"seconds": 3.0, "best": 0.9}, {"seconds": None, "best": 0.4}, {"seconds": None, "best": 0.5}]
    assert "median not reached, 1 of 3 got there, best share 0.90" in ttq.summary("x", rows)
    assert "median 3.0 s" in ttq.summary("x", rows[:2])
