"""DQN and SAC, learning included, against stock RLlib with the same number of updates a step, in one process.

    python benchmarks/off_policy_throughput.py --steps 8192 --stock

Both make one update of 256 remembered steps for every 16 environment steps, with networks of 64-64.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
PARSER.add_argument("--threads", type=int, default=1)
PARSER.add_argument("--steps", type=int, default=8192, help="environment steps that are timed, of each contender")
PARSER.add_argument("--stock", action="store_true", help="stock RLlib as well (slow)")
PARSER.add_argument(
    "--cpu-clock", action="store_true", help="processor time instead of wall time, for a machine that is shared"
)

import torch  # noqa: E402  # after the thread settings

from benchmarks.ppo_throughput import market  # noqa: E402  # after the thread settings
from wealtharena.agents.engine import Workbench, check_action  # noqa: E402  # after the thread settings
from wealtharena.config import compose, plugins  # noqa: E402  # after the thread settings
from wealtharena.envs.market import Market  # noqa: E402  # after the thread settings
from wealtharena.features.panel import Scaler  # noqa: E402  # after the thread settings

ENVS, BATCH, RATIO, STARTS = 16, 256, 1 / 16, 1024


def workbench(algo: str) -> Workbench:
    """Return the workload as this platform takes it."""
    spec = compose(
        [
            "asset=crypto",
            "asset.action=auto",  # weights or allocations, which the other side has too
            f"algo={algo}",
            "model.hidden=[64,64]",
            "asset.limits.long_only=false",
            f"compute.envs={ENVS}",
            "algo.rollout_steps=512",
            f"algo.batch={BATCH}",
            f"algo.updates_per_step={RATIO}",
            f"algo.learning_starts={STARTS}",
        ]
    )
    features = market()
    env = spec.env.model_copy(update={"action": check_action(spec)})
    scaler = Scaler.fit(features, clip=5.0)
    built = Market.build(features, env, scaler)
    return Workbench(spec, env, env.action, built, ((0, built.length),), scaler, features.panel, 10**6)


def ours(algo: str, steps: int, clock: Any) -> float:
    """Return environment steps a second of this platform."""
    engine = plugins.load("agents.algorithms", algo).build(workbench(algo))
    while engine.env_steps < 2 * STARTS:
        engine.iterate()
    began, before = clock(), engine.env_steps
    while engine.env_steps - before < steps:
        engine.iterate()
    return float((engine.env_steps - before) / (clock() - began))


def stock(algo: str, steps: int, clock: Any) -> float:
    """Return environment steps a second of RLlib's own algorithm over the same vector environment."""
    import gymnasium as gym
    import ray
    from ray.rllib.algorithms.dqn import DQNConfig
    from ray.rllib.algorithms.sac import SACConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    if not ray.is_initialized():  # a Ray of its own, whatever else runs on this machine
        ray.init(address="local", include_dashboard=False, log_to_driver=False)
    bench = workbench(algo)
    config: Any = DQNConfig() if algo == "dqn" else SACConfig()
    config.environment("wealtharena/Portfolio-v0", env_config={"market": bench.market, "spec": bench.env})
    config.env_runners(
        num_env_runners=0,
        num_envs_per_env_runner=ENVS,
        gym_env_vectorize_mode=gym.VectorizeMode.VECTOR_ENTRY_POINT,
        rollout_fragment_length=1,
    )
    config.training(
        train_batch_size_per_learner=BATCH,
        training_intensity=BATCH * RATIO,
        num_steps_sampled_before_learning_starts=STARTS,
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 100_000},
    )
    config.reporting(min_sample_timesteps_per_iteration=512, min_time_s_per_iteration=0)
    config.rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64]))
    algorithm = config.build_algo()

    def taken(result: dict[str, Any]) -> int:
        return int(result["env_runners"]["num_env_steps_sampled_lifetime"])

    before = taken(algorithm.train())
    while before < 2 * STARTS:
        before = taken(algorithm.train())
    began, now = clock(), before
    while now - before < steps:
        now = taken(algorithm.train())
    speed = (now - before) / (clock() - began)
    algorithm.stop()
    return float(speed)


def main() -> None:
    """Time every contender and print the table."""
    options = PARSER.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_clock else time.perf_counter
    print(
        f"one update of {BATCH} for {1 / RATIO:.0f} steps, {options.threads} threads, {clock.__name__}, load {os.getloadavg()[0]:.1f}"
    )
    for algo in ("dqn", "sac"):
        mine = ours(algo, options.steps, clock)
        print(f"  {algo}: {mine:8,.0f} steps/s", end="", flush=True)
        if options.stock:
            theirs = stock(algo, max(512, options.steps // 4), clock)
            print(f"   stock RLlib {theirs:8,.0f}   ours / it = {mine / theirs:5.2f}", end="")
        print()


if __name__ == "__main__":
    main()
