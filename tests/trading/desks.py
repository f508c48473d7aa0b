"""Small accounts for the tests of trading: a market of noise, an agent of noise, and everything between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.envs.markets import EVERY_COST, features_of, random_panel, spec_of
from wealtharena.config import compose
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel, Scaler
from wealtharena.trading import loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.desk import depth_of
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

BARS, START = 120, 50


def risk_of(**rules: Any) -> RiskSpec:
    """Return risk=none with some rules on."""
    return RiskSpec.model_validate({**compose(["risk=none"]).risk.model_dump(), **rules})


@dataclass(frozen=True, eq=False)
class Noise:
    """Wants something else at every bar, moved by what it holds, and counts its decisions."""

    scaler: Scaler
    assets: int

    def decide(self, seen: Any, memory: Any) -> Any:
        count = int(memory.get("count", 0))
        rng = np.random.default_rng([7, int(np.datetime64(seen.bar, "ns").astype(np.int64) // 10**9), count])
        weights = rng.normal(0, 0.6, self.assets) + 0.1 * seen.account[0, : self.assets].astype(np.float64)
        return weights, {"count": count + 1}


@dataclass(frozen=True, eq=False)
class World:
    """A market, its rules and an agent."""

    features: FeaturePanel
    env: EnvSpec
    risk: RiskSpec
    mind: Any

    def feed(self) -> Replay:
        window = Segment(START, self.features.bars)
        return Replay(self.features, window, self.env, self.mind.scaler, depth=depth_of(self.env, self.risk))


def a_world(*, risk: RiskSpec | None = None, seed: int = 1, **limits: Any) -> World:
    """Return a market of three symbols in which orders are cut by volume."""
    features = features_of(random_panel(np.random.default_rng(seed), bars=BARS))
    env = spec_of(costs=EVERY_COST, limits={"max_gross": 1.5, "participation": 0.001, **limits})
    scaler = Scaler.fit(features, clip=5.0)
    return World(features, env, risk or risk_of(), Noise(scaler, 3))


@contextlib.contextmanager
def trading(
    folder: Path,
    world: World,
    *,
    at: Any = lambda point: None,
    wrap: Any = lambda broker: broker,
    strangers: Any = "halt",
    source: str = "tests",
) -> Iterator[Trader]:
    """Yield who trades the account in `folder`, from wherever it stands."""
    with contextlib.closing(Ledger(folder, synchronous="normal")) as ledger:
        if ledger.facts() is None:
            ledger.open("noise", "test", {"of": "tests", "source": source})
        broker = wrap(open_broker(Opening(folder, world.env, ledger.epoch, "normal")))
        with contextlib.closing(broker):
            yield Trader("noise", "test", world.mind, world.env, world.risk, ledger, broker, strangers, at=at)


def go(
    folder: Path,
    world: World,
    *,
    told: Any = None,
    **how: Any,
) -> None:
    """Trade to the end of the feed, from wherever the account in `folder` stands; `how` is as for `trading`."""
    with trading(folder, world, **how) as trader:
        closes = world.feed().closes(trader.ledger.decision())
        loop.run(trader, closes, Switch(folder), told=told or (lambda close: None))


def account(folder: Path) -> dict[str, Any]:
    """Return all that an account's two files say, without the clock's own times."""
    ledger = Ledger(folder)
    with contextlib.closing(ledger):
        return {
            "closes": ledger.closes(),
            "intents": ledger.intents(),
            "fills": ledger.fills(),
            "wanted": ledger.wanted(),
            "interventions": ledger.interventions(),
            "state": ledger.state(),
            "positions": ledger.positions(),
        }
