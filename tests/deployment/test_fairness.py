"""A client that asks much waits behind itself, not in front of the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import MutableMapping
from pathlib import Path

import pytest

from tests.deployment.rooms import FEATURES, client
from tests.registry.shelf import AGENT, stocked
from wealtharena.deployment.fairness import SEATS, SEATS_OF_ONE, BusyError, Doorway, Lane


def test_turns_go_round_the_owners_and_none_has_two() -> None:
    lane, order, running = Lane(), [], {"a": 0, "b": 0, "c": 0}

    async def work(owner: str) -> None:
        async with lane.turn(owner):
            running[owner] += 1
            assert running[owner] == 1
            assert sum(running.values()) <= 2
            order.append(owner)
            await asyncio.sleep(0.001)
            running[owner] -= 1

    async def all_of_them() -> None:
        many = [asyncio.create_task(work("a")) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.gather(*many, work("b"), work("c"))

    asyncio.run(all_of_them())
    assert len(order) == 22
    assert max(order.index("b"), order.index("c")) <= 4, "they wait behind one turn of the other, not behind twenty"


def test_a_turn_that_is_given_up_is_passed_on() -> None:
    lane = Lane()

    async def hold(seconds: float) -> str:
        async with lane.turn("a"):
            await asyncio.sleep(seconds)
        return "had it"

    async def play() -> str:
        first, second, third = (asyncio.create_task(hold(seconds)) for seconds in (600, 600, 0))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.wait_for(third, 60)

    assert asyncio.run(play()) == "had it"


def test_so_many_of_one_owner_come_in_at_once_and_the_rest_in_their_order() -> None:
    doorway, order, inside = Doorway(at_work=3), [], {"a": 0, "b": 0}

    async def work(owner: str, number: int) -> None:
        await doorway.enter(owner)
        inside[owner] += 1
        assert inside["a"] <= 3
        order.append((owner, number))
        await asyncio.sleep(0)
        inside[owner] -= 1
        doorway.leave(owner)

    async def all_of_them() -> None:
        many = [asyncio.create_task(work("a", n)) for n in range(20)]
        await asyncio.sleep(0)
        other = asyncio.create_task(work("b", 0))
        given_up = many[10]
        given_up.cancel()
        await asyncio.gather(*many[:10], *many[11:], other)
        await work("a", 20)

    asyncio.run(all_of_them())
    assert order.index(("b", 0)) <= 6, "another owner waits behind none of them"
    assert [number for owner, number in order if owner == "a"] == [n for n in range(21) if n != 10]
    assert doorway == Doorway(at_work=3), "nothing of it stays"


def test_a_place_that_is_given_to_who_has_just_given_up_goes_on() -> None:
    doorway = Doorway(at_work=1)

    async def play() -> None:
        await doorway.enter("a")
        second, third = (asyncio.create_task(doorway.enter("a")) for _ in range(2))
        await asyncio.sleep(0)
        doorway.leave("a")  # to the second, which is told to stop before it can take it
        second.cancel()
        await asyncio.wait_for(third, 60)
        doorway.leave("a")

    asyncio.run(play())
    assert doorway == Doorway(at_work=1)


@pytest.mark.slow
def test_who_waits_for_a_body_holds_no_place(tmp_path: Path) -> None:
    """Otherwise as many slow bodies as there are places would keep out all others of the same key or address."""
    stocked(tmp_path)
    guard = client(tmp_path).guard
    guard.doorway.at_work = 1

    async def play() -> list[object]:
        slow, statuses = asyncio.Event(), []

        async def receive() -> dict[str, object]:
            await slow.wait()
            return {"type": "http.request", "body": json.dumps({"features": FEATURES}).encode()}

        async def send(message: MutableMapping[str, object]) -> None:
            if "status" in message:
                statuses.append(message["status"])

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"99")]
        scope = {"type": "http", "http_version": "1.1", "query_string": b"", "client": ("127.0.0.1", 1), "headers": headers, "root_path": "", "scheme": "http", "server": ("localhost", 80)}  # fmt: skip
        asking = asyncio.create_task(
            guard({**scope, "method": "POST", "path": f"/agents/{AGENT}/predict"}, receive, send)
        )
        await asyncio.sleep(0.05)
        await asyncio.wait_for(guard({**scope, "method": "GET", "path": "/health"}, receive, send), 60)
        slow.set()
        await asyncio.wait_for(asking, 60)
        return statuses

    assert asyncio.run(play()) == [200, 200]


def test_seats_are_few_for_one_and_bounded_for_all() -> None:
    lane = Lane()
    with contextlib.ExitStack() as stack:
        for _ in range(SEATS_OF_ONE):
            stack.enter_context(lane.seat("a"))
        with pytest.raises(BusyError) as caught, lane.seat("a"):
            pass
        assert caught.value.own
        for n in range(SEATS - SEATS_OF_ONE):
            stack.enter_context(lane.seat(f"b{n % 4}"))
        with pytest.raises(BusyError) as caught, lane.seat("z"):
            pass
        assert not caught.value.own
    with lane.seat("a"):
        pass
