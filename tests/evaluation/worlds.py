"""Small made-up panels and trajectories for the tests of this room."""

from __future__ import annotations

import numpy as np

from wealtharena.data.panel import Panel
from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.features.panel import FeaturePanel

DESIGN_NAMES = [
    "total_return",
    "annual_return",
    "annual_volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "win_rate",
    "profit_factor",
    "var_95",
    "cvar_95",
    "turnover",
    "exposure",
    "trades",
    "costs_paid",
    "psr",
    "min_track_record_length",
]


def panel(bars=120, assets=3, *, seed=0, drift=0.0003, volatility=0.01, start="2020-01-01", opens=True, **changes):
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(drift, volatility, (bars, assets)), axis=0))
    previous = np.vstack([close[:1], close[:-1]])
    values = {
        "timestamps": np.datetime64(start, "ns") + np.arange(bars) * np.timedelta64(1, "D"),
        "symbols": tuple(f"S{i}" for i in range(assets)),
        "close": close,
        "tradable": np.ones((bars, assets), dtype=bool),
        "open": previous if opens else None,
        "high": None,
        "low": None,
        "volume": None,
        "dividends": np.zeros((bars, assets)),
        "to_account": np.ones((bars, assets)),
        "multipliers": np.ones(assets),
        "frequency": "1d",
        "asset": "crypto",
        "source": "files",
        "simulated": False,
    }
    return Panel(**(values | changes))


def features(bars=120, assets=3, **changes):
    p = panel(bars, assets, **changes)
    logs = np.log(p.close)
    values = np.zeros((bars, assets, 2), dtype=np.float32)
    values[1:, :, 0] = np.diff(logs, axis=0)
    values[5:, :, 1] = logs[5:] - logs[:-5]
    values.flags.writeable = False
    return FeaturePanel(panel=p, values=values, names=("log_return_1", "log_return_5"), warmup_bars=0)


def trajectory(returns, *, name="agent", start="2022-01-01", assets=2, trades=40, bars_per_year=252.0, equity=None):
    returns = np.asarray(returns, dtype=float)
    n = returns.size
    equity = 1e6 * np.concatenate([[1.0], np.cumprod(1.0 + returns)]) if equity is None else equity
    each = np.linspace(0, max(n - 1, 0), trades).astype(np.int64) if n else np.zeros(0, dtype=np.int64)
    k = each.size
    return Trajectory(
        name=name,
        timestamps=np.datetime64(start, "ns") + np.arange(n + 1) * np.timedelta64(1, "D"),
        symbols=tuple(f"S{i}" for i in range(assets)),
        equity=equity,
        weights=0.4 + 0.05 * np.outer(np.sin(np.arange(n + 1)), (-1.0) ** np.arange(assets)),
        targets=np.full((n, assets), 0.4),
        traded_value=np.full(n, 1e4),
        costs=np.full(n, 10.0),
        financing=np.zeros(n),
        dividends=np.zeros(n),
        trades=Trades(
            each, np.zeros(k, dtype=np.int64), np.ones(k), np.full(k, 100.0), np.full(k, 100.0), np.full(k, 0.1)
        ),
        fill="next_open",
        bars_per_year=bars_per_year,
    )


def of_short_records(spec, *, draws):
    """Return the rules of a verdict on short records, which need a strong edge, by so many draws."""
    rules = spec.evaluation.verdict.model_copy(update={"implausible": 50.0, "min_years": 0.3})
    return spec.evaluation.model_copy(update={"bootstrap_draws": draws, "verdict": rules})
