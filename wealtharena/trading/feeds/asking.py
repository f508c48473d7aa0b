"""A look at sources that a thread carries out, so that one that is slow keeps nobody waiting but who asked."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from wealtharena.data.bars import Bars
from wealtharena.data.provider import Provider
from wealtharena.errors import ProviderError

Outcome = Bars | ProviderError
TURN_SECONDS: Final = 1.0  # longest time in which a look keeps the other agents of a process waiting

# Clients have state of their process, such as yfinance's session: one fetch at a time of each source, whoever asks.
_lanes: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_lanes_lock: Final = threading.Lock()


def asked_alone(source: Provider, ask: Callable[[], Bars]) -> Outcome:
    """Return what a source says, or its error; while it is asked no other look of this process asks the same source."""
    with _lanes_lock:
        lane = _lanes[source.name]
    with lane:
        try:
            return ask()
        except ProviderError as error:
            return error


class Round:
    """One look for the bars of some symbols. What the sources said of each stands in `come`, as soon as it is there."""

    def __init__(self, symbols: Iterable[str], ask: Callable[[str], list[Outcome]]) -> None:
        self.come: dict[str, list[Outcome]] = {}
        self._ended, self._given_up = threading.Event(), False
        self._error: BaseException | None = None
        self._wake: Callable[[], None] = lambda: None
        threading.Thread(target=self._go, args=(list(symbols), ask), name="bars", daemon=True).start()

    def ended(self, seconds: float) -> bool:
        """Return whether all have come, waiting for it at most so long; what went wrong otherwise is raised here."""
        if not self._ended.wait(seconds):
            return False
        if self._error is not None:
            raise self._error
        return True

    def wake(self, wake: Callable[[], None]) -> None:
        """Have `wake` called from the thread once all have come."""
        self._wake = wake
        if self._ended.is_set():
            wake()

    def give_up(self) -> None:
        """Ask for no further symbol; what is being asked for comes to its end by its own time-outs, and is not missed."""
        self._given_up = True

    def _go(self, symbols: list[str], ask: Callable[[str], list[Outcome]]) -> None:
        try:
            for symbol in symbols:
                if self._given_up:
                    return
                self.come[symbol] = ask(symbol)
        except BaseException as error:  # noqa: BLE001 - raised where the look is waited for
            self._error = error
        finally:
            self._ended.set()
            self._wake()
