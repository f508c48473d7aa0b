"""PBO of pure noise and of one true edge: python benchmarks/pbo_null.py. Published in docs/evaluation.md."""

from __future__ import annotations

import math
import time

import numpy as np

from wealtharena.evaluation.significance import probability_of_backtest_overfitting

BARS, STRATEGIES, VOLATILITY = 1000, 20, 0.01


def mean_pbo(*, sharpe: float, draws: int, blocks: int, seed: int) -> tuple[float, float, float]:
    """Return mean and standard error of PBO over `draws` worlds, and seconds a world."""
    rng = np.random.default_rng(seed)
    edge = np.zeros(STRATEGIES)
    edge[0] = sharpe / math.sqrt(252) * VOLATILITY
    begin = time.perf_counter()
    found = [
        probability_of_backtest_overfitting(
            rng.normal(0, VOLATILITY, (BARS, STRATEGIES)) + edge, blocks=blocks
        ).probability
        for _ in range(draws)
    ]
    seconds = (time.perf_counter() - begin) / draws
    return float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(draws)), seconds


def main() -> None:
    """Print one line a world."""
    print(f"T={BARS}, N={STRATEGIES}; PBO counts lambda <= 0")
    print(f"{'edge (annual Sharpe)':22}{'S':>4}{'draws':>7}{'mean PBO':>10}{'error':>8}{'ms each':>9}")
    for sharpe, blocks, draws in (
        (0.0, 8, 100),
        (0.0, 8, 1000),
        (0.0, 16, 100),
        (1.0, 8, 300),
        (2.0, 8, 300),
        (3.2, 8, 300),
    ):
        mean, error, seconds = mean_pbo(sharpe=sharpe, draws=draws, blocks=blocks, seed=1)
        print(f"{sharpe:<22.1f}{blocks:>4}{draws:>7}{mean:>10.3f}{error:>8.3f}{1e3 * seconds:>9.1f}")


if __name__ == "__main__":
    main()
