"""What a key may ask a minute: a minute's worth at once, then one at a time, whichever worker is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wealtharena.deployment import limits
from wealtharena.deployment.limits import RateLimiter


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that the buckets go by, to be set."""
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[RateLimiter, RateLimiter]]:
    two = RateLimiter(tmp_path, 3), RateLimiter(tmp_path, 3)
    yield two
    for one in two:
        one.close()


def test_a_minutes_worth_may_come_at_once_and_each_after_it_waits_for_its_own(moment, workers):
    first, second = workers
    assert [one.take("a") for one in (first, second, first)] == [0.0, 0.0, 0.0]
    assert second.take("a") == pytest.approx(20.0)
    assert first.take("b") == 0.0, "another key has a bucket of its own"
    moment[0] += 19.0
    assert first.take("a") == pytest.approx(1.0), "who asks too early loses nothing"
    moment[0] += 1.0
    assert first.take("a") == 0.0
    assert second.take("a") == pytest.approx(20.0)


def test_a_long_silence_saves_up_no_more_than_a_minute(moment, workers):
    first, second = workers
    assert first.take("a") == 0.0
    moment[0] += 86_400.0
    assert [second.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert first.take("a") == pytest.approx(20.0)


def test_a_bucket_of_before_the_machine_was_started_again_is_a_new_one(moment, workers):
    first, second = workers
    for _ in range(3):
        first.take("a")
    moment[0] = 5.0
    assert second.take("a") == 0.0
    assert second.take("a") == 0.0
