"""Ctrl-C and SIGTERM: both end a command in the same way, and neither is lost."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN: Final = 0.01  # seconds between two looks whether what loses a Ctrl-C has ended
_LOOKS: Final = 1000


@dataclass
class Stop:
    """Whether SIGTERM has come."""

    told: bool = False


def hear_ctrl_c() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again: until its imports are done, an entry point lets it end the process without a word."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def let_ctrl_c_end() -> None:
    """Let a Ctrl-C that comes once the command is over end the process: what libraries do at their end told where it came."""
    atexit.unregister(_over)
    atexit.register(_over)  # now, so that it is called before theirs


def _over() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[Stop]:
    """Let SIGTERM end the block as Ctrl-C does: a run says how it ended, and a launcher's processes do not outlive it.

    What is yielded knows of it even where some library turns the KeyboardInterrupt into an error of its own.
    """
    stop = Stop()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        stop.told = True
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def ctrl_c_heard() -> Iterator[None]:
    """Let a Ctrl-C or SIGTERM that comes while an object is deleted come again.

    Python drops what is raised in a `__del__` or a callback of a weak reference, with a traceback on stderr, and goes on.
    """
    before = sys.unraisablehook

    def hook(lost: UnraisableHookArgs) -> None:
        if (
            not isinstance(lost.exc_value, KeyboardInterrupt)
            or threading.current_thread() is not threading.main_thread()
        ):
            before(lost)
            return
        number = (
            signal.SIGINT if callable(signal.getsignal(signal.SIGINT)) else signal.SIGTERM
        )  # of a job in the background
        threading.Thread(target=_come_again, args=(number, hook.__code__), daemon=True).start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _come_again(number: int, losing: CodeType) -> None:
    """Send the main thread a signal once it has left `losing`, in which what is raised is lost too; on a busy machine that lasts."""
    main = threading.main_thread().ident
    assert main is not None, "a thread that runs has a number"
    for _ in range(_LOOKS):
        time.sleep(_AGAIN)
        if not _is_in(losing, sys._current_frames().get(main)):
            break
    signal.pthread_kill(main, number)


def _is_in(code: CodeType, frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
