"""Test fixture: a report's data from seeded random walks. Nothing in it is a result of anything."""

from __future__ import annotations

from typing import Any

import numpy as np

from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.evaluation import shape
from wealtharena.files import jsonable
from wealtharena.reporting.band import equity_band
from wealtharena.reporting.data import AuditRow, ReportData, SeedRow, StressRow

SYMBOLS = (
    "BTC-USD",
    "ETH-USD",
    "BNB-USD",
    "XRP-USD",
    "ADA-USD",
    "SOL-USD",
    "DOGE-USD",
    "DOT-USD",
    "AVAX-USD",
    "LTC-USD",
)
BASELINES = ("buy_and_hold", "equal_weight", "momentum", "inverse_volatility", "minimum_variance", "cash", "random")


def walk(
    name: str,
    *,
    seed: int = 0,
    bars: int = 420,
    drift: float = 0.0004,
    volatility: float = 0.015,
    start: str = "2022-01-03",
    symbols: tuple[str, ...] = SYMBOLS,
    unit: str = "D",
    shorts: bool = False,
) -> Trajectory:
    """Return a made-up path of `bars` returns."""
    rng = np.random.default_rng([seed, *name.encode()])
    returns = drift + volatility * rng.standard_t(5, bars) / 1.29
    equity = 100_000.0 * np.concatenate([[1.0], np.cumprod(1 + np.maximum(returns, -0.5))])
    raw = np.cumsum(rng.normal(0, 0.25, (bars + 1, len(symbols))), axis=0)
    weights = np.exp(raw - raw.max(axis=1, keepdims=True))
    weights *= 0.92 / weights.sum(axis=1, keepdims=True)
    if shorts:
        weights *= np.where(np.arange(len(symbols)) % 2 == 0, 1.0, -1.0)
    traded = np.abs(np.diff(weights, axis=0)).sum(axis=1) * equity[:-1]
    costs = traded * 0.001 if name != "cash" else np.zeros(bars)
    count = 0 if name == "cash" else bars
    bar = np.sort(rng.integers(1, bars + 1, count))
    price = rng.uniform(0.2, 300.0, count)
    value = rng.normal(0, 4000.0, count)
    stamps = np.datetime64(start).astype("datetime64[ns]") + np.arange(bars + 1) * np.timedelta64(1, unit)
    return Trajectory(
        name=name,
        timestamps=stamps,
        symbols=symbols,
        equity=equity,
        weights=weights,
        targets=weights[:-1],
        traded_value=traded,
        costs=costs,
        financing=np.full(bars, 1.5),
        dividends=np.zeros(bars),
        trades=Trades(bar, rng.integers(0, len(symbols), count), value / price, price, value, np.abs(value) * 0.001),
        fill="next_open",
        bars_per_year=365.0 if unit == "D" else 8760.0,
    )


def figures(path: Trajectory) -> dict[str, float | None]:
    """Return made-up measures; the total return is that of the path, since the chart states it."""
    r = path.returns
    total = float(path.equity[-1] / path.equity[0] - 1)
    deviation = float(r.std(ddof=1)) if r.size > 1 else 0.0
    sharpe = float(r.mean() / deviation * path.bars_per_year**0.5) if deviation else None
    return {
        "total_return": total,
        "annual_return": (1 + total) ** (path.bars_per_year / r.size) - 1,
        "annual_volatility": deviation * path.bars_per_year**0.5,
        "sharpe": sharpe,
        "sortino": None if sharpe is None else sharpe * 1.4,
        "max_drawdown": float((path.equity / np.maximum.accumulate(path.equity)).min() - 1),
        "calmar": 0.61,
        "win_rate": 0.5123,
        "profit_factor": None,
        "var_95": -0.0234,
        "cvar_95": -0.0345,
        "turnover": 23.4567,
        "exposure": 0.92,
        "trades": int(path.trades.bar.size),
        "costs_paid": float(path.costs.sum()),
        "psr": 0.7312,
        "min_track_record_length": 6.25,
    }


def record(agent: Trajectory, baselines: list[Trajectory], *, simulated: bool = False) -> dict[str, Any]:
    """Return a made-up run.json."""
    test = figures(agent)
    return {
        "schema_version": 1,
        "run_id": "20260101-000000-abcdef",
        "status": "completed",
        "task": "train",
        "agent": "cryptocurrencies",
        "asset": "crypto",
        "algo": "ppo",
        "seed": 0,
        "command": "python run.py asset=crypto algo=ppo data=files data.path=crypto_daily.parquet",
        "config_hash": "0123456789abcdef",
        "git_sha": "f" * 40,
        "versions": {"python": "3.11.7", "torch": "2.13.0", "ray": "2.60.0"},
        "data": {
            "source": "simulated" if simulated else "files",
            "simulated": simulated,
            "fingerprint": "ab" * 32,
            "symbols": list(agent.symbols),
            "start": "2018-01-01",
            "end": str(agent.timestamps[-1])[:10],
            "bars": 1900,
            "frequency": "1d",
        },
        "split": {
            "train": ["2018-01-01", "2020-12-30"],
            "validation": ["2021-01-02", "2021-12-30"],
            "test": [str(agent.timestamps[0])[:10], str(agent.timestamps[-1])[:10]],
        },
        "fill": agent.fill,
        "training": {
            "env_steps": 400_000,
            "seconds": 61.5,
            "env_steps_per_second": 6504.1,
            "iterations": 50,
            "final_reward": 0.0123,
        },
        "checkpoint": {"path": "checkpoints/step-240000", "step": 240_000, "selected_by": "sharpe"},
        "metrics": {
            "train": figures(walk("train", seed=3)),
            "validation": figures(walk("validation", seed=4)),
            "test": test,
        },
        "baselines": {path.name: figures(path) for path in baselines},
        "comparison": {
            path.name: {
                "sharpe_difference": (test["sharpe"] or 0.0) - (figures(path)["sharpe"] or 0.0),
                "ci95": [(test["sharpe"] or 0.0) - (figures(path)["sharpe"] or 0.0) + d for d in (-1.1, 1.2)],
                "p_value": 0.2345,
            }
            for path in baselines
        },
        "shape": jsonable(
            shape.to_json(
                agent.returns,
                agent.equity,
                agent.timestamps,
                benchmark=(baselines[0].name, baselines[0].returns) if baselines else None,
                bars_per_year=agent.bars_per_year,
                risk_free=0.0,
            )
        ),
        "verdict": {
            "status": "unproven",
            "reasons": [
                "Sharpe ratio +0.31 against buy_and_hold, interval -0.79 to +1.51: could be chance. It would take 14.2 years.",
                "1 seed; 5 are asked.",
                "Deflated Sharpe ratio 0.41 with 12 configurations tried; 0.95 is asked.",
            ],
            "rules": [
                {"rule": "lower_bound", "status": "unproven", "reason": "Could be chance."},
                {"rule": "drawdown", "status": "promotable", "reason": "Worst drawdown -21.0%; -35% is allowed."},
                {"rule": "degenerate", "status": "rejected", "reason": "Degenerate policy."},
            ],
            "evidence": {
                "dsr": 0.41,
                "pbo": None,
                "trials": 12,
                "seeds": 1,
                "worst_drawdown": -0.21,
                "beats": "buy_and_hold",
            },
        },
    }


def journal(lines: int = 50) -> list[dict[str, Any]]:
    """Return made-up lines of metrics.jsonl."""
    rng = np.random.default_rng(7)
    found = []
    for i in range(1, lines + 1):
        line: dict[str, Any] = {
            "env_step": i * 8000,
            "iteration": i,
            "env_steps_per_second": 6500 + rng.normal(0, 200),
            "reward": 0.01 * np.log(i) + rng.normal(0, 0.004),
            "policy_loss": -0.01 + rng.normal(0, 0.003),
            "value_loss": 1.0 / i + rng.uniform(0, 0.05),
            "entropy": 5 - 0.04 * i,
            "kl": rng.uniform(0.005, 0.02),
        }
        if i % 5 == 0:
            line["validation/sharpe"] = 0.2 + 0.6 * np.sin(i / 12) + rng.normal(0, 0.1)
        found.append(line)
    return found


def report_data(*, simulated: bool = False, seeds: int = 5, **changes: Any) -> ReportData:
    """Return made-up data for a whole report."""
    shape = {
        key: changes.pop(key) for key in ("bars", "unit", "symbols", "shorts", "drift", "volatility") if key in changes
    }
    agent = walk("agent", seed=5, **({"drift": 0.0009} | shape))
    scale = {"cash": 0.0, "minimum_variance": 0.008, "random": 0.012}
    baselines = [
        walk(
            name,
            seed=2,
            **(shape | {"volatility": scale.get(name, 0.016)} | ({"drift": 0.0} if name == "cash" else {})),
        )
        for name in BASELINES
    ]
    test = figures(agent)
    made: dict[str, Any] = {
        "run": record(agent, baselines, simulated=simulated),
        "agent": agent,
        "baselines": tuple(baselines),
        "band": equity_band(agent, rng=np.random.default_rng(0)),
        "journal": journal(),
        "stress": (
            StressRow("2 times the costs", test | {"total_return": 0.04, "sharpe": 0.31}, {"sharpe": 0.85}),
            StressRow("5 times the costs", test | {"total_return": -0.21, "sharpe": -0.6}),
            StressRow("One bar later", test),
            StressRow("2008-09 to 2009-03", {}, note="no data there"),
            StressRow("Without the best 5 days", test | {"total_return": -0.05, "sharpe": -0.02}),
        ),
        "seeds": tuple(SeedRow(s, figures(walk("agent", seed=s)), f"2026010{s}-000000") for s in range(seeds)),
        "audit": (
            AuditRow("Features use no later bar", True, "24 features, 50 points in time"),
            AuditRow("Baselines use no later bar", True, "7 baselines"),
            AuditRow("Policy uses no later bar", None),
        ),
        "test_openings": 3,
        "configurations_tried": 12,
        "notes": (
            "The universe crypto_large was drawn up on 2024-01-01: its members are known to have survived until then.",
            "The source has no dividends.",
        ),
        "config": "algo:\n  name: ppo\n  learning_rate: 0.0003\n",
        "currency": "USD",
    }
    return ReportData(**(made | changes))


def search_result(*, trials: int = 40) -> dict[str, Any]:
    """Return the content of a made-up search's sweep.json."""
    rng = np.random.default_rng(5)
    drawn = [
        {
            "number": number,
            "state": ("COMPLETE", "COMPLETE", "PRUNED", "FAIL")[number % 4],
            "score": None if number % 4 == 3 else float(rng.normal(0, 0.3)),
            "overrides": {
                "algo.learning_rate": float(10 ** rng.uniform(-4.5, -2.5)),
                "algo.gamma": float(rng.uniform(0.5, 0.99)),
                "algo.entropy_coefficient": float(10 ** rng.uniform(-5, -2)),
                "reward": ("log_return", "mean_variance", "differential_sharpe")[number % 3],
            },
        }
        for number in range(trials)
    ]
    words = ["algo.learning_rate=0.0005", "algo.gamma=0.95", "reward=log_return"]
    finalists = [
        {"overrides": words, "scores": [0.1 + 0.02 * k, 0.2, 0.05], "median": 0.1, "spread": 0.06} for k in range(3)
    ]
    return {
        "status": "completed",
        "sweep": "ppo",
        "agent": "currency_pairs",
        "metric": "validation.sharpe",
        "mode": "max",
        "data": {"source": "ecb", "simulated": False},
        "trials": drawn,
        "importance": {"algo.learning_rate": 0.5, "algo.gamma": 0.3, "algo.entropy_coefficient": 0.12, "reward": 0.08},
        "finalists": finalists,
        "winner": finalists[0],
        "verdict": {"status": "rejected", "reasons": ["Made up."]},
        "bias": {
            "trials": trials,
            "pbo": 0.41,
            "logits": rng.normal(0.2, 0.8, 200).tolist(),
            "expected_maximum_sharpe_annual": 0.6,
        },
        "command": "python run.py sweep=ppo asset=forex",
        "repeat": "python run.py experiment=outputs/2026-01-01/search/best.yaml",
    }
