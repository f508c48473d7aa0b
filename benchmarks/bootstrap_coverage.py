"""How often the 95 % interval of the Sharpe difference holds the truth: python benchmarks/bootstrap_coverage.py.

Pairs of return series are simulated whose true Sharpe ratios are known, with independent normal returns and with
GARCH(1, 1) volatility and Student-t innovations; the figures stand in docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time

import numpy as np
import numpy.typing as npt

from wealtharena.evaluation.significance import paired_bootstrap

FloatArray = npt.NDArray[np.float64]
MEANS, SCALES, CORRELATION, YEAR = (0.0006, 0.0003), (0.010, 0.012), 0.6, 252


def independent(rng: np.random.Generator, bars: int) -> FloatArray:
    """Return normal returns [2, bars] without dependence in time."""
    return _mixed(rng.normal(size=(3, bars)))


def garch(
    rng: np.random.Generator, bars: int, *, alpha: float = 0.08, beta: float = 0.90, dof: float = 4.0
) -> FloatArray:
    """Return returns [2, bars] with volatility clusters that both series share and t innovations of variance 1."""
    burn = 500
    draws = rng.standard_t(dof, (3, bars + burn)) / math.sqrt(dof / (dof - 2))
    noise = _unit_mixed(draws)
    variance, out = np.ones(2), np.empty((2, bars + burn))
    for t in range(bars + burn):
        out[:, t] = noise[:, t] * np.sqrt(variance)
        variance = (1 - alpha - beta) + alpha * out[:, t] ** 2 + beta * variance
    return out[:, burn:] * np.array(SCALES)[:, None] + np.array(MEANS)[:, None]


def _unit_mixed(draws: FloatArray) -> FloatArray:
    return math.sqrt(CORRELATION) * draws[:1] + math.sqrt(1 - CORRELATION) * draws[1:]


def _mixed(draws: FloatArray) -> FloatArray:
    return _unit_mixed(draws) * np.array(SCALES)[:, None] + np.array(MEANS)[:, None]


def coverage(
    world: str, *, studentised: bool, bars: int, pairs: int, draws: int, seed: int
) -> tuple[float, float, float]:
    """Return the share of intervals that hold the truth, its standard error, and the mean width."""
    rng = np.random.default_rng(seed)
    truth = (MEANS[0] / SCALES[0] - MEANS[1] / SCALES[1]) * math.sqrt(YEAR)
    held, width = [], []
    for _ in range(pairs):
        made = independent(rng, bars) if world == "independent" else garch(rng, bars)
        found = paired_bootstrap(made[0], made[1], rng=rng, bars_per_year=YEAR, draws=draws, studentised=studentised)
        held.append(found.sharpe.low <= truth <= found.sharpe.high)
        width.append(found.sharpe.high - found.sharpe.low)
    share = float(np.mean(held))
    return share, math.sqrt(share * (1 - share) / pairs), float(np.mean(width))


def main() -> None:
    """Print one line a world and kind of interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    print(f"{options.pairs} pairs, {options.draws} draws each, 95 % intervals of the annual Sharpe difference")
    print(f"{'world':14}{'bars':>6}  {'interval':13}{'covers':>8}{'error':>8}{'width':>8}{'seconds':>9}")
    for bars, world in itertools.product((1000, 250, 120, 60), ("independent", "garch, t(4)")):
        for studentised in (False, True):
            begin = time.perf_counter()
            share, error, width = coverage(
                world, studentised=studentised, bars=bars, pairs=options.pairs, draws=options.draws, seed=2
            )
            kind = "studentised" if studentised else "percentile"
            seconds = time.perf_counter() - begin
            print(f"{world:14}{bars:>6}  {kind:13}{share:>8.1%}{error:>8.1%}{width:>8.2f}{seconds:>9.1f}")


if __name__ == "__main__":
    main()
