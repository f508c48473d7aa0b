from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.deployment.rooms import client, settings
from tests.registry.shelf import AGENT, save, stocked
from wealtharena.data import calendars
from wealtharena.deployment import app
from wealtharena.deployment.watching import Watch, mark_of, oldest_age
from wealtharena.prediction import ProductionModelManager, cleaning
from wealtharena.registry import promote


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


def test_what_the_first_bars_of_an_agent_need_is_made_at_start_and_at_its_promotion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, warmed = stocked(tmp_path), []
    monkeypatch.setattr(app, "warm", lambda metadata: warmed.append(metadata.agent))
    service = app.Service(settings(tmp_path))

    async def until(count: int) -> None:
        async with asyncio.timeout(20):
            while len(warmed) < count:
                await asyncio.sleep(0.005)

    async def live() -> None:
        async with service.lifespan(service_api):
            await until(2)
            save(store, "v2", verdict="promotable")
            promote(store, AGENT, "v2")
            await until(3)

    service_api = app.FastAPI()
    assert warmed == [], "nothing waits for it before the first answer"
    asyncio.run(live())
    assert sorted(warmed[:2]) == sorted([AGENT, "etf"])
    assert warmed[2:] == [AGENT]


@pytest.mark.slow
def test_a_warm_agent_has_its_rules_and_its_calendar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked(tmp_path)
    asked: list[str] = []
    monkeypatch.setattr(calendars, "time_zone", asked.append)
    cleaning._rules.cache_clear()
    metadata = ProductionModelManager(tmp_path / "checkpoints").load_agent_model("etf").metadata
    cleaning.warm(metadata.model_copy(update={"asset": "etf"}))
    assert cleaning._rules.cache_info().currsize == 1
    assert asked == ["XNYS"]
