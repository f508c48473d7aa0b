"""Orders of two agents that would trade with each other on one account of a broker: the later one is not given.

The other agents are read from their ledgers, so that it holds whether they trade in this process or in one of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wealtharena.trading import reading


@dataclass(frozen=True)
class Neighbours:
    """The other accounts below a root that trade at the same broker."""

    root: Path
    own: Path  # folder of the account that asks
    broker: str

    def against(self, orders: Mapping[str, float]) -> dict[str, str]:
        """Return the symbols of `orders` in which another account is about to trade the other way, with its name."""
        found: dict[str, str] = {}
        for agent, account, folder in reading.accounts(self.root):
            if folder.resolve() == self.own.resolve():
                continue
            for symbol, units in reading.working(folder, broker=self.broker).items():
                if orders.get(symbol, 0.0) * units < 0.0:
                    found.setdefault(symbol, f"{agent}/{account}")
        return found
