"""Several agents in one process take turns on one clock, so that no two of them do anything at once.

An agent is a generator: it yields the moment before which it has nothing to do, and is gone on with when that has come.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wealtharena.trading.carrying import Turn
from wealtharena.trading.clock import Clock, Due

Agent = Generator[Due, None, None]


@dataclass(eq=False)
class Turns:
    """Who trades here, by name, in the order in which they go on where two have the same moment.

    One that fails ends alone, the others go on: `failed` has its error, and `failing` is told of it at once.
    """

    agents: Mapping[str, Agent]
    failing: Callable[[str, Exception], Any]
    failed: dict[str, Exception] = field(default_factory=dict)
    turn: Turn = field(default_factory=Turn)  # which threads of the agents have in between
    _due: dict[str, Due] = field(default_factory=dict)

    def begin(self) -> None:
        """Let each get ready, up to the first moment that it waits for."""
        for name in self.agents:
            self._go(name)

    def play(self, clock: Clock) -> None:
        """Go on with each when its moment has come, and with all where the clock says so, until all have ended."""
        while self._due:
            everybody = not clock.until(min(one.moment for one in self._due.values()))
            time = clock.now()
            for name in [name for name, one in self._due.items() if everybody or one.moment <= time]:
                self._go(name)

    def close(self) -> None:
        """End all that have not come to their end, wherever they are."""
        for one in self.agents.values():
            with self.turn.held():
                one.close()

    def _go(self, name: str) -> None:
        try:
            with self.turn.held():
                self._due[name] = next(self.agents[name])  # a name keeps its place
        except StopIteration:
            self._due.pop(name, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends one agent and is told of
            self._due.pop(name, None)
            self.failed[name] = error
            self.failing(name, error)
