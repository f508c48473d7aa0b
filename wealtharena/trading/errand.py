"""Work that a thread carries out, so that what lets itself be waited for keeps nobody waiting but who asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

TURN_SECONDS: Final = 1.0  # longest time in which an errand keeps the other agents of a process waiting
LINE_SECONDS: Final = 10.0  # between two lines about a wait

log = logging.getLogger(__name__)


class Errand:
    """Work that has begun in a thread of its own."""

    def __init__(self, work: Callable[[], None], *, name: str) -> None:
        self._work = work
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._wake: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)
        self._thread.start()

    def ended(self, seconds: float) -> bool:
        """Return whether it has come to its end, waiting at most so long; what went wrong is raised here."""
        if not self._ended.wait(seconds):
            return False
        if self._error is not None:
            raise self._error
        return True

    def wake(self, wake: Callable[[], None]) -> None:
        """Have `wake` called from the thread at the end."""
        self._wake = wake
        if self._ended.is_set():
            wake()

    def finish(self) -> None:
        """Wait for the end, however long it takes, and say so as long as it takes."""
        while not self._ended.wait(LINE_SECONDS):
            log.warning("waiting for an answer to %s", self._thread.name)

    def _go(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised where the end is waited for
            self._error = error
        finally:
            self._ended.set()
            self._wake()
