"""Small markets and specs for the tests of the kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.market import Market
from wealtharena.features.panel import FeaturePanel, Scaler

FREE: dict[str, Any] = {
    "commission_bps": 0,
    "half_spread_bps": 0,
    "impact_coefficient": 0,
    "borrow_bps_per_year": 0,
    "margin_bps_per_year": 0,
    "cash_bps_per_year": 0,
    "carry_bps_per_year": 0,
}
EVERY_COST: dict[str, Any] = {
    "commission_bps": 7,
    "half_spread_bps": 3,
    "impact_coefficient": 0.5,
    "borrow_bps_per_year": 80,
    "margin_bps_per_year": 600,
    "cash_bps_per_year": 150,
    "carry_bps_per_year": 40,
}
PLAIN: dict[str, Any] = {
    "action": "weights",
    "anchor": "inverse_volatility",
    "anchor_bars": 12,
    "tilt_scale": 2.0,
    "trade_rate": 0.5,
    "no_trade_band": 0.1,
    "fill": "auto",
    "window": 1,
    "episode_bars": 16,
    "random_start": True,
    "initial_cash": 1e6,
    "min_trade_weight": 0.0,
    "costs": FREE,
    "limits": {
        "max_gross": 1.0,
        "max_weight": 1.0,
        "long_only": False,
        "maintenance_margin": 0.0,
        "liquidation_penalty_bps": 50,
        "participation": 1.0,
        "delisting_haircut": 0.3,
        "delisting_bars": 5,
    },
    "instrument": {
        "lot_size": 0,
        "lot_sizes": {},
        "multipliers": {},
        "currencies": {},
        "margin_futures": False,
        "rolls": "none",
    },
    "reward": {
        "name": "log_return",
        "scale": 1.0,
        "turnover_penalty": 0.0,
        "eta": 0.1,
        "risk_aversion": 2.0,
        "drawdown_penalty": 0.5,
        "parameter": 0.0,
    },
    "randomisation": {"enabled": False, "cost_low": 0.5, "cost_high": 2.0},
}


def spec_of(**changes: Any) -> EnvSpec:
    """Return PLAIN with top-level keys replaced and groups updated."""
    merged = {
        key: ({**value, **changes[key]} if isinstance(value, dict) else changes[key]) if key in changes else value
        for key, value in PLAIN.items()
    }
    return EnvSpec.model_validate(merged)


def panel_of(close: Any, *, open: Any = None, **changes: Any) -> Panel:
    """Return a daily panel of these closes [T, A]; everything else is plain unless given."""
    close = np.array(close, dtype=np.float64)
    if close.ndim == 1:
        close = close[:, None]
    t, a = close.shape
    fields: dict[str, Any] = {
        "timestamps": np.datetime64("2020-01-01", "ns") + np.arange(t) * np.timedelta64(1, "D"),
        "symbols": tuple(f"S{i}" for i in range(a)),
        "close": close,
        "tradable": np.isfinite(close),
        "open": None if open is None else np.array(open, dtype=np.float64).reshape(t, a),
        "high": None,
        "low": None,
        "volume": None,
        "dividends": np.zeros((t, a)),
        "to_account": np.ones((t, a)),
        "multipliers": np.ones(a),
        "frequency": "1d",
        "asset": "stocks",
        "source": "simulated",
        "simulated": True,
    }
    return Panel(**{**fields, **changes})


def features_of(panel: Panel, *, count: int = 2, seed: int = 0) -> FeaturePanel:
    """Return noise features beside a panel."""
    shape = (panel.bars, len(panel.symbols), count)
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return FeaturePanel(panel=panel, values=values, names=tuple(f"f{n}" for n in range(count)), warmup_bars=0)


def market_of(panel: Panel, spec: EnvSpec, *, count: int = 2) -> Market:
    features = features_of(panel, count=count)
    return Market.build(features, spec, Scaler.fit(features, clip=5.0))


def random_panel(
    rng: np.random.Generator, *, bars: int = 40, assets: int = 3, opens: bool = True, **changes: Any
) -> Panel:
    """Return random walks with gaps overnight, volume, dividends, missing bars and a currency that moves."""
    steps = rng.normal(0, 0.03, (bars, assets))
    close = 50 * np.exp(np.cumsum(steps, axis=0))
    opening = np.concatenate([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.01, (bars, assets)))
    fields: dict[str, Any] = {
        "volume": rng.uniform(1e4, 1e6, (bars, assets)),
        "volume_unit": "units",
        "dividends": np.where(rng.random((bars, assets)) < 0.05, 0.4, 0.0),
        "to_account": np.exp(np.cumsum(rng.normal(0, 0.01, (bars, assets)), axis=0)),
        "multipliers": rng.uniform(0.5, 20, assets),
        "tradable": rng.random((bars, assets)) > 0.1,
    }
    return panel_of(close, open=opening if opens else None, **{**fields, **changes})


def rough_panel(rng: np.random.Generator, *, bars: int = 40, assets: int = 3, opens: bool = True) -> Panel:
    """Return `random_panel` in its rare states: leaps, prices below zero, holes and delistings, and bars of hardly any volume."""
    panel = random_panel(rng, bars=bars, assets=assets, opens=opens)
    leaps = np.exp(
        np.cumsum(np.where(rng.random((bars, assets)) < 0.1, rng.normal(0, 0.7, (bars, assets)), 0.0), axis=0)
    )
    close = np.where(rng.random((bars, assets)) < 0.03, -20.0, panel.close * leaps)
    for symbol in range(assets):
        hole = int(rng.integers(1, bars))
        close[hole : hole + int(rng.integers(0, 9)), symbol] = np.nan
    assert panel.volume is not None
    thin = np.where(rng.random((bars, assets)) < 0.2, 1e-6, 1.0)
    return replace(
        panel,
        close=close,
        open=None if panel.open is None else panel.open * leaps,
        volume=panel.volume * thin,
        tradable=panel.tradable & np.isfinite(close),
    )


def random_targets(rng: np.random.Generator, bars: int, assets: int) -> np.ndarray[Any, Any]:
    """Return weights well beyond the limits on both sides."""
    return rng.normal(0, 1, (bars, assets))
