"""What a machine has no room, no memory or no name for, as an error of one line."""

from __future__ import annotations

import errno
import mmap
import os
import resource
from contextlib import suppress
from typing import Final

from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.files import NO_ROOM, named_in
from wealtharena.shown import home

# what the loader, the kernel, torch and C++ say for want of memory, where it is no MemoryError
_NO_MEMORY: Final = ("failed to map segment", "cannot allocate memory", "can't allocate memory", "std::bad_alloc")
_NO_HOME: Final = "Could not determine home directory."  # what pathlib says of ~nobody/
_NOWHERE: Final = "/nonexistent"  # as Debian calls it
_NO_THREAD: Final = "can't start new thread"  # what Python says of any limit
_TO_SPEAK: Final = 64 << 20  # bytes of addresses; what says an error is imported, too
_LEAST: Final = 850_000_000  # bytes of addresses without which no library of numbers is loaded
_OF_TORCH: Final = 2_500_000_000
_WITH_TORCH: Final = ("train", "backtest", "audit")
_kept: list[mmap.mmap] = []


def keep_room_to_speak() -> None:
    """Keep some of the addresses that a limit leaves this process, so that it can be said once there are no others."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        with suppress(OSError):
            _kept.append(mmap.mmap(-1, _TO_SPEAK))


def name_a_home() -> None:
    """Give a user of whom the machine knows no home, as a service's or a container's, one that is not there: Ray asks at its import."""
    if home() is None:
        os.environ["HOME"] = _NOWHERE


def be_no_client() -> None:
    """Forget RAY_CLIENT_MODE, which Ray reads at its import: each of its calls would go to a server that nobody has started."""
    os.environ.pop("RAY_CLIENT_MODE", None)


def require_addresses(task: str) -> None:
    """Raise the error for a limit on addresses that is too low for a task: OpenBLAS, for one, asks for more without an end."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < (_OF_TORCH if task in _WITH_TORCH else _LEAST):
        raise _no_memory()


def of_the_machine(error: Exception) -> WealthArenaError | None:
    """Return the error for a machine without room or memory, or a path that it cannot have; None for any other exception."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return no_room(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return ConfigError(f"{str(error.filename)[:60]}... is too long for a name of a file", hint="name a shorter one")
    if isinstance(error, RuntimeError) and str(error) == _NO_HOME:
        return ConfigError("a path begins with ~ of a user who has no home folder here", hint="write the folder out")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(words in str(cause).lower() for words in _NO_MEMORY):
            return _no_memory()
        if isinstance(cause, RuntimeError) and str(cause) == _NO_THREAD:
            return WealthArenaError(
                "no further thread may be started here",
                hint="lift the limit on processes (ulimit -u, a container's --pids-limit) or on addresses (ulimit -v)",
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _no_memory() -> WealthArenaError:
    """Return the error for a machine, or a limit on this process, that gives no more memory."""
    while _kept:
        _kept.pop().close()
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return WealthArenaError(
            "the machine has no more memory for this process",
            hint="end what else runs, or ask for less: fewer compute.envs, bars or symbols; what was kept goes on with resume=",
        )
    return WealthArenaError(
        f"not enough memory: this process may have {limit / 1e9:.1f} GB of addresses (ulimit -v), and torch alone takes several",
        hint="lift it with: ulimit -v unlimited; a container's limit on memory does not count addresses",
    )


def no_room(error: OSError, otherwise: str = "a file") -> WealthArenaError:
    """Return the error for a write that met a full disk, a quota or a limit on the size of files.

    `otherwise` says what was to be written where the error names nothing.
    """
    return WealthArenaError(
        f"cannot write {named_in(error, otherwise)}: {os.strerror(error.errno or 0)}",
        hint="make room and run it again, a training with resume=<run directory>; what was said to be kept is there",
    )
