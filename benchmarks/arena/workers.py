"""Processes that strangers' code runs in: how one ended is known, and it takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver
from types import FrameType
from typing import Any

from wealtharena.errors import Interrupted

LOOK_SECONDS = 2.0  # between looks at processes: a child that one left behind keeps its pipe open
GRACE_SECONDS = 30.0  # for a training to write its state
_stop = threading.Event()


class EndedError(Exception):
    """A process ended, and what it was given has no answer."""


class Worker:
    """A process that calls one function after the other: a fork of one that has imported, and done nothing else."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["benchmarks.arena.preloaded"])  # some seconds, once
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
        with _undisturbed():
            forkserver.ensure_running()
        self.process.start()
        theirs.close()

    def give(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Let it call a function that it can import."""
        with suppress(OSError):  # it has ended since: `answer` says how
            self.pipe.send((function, arguments))

    def answer(self) -> Any:
        """Return what the function returned; only of a worker that is among `ready`.

        Raises:
            EndedError: the process ended meanwhile.
            Interrupted: it was asked to stop.
            RuntimeError: the function raised, with its traceback.
        """
        try:
            kind, found = self.pipe.recv() if self.pipe.poll(0) else ("ended", None)
        except (EOFError, OSError):
            kind, found = "ended", None
        except Exception as error:  # what a policy wrote into the pipe is any bytes
            raise EndedError(f"what its process answered cannot be read ({type(error).__name__})") from error
        if kind == "ended":
            self.process.join(GRACE_SECONDS)
            raise EndedError(_how(self.process.exitcode))
        if kind == "interrupted":
            raise Interrupted("the arena was interrupted", hint="start it again: it goes on from here")
        if kind == "raised":
            raise RuntimeError(found)
        return found


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Begin a process that Ctrl-C does not end while it imports, with a traceback of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ready(workers: Sequence[Worker], seconds: float) -> list[Worker]:
    """Return those that have an answer or have ended, as soon as there are any; none after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        heard = connection.wait([one.pipe for one in workers], timeout=max(0.0, min(LOOK_SECONDS, left)))
        found = [one for one in workers if one.pipe in heard or one.process.exitcode is not None]
        if found or left <= 0.0:
            return found


def dismiss(workers: Sequence[Worker], *, at_once: bool = False) -> None:
    """End processes: those that wait for work by themselves, those in the midst of some where it is to be `at_once`."""
    for one in workers:
        one.pipe.close()
        if at_once:
            one.process.terminate()
    for one in workers:
        one.process.join(GRACE_SECONDS)
        if one.process.exitcode is None:
            one.process.kill()
            one.process.join(GRACE_SECONDS)


@contextmanager
def alone() -> Iterator[None]:
    """Let nobody but this process come out of what is called inside: a policy may fork, and its copies end here."""
    own = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != own:
            os._exit(0)


def asked_to_stop() -> bool:
    """Return whether somebody interrupted this worker: a KeyboardInterrupt of a policy's own is none."""
    return _stop.is_set()


def _how(code: int | None) -> str:
    if code is None:
        return "its process no longer answers"
    if code >= 0:
        return f"its process ended with exit code {code}"
    known = {number.value: number.name for number in signal.Signals}
    return f"its process was ended by {known.get(-code, f'signal {-code}')}"


def _note(number: int, frame: FrameType | None) -> None:
    _stop.set()
    raise KeyboardInterrupt


def _serve(pipe: connection.Connection) -> None:
    """Call what is asked for until the pipe is closed or the parent ends."""
    warnings.simplefilter("ignore")
    try:
        signal.signal(signal.SIGINT, _note)
        threading.Thread(target=_end_with_the_arena, daemon=True).start()
        while True:
            function, arguments = pipe.recv()
            pipe.send(_called(function, arguments))
    except (KeyboardInterrupt, EOFError, OSError):
        return


def _end_with_the_arena() -> None:
    """End this process when the one that began it has ended: a training in its midst writes its state first."""
    begun_by = multiprocessing.parent_process()
    assert begun_by is not None
    begun_by.join()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _called(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Any]:
    try:
        with alone():
            return "made", function(*arguments)
    except (KeyboardInterrupt, Interrupted):
        return "interrupted", None
    except BaseException:  # noqa: BLE001  # the one who asked is told
        return "raised", traceback.format_exc()
