"""Turns at what takes long: a client that asks much waits behind itself, not in front of the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

AT_WORK = (
    32  # requests of one owner that a worker has in hand; what more of them ask waits, and costs the others nothing
)
SEATS = 32  # large or slow requests of one worker at a time, read or waiting
SEATS_OF_ONE = 8
TURNS = 2  # computed at a time, of which one owner has one


class BusyError(Exception):
    """There is no seat: of this owner (`own`), or at all."""

    def __init__(self, *, own: bool) -> None:
        super().__init__("too many large requests of this key at once" if own else "too many large requests at once")
        self.own = own


@dataclass
class Doorway:
    """Requests of one owner come in so many at a time, the rest in their order: each turn of the event loop is as short for all others."""

    at_work: int = AT_WORK
    _inside: Counter[str] = field(default_factory=Counter, init=False)
    _waiting: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict, init=False)

    async def enter(self, owner: str) -> None:
        """Wait until there is room for one more of this owner."""
        if self._inside[owner] < self.at_work:
            self._inside[owner] += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.leave(owner)  # the place was given at this very moment
            raise

    def leave(self, owner: str) -> None:
        """Give the place to whoever of this owner has waited longest."""
        queue = self._waiting.get(owner, ())
        while queue:
            following = queue.popleft()
            if not following.done():
                following.set_result(None)
                return
        self._waiting.pop(owner, None)
        self._inside[owner] -= 1
        if not self._inside[owner]:
            del self._inside[owner]


@dataclass
class Lane:
    """Seats bound what large requests hold in memory; turns go round the owners, whatever each has waiting."""

    _seated: Counter[str] = field(default_factory=Counter, init=False)
    _running: set[str] = field(default_factory=set, init=False)
    _waiting: OrderedDict[str, deque[asyncio.Future[None]]] = field(default_factory=OrderedDict, init=False)

    @contextlib.contextmanager
    def seat(self, owner: str) -> Iterator[None]:
        """Hold a seat; BusyError at once where there is none."""
        own = self._seated[owner] >= SEATS_OF_ONE
        if own or self._seated.total() >= SEATS:
            raise BusyError(own=own)
        self._seated[owner] += 1
        try:
            yield
        finally:
            self._seated[owner] -= 1
            if not self._seated[owner]:
                del self._seated[owner]

    @contextlib.asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it; never more than one of an owner at a time."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(mine)
        self._next()
        try:
            await mine
            yield
        finally:
            if mine.done() and not mine.cancelled():
                self._running.discard(owner)
            else:
                mine.cancel()
            self._next()

    def _next(self) -> None:
        """Give turns to those whose owners have waited longest for one."""
        for owner in list(self._waiting):
            if len(self._running) >= TURNS:
                return
            queue = self._waiting[owner]
            while queue and queue[0].cancelled():
                queue.popleft()
            if queue and owner not in self._running:
                self._running.add(owner)
                queue.popleft().set_result(None)
                self._waiting.move_to_end(owner)
            if not queue:
                del self._waiting[owner]
