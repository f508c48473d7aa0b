"""The kill switch: a file in the account's folder, or a signal. Freeze sends nothing more, flatten closes everything."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal

from wealtharena import files

Command = Literal["freeze", "flatten"]
FILE: Final = "KILL"
PAUSE_SECONDS: Final = 0.2
AWAKE_SECONDS: Final = 1.0  # shortest wait, however often something wakes it
_SIGNALS: Final[dict[int, Command]] = {signal.SIGUSR1: "freeze", signal.SIGUSR2: "flatten"}


def asked(file: Path) -> Command | None:
    """Return what the file of a kill switch asks for, None for nothing.

    What says neither word means freeze, also what cannot be read.
    """
    try:
        word = file.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return "freeze" if file.is_symlink() else None  # a link to nothing was put there by somebody
    except OSError:  # a folder, or a file of another user
        return "freeze"
    return "flatten" if word == "flatten" else "freeze"


def throw(folder: Path, command: Command) -> bool:
    """Write what an account's switch is to ask for, and return whether it does: a freeze that stands gives way to nothing.

    Two that throw it at once end alike, whichever of them is first. OSError where the file cannot be written.
    """
    file, ready = folder / FILE, folder / f".{FILE}.{secrets.token_hex(4)}.tmp"
    if command == "freeze":
        files.write_text(file, f"{command}\n")
        return True
    try:
        files.write_text(ready, f"{command}\n")
        _link(ready, file)
    except FileExistsError:
        return asked(file) != "freeze"
    finally:
        ready.unlink(missing_ok=True)
    files.sync(folder)
    return True


def _link(ready: Path, file: Path) -> None:
    """Give a file its name, which replaces nothing: FileExistsError where the name is taken."""
    try:
        os.link(ready, file)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as a shared folder of a virtual machine
        if os.path.lexists(file):
            raise FileExistsError(file) from None
        ready.replace(file)


def stronger(*commands: Command | None) -> Command | None:
    """Return which of several that were thrown is obeyed, None where none was: who froze was told that nothing more is sent."""
    return "freeze" if "freeze" in commands else "flatten" if "flatten" in commands else None


class Signals:
    """While entered, hears SIGUSR1 (freeze), SIGUSR2 (flatten), and SIGINT and SIGTERM (stop after this bar), for all who trade here."""

    def __init__(self) -> None:
        self.stop = False
        self.sent: Command | None = None
        self._previous: dict[int, Any] = {}
        self._woken = threading.Event()

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (*_SIGNALS, signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous.clear()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number in _SIGNALS:
            self.sent = stronger(self.sent, _SIGNALS[number])
        else:
            self.stop = True

    def wait(self, seconds: float) -> None:
        """Pass the time, less where the end is asked for or something woke it."""
        began = time.monotonic()
        while not self.stop and (left := began + seconds - time.monotonic()) > 0.0:
            if self._woken.is_set() and time.monotonic() - began >= AWAKE_SECONDS:
                break
            time.sleep(min(left, PAUSE_SECONDS))

    def wake(self) -> None:
        """End a wait early, from whatever thread: there is a reason to look."""
        self._woken.set()

    def roused(self) -> bool:
        """Return whether all are to look now: the end is asked for, or something has woken a wait since this was asked last."""
        woken = self._woken.is_set()
        if woken:  # a wake between the two lines would be lost to a clear that had nothing to clear
            self._woken.clear()
        return self.stop or woken


class Switch:
    """The kill switch of one account: its file, and the signals that all accounts of a process hear."""

    def __init__(self, folder: Path, signals: Signals | None = None) -> None:
        self.file = folder / FILE
        self.signals = Signals() if signals is None else signals

    @property
    def stop(self) -> bool:
        """Return whether the end is asked for, after this bar."""
        return self.signals.stop

    def thrown(self) -> Command | None:
        """Return what is asked for by a signal or by the file, None for nothing."""
        return stronger(self.signals.sent, asked(self.file))
