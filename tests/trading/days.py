"""One day after the other at a broker outside, with an agent that wants what it is told to want."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.envs.markets import features_of, panel_of, spec_of
from tests.trading.conformance import alpaca_broker
from tests.trading.desks import World, risk_of
from tests.trading.exchange import Exchange
from tests.trading.outside import START, day_of
from tests.trading.serving import serving
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import Scaler
from wealtharena.trading import loop
from wealtharena.trading.desk import Close
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.ledger import Intent, Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader


def until(found: Callable[[], Any], seconds: float) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.01)


@dataclass(frozen=True, eq=False)
class Script:
    """Wants `wants[n]` at its n-th decision, and goes on with the last."""

    scaler: Scaler
    wants: Sequence[Sequence[float]]

    def decide(self, seen: Any, memory: Any) -> Any:
        count = int(memory.get("count", 0))
        return np.array(self.wants[min(count, len(self.wants) - 1)], dtype=np.float64), {"count": count + 1}


@dataclass
class Days:
    """An account, its exchange, and the days that they share; shares trade whole, coins in parts."""

    folder: Path
    world: World
    exchange: Exchange
    url: str
    given: dict[str, Any] = field(default_factory=dict)
    at: Any = lambda point: None
    waited: list[float] = field(default_factory=list)
    day: int = 0

    def __post_init__(self) -> None:
        world = self.world
        feed = Replay(world.features, Segment(START, world.features.bars), world.env, world.mind.scaler, depth=30)
        self.closes = list(feed.closes(None))
        self.open()

    def open(self) -> None:
        """Begin, or begin again in another process."""
        given = dict(self.given)
        own = {name: given.pop(name) for name in ("strangers", "resize") if name in given}
        self.ledger = Ledger(self.folder, synchronous="normal")
        if self.ledger.facts() is None:
            self.ledger.open("agent", "test", {"of": "tests"})
        symbols = self.world.features.panel.symbols
        self.broker = alpaca_broker(self.exchange, self.url, self.folder, symbols, **given)
        self.trader = Trader(
            "agent", "test", self.world.mind, self.world.env, self.world.risk, self.ledger, self.broker,
            at=lambda point: self.at(point),  # noqa: PLW0108 - it changes under way
            wait=self.waited.append, **own,
        )  # fmt: skip
        self.switch = Switch(self.folder)

    def close(self) -> None:
        self.ledger.close()
        self.broker.close()

    def again(self) -> None:
        """Close and open, as a restart does."""
        self.close()
        self.open()

    def prices(self, close: Close, row: str) -> dict[str, float]:
        panel = close.features.panel
        values = getattr(panel, row)[-1].tolist()
        return {self.theirs(name): price for name, price in zip(panel.symbols, values, strict=True)}

    def theirs(self, name: str) -> str:
        return name.replace("-", "/" if self.coins else ".")

    @property
    def coins(self) -> bool:
        return not self.exchange.sessions

    def morning(self, *, tend: bool = True) -> None:
        """Go to the open of the day."""
        close = self.closes[self.day]
        opens, _ = day_of(close.bar)
        self.exchange.go(opens, self.prices(close, "open"))
        if tend:
            loop.tend(self.trader, self.switch)

    def evening(self) -> Close:
        """Go to the close of the day, and past it to where the agent decides."""
        close = self.closes[self.day]
        _, closes = day_of(close.bar)
        self.exchange.go(closes, self.prices(close, "close"))
        self.exchange.go(closes + dt.timedelta(hours=4))
        loop.on_close(self.trader, close, self.switch)
        self.day += 1
        return close

    def run(self, days: int) -> None:
        for _ in range(days):
            self.morning()
            self.evening()

    def intents(self) -> list[Intent]:
        return self.ledger.intents()

    def told(self, rule: str) -> list[dict[str, Any]]:
        return [one for one in self.ledger.interventions() if one["rule"] == rule]

    def fits(self) -> bool:
        """Return whether the ledger holds what the exchange holds."""
        ours = {self.theirs(name): units for name, units in self.ledger.positions().items()}
        theirs = self.exchange.held
        return all(abs(ours.get(n, 0.0) - theirs.get(n, 0.0)) < 1e-8 for n in {*ours, *theirs})


@contextlib.contextmanager
def days(
    folder: Path,
    wants: Sequence[Sequence[float]],
    *,
    symbols: tuple[str, ...] = ("AAPL",),
    closes: Any = None,
    opens: Any = None,
    coins: bool = False,
    fee: float = 0.0,
    margin: float = 4.0,
    rules: Any = None,
    **given: Any,
) -> Iterator[Days]:
    """Play the days of prices that stand still, or are given as rows from the first decision on."""
    bars = START + 12
    price = np.full((bars, len(symbols)), 100.0)
    if closes is not None:
        price[START : START + len(closes)] = np.array(closes, dtype=np.float64).reshape(len(closes), -1)
        price[START + len(closes) :] = price[START + len(closes) - 1]
    opening = np.concatenate([price[:1], price[:-1]])
    for row, value in (opens or {}).items():
        opening[START + row] = value
    panel = panel_of(price, open=opening, symbols=symbols, volume=np.full(price.shape, 1e9), volume_unit="units")
    features = features_of(panel)
    env = spec_of(fill="next_open", initial_cash=100_000.0, instrument={"lot_size": 0 if coins else 1})
    world = World(features, env, risk_of(**(rules or {})), Script(Scaler.fit(features, clip=5.0), wants))
    first = day_of(features.panel.timestamps[START])[0] - dt.timedelta(hours=12)
    sessions = [] if coins else [day_of(stamp) for stamp in features.panel.timestamps]
    names = [name.replace("-", "/" if coins else ".") for name in symbols]
    exchange = Exchange(dict.fromkeys(names, 100.0), first, sessions, fee=fee, margin=margin)
    with serving(exchange) as url:
        found = Days(folder, world, exchange, url, given)
        try:
            yield found
        finally:
            found.close()
