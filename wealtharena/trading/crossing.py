"""Orders of two agents that would trade with each other on one account of a broker: the later one is not given.

The other agents are read from their ledgers, so that it holds whether they trade in this process or in one of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wealtharena.trading import reading
from wealtharena.trading.guard import Intervention
from wealtharena.trading.ledger import Ledger

RULE: Final = "crossing"
ACCOUNT: Final = "account"  # note of a ledger that tells accounts at a broker apart


def mark_of(place: str) -> str:
    """Return what tells accounts at a broker apart and gives nothing away of them."""
    return hashlib.sha256(place.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Neighbours:
    """The other accounts below a root that trade at the same broker, on the same account there as far as is known."""

    root: Path
    own: Path  # folder of the account that asks
    broker: str
    ledgers: Mapping[Path, Ledger] = field(default_factory=dict)  # of those that trade in this process, by folder

    def against(self, orders: Mapping[str, float], *, place: str | None) -> dict[str, list[str]]:
        """Return the symbols of `orders` in which another account is about to trade the other way, by its name.

        `place` tells accounts at the broker apart; one that is not known may be any.
        """
        found: dict[str, list[str]] = {}
        taken: set[str] = set()
        for name, folder in self._others():
            working = reading.working(folder, broker=self.broker, place=place)
            met = [one for one, units in working.items() if orders.get(one, 0.0) * units < 0.0 and one not in taken]
            if met:
                found[name] = met
                taken.update(met)
        return found

    def tell(self, bar: str, name: str, met: Mapping[str, list[str]], orders: Mapping[str, float]) -> None:
        """Write, once, into the ledger of each of `met` that trades in this process what `name` did not order against it."""
        for other, folder in self._others():
            ledger = self.ledgers.get(folder.resolve())
            if other not in met or ledger is None:
                continue
            told = Intervention(
                RULE, f"stood: {name} was kept from trading against it", tuple(met[other]),
                {symbol: orders[symbol] for symbol in met[other]},
            )  # fmt: skip
            known = ((one["bar"], one["action"], tuple(one["symbols"])) for one in ledger.interventions())
            if (bar, told.action, told.symbols) not in known:  # a kill may have come between this and what it is about
                ledger.intervene(bar, [told])

    def sharing(self, place: str) -> str | None:
        """Return who trades on this very account in this process already; None where nobody does."""
        for name, folder in self._others():
            ledger = self.ledgers.get(folder.resolve())
            here = ledger is not None and (ledger.facts() or {}).get("broker") == self.broker
            if ledger is not None and here and ledger.note(ACCOUNT) == place:
                return name
        return None

    def _others(self) -> Iterator[tuple[str, Path]]:
        for agent, account, folder in reading.accounts(self.root):
            if folder.resolve() != self.own.resolve():
                yield f"{agent}/{account}", folder
