"""A ten-year daily backtest of 100 symbols, after compilation.

python benchmarks/backtest_speed.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import features_of, market_of, spec_of
from wealtharena.envs.simulate import equity_paths, simulate

ASSETS, FEATURES, BARS = 100, 20, 2520


def fastest(function: Callable[[], object], *, times: int = 25) -> float:
    """Return the milliseconds of the fastest of several runs, the first left out."""
    function()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        spent.append(time.perf_counter() - began)
    return 1e3 * min(spent)


def main() -> None:
    features = features_of(bars=BARS, assets=ASSETS, count=FEATURES)
    spec = spec_of()
    market = market_of(features, spec)
    rng = np.random.default_rng(0)
    layout = market.layout
    shared = rng.normal(0, 0.1, FEATURES).astype(np.float32)
    dense = rng.normal(0, 0.01, (layout.size, ASSETS)).astype(np.float32)
    targets = rng.uniform(0, 2 / ASSETS, (BARS, ASSETS))

    def one_row_of_coefficients(observation: np.ndarray) -> np.ndarray:
        return observation[:, layout.features].reshape(1, ASSETS, FEATURES) @ shared / ASSETS

    def dense_matrix(observation: np.ndarray) -> np.ndarray:
        return observation @ dense

    paths = np.tile(targets, (16, 1, 1))
    rows = [
        (
            "linear policy, one coefficient a feature",
            fastest(lambda: simulate(market, one_row_of_coefficients, spec=spec)),
        ),
        (f"linear policy, {layout.size} x {ASSETS} matrix", fastest(lambda: simulate(market, dense_matrix, spec=spec))),
        ("targets known beforehand", fastest(lambda: simulate(market, targets, spec=spec))),
        ("16 paths at once, equity only, a path", fastest(lambda: equity_paths(market, paths, spec=spec)) / 16),
    ]
    print(f"{BARS} daily bars, {ASSETS} symbols, {FEATURES} features, every cost on")
    for name, spent in rows:
        print(f"  {name:<44} {spent:>8.1f} ms")


if __name__ == "__main__":
    main()
