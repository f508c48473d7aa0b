"""Orders of two agents that would trade with each other on one account of a broker: the later one is not given.

The other agents are read from their ledgers, so that it holds whether they trade in this process or in one of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
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
class Met:
    """Symbols in which another account is about to trade the other way, or, where its ledger cannot be read, may be."""

    name: str
    folder: Path
    symbols: tuple[str, ...]
    known: bool

    @property
    def action(self) -> str:
        """Return what is told of it."""
        if self.known:
            return f"skip: would trade against {self.name}"
        return f"skip: may trade against {self.name}, whose {reading.LEDGER} cannot be read (mend it, or move its folder away)"


@dataclass(frozen=True)
class Neighbours:
    """The other accounts below a root that trade at the same broker, on the same account there as far as is known."""

    root: Path
    own: Path  # folder of the account that asks
    broker: str
    ledgers: Mapping[Path, Ledger] = field(default_factory=dict)  # of those that trade in this process, by folder

    def against(self, orders: Mapping[str, float], *, place: str | None) -> list[Met]:
        """Return what of `orders` another account is about to trade the other way, or may be: its ledger cannot be read.

        `place` tells accounts at the broker apart; one that is not known may be any.
        """
        found: list[Met] = []
        taken: set[str] = set()
        for name, folder in self._others():
            working = reading.working(folder, broker=self.broker, place=place)
            met = tuple(
                one
                for one, units in orders.items()
                if one not in taken and units and (working is None or units * working.get(one, 0.0) < 0.0)
            )
            if met:
                found.append(Met(name, folder, met, known=working is not None))
                taken.update(met)
        return found

    def tell(self, bar: str, name: str, met: Iterable[Met], orders: Mapping[str, float]) -> None:
        """Write, once, into the ledger of each of `met` that trades in this process what `name` did not order against it."""
        for one in met:
            ledger = self.ledgers.get(one.folder.resolve())
            if ledger is None:
                continue
            told = Intervention(
                RULE, f"stood: {name} was kept from trading against it", one.symbols,
                {symbol: orders[symbol] for symbol in one.symbols},
            )  # fmt: skip
            known = ((row["bar"], row["action"], tuple(row["symbols"])) for row in ledger.interventions())
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
