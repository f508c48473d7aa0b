"""Agents of one process whose brokers let themselves be waited for: one acts at a time, and lends its turn while it waits.

What an agent does at a close, and between two, is carried out by a thread in the order in which it always is. The thread
has the turn but for the moments in which it waits for its broker's answer or for time to pass. So nothing of two agents
happens at once: no two threads touch the ledgers, a decision is written down before another agent looks, and orders go
to a broker one after the other, as they stand in the ledger.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

from wealtharena.trading import errand
from wealtharena.trading.broker import Broker
from wealtharena.trading.clock import SLICE_SECONDS, Due
from wealtharena.trading.trader import Trader

T = TypeVar("T")
Carry = Callable[[Callable[[], None]], Iterator[Due]]
ASKED: Final = frozenset(  # what goes over a network; the rest touches files of ours
    {"account", "positions", "submit", "cancel", "order_by_client_id", "open_orders", "fills", "events", "cursor", "announce"}
)  # fmt: skip


def directly(work: Callable[[], None]) -> Iterator[Due]:
    """Do the work; nobody waits for it but the caller."""
    work()
    yield from ()


class Turn:
    """What one thread of a process has at a time: who has it may act."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the turn and have it within."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Give the turn away within, and wait for it again."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    def lending(self, call: Callable[..., T]) -> Callable[..., T]:
        """Return the call, which gives the turn away while it lasts."""

        @functools.wraps(call)
        def made(*args: Any, **kwargs: Any) -> T:
            with self.lent():
                return call(*args, **kwargs)

        return made


class _Lending:
    """A broker whose answers are waited for without the turn."""

    def __init__(self, broker: Broker, turn: Turn) -> None:
        self._broker, self._turn = broker, turn

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        return self._turn.lending(found) if name in ASKED else found


@dataclass(frozen=True, eq=False)
class Carrier:
    """Carries out what an agent does, by threads."""

    turn: Turn
    now: Callable[[], dt.datetime]
    wake: Callable[[], None]  # so that who waits for a moment looks sooner
    name: str = "account"  # of its threads

    def equipped(self, trader: Trader) -> Trader:
        """Return the trader that lends its turn while it waits."""
        broker = cast("Broker", _Lending(trader.broker, self.turn))
        return replace(trader, broker=broker, wait=self.turn.lending(trader.wait))

    def carry(self, work: Callable[[], None]) -> Iterator[Due]:
        """Do the work, and yield while it lasts; who has the turn when this is asked has it again after each answer.

        Who ends it early waits for the end of the work, which its broker's time-outs bound.
        """

        def in_turn() -> None:
            with self.turn.held():
                work()

        job = errand.Errand(in_turn, name=self.name)
        try:
            with self.turn.lent():
                ended = job.ended(errand.TURN_SECONDS)
            if not ended:
                job.wake(self.wake)
                while not job.ended(0.0):
                    yield Due(self.now() + dt.timedelta(seconds=SLICE_SECONDS))
        finally:
            with self.turn.lent():
                job.finish()
