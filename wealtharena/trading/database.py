"""SQLite files that survive a kill at any line: WAL, durable by default, moved on by numbered steps."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from wealtharena.errors import WealthArenaError
from wealtharena.files import make_folder

SECONDS = 30.0  # longest wait for another writer


class LedgerError(WealthArenaError):
    """A file of an account is damaged, of a newer version, or says something that cannot be."""


def connect(path: Path, steps: Sequence[Sequence[str]], *, synchronous: str = "full") -> sqlite3.Connection:
    """Return a connection to the file, made or moved on to its newest version; each step is done whole or not at all.

    `steps` are statements by version, from 1 on. LedgerError where the file is none of ours or newer than this program.
    """
    make_folder(path.parent)
    try:
        db = sqlite3.connect(path, timeout=SECONDS, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous.upper()}")
        db.execute("PRAGMA foreign_keys=ON")
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(steps):
            raise LedgerError(
                f"{path.name} has version {version}, this program knows {len(steps)}", hint="install a newer version"
            )
        for number in range(version, len(steps)):
            with transaction(db):
                for statement in steps[number]:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={number + 1}")
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"{path.name}: {error}", hint="restore the file, or begin another paper.account") from error
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Do all that is written within, or nothing of it; kept when this ends."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
