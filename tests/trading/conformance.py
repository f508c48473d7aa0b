"""One stage a broker: what the suite of the contract needs to play it, and nothing it may look into."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.envs.markets import features_of, random_panel, spec_of
from tests.trading.bridge import SECRET, Bridge, bridging
from tests.trading.exchange import NEW_YORK, Exchange
from tests.trading.gateway import Gateway, gating
from tests.trading.serving import serving
from wealtharena.config import compose
from wealtharena.config.plugins import load
from wealtharena.envs.market import Market
from wealtharena.features.panel import Scaler
from wealtharena.trading import answers
from wealtharena.trading.broker import Broker, Opening

OPEN = dt.datetime(2026, 3, 3, 9, 30, tzinfo=NEW_YORK)
CLOSE = OPEN.replace(hour=16, minute=0)
DAYS = [(OPEN + dt.timedelta(days=n), CLOSE + dt.timedelta(days=n)) for n in range(4)]
KEYS = {"ALPACA_PAPER_KEY_ID": "KEY", "ALPACA_PAPER_SECRET_KEY": "SECRET"}


@dataclass
class Stage:
    """A broker with an empty account, two symbols, and a way to let what is due be filled."""

    open: Callable[[], Broker]
    symbols: tuple[str, str]
    tick: Callable[[Broker], None]
    units: float = 3.0


@contextlib.contextmanager
def paper(folder: Path, name: str = "paper", **settings: Any) -> Iterator[Stage]:
    features = features_of(random_panel(np.random.default_rng(3), bars=80))
    env, scaler = spec_of(), Scaler.fit(features, clip=5.0)
    at = {"bar": 60}

    def opened() -> Broker:
        spec = load("trading.brokers", name).Settings(name=name, **settings)
        broker: Broker = answers.opened(
            name,
            Opening(folder, env, 1, "normal", spec=spec, symbols=features.panel.symbols, wait=lambda seconds: None),
        )
        broker.advance(Market.build(features.slice(0, at["bar"]), env, scaler))
        return broker

    def tick(broker: Broker) -> None:
        at["bar"] += 1
        broker.advance(Market.build(features.slice(0, at["bar"]), env, scaler))

    yield Stage(opened, features.panel.symbols[:2], tick)


def shadow(folder: Path) -> contextlib.AbstractContextManager[Stage]:
    return paper(folder, "shadow")


@functools.cache
def shipped(name: str) -> Any:
    """Return the settings of a broker as they are shipped."""
    return compose([f"broker={name}", "asset=etf"]).broker


@contextlib.contextmanager
def webhook(folder: Path) -> Iterator[Stage]:
    keys = folder / "keys"
    keys.write_text(f"WEBHOOK_SECRET={SECRET}\n")
    with bridging(Bridge()) as url:
        settings = shipped("webhook").model_copy(update={"url": url, "keys_file": str(keys)})
        with paper(folder, "webhook", **settings.model_dump(exclude={"name"})) as stage:
            yield stage


@contextlib.contextmanager
def ib(folder: Path, gateway: Gateway | None = None, **given: Any) -> Iterator[Stage]:
    gateway = gateway or Gateway({"BHP": 45.0, "CBA": 120.0})
    changes = {name: given.pop(name) for name in ("live", "account", "futures", "timeout_seconds") if name in given}
    names = given.pop("symbols", ("BHP.AX", "CBA.AX"))
    with gating(gateway) as port:
        settings = compose(["broker=ib", "asset=stocks", "asset.instrument.lot_size=1"]).broker.model_copy(
            update={"port": port, **changes}
        )
        opening = Opening(folder, spec_of(), 1, "normal", spec=settings, symbols=names, **{"market": "stocks", **given})
        yield Stage(lambda: answers.opened("ib", opening), names, lambda broker: gateway.tick())


def alpaca_settings(url: str, **changes: Any) -> Any:
    settings = shipped("alpaca")
    return settings.model_copy(update={"url": url, "timeout_seconds": 30.0, "backoff_seconds": 0.0, **changes})


def alpaca_broker(exchange: Exchange, url: str, folder: Path, symbols: tuple[str, ...], **changes: Any) -> Broker:
    coins = any("/" in name for name in exchange.prices)
    given: dict[str, Any] = {
        "market": "crypto" if coins else "stocks", "wait": lambda seconds: None,
        **{name: changes.pop(name) for name in ("fill", "allow_live", "wait", "currency") if name in changes},
    }  # fmt: skip
    keys = folder / "keys"
    keys.write_text("\n".join(f"{name}={value}" for name, value in KEYS.items()).replace("PAPER", "LIVE") + "\n")
    keys.write_text(keys.read_text() + "\n".join(f"{name}={value}" for name, value in KEYS.items()))
    settings = alpaca_settings(url, keys_file=str(keys), **changes)
    opening = Opening(folder, spec_of(), 1, "normal", spec=settings, symbols=symbols, **given)
    broker: Broker = answers.opened("alpaca", opening)
    return broker


@contextlib.contextmanager
def alpaca(folder: Path) -> Iterator[Stage]:
    evening = CLOSE.replace(hour=20) - dt.timedelta(days=1)
    exchange = Exchange({"BRK.B": 480.0, "AAPL": 190.0}, evening, DAYS)

    def tick(broker: Broker) -> None:
        opens = min(first for first, _ in DAYS if first > exchange.now)
        exchange.go(opens)
        exchange.go(opens.replace(hour=20))

    with serving(exchange) as url:
        yield Stage(lambda: alpaca_broker(exchange, url, folder, ("BRK-B", "AAPL")), ("BRK-B", "AAPL"), tick)


@contextlib.contextmanager
def alpaca_coins(folder: Path) -> Iterator[Stage]:
    exchange = Exchange({"BTC/USD": 60_000.0, "ETH/USD": 2_500.0}, OPEN, filling=None)

    def tick(broker: Broker) -> None:
        exchange.filling = 1.0
        exchange.go(exchange.now + dt.timedelta(days=1))
        exchange.filling = None

    with serving(exchange) as url:
        opened = lambda: alpaca_broker(exchange, url, folder, ("BTC-USD", "ETH-USD"))  # noqa: E731 - a stage's own
        yield Stage(opened, ("BTC-USD", "ETH-USD"), tick, units=0.25)


STAGES: dict[str, Any] = {
    "paper": paper,
    "shadow": shadow,
    "alpaca": alpaca,
    "alpaca_coins": alpaca_coins,
    "webhook": webhook,
    "ib": ib,
}
