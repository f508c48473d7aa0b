"""The kill switch: a file in the account's folder, or a signal. Freeze sends nothing more, flatten closes everything."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal

Command = Literal["freeze", "flatten"]
FILE: Final = "KILL"
PAUSE_SECONDS: Final = 0.2
AWAKE_SECONDS: Final = 1.0  # shortest wait, however often something wakes it
_SIGNALS: Final = {signal.SIGUSR1: "freeze", signal.SIGUSR2: "flatten"}


class Switch:
    """While entered, listens to SIGUSR1 (freeze), SIGUSR2 (flatten), and to SIGINT and SIGTERM (stop after this bar)."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self.stop = False
        self._sent: Command | None = None
        self._previous: dict[int, Any] = {}
        self._woken = threading.Event()

    def __enter__(self) -> Switch:
        if threading.current_thread() is threading.main_thread():
            for number in (*_SIGNALS, signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous.clear()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self._sent = "freeze"
        elif number == signal.SIGUSR2:
            self._sent = "flatten"
        else:
            self.stop = True

    def thrown(self) -> Command | None:
        """Return what is asked for, None for nothing; a file that says neither word means freeze."""
        if self._sent is not None:
            return self._sent
        try:
            word = self.file.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
        return "flatten" if word == "flatten" else "freeze"

    def wait(self, seconds: float) -> None:
        """Pass the time, less where the end is asked for or something woke it."""
        began = time.monotonic()
        while not self.stop and (left := began + seconds - time.monotonic()) > 0.0:
            if self._woken.is_set() and time.monotonic() - began >= AWAKE_SECONDS:
                break
            time.sleep(min(left, PAUSE_SECONDS))
        self._woken.clear()

    def wake(self) -> None:
        """End a wait early, from whatever thread: there is a reason to look."""
        self._woken.set()
