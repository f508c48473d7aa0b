"""Files that are whole or absent, logs that grow by whole lines, and foreign files that are read with care."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import io
import json
import math
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

NEWER = "install a newer version"  # what to do about what `newer` names


def newer(content: Mapping[str, Any], *, known: int) -> str:
    """Return what is wrong with the `schema_version` of a file of ours, "" where this program reads it.

    A file without one is from before they were written.
    """
    found = content.get("schema_version", known)
    if type(found) is int and found <= known:
        return ""
    return f"has schema_version {str(found)[:20]}, this program knows {known}"


def relative(path: Path) -> str:
    """Return the path as seen from the working folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def let_go(stream: TextIO | None) -> None:
    """Point a stream that can no longer be written at nothing, so that what writes to it goes on."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # it has no descriptor
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, stream.fileno())  # type: ignore[union-attr]  # None has none
        finally:
            os.close(nothing)


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once, on standard output unless told otherwise; to nobody where its reader has gone."""
    try:
        with naming(Path("standard output")):
            print(text, file=stream, flush=True)
    except BrokenPipeError:
        let_go(stream or sys.stdout)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError of the block that names no file name `path`: what an open file could not take says nothing of where."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; on success it replaces `path`, on an error it is removed.

    A reader sees the old file or the new one, never a part, also after a crash between the two.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with naming(path):
            yield temporary
            sync(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(place: Path) -> None:
    """Flush a file's content, or a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush(folder: Path) -> None:
    """Flush a folder and all that is in it, before it takes its name; also what may only be read."""
    for path in folder.iterdir():
        (flush if path.is_dir() else sync)(path)
    sync(folder)


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


LOCK_SECONDS = 30.0  # a writer holds a file for milliseconds; longer, and it hangs or is stopped
# what a full disk, a quota or a limit on file sizes answers
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})  # of a network's folder that is mounted without


def lockless(error: OSError, path: Path) -> OSError:
    """Return the error of a lock on `path` that its file system does not know, in words; any other as it is."""
    return OSError(error.errno, "its file system knows no locks", str(path)) if error.errno in NO_LOCKS else error


def named_in(error: OSError, otherwise: str) -> str:
    """Return the file that an error names, of a copy where it was to go, or `otherwise`."""
    return str(error.filename2 or error.filename or otherwise)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each entered on disk before this returns."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        sync(place.parent)


@contextlib.contextmanager
def held(path: Path, *, seconds: float = LOCK_SECONDS) -> Iterator[int]:
    """Yield a descriptor to append to `path`, made where it is absent, while no other process that asks here has it.

    TimeoutError after `seconds` of waiting for another holder, OSError for what is no regular file or cannot be written.
    """
    make_folder(path.parent)
    fresh = not path.exists()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o666)  # less the umask, as any file: a group may share a registry
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        if fresh:
            sync(path.parent)
        _wait_for(descriptor, path, seconds)
        try:
            yield descriptor
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile would go on holding it
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether somebody has `path` by `held` at this moment; False where nobody can tell."""
    try:
        with io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def _wait_for(descriptor: int, path: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                why = f"another process has held it for {seconds:g} seconds"
                raise TimeoutError(errno.ETIMEDOUT, why, str(path)) from None
            time.sleep(0.02)
        except OSError as error:
            raise lockless(error, path) from error
        else:
            return


def append_line(path: Path, line: Callable[[bytes], bytes | None], *, seconds: float = LOCK_SECONDS) -> None:
    """Append one line to a log, the whole of it, on disk when this returns; OSError otherwise, and the log is as it was.

    `line` is asked for the new line while no other writer can come between, and is given all that stands, lines that each
    end in a newline; None adds nothing. A last line without one, which a crash cut short and nobody was told of, goes first, unless it is
    whole JSON, which then gets its newline.
    """
    with naming(path), held(path, seconds=seconds) as descriptor:
        size = os.fstat(descriptor).st_size
        before = os.pread(descriptor, size, 0)
        standing = _mended(before)
        content = line(standing)
        if content is None:
            return
        if b"\n" in content:
            raise ValueError("a line holds no newline")
        whole = min(len(before), len(standing))
        try:
            if whole < size:
                os.ftruncate(descriptor, whole)
            _write_all(descriptor, standing[whole:] + content + b"\n")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, whole)  # our own bytes only; what stood before them stands
            raise


def _mended(content: bytes) -> bytes:
    """Return the whole lines of a log; a last one without a newline is kept, with it, where it is JSON."""
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return content
    try:
        json.loads(content[end:])
    except ValueError:
        return content[:end]
    return content + b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


@dataclass(frozen=True)
class Line:
    """A line of a log: its number from 1, its bytes, and the JSON object that it holds."""

    number: int
    raw: bytes
    content: Mapping[str, Any]


class BadLineError(ValueError):
    """A line of a log, counted from 1, is not what it should be."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"line {number} {problem}")
        self.number, self.problem = number, problem


def whole_lines(content: bytes) -> list[bytes]:
    """Return the lines of a log without their newlines; one that a crash cut short is left out."""
    return _mended(content).split(b"\n")[:-1]


def read_lines(content: bytes) -> Iterator[Line]:
    """Yield the lines of a log of JSON objects, split at newlines and nothing else; BadLineError for any other line.

    A last line without a newline is one that a crash cut short: it was never said to be kept, and is passed over.
    """
    for number, raw in enumerate(whole_lines(content), start=1):
        try:
            found = json.loads(raw.decode())
        except UnicodeDecodeError as error:
            raise BadLineError(number, "is not UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise BadLineError(number, "is not JSON") from error
        if not isinstance(found, dict):
            raise BadLineError(number, "is not a JSON object")
        yield Line(number, raw, found)


def read_log(path: Path) -> bytes:
    """Return the content of a log, nothing where there is none; OSError for what is no regular file, such as a pipe."""
    try:
        with io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise OSError(errno.EINVAL, "is not a regular file", str(path))
            return handle.readall()
    except FileNotFoundError:
        return b""


def require_appendable(path: Path) -> None:
    """Raise the OSError that appending to `path` would meet; leaves the log as it is, and makes none."""
    probe = path.with_name(f".lock.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with held(path if os.path.lexists(path) else probe):
            require_writable(path.parent)
    finally:
        probe.unlink(missing_ok=True)


def require_writable(folder: Path, *, room: int = 1 << 20) -> None:
    """Raise the OSError that writing a file of `room` bytes into `folder` would meet; leaves nothing behind but the folder."""
    make_folder(folder)
    probe = folder / f".room.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with naming(folder), probe.open("wb") as handle:
            handle.write(bytes(room))
            handle.flush()
            os.fsync(handle.fileno())
    finally:
        probe.unlink(missing_ok=True)


_STALE_SECONDS = 60.0  # after which a folder that nobody holds was left; one that is just being made is younger


@contextlib.contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """Yield a new folder among the system's temporary ones; it is removed after the block, or after a kill by the next of its name.

    Only folders that no process holds any more are removed, and only the user's own.
    """
    prefix = f"wealtharena-{name}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_left(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    descriptor = hold_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def hold_folder(folder: Path) -> int:
    """Keep a temporary folder from being taken for one that was left, until the descriptor is closed or the process ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # where nothing can be held nobody removes
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # whoever removes folders leaves held and new ones alone
    return descriptor


def _remove_left(folder: Path) -> None:
    with contextlib.suppress(OSError):  # a link, a file, somebody else's, held, or gone by now
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if status.st_uid == os.getuid() and time.time() - status.st_mtime > _STALE_SECONDS:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


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
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # of a folder fdopen would make an error that names the number, and leave it open
        raise UnfitFileError("is not a regular file")
    with os.fdopen(descriptor, "rb") as handle:
        if status.st_size > limit:
            raise UnfitFileError(f"has {status.st_size} bytes, more than {limit}")
        content = handle.read(limit + 1)
    if len(content) > limit:
        raise UnfitFileError(f"has more than {limit} bytes")
    return content
