"""A look at sources that a thread carries out, so that one that is slow keeps nobody waiting but who asked."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from wealtharena.data.bars import Bars
from wealtharena.data.provider import Provider
from wealtharena.errors import ProviderError
from wealtharena.trading.errand import Errand

Outcome = Bars | ProviderError

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


class Round(Errand):
    """One look for the bars of some symbols. What the sources said of each stands in `come`, as soon as it is there."""

    def __init__(self, symbols: Iterable[str], ask: Callable[[str], list[Outcome]]) -> None:
        self.come: dict[str, list[Outcome]] = {}
        self._given_up = False
        self._symbols, self._ask = list(symbols), ask
        super().__init__(self._look, name="bars")

    def give_up(self) -> None:
        """Ask for no further symbol; what is being asked for comes to its end by its own time-outs, and is not missed."""
        self._given_up = True

    def _look(self) -> None:
        for symbol in self._symbols:
            if self._given_up:
                return
            self.come[symbol] = self._ask(symbol)
