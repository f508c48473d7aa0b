"""PPO, learning included: this platform against its own bound, stock RLlib and Stable-Baselines3, in one process.

The workload: 10 symbols x 20 features, networks of 64-64, a separate value network, 4 epochs. Every figure is wall time
over whole iterations, the first one left out, the same number of torch threads for all. All take turns, and a ratio is the
median over the turns: a shared machine is half as fast one minute as the next.

    python benchmarks/ppo_throughput.py --threads 2 --steps 262144 --stock --sb3

The bound is what the same matrices cost with nothing around them: a bare forward pass for each step of the rollout and a
bare update (gather, forward, backward, Adam) over the same rows, no environment, no framework.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
PARSER.add_argument("--threads", type=int, default=2)
PARSER.add_argument("--steps", type=int, default=262_144, help="environment steps that are timed, of each contender")
PARSER.add_argument("--stock", action="store_true", help="stock RLlib as well (slow)")
PARSER.add_argument("--sb3", action="store_true", help="Stable-Baselines3 as well (slow)")

PARSER.add_argument(
    "--cpu-clock", action="store_true", help="processor time instead of wall time, for a machine that is shared"
)

import numpy as np  # noqa: E402  # after the thread settings
import torch  # noqa: E402  # after the thread settings
from torch import nn  # noqa: E402  # after the thread settings

from wealtharena.agents.algorithms import ppo  # noqa: E402  # after the thread settings
from wealtharena.agents.engine import Workbench  # noqa: E402  # after the thread settings
from wealtharena.agents.process import keep_freed_memory  # noqa: E402  # after the thread settings
from wealtharena.config import compose  # noqa: E402  # after the thread settings
from wealtharena.data.panel import Panel  # noqa: E402  # after the thread settings
from wealtharena.envs.market import Market  # noqa: E402  # after the thread settings
from wealtharena.features.panel import FeaturePanel, Scaler  # noqa: E402  # after the thread settings

ENVS, BARS, ASSETS, FEATURES = 256, 128, 10, 20
OURS = "wealtharena"
TURNS = 5


CLOCK = [time.perf_counter]


def now() -> float:
    """Return seconds on the chosen clock."""
    return CLOCK[0]()


def market(bars: int = 4000) -> FeaturePanel:
    """Return a random walk with random features: what is learned does not matter here."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal((bars, ASSETS)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    panel = Panel(
        timestamps=np.datetime64("2010-01-01", "ns") + np.arange(bars) * np.timedelta64(1, "D"),
        symbols=tuple(f"S{i}" for i in range(ASSETS)),
        close=close,
        tradable=np.ones((bars, ASSETS), bool),
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        volume=None,
        dividends=np.zeros((bars, ASSETS)),
        to_account=np.ones((bars, ASSETS)),
        multipliers=np.ones(ASSETS),
        frequency="1d",
        asset="crypto",
        source="simulated",
        simulated=True,
    )
    values = rng.standard_normal((bars, ASSETS, FEATURES)).astype(np.float32)
    return FeaturePanel(panel=panel, values=values, names=tuple(f"f{i}" for i in range(FEATURES)), warmup_bars=0)


def workbench(*, envs: int, rollout: int, minibatch: int, epochs: int, action: str = "weights") -> Workbench:
    """Return the workload as this platform takes it; a tilt has two more features a symbol, and its anchor to add."""
    spec = compose(
        [
            "asset=crypto",
            f"env.action={action}",
            "algo=ppo",
            "model=mlp",
            "model.hidden=[64,64]",
            f"compute.envs={envs}",
            f"algo.rollout_steps={rollout}",
            f"algo.minibatch={minibatch}",
            f"algo.epochs={epochs}",
            "algo.target_kl=null",
            "model.initial_log_std=-2.0",
        ]
    )
    features = market()
    env = spec.env.model_copy(update={"action": action})
    scaler = Scaler.fit(features, clip=5.0)
    built = Market.build(features, env, scaler)
    return Workbench(spec, env, action, built, ((0, built.length),), scaler, features.panel, 10**9)


def ours(steps: int, *, action: str = "weights", **shape: int) -> float:
    """Return environment steps a second of this platform."""
    engine = ppo.build(workbench(**shape, action=action))
    engine.iterate()
    began, before = now(), engine.env_steps
    while engine.env_steps - before < steps:
        engine.iterate()
    speed = (engine.env_steps - before) / (now() - began)
    engine.close()
    return speed


def bound(steps: int, *, envs: int, rollout: int, minibatch: int, epochs: int) -> float:
    """Return steps a second of the bare matrices: rollout forward, value pass, and the update."""
    size = ASSETS * FEATURES + ASSETS + 3
    actor, critic = (
        nn.Sequential(nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))
        for outputs in (ASSETS, 1)
    )
    parameters = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, fused=True)
    rows = torch.randn(rollout, size)

    def once() -> None:
        with torch.no_grad():
            for start in range(0, rollout, envs):
                actor(rows[start : start + envs])
            critic(rows)
        for _ in range(epochs):
            order = torch.randperm(rollout)
            for start in range(0, rollout, minibatch):
                batch = rows.index_select(0, order[start : start + minibatch])
                optimizer.zero_grad(set_to_none=True)
                (actor(batch).square().mean() + critic(batch).square().mean()).backward()
                optimizer.step()

    once()
    began, done = now(), 0
    while done < steps:
        once()
        done += rollout
    return done / (now() - began)


def stock_rllib(steps: int, *, envs: int, rollout: int, minibatch: int, epochs: int) -> float:
    """Return steps a second of RLlib's own PPO over the same vector environment."""
    import gymnasium as gym
    import ray
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    import wealtharena  # noqa: F401  # registers the environment

    if not ray.is_initialized():  # a Ray of its own, whatever else runs on this machine
        ray.init(address="local", include_dashboard=False, log_to_driver=False)
    bench = workbench(envs=envs, rollout=rollout, minibatch=minibatch, epochs=epochs)
    name = "wealtharena/Portfolio-v0"
    config = (
        PPOConfig()
        .environment(name, env_config={"market": bench.market, "spec": bench.env})
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=envs,
            gym_env_vectorize_mode=gym.VectorizeMode.VECTOR_ENTRY_POINT,
            rollout_fragment_length=max(1, rollout // envs),
        )
        .training(train_batch_size_per_learner=rollout, minibatch_size=minibatch, num_epochs=epochs, lr=3e-4)
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], vf_share_layers=False))
    )
    algorithm = config.build_algo()
    algorithm.train()
    torch.set_num_threads(torch.get_num_threads())
    began, done = now(), 0
    while done < steps:
        algorithm.train()
        done += rollout
    speed = done / (now() - began)
    algorithm.stop()
    return speed


def own_face(bench: Workbench, envs: int) -> Any:
    """Return Stable-Baselines3's own vector environment over single environments, as its documentation does it."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    from wealtharena.envs.portfolio_env import PortfolioEnv

    return DummyVecEnv([lambda: PortfolioEnv(bench.market, bench.env)] * envs)


def thin_face(bench: Workbench, envs: int) -> Any:
    """Return the thinnest cover of our vector environment that Stable-Baselines3 accepts."""
    from stable_baselines3.common.vec_env import VecEnv

    from wealtharena.envs.vector_env import PortfolioVectorEnv

    inner = PortfolioVectorEnv(bench.market, bench.env, num_envs=envs, segments=bench.segments)

    class Face(VecEnv):
        def __init__(self) -> None:
            super().__init__(envs, inner.single_observation_space, inner.single_action_space)

        def reset(self) -> np.ndarray:
            return inner.reset(seed=0)[0]

        def step_async(self, actions: np.ndarray) -> None:
            self.actions = actions

        def step_wait(self):
            seen, reward, terminated, truncated, infos = inner.step(self.actions)
            done = terminated | truncated
            told: list[dict] = [{} for _ in range(envs)]
            for i in np.flatnonzero(done):
                told[i] = {"terminal_observation": infos["final_obs"][i], "TimeLimit.truncated": not terminated[i]}
            return seen, reward.astype(np.float32), done, told

        def close(self) -> None:
            pass

        def get_attr(self, attr_name, indices=None):
            return [None] * envs

        def set_attr(self, attr_name, value, indices=None) -> None:
            pass

        def env_method(self, method_name, *args, indices=None, **kwargs):
            return [None] * envs

        def env_is_wrapped(self, wrapper_class, indices=None):
            return [False] * envs

    return Face()


def stable_baselines(steps: int, *, envs: int, rollout: int, minibatch: int, epochs: int, own: bool = False) -> float:
    """Return steps a second of Stable-Baselines3's PPO over our vector environment, or over its `own` of our single ones."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback

    bench = workbench(envs=envs, rollout=rollout, minibatch=minibatch, epochs=epochs)
    face = own_face(bench, envs) if own else thin_face(bench, envs)

    class Clock(BaseCallback):
        began = 0.0

        def _on_rollout_start(self) -> None:
            if self.num_timesteps == rollout:
                Clock.began = now()

        def _on_step(self) -> bool:
            return True

    model = PPO(
        "MlpPolicy",
        face,
        n_steps=max(1, rollout // envs),
        batch_size=minibatch,
        n_epochs=epochs,
        policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}},
        device="cpu",
    )
    iterations = max(1, round(steps / rollout))
    model.learn((iterations + 1) * rollout, callback=Clock())
    return iterations * rollout / (now() - Clock.began)


def main() -> None:
    """Time every contender and print the table."""
    options = PARSER.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as a training does; here it serves all contenders
    if options.cpu_clock:
        CLOCK[0] = time.process_time
    large = {"envs": ENVS, "rollout": ENVS * BARS, "minibatch": 4096, "epochs": 4}
    small = {"envs": 1, "rollout": 2048, "minibatch": 64, "epochs": 10}
    wide = {"envs": 64, "rollout": 2048, "minibatch": 64, "epochs": 10}
    contenders: dict[str, Callable[[int], float]] = {
        "bound (bare matrices)": lambda steps: bound(steps, **large),
        OURS: lambda steps: ours(steps, **large),
        f"{OURS}, env.action=tilt": lambda steps: ours(steps, action="tilt", **large),
    }
    if options.stock:
        contenders["stock RLlib"] = lambda steps: stock_rllib(steps, **large)
    if options.sb3:
        contenders["Stable-Baselines3, our envs"] = lambda steps: stable_baselines(steps, **large)
        contenders["Stable-Baselines3, its own"] = lambda steps: stable_baselines(steps, **large, own=True)
    # in turns, so that a busy moment meets all of them, and set against each other turn by turn
    turns = [{name: run(options.steps // TURNS) for name, run in contenders.items()} for _ in range(TURNS)]
    print(
        f"rollout 32,768, minibatch 4,096, 4 epochs, {options.threads} threads, {CLOCK[0].__name__}, load {os.getloadavg()[0]:.1f}"
    )
    for name in contenders:
        speeds, ratios = [turn[name] for turn in turns], [turn[OURS] / turn[name] for turn in turns]
        print(
            f"  {name:30} {np.median(speeds):10,.0f} steps/s   ours / it = {np.median(ratios):5.2f}"
            f" ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    print("rollout 2,048, minibatch 64, 10 epochs (Stable-Baselines3's defaults)")
    quick = options.steps // 16
    mine_small = ours(quick, **small)
    print(f"  {'wealtharena, 1 env':28} {mine_small:10,.0f} steps/s")
    print(f"  {'wealtharena, 64 envs':28} {ours(quick, **wide):10,.0f} steps/s")
    if options.sb3:
        theirs = stable_baselines(quick, **small)
        print(f"  {'Stable-Baselines3, 1 env':28} {theirs:10,.0f} steps/s   ours / it = {mine_small / theirs:5.2f}")


if __name__ == "__main__":
    main()
