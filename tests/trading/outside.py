"""An account at a broker outside: a market of noise, an exchange that trades it over HTTP, and its days."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.envs.markets import EVERY_COST, features_of, random_panel, spec_of
from tests.trading.conformance import alpaca_broker
from tests.trading.desks import Noise, World, risk_of
from tests.trading.exchange import NEW_YORK, Exchange
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import Scaler
from wealtharena.trading import loop
from wealtharena.trading.desk import Close
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

START = 50


def a_market(*, bars: int = 90, assets: int = 2, seed: int = 1, risk: RiskSpec | None = None, **limits: Any) -> World:
    """Return daily shares that every bar has a price of, traded in whole units, on both sides."""
    plain = {
        "dividends": np.zeros((bars, assets)), "to_account": np.ones((bars, assets)), "multipliers": np.ones(assets),
        "tradable": np.ones((bars, assets), dtype=np.bool_),
    }  # fmt: skip
    panel = random_panel(np.random.default_rng(seed), bars=bars, assets=assets, **plain)
    features = features_of(panel)
    env = spec_of(
        costs=EVERY_COST, fill="next_open", limits={"max_gross": 1.5, **limits}, instrument={"lot_size": 1},
        initial_cash=100_000.0,
    )  # fmt: skip
    return World(features, env, risk or risk_of(), Noise(Scaler.fit(features, clip=5.0), assets))


def day_of(stamp: Any) -> tuple[dt.datetime, dt.datetime]:
    """Return the session of a daily bar."""
    day = dt.date.fromisoformat(str(stamp)[:10])
    return (
        dt.datetime.combine(day, dt.time(9, 30), NEW_YORK),
        dt.datetime.combine(day, dt.time(16, 0), NEW_YORK),
    )


def an_exchange(world: World, **changes: Any) -> Exchange:
    """Return the exchange of this market, on the evening before its first bar."""
    panel = world.features.panel
    sessions = [day_of(stamp) for stamp in panel.timestamps]
    first = sessions[START][0] - dt.timedelta(hours=12)
    prices = dict(zip(panel.symbols, panel.close[START - 1].tolist(), strict=True))
    return Exchange(prices, first, sessions, cash=world.env.initial_cash, **changes)


@dataclass
class Place:
    """Where an account trades: its folder, its market, and the door of its exchange."""

    folder: Path
    world: World
    url: str

    def go(self, now: dt.datetime, prices: dict[str, float]) -> None:
        body = json.dumps({"now": now.isoformat(), "prices": prices}).encode()
        with urllib.request.urlopen(f"{self.url}/go", data=body, timeout=30) as answer:
            answer.read()

    def closes(self, trader: Trader, switch: Switch, *, before: Callable[[Close], None]) -> Iterator[Close]:
        """Yield the closes that are left, each after the exchange has had its open and its close."""
        world = self.world
        window = Segment(START, world.features.bars)
        feed = Replay(world.features, window, world.env, world.mind.scaler, depth=30)
        panel = world.features.panel
        for close in feed.closes(trader.ledger.decision()):
            row = int(np.searchsorted(panel.timestamps, np.datetime64(close.bar, "ns")))
            opens, closes = day_of(close.bar)
            before(close)
            self.go(opens, dict(zip(panel.symbols, panel.open[row].tolist(), strict=True)))
            loop.tend(trader, switch)
            self.go(closes, dict(zip(panel.symbols, panel.close[row].tolist(), strict=True)))
            self.go(closes + dt.timedelta(hours=4), {})
            yield close


def trade(place: Place, exchange: Any, *, at: Any = lambda point: None, **given: Any) -> None:
    """Trade to the end of the market, from wherever the account stands."""
    before = given.pop("before", lambda close, trader: None)
    changes = {name: given.pop(name) for name in ("strangers", "resize") if name in given}
    ledger = Ledger(place.folder, synchronous="normal", at=at)
    if ledger.facts() is None:
        ledger.open("noise", "test", {"of": "tests"})
    symbols = place.world.features.panel.symbols
    broker = alpaca_broker(exchange, place.url, place.folder, symbols, **given)
    trader = Trader(
        "noise", "test", place.world.mind, place.world.env, place.world.risk, ledger, broker,
        at=at, wait=lambda seconds: None, **changes,
    )  # fmt: skip
    switch = Switch(place.folder)
    with contextlib.closing(ledger), contextlib.closing(broker):
        closes = place.closes(trader, switch, before=lambda close: before(close, trader))
        loop.run(trader, closes, switch, told=lambda close: None)
