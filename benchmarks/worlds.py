"""Markets and specs for the benchmarks: random walks with volume and dividends, every cost on."""

from __future__ import annotations

import numpy as np

from wealtharena.config import compose
from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.market import Market
from wealtharena.features.panel import FeaturePanel, Scaler


def features_of(*, bars: int = 2520, assets: int = 10, count: int = 20, seed: int = 0) -> FeaturePanel:
    """Return random walks with opens, volume and dividends beside noise features."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (bars, assets)), axis=0))
    opening = np.concatenate([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.003, (bars, assets)))
    panel = Panel(
        timestamps=np.datetime64("2015-01-01", "ns") + np.arange(bars) * np.timedelta64(1, "D"),
        symbols=tuple(f"S{i}" for i in range(assets)),
        close=close,
        tradable=np.ones((bars, assets), dtype=bool),
        open=opening,
        high=np.fmax(close, opening),
        low=np.fmin(close, opening),
        volume=rng.uniform(1e6, 1e7, (bars, assets)),
        dividends=np.where(rng.random((bars, assets)) < 0.01, 0.5, 0.0),
        to_account=np.ones((bars, assets)),
        multipliers=np.ones(assets),
        frequency="1d",
        asset="stocks",
        source="simulated",
        simulated=True,
        volume_unit="units",
    )
    values = rng.standard_normal((bars, assets, count)).astype(np.float32)
    return FeaturePanel(panel=panel, values=values, names=tuple(f"f{n}" for n in range(count)), warmup_bars=0)


def spec_of(*overrides: str) -> EnvSpec:
    """Return the environment of ASX shares with every cost on: commission, spread, impact, borrow, margin, interest."""
    costs = ("asset.costs.cash_bps_per_year=100", "asset.costs.carry_bps_per_year=10")
    return compose(["asset=stocks", "env.action=weights", *costs, *overrides]).env


def market_of(features: FeaturePanel, spec: EnvSpec) -> Market:
    return Market.build(features, spec, Scaler.fit(features, clip=5.0))
