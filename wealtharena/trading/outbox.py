"""What people are to be told of an account: written with what led to it, crossed out once it was told."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from wealtharena.trading.database import SECONDS, transaction

STEPS: Final = (
    """CREATE TABLE posts (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL REFERENCES accounts, title TEXT NOT NULL,
       text TEXT NOT NULL, at TEXT NOT NULL, told INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE tellings (post INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE, address TEXT NOT NULL,
       PRIMARY KEY (post, address))""",
)


@dataclass(frozen=True)
class Post:
    """Something that people are to be told; `had` are the addresses that were told of it already."""

    number: int
    title: str
    text: str
    had: frozenset[str] = frozenset()


class Posts:
    """The part of a ledger that holds what is to be told, so that it is written with its cause or not at all."""

    epoch: int
    _db: sqlite3.Connection

    def post(self, title: str, text: str) -> None:
        """Write what people are to be told; within a transaction it is a part of that."""
        row = (self.epoch, title, text, dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"))
        with transaction(self._db):
            self._db.execute("INSERT INTO posts (epoch, title, text, at) VALUES (?, ?, ?, ?)", row)

    def untold(self, *, after: int = 0) -> list[Post]:
        """Return what was not told everywhere, of earlier epochs too, oldest first; that above a number only."""
        rows = self._db.execute("SELECT id, title, text FROM posts WHERE told = 0 AND id > ? ORDER BY id", (after,))
        return [Post(row["id"], row["title"], row["text"], self._had(row["id"])) for row in rows.fetchall()]

    def _had(self, number: int) -> frozenset[str]:
        rows = self._db.execute("SELECT address FROM tellings WHERE post = ?", (number,))
        return frozenset(row["address"] for row in rows)


@dataclass(frozen=True)
class Outbox:
    """Crosses out what was told, from whatever thread, in the file of a ledger that may be open elsewhere."""

    path: Path

    def told(self, number: int, address: str) -> None:
        """Record that an address was told of a post; a kill before this has it told once more, never not at all."""
        self._write("INSERT OR IGNORE INTO tellings VALUES (?, ?)", (number, address))

    def done(self, number: int, addresses: Set[str]) -> None:
        """Record that all is done about a post, where these addresses were told of it: one that is added later is not."""
        marks = ", ".join("?" * len(addresses))
        known = f"SELECT count(*) FROM tellings WHERE post = posts.id AND address IN ({marks})"
        self._write(f"UPDATE posts SET told = 1 WHERE id = ? AND ({known}) = ?", (number, *addresses, len(addresses)))

    def _write(self, statement: str, values: tuple[int | str, ...]) -> None:
        place = f"file:{quote(str(self.path.absolute()))}?mode=rw"
        with contextlib.closing(sqlite3.connect(place, uri=True, timeout=SECONDS, isolation_level=None)) as db:
            db.execute(statement, values)
