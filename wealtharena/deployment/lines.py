"""Lines for whoever reads them: handed over at once, written by a thread. A reader that stalls costs lines, never an answer."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_WAITING_BYTES = 8 * 1024 * 1024
LAST_SECONDS = 2.0  # for the lines of a process that ends
_GATHER_SECONDS = 0.02  # lines of this time are written together


@dataclass
class Lines:
    """Write lines in their order to what `open_descriptor` returns.

    At most 8 MiB wait; a line beyond that, or one that can't be written, is counted in `lost`, and the count is told by
    `told(count)`, a line of its own, as soon as writing works again.
    """

    open_descriptor: Callable[[], int]
    told: Callable[[int], bytes]
    lost: int = 0
    _waiting: deque[bytes] = field(default_factory=deque, init=False)
    _bytes: int = field(default=0, init=False)
    _some: threading.Event = field(default_factory=threading.Event, init=False)
    _writing: bool = field(default=False, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _descriptor: int | None = field(default=None, init=False)

    def put(self, line: bytes) -> None:
        """Hand over one line; never waits."""
        if self._bytes + len(line) > MAX_WAITING_BYTES:
            self.lost += 1
            return
        self._bytes += len(line)
        self._waiting.append(line)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
            self._thread.start()
        if not self._some.is_set():
            self._some.set()

    def flush(self, *, seconds: float) -> bool:
        """Wait until all is written, at most `seconds`; return whether it is."""
        until = time.monotonic() + seconds
        while (self._waiting or self._writing) and time.monotonic() < until:
            time.sleep(0.002)
        return not self._waiting and not self._writing

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._writing = True
            self._some.clear()
            time.sleep(_GATHER_SECONDS)
            self._drain()
            self._writing = False

    def _drain(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        lost, self.lost = self.lost, 0
        if lost:
            lines.append(self.told(lost))
        content = memoryview(b"".join(lines))
        try:
            if self._descriptor is None:
                self._descriptor = self.open_descriptor()
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError:  # a full disk, a reader that is gone: the service goes on, and says how much is missing
            self.lost += bytes(content).count(b"\n") + lost
        self._bytes -= sum(map(len, lines)) if not lost else sum(map(len, lines[:-1]))


class LineHandler(logging.Handler):
    """A log handler whose lines go to standard error by way of `Lines`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines(lambda: 2, lambda count: f"{count} lines of this log could not be written\n".encode())

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a record."""
        try:
            self.lines.put(self.format(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001 - as every logging handler: a record that can't be formatted ends nothing
            self.handleError(record)

    def flush(self) -> None:
        """Wait a moment until all is written: logging asks for it at the end of the process, whose last line says why it ends."""
        self.lines.flush(seconds=LAST_SECONDS)


def log_without_waiting() -> LineHandler:
    """Let all logging of this process go through one `LineHandler`."""
    handler = LineHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().handlers = [handler]
    return handler
