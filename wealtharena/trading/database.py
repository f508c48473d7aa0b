"""SQLite files that survive a kill at any line: WAL, durable by default, moved on by numbered steps."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from wealtharena.errors import WealthArenaError
from wealtharena.files import make_folder

SECONDS = 30.0  # longest wait for another writer
_PAUSE = 0.01  # s between two tries of what SQLite itself does not wait for
CHECKPOINT_PAGES = 8000  # written before they are moved into the file: some 250 bars, so that few wait for it; 32 MB
_PRIMARY = 0xFF  # of an extended result code
_NO_RIGHT = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_RESTORE: Final = "restore the file, or begin another paper.account"
_WAYS_OUT = {  # of what keeps a file from being written that could be written before
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "make room on the disk, or look after it",
    sqlite3.SQLITE_READONLY: "let the disk be written to",
    sqlite3.SQLITE_PERM: "let the file be written to",
    sqlite3.SQLITE_CANTOPEN: "let the folder be written to",
    sqlite3.SQLITE_BUSY: "end what holds the file, such as another program in which it is open",
}


class LedgerError(WealthArenaError):
    """A file of an account is damaged, of a newer version, or says something that cannot be."""


class FullError(LedgerError):
    """The disk takes nothing, or another program holds the file: what was to be written is not, and nothing of it."""


def connect(
    path: Path,
    steps: Sequence[Sequence[str]],
    *,
    synchronous: str = "full",
    seen: Callable[[], None] = lambda: None,
    look: bool = False,
) -> sqlite3.Connection:
    """Return a connection to the file, made or moved on to its newest version; each step is done whole or not at all.

    `steps` are statements by version, from 1 on; `seen` is called after each. To `look` a file of the newest version is
    opened as `look_at` does. LedgerError where the file is none of ours or newer than this program.
    """
    try:
        if look and (found := _newest(path, steps)) is not None:
            return found
        make_folder(path.parent)
        # an account may be handed from thread to thread, one at a time
        db = sqlite3.connect(path, timeout=SECONDS, isolation_level=None, check_same_thread=False)
        with let_go_on_error(db):
            db.row_factory = sqlite3.Row
            _write_ahead(db)
            db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            db.execute(f"PRAGMA synchronous={synchronous.upper()}")
            db.execute("PRAGMA foreign_keys=ON")
            _move_on(db, path.name, steps, seen)
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        raise LedgerError(f"{path if code in _NO_ROOM else path.name}: {error}", hint=_way_out(code)) from error
    return db


def look_at(path: Path, *, seconds: float = SECONDS) -> sqlite3.Connection:
    """Return a connection that changes nothing, not even beside the file; where nobody trades it may lie where nobody may write.

    It waits `seconds` for a writer.
    """
    traded = path.with_name(f"{path.name}-wal").exists()
    options = "mode=ro" if traded else "mode=ro&immutable=1"
    place = f"file:{quote(str(path.absolute()))}?{options}"
    db = sqlite3.connect(place, uri=True, timeout=seconds, isolation_level=None)
    db.row_factory = sqlite3.Row
    return db


def _newest(path: Path, steps: Sequence[Sequence[str]]) -> sqlite3.Connection | None:
    """Return a connection to look by; None where the file is not of the newest version."""
    db = look_at(path)
    with let_go_on_error(db):
        if int(db.execute("PRAGMA user_version").fetchone()[0]) == len(steps):
            return db
    db.close()
    return None


@contextlib.contextmanager
def let_go_on_error(db: sqlite3.Connection) -> Iterator[None]:
    """Close the file where the block raises: who was not made is closed by nobody."""
    try:
        yield
    except BaseException:
        db.close()
        raise


def _move_on(db: sqlite3.Connection, name: str, steps: Sequence[Sequence[str]], seen: Callable[[], None]) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > len(steps):
        raise LedgerError(
            f"{name} has version {version}, this program knows {len(steps)}", hint="install a newer version"
        )
    for number in range(version, len(steps)):
        with transaction(db):
            if int(db.execute("PRAGMA user_version").fetchone()[0]) > number:
                continue  # another process did this step while we waited for it
            for statement in steps[number]:
                db.execute(statement)
                seen()
            db.execute(f"PRAGMA user_version={number + 1}")


def _write_ahead(db: sqlite3.Connection) -> None:
    """Set the file's journal to WAL, and wait for others who do the same: SQLite answers them with "locked" at once."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _way_out(code: int) -> str:
    """Say what to do about a file whose opening ended with this primary code of SQLite's."""
    if code in _NO_ROOM:
        return _WAYS_OUT[code]
    if code in _NO_RIGHT:
        return "it must be a file that you may read and write"
    if code == sqlite3.SQLITE_BUSY:
        return f"another process has held it for {SECONDS:.0f} s: end that one, or try again"
    return _RESTORE


@contextlib.contextmanager
def damage_told(folder: Path) -> Iterator[None]:
    """Raise LedgerError, which names them, where files of the account in `folder` turn out damaged while they are used."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        damaged = [path.name for path in sorted(folder.glob("*.sqlite")) if not _is_whole(path)]
        raise LedgerError(f"{', '.join(damaged) or folder.name}: {error}", hint=_RESTORE) from error


def _is_whole(path: Path) -> bool:
    place = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(place, uri=True, timeout=SECONDS)) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def transaction(db: sqlite3.Connection) -> Transaction:
    """Do all that is written within, or nothing of it; kept when this ends. FullError where nothing can be written.

    Within another one it is a part of that, done whole or not at all, and kept when that ends.
    """
    return Transaction(db)


class ToldFull:
    """Raises FullError, which names the file, in place of SQLite's own words where nothing can be written just now."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.OperationalError):
            way_out = _WAYS_OUT.get(error.sqlite_errorcode & _PRIMARY)
            if way_out is not None:
                raise FullError(f"{_file_of(self._db)}: nothing can be written: {error}", hint=way_out) from error


def _file_of(db: sqlite3.Connection) -> str:
    return str(db.execute("PRAGMA database_list").fetchone()[2])


class Transaction:
    """See `transaction`; a class, since a bar has some twenty of them and a generator costs as much as what it writes."""

    __slots__ = ("_db", "_part", "_told")

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self._part, self._told = db, False, ToldFull(db)

    def __enter__(self) -> None:
        self._part = self._db.in_transaction
        with self._told:
            self._db.execute("SAVEPOINT part" if self._part else "BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._undo()
            self._told.__exit__(kind, error, trace)
            return
        with self._told:
            try:
                self._db.execute("RELEASE part" if self._part else "COMMIT")
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        if self._db.in_transaction:  # SQLite may have rolled back by itself
            self._db.execute("ROLLBACK TO part" if self._part else "ROLLBACK")
            if self._part:
                self._db.execute("RELEASE part")
