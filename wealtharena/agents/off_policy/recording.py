"""Trajectories of a baseline over the training rows, as arrays to learn from."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wealtharena.agents.engine import Workbench
from wealtharena.agents.specs import OfflineSpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.baselines import Baseline, spec_of
from wealtharena.envs.execution import Schedule
from wealtharena.envs.vector_env import PortfolioVectorEnv
from wealtharena.errors import TrainingError
from wealtharena.files import atomic_path

COLUMNS = ("observations", "actions", "rewards", "following", "alive", "returns")


@dataclass(frozen=True, eq=False)
class Recording:
    """M steps; `returns` are discounted rewards to the end of each path, without a value after it."""

    observations: npt.NDArray[np.float32]  # [M, D]
    actions: npt.NDArray[np.float32]  # [M, A] target weights
    rewards: npt.NDArray[np.float32]  # [M]
    following: npt.NDArray[np.float32]  # [M, D]
    alive: npt.NDArray[np.float32]  # [M] 0 at a liquidation
    returns: npt.NDArray[np.float32]  # [M]


def recording(bench: Workbench, algo: OfflineSpec) -> Recording:
    """Return the recording that the algorithm asks for: read from `dataset`, or played and, where named, written there."""
    if algo.dataset is not None and Path(algo.dataset).exists():
        return _read(Path(algo.dataset), bench)
    rng = np.random.default_rng([bench.spec.seed, 23])
    parts = [_record(bench, algo, segment, rng) for segment in bench.segments]
    made = Recording(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))
    if algo.dataset is not None:
        with atomic_path(Path(algo.dataset)) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, **{name: getattr(made, name) for name in COLUMNS})
    return made


def _record(bench: Workbench, algo: OfflineSpec, segment: tuple[int, int], rng: np.random.Generator) -> Recording:
    """Record one segment from its first bar to its last, `passes` times side by side."""
    spec = bench.env.model_copy(update={"episode_bars": None, "random_start": False, "action": "weights"})
    env = PortfolioVectorEnv(bench.market, spec, num_envs=algo.passes, segments=(segment,))
    first = segment[0] + spec.window - 1
    schedule = _schedule(bench, algo, spec, first, seed=int(rng.integers(2**63)))
    bars, envs, size, assets = segment[1] - 1 - first, algo.passes, env.layout.size, len(env.layout.symbols)
    observations = np.zeros((bars + 1, envs, size), np.float32)
    following = np.zeros((bars, envs, size), np.float32)
    actions = np.zeros((bars, envs, assets), np.float32)
    rewards = np.zeros((bars, envs), np.float32)
    ended = np.zeros((2, bars, envs), np.bool_)
    env.reset_into(observations[0], seed=int(rng.integers(2**31)))
    for t in range(bars):
        held = observations[t][:, env.layout.weights]
        order = schedule.order(first + t, held.any(axis=0))
        wanted = held if order is None else np.where(order.ready, order.targets.astype(np.float32), held)
        if order is not None:
            schedule.done(order.ready & schedule.trades[first + t + 1])
        noise = rng.standard_normal((envs, assets), dtype=np.float32) * np.float32(algo.noise)
        noise[0] = 0.0  # one pass is the baseline itself
        actions[t] = np.clip(wanted + noise, -1.0, 1.0)
        env.step_into(
            actions[t],
            obs=observations[t + 1],
            reward=rewards[t],
            terminated=ended[0, t],
            truncated=ended[1, t],
            final_obs=following[t],
        )
        over = ended[0, t] | ended[1, t]
        following[t][~over] = observations[t + 1][~over]
    return _recorded(observations[:-1], actions, rewards, following, ended, gamma=algo.gamma)


def _schedule(bench: Workbench, algo: OfflineSpec, env: EnvSpec, first: int, *, seed: int) -> Schedule:
    """Return when the recorded baseline trades from bar `first` on; what a bar's volume cuts is not made up here."""
    evaluation = bench.spec.evaluation
    spec = spec_of(algo.record, evaluation=evaluation, env=env, benchmark=bench.spec.asset.benchmark, seed=seed)
    return Schedule(Baseline(spec), bench.panel, start=first, every=evaluation.rebalance_bars)


def _recorded(
    observations: npt.NDArray[np.float32],
    actions: npt.NDArray[np.float32],
    rewards: npt.NDArray[np.float32],
    following: npt.NDArray[np.float32],
    ended: npt.NDArray[np.bool_],
    *,
    gamma: float,
) -> Recording:
    returns = np.zeros_like(rewards)
    running = np.zeros(rewards.shape[1], np.float32)
    for t in range(len(rewards) - 1, -1, -1):
        running = rewards[t] + np.float32(gamma) * running * ~(ended[0, t] | ended[1, t])
        returns[t] = running
    flat = rewards.size
    return Recording(
        observations=observations.reshape(flat, -1),
        actions=actions.reshape(flat, -1),
        rewards=rewards.reshape(flat),
        following=following.reshape(flat, -1),
        alive=1.0 - ended[0].reshape(flat).astype(np.float32),
        returns=returns.reshape(flat),
    )


def _read(path: Path, bench: Workbench) -> Recording:
    try:
        with np.load(path, allow_pickle=False) as content:
            made = Recording(**{name: content[name] for name in COLUMNS})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"algo.dataset={path}: is no recording: {error}", hint="remove it, and it is recorded anew"
        ) from error
    layout = bench.market.layout
    if made.observations.shape[1:] != (layout.size,) or made.actions.shape[1:] != (len(layout.symbols),):
        raise TrainingError(
            f"algo.dataset={path}: holds observations of {made.observations.shape[1:]}, this market has ({layout.size},)",
            hint="record anew with these symbols and features: name another algo.dataset",
        )
    return made
