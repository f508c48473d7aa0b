from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.deployment.rooms import client
from tests.registry.shelf import stocked
from wealtharena.deployment.watching import Watch, mark_of, oldest_age


def test_a_look_that_fails_is_looked_again_and_its_age_grows(caplog: pytest.LogCaptureFixture) -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) < 5:
            raise KeyError("anything")

    watch = Watch("test", look, 0.01)

    async def until(count: int) -> float:
        task = asyncio.create_task(watch.run())
        while len(looks) < count:
            await asyncio.sleep(0.005)
        age = watch.age()
        task.cancel()
        return age

    began = time.monotonic()
    age = asyncio.run(until(4))
    assert 0.02 < age <= time.monotonic() - began, "no look got through yet"
    asyncio.run(until(7))
    assert caplog.text.count("the test watcher failed and goes on") == 4
    assert watch.age() < time.monotonic() - began


def test_the_worker_furthest_behind_counts_and_a_dead_one_does_not(tmp_path: Path) -> None:
    mine = mark_of(tmp_path)
    mine.touch()
    os.utime(mine, (time.time() - 50, time.time() - 50))
    other = tmp_path / f"watched-{os.getppid()}"
    other.touch()
    os.utime(other, (time.time() - 90, time.time() - 90))
    gone = tmp_path / "watched-99999999"
    gone.touch()
    os.utime(gone, (1, 1))
    assert 89 < oldest_age(tmp_path) < 120
    other.unlink()
    assert 49 < oldest_age(tmp_path) < 80


def test_the_age_stands_in_ready_and_in_the_metrics(tmp_path: Path) -> None:
    stocked(tmp_path)
    service = client(tmp_path)
    mark = mark_of(tmp_path / "runtime")
    os.utime(mark, (time.time() - 100, time.time() - 100))
    assert service.get("/ready").json()["watched_seconds_ago"] < 100
    (line,) = (
        line
        for line in service.get("/metrics").text.splitlines()
        if line.startswith("wealtharena_watcher_age_seconds ")
    )
    assert float(line.split()[1]) >= 100
