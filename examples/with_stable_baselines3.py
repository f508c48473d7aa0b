"""Stable-Baselines3's PPO on our market, judged by our judge on a test window that it never saw.

pip install -e '.[bench]', then: python examples/with_stable_baselines3.py [STEPS]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from wealtharena import Study

SETTINGS = (
    "asset=forex",
    "env.action=weights",  # what the model answers
    "data=ecb",
    "data.start=2012-01-01",
    "evaluation.bootstrap_draws=2000",
    "env.episode_bars=64",
)


class Policy:
    """A model of SB3's as a policy: the mode of its distribution, as every evaluation here."""

    name = "sb3 ppo"

    def __init__(self, model: Any) -> None:
        self.model = model

    def reset(self, batch: int = 1) -> None:
        """Forget nothing: an MLP has no memory."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return target weights [N, A] for observations [N, D]."""
        weights, _ = self.model.predict(observation, deterministic=True)
        return np.asarray(weights, dtype=np.float64)


def main(steps: int) -> None:
    study = Study.of(None, *SETTINGS)
    # one account each; for tens of thousands of steps a second wrap study.vector_env(1024), see benchmarks/ppo_throughput.py
    env = DummyVecEnv([study.env for _ in range(8)])
    model = PPO("MlpPolicy", env, n_steps=128, batch_size=256, gamma=0.9, learning_rate=3e-4, seed=0, device="cpu")
    model.learn(steps)
    found = study.judge(Policy(model))
    print("test, Sharpe ratio:", round(found.metrics["sharpe"], 2), "verdict:", found.verdict.status)
    for reason in found.verdict.reasons[:3]:
        print("-", reason)
    print(study.report(found, "outputs/with_stable_baselines3/report.html"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
