"""What chance earns: random weights over 200 seeds of simulated data without drift or signal, with and without costs.

python benchmarks/random_policy.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import market_of
from wealtharena.config import ExperimentSpec, compose
from wealtharena.data import loading
from wealtharena.envs.simulate import simulate
from wealtharena.features.panel import FeaturePanel

SEEDS = 200
FREE = [
    f"asset.costs.{name}=0"
    for name in (
        "commission_bps",
        "half_spread_bps",
        "impact_coefficient",
        "borrow_bps_per_year",
        "margin_bps_per_year",
    )
]


def returns(spec: ExperimentSpec, seed: int) -> tuple[float, float]:
    """Return the mean return and the mean of all that is paid a bar."""
    panel = loading.load(spec.asset, spec.data, seed=seed)
    none = np.zeros((*panel.close.shape, 1), dtype=np.float32)
    market = market_of(FeaturePanel(panel=panel, values=none, names=("none",), warmup_bars=0), spec.env)
    targets = np.random.default_rng(seed).uniform(-1, 1, panel.close.shape)
    path = simulate(market, targets, spec=spec.env)
    return float(path.returns.mean()), float(((path.costs + path.financing) / path.equity[:-1]).mean())


def main() -> None:
    data = [
        "data=simulated",
        "data.simulator.bars=250",
        "data.simulator.drift=false",
        "data.simulator.predictability=0",
        "env.action=weights",
    ]
    print(f"mean return a bar of random weights, {SEEDS} seeds, basis points (95 % interval)")
    for asset in ("forex", "stocks"):
        for name, overrides in (("no cost", FREE), ("the class's costs", [])):
            spec = compose([f"asset={asset}", *data, "universe.max_symbols=4", *overrides])
            gained, paid = np.array([returns(spec, seed) for seed in range(SEEDS)]).T * 1e4
            half = 1.96 * gained.std(ddof=1) / np.sqrt(SEEDS)
            print(f"  {asset:<8} {name:<18} {gained.mean():>8.3f} +- {half:.3f}   paid {paid.mean():.3f}", flush=True)


if __name__ == "__main__":
    main()
