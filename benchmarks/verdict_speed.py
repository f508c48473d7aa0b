"""Seconds that a whole verdict takes: python benchmarks/verdict_speed.py. At most 20 are allowed for 5 seeds.

A window of 500 daily bars of 10 symbols is judged with 10,000 bootstrap draws, CSCV with S=16, 8 baselines and the
stress table, for policies of a neural network's size.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from wealtharena.config import compose
from wealtharena.data.panel import Panel
from wealtharena.envs.market import Market
from wealtharena.evaluation import backtest
from wealtharena.evaluation.evaluate import Facts, evaluate
from wealtharena.evaluation.splits import Segment
from wealtharena.evaluation.trials import Trials
from wealtharena.features.panel import FeaturePanel

BARS, SYMBOLS, FEATURES, TEST = 2_500, 10, 20, 500


class Network:
    """Two hidden layers of 64 in torch, as a trained policy has."""

    name = "network"

    def __init__(self, size: int, seed: int) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        parts = [torch.nn.Linear(size, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh()]
        self.layers = torch.nn.Sequential(*parts, torch.nn.Linear(64, SYMBOLS), torch.nn.Softmax(dim=-1))

    def reset(self, batch: int = 1) -> None:
        """Nothing is remembered."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return weights that sum to 1."""
        import torch

        with torch.inference_mode():
            return self.layers(torch.from_numpy(observation)).double().numpy()


def world(seed: int) -> FeaturePanel:
    """Return made-up bars and features."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(3e-4, 0.015, (BARS, SYMBOLS)), axis=0))
    panel = Panel(
        timestamps=np.datetime64("2018-01-01", "ns") + np.arange(BARS) * np.timedelta64(1, "D"),
        symbols=tuple(f"S{i}" for i in range(SYMBOLS)),
        close=close,
        tradable=np.ones_like(close, dtype=np.bool_),
        open=np.vstack([close[:1], close[:-1]]),
        high=None,
        low=None,
        volume=None,
        dividends=np.zeros_like(close),
        to_account=np.ones_like(close),
        multipliers=np.ones(SYMBOLS),
        frequency="1d",
        asset="crypto",
        source="simulated",
        simulated=True,
    )
    values = rng.normal(size=(BARS, SYMBOLS, FEATURES)).astype(np.float32)
    return FeaturePanel(panel, values, tuple(f"f{i}" for i in range(FEATURES)), 0)


def main() -> None:
    """Print seconds for one and for five seeds, compiled code warm and cold."""
    spec = compose(["asset=crypto"])
    evaluation = spec.evaluation.model_copy(update={"bootstrap_draws": 10_000, "cscv_blocks": 16})
    features = world(0)
    scaler = backtest.plain_scaler(features)
    size = Market.build(features, spec.env, scaler).layout.size
    facts = Facts(simulated=True, unadjusted_rolls=False, trials=Trials(20, 0.25), openings=1, benchmark="S0")
    strategies = np.random.default_rng(1).normal(0, 0.01, (TEST, 20))
    print(
        f"{TEST} bars, {SYMBOLS} symbols, {len(evaluation.baselines)} baselines, {evaluation.bootstrap_draws:,} draws, S=16"
    )
    for label, seeds in (("first call, 1 seed", 1), ("1 seed", 1), ("5 seeds", 5)):
        players = [
            backtest.Backtest(
                f"seed {i}", features, spec.env, (backtest.Piece(Network(size, i), scaler, Segment(BARS - TEST, BARS)),)
            )
            for i in range(seeds)
        ]
        begin = time.perf_counter()
        evaluate(players, evaluation=evaluation, facts=facts, rng=np.random.default_rng(0), strategies=strategies)
        print(f"{label:20}{time.perf_counter() - begin:8.2f} s")


if __name__ == "__main__":
    main()
