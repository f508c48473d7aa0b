"""Files that are whole or absent: written beside their name, flushed to disk, then renamed; and foreign ones, read with care."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def home() -> Path | None:
    """Return the user's home folder; None where the machine knows none: HOME unset and a user without a name."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def without_home(text: str) -> str:
    """Return `text` with the home folder written as ~: what is shown or sent says nothing of whose machine it is."""
    own = home()
    return text if own is None or own == own.parent else text.replace(str(own), "~")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; on success it replaces `path`, on an error it is removed.

    A reader sees the old file or the new one, never a part, also after a crash between the two.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by UTF-8 `content`, atomically."""
    write_bytes(path, content.encode())


def jsonable(value: Any) -> Any:
    """Return `value` as JSON can hold it: NaN and infinity as null, arrays and tuples as lists, paths and dates as text."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # an array, or a number of numpy or torch
        return jsonable(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [jsonable(item) for item in value]
    if isinstance(value, Path | dt.date):
        return str(value)
    return value


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by indented JSON, atomically; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


class UnfitFileError(OSError):
    """What lies under a name is no plain file of a fitting size; its text says what it is, without the path."""


def read_regular(path: Path, *, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes, decided by kind and size before a byte is read.

    Follows no link, waits at no pipe or device. FileNotFoundError where nothing is there, UnfitFileError for the rest.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnfitFileError("is a link" if error.errno == errno.ELOOP else "cannot be read") from error
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFileError("is not a regular file")
        if status.st_size > limit:
            raise UnfitFileError(f"has {status.st_size} bytes, more than {limit}")
        content = handle.read(limit + 1)
    if len(content) > limit:
        raise UnfitFileError(f"has more than {limit} bytes")
    return content
