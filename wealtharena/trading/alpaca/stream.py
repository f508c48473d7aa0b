"""Alpaca's stream of trade updates: a reason to look now, never a source."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from wealtharena.trading.locks import Keys

_SHORTEST, _LONGEST = 1.0, 100.0  # seconds between connections; the server counts a dead one for 90
_LOOK: Final = 0.5


class Stream:
    """A thread that listens until it is closed, and calls `wake` at every update and after every gap.

    A frame that cannot be read is a reason to look too. A stream that is mute looks like one on which nothing happens:
    whoever waits for it asks from time to time anyway.
    """

    def __init__(self, keys: Keys, url: str, wake: Callable[[], None]) -> None:
        self._keys, self._url, self._wake = keys, url, wake
        self._stop = threading.Event()
        self.connections = self.frames = self.failures = 0
        self.heard_at: float | None = None  # time.monotonic() of the last frame
        self._thread = threading.Thread(target=self._run, name="alpaca-stream", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join(10.0)

    def silent_seconds(self) -> float | None:
        """Return how long nothing has been heard; None before the first frame."""
        return None if self.heard_at is None else time.monotonic() - self.heard_at

    def _run(self) -> None:
        from websockets.exceptions import WebSocketException

        pause = _SHORTEST
        while not self._stop.is_set():
            heard = self.frames
            try:
                self._listen()
            except (OSError, WebSocketException, ValueError, KeyError, TypeError, RecursionError):
                self.failures += 1
            if self._stop.is_set():
                return
            self._wake()  # what happened meanwhile is asked for
            pause = _SHORTEST if self.frames > heard + 2 else min(_LONGEST, pause * 2.0)
            self._stop.wait(pause)

    def _listen(self) -> None:
        from websockets.sync.client import connect

        with connect(self._url, open_timeout=10, close_timeout=1) as socket:
            self.connections += 1
            socket.send(
                json.dumps(
                    {"action": "authenticate", "data": {"key_id": self._keys.key, "secret_key": self._keys.secret}}
                )
            )
            if self._read(socket.recv(timeout=10))["data"]["status"] != "authorized":
                raise ValueError("not authorised")
            socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
            while not self._stop.is_set():
                try:
                    frame = socket.recv(timeout=_LOOK)
                except TimeoutError:
                    continue
                self._read_or_count(frame)

    def _read(self, frame: str | bytes) -> dict[str, Any]:
        self.frames += 1
        self.heard_at = time.monotonic()
        content: dict[str, Any] = json.loads(frame)
        return content

    def _read_or_count(self, frame: str | bytes) -> None:
        try:
            update = self._read(frame)["stream"] == "trade_updates"
        except (ValueError, KeyError, TypeError, RecursionError):
            self.failures += 1
            update = True
        if update:
            self._wake()
