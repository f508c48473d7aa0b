"""Steps a second of the market kernel, beside the bare loop that writes the same observation, in the same run.

python benchmarks/env_step.py            # one core; pip install gym-anytrading adds its row
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import wealtharena  # noqa: F401  # registers the environment
from benchmarks.worlds import features_of, market_of, spec_of
from wealtharena.envs.market import Market
from wealtharena.envs.vector_env import PortfolioVectorEnv

ENVS = 1024


def rate(function: Callable[[], None], steps: int, *, seconds: float = 3.0) -> float:
    """Return steps a second of the fastest of many short runs: the least disturbed by other processes."""
    function()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - began)
    return steps / best


@numba.njit(nogil=True)
def write_only(features: np.ndarray, bar: np.ndarray, obs: np.ndarray) -> None:
    """Write the same observation and do nothing else."""
    width = features.shape[1]
    for i in range(obs.shape[0]):
        t = bar[i]
        for j in range(width):
            obs[i, j] = features[t, j]
        for j in range(width, obs.shape[1]):
            obs[i, j] = 0.5
        bar[i] = t + 1 if t + 1 < features.shape[0] else 0


def bare_loop(market: Market, envs: int, *, batches: int = 8) -> float:
    features = np.asarray(market.features).reshape(market.length, -1)
    obs = np.zeros((envs, market.layout.size), dtype=np.float32)
    bar = np.random.default_rng(0).integers(0, market.length, envs)

    def run() -> None:
        for _ in range(batches):
            write_only(features, bar, obs)

    return rate(run, envs * batches)


def batch(market: Market, spec, envs: int, *, batches: int = 2) -> float:
    env = PortfolioVectorEnv(market, spec, num_envs=envs)
    rng = np.random.default_rng(0)
    actions = [rng.uniform(-1, 1, (envs, len(market.symbols))).astype(np.float32) for _ in range(8)]
    obs = np.zeros((envs, market.layout.size), dtype=np.float32)
    final = np.zeros_like(obs)
    reward, ended = np.zeros(envs, dtype=np.float32), np.zeros((2, envs), dtype=bool)
    env.reset_into(obs, seed=0)

    def run() -> None:
        for n in range(batches):
            env.step_into(
                actions[n % 8], obs=obs, reward=reward, terminated=ended[0], truncated=ended[1], final_obs=final
            )

    return rate(run, envs * batches)


def single(features, spec, *, steps: int = 2000) -> float:
    env = gym.make("wealtharena/Portfolio-v0", panel=features.panel, spec=spec, features=features)
    env.reset(seed=0)
    action = np.full(len(features.panel.symbols), 0.05, dtype=np.float32)

    def run() -> None:
        for _ in range(steps):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return rate(run, steps)


def anytrading(*, steps: int = 2000) -> float | None:
    try:
        import pandas as pd
        from gym_anytrading.envs import StocksEnv
    except ImportError:
        return None
    close = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, 5000)))
    frame = pd.DataFrame({"Open": close, "High": close, "Low": close, "Close": close})
    env = StocksEnv(df=frame, window_size=10, frame_bound=(10, 5000))
    env.reset(seed=0)

    def run() -> None:
        for n in range(steps):
            _, _, terminated, truncated, _ = env.step(n & 1)
            if terminated or truncated:
                env.reset()

    return rate(run, steps)


def main() -> None:
    features = features_of()
    spec = spec_of()
    market = market_of(features, spec)
    bare = bare_loop(market, ENVS)
    ours = batch(market, spec, ENVS)
    other = anytrading()
    rows = [
        ("bare numba loop, same observation", bare),
        (f"kernel, {ENVS} environments, every cost", ours),
        ("PortfolioEnv through gym.make", single(features, spec)),
    ]
    if other is not None:
        rows.append(("gym-anytrading, single environment", other))
    print(f"10 symbols x 20 features, {market.layout.size} floats an observation, one core")
    for name, value in rows:
        print(f"  {name:<42} {value:>14,.0f} steps/s   {value / bare:>7.3f} of the bare loop")
    if other is not None:
        print(f"  kernel over gym-anytrading: {ours / other:.0f}; over the bare loop: {ours / bare:.3f}")
    print("cost of a step, nanoseconds (symbols x window x features)")
    for assets, window, count in (
        (5, 1, 20),
        (10, 1, 20),
        (20, 1, 20),
        (40, 1, 20),
        (10, 1, 40),
        (10, 4, 20),
        (10, 8, 20),
    ):
        many = features_of(assets=assets, count=count)
        wide = spec_of(f"env.window={window}")
        ns = 1e9 / batch(market_of(many, wide), wide, 256, batches=10)
        print(f"  {assets:>3} x {window} x {count:<3} = {assets * window * count:>5}   {ns:>8.0f}")


if __name__ == "__main__":
    main()
