"""What reading a file settled, what it noticed and what it had to leave out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from wealtharena.data.reading import words
from wealtharena.errors import DataError

LACKS: Final = "the file has no column for"  # a note begins so


@dataclass(frozen=True)
class Settled:
    """One file's answers, in the order in which they were found.

    `facts` are (topic, answer) for a table; `notes` are the sentences that a report must carry; `dropped` counts rows
    that were left out, by cause.
    """

    name: str
    rows: int
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    dropped: tuple[tuple[str, int], ...]


@dataclass
class Ledger:
    """Where the steps of reading one file write down what they settle."""

    name: str
    rows: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    currency: str = ""  # what the file itself says that all its prices are quoted in
    zone: str = ""  # the word for a time zone that stands above its header
    zone_by: str = "a line above the header"

    def settle(self, topic: str, answer: str) -> None:
        """Write down the answer to one question."""
        self.facts[topic] = answer

    def note(self, sentence: str) -> None:
        """Keep a sentence that the report must carry; what is said of each of several symbols stands once."""
        note = f"{self.name}: {sentence}"
        if note not in self.notes:
            self.notes.append(note)

    def state_currency(self, code: str, source: str) -> None:
        """Keep the currency that the file itself states, GBX for pence, JPY|CNY for a sign of both; "" states nothing.

        Raises:
            DataError: it states two.
        """
        if not code:
            return
        both = words.agreed(self.currency, code) if self.currency else code
        if not both:
            raise DataError(
                f"{self.name} states two currencies, {words.shown(self.currency)} and {words.shown(code)} (by {source})",
                hint="write one symbol's prices in one currency, and name it by asset.instrument.currencies",
            )
        self.currency = both
        self.settle("currency", f"{words.shown(both)}, by {source}")

    def drop(self, cause: str, rows: int) -> None:
        """Count rows that were left out."""
        if rows:
            self.dropped[cause] = self.dropped.get(cause, 0) + rows

    def check_dropped(self, most: float) -> None:
        """Raise DataError where more than that share of the rows were left out."""
        dropped = sum(self.dropped.values())
        if dropped > most * max(self.rows, 1):
            causes = "; ".join(f"{count} {cause}" for cause, count in self.dropped.items())
            raise DataError(
                f"{self.name}: {dropped} of {self.rows} rows had to be left out ({causes})",
                hint="correct the file, or raise data.max_repaired_share",
            )

    def close(self) -> Settled:
        """Return what was settled."""
        said = [f"{self.name}: {count} of {self.rows} rows left out: {cause}" for cause, count in self.dropped.items()]
        facts = tuple(self.facts.items())
        return Settled(self.name, self.rows, facts, (*self.notes, *said), tuple(self.dropped.items()))


@dataclass(frozen=True, eq=False)
class Reading:
    """One table a symbol, and what was settled file by file.

    A table has `timestamp` (UTC; a bar of a day or longer at 00:00 of its date at the venue), `close` and those of open,
    high, low, volume, dividend, split and adjclose that the file has. `volume_kind` says by symbol what the column
    itself tells of its volume: units, account (money), or unknown.
    """

    tables: dict[str, pd.DataFrame]
    settled: tuple[Settled, ...]
    volume_kind: dict[str, str] = field(default_factory=dict)
    adjusted: dict[str, str] = field(default_factory=dict)  # symbols whose layout itself says how prices are adjusted
    zoned: bool = True  # whether its stamps tell instants
    currencies: dict[str, str] = field(default_factory=dict)  # symbols whose file states what they are quoted in
    paid: dict[str, str] = field(default_factory=dict)  # symbols whose file states what their dividends are paid in
    unzoned: frozenset[str] = frozenset()  # symbols of bars within the day behind whose times no zone is written

    @property
    def notes(self) -> tuple[str, ...]:
        """Return every sentence for the report."""
        return tuple(note for item in self.settled for note in item.notes)
