"""Trajectories of a baseline over the training rows, as arrays to learn from."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena.agents.engine import Workbench
from wealtharena.agents.specs import OfflineSpec
from wealtharena.config.composition import flatten
from wealtharena.config.hashing import OF_RECORDINGS
from wealtharena.config.homes import home
from wealtharena.config.identity import differences, listed
from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.baselines import Baseline, spec_of
from wealtharena.envs.execution import Schedule
from wealtharena.envs.vector_env import PortfolioVectorEnv
from wealtharena.errors import TrainingError
from wealtharena.files import atomic_path

COLUMNS = ("observations", "actions", "rewards", "following", "alive", "returns")
_ORIGIN: Final = "recorded_from"
_OF_TRAINING: Final = frozenset(  # a recording plays target weights through whole segments, whatever these say
    {"action", "anchor", "anchor_bars", "tilt_scale", "trade_rate", "no_trade_band", "episode_bars", "random_start"}
)


@dataclass(frozen=True, eq=False)
class Recording:
    """M steps; `returns` are discounted rewards to the end of each path, without a value after it.

    A path ends with its segment or with a liquidation.
    """

    observations: npt.NDArray[np.float32]  # [M, D]
    actions: npt.NDArray[np.float32]  # [M, A] target weights
    rewards: npt.NDArray[np.float32]  # [M]
    following: npt.NDArray[np.float32]  # [M, D]
    alive: npt.NDArray[np.float32]  # [M] 0 at a liquidation
    returns: npt.NDArray[np.float32]  # [M]


def recording(bench: Workbench, algo: OfflineSpec) -> Recording:
    """Return the recording that the algorithm asks for: read from `dataset`, or played and, where named, written there.

    TrainingError where the file cannot be written, is no recording, or one of other bars, rows or settings: its rows may be those that this
    run is tested on.
    """
    if algo.dataset is not None and Path(algo.dataset).exists():
        return _read(Path(algo.dataset), bench, algo)
    rng = np.random.default_rng([bench.spec.seed, 23])
    parts = [_record(bench, algo, segment, rng) for segment in bench.episodes]
    made = Recording(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))
    if algo.dataset is not None:
        content: dict[str, Any] = {name: getattr(made, name) for name in COLUMNS}
        content[_ORIGIN] = np.array(json.dumps(_origin(bench, algo)))
        try:
            with atomic_path(Path(algo.dataset)) as temporary, temporary.open("wb") as handle:
                np.savez_compressed(handle, **content)
        except OSError as error:
            raise TrainingError(
                f"algo.dataset={algo.dataset} cannot be written: {error.strerror or error}",
                hint="name a file where there is room and permission, or algo.dataset=null, which keeps it in memory",
            ) from error
    return made


def _origin(bench: Workbench, algo: OfflineSpec) -> dict[str, Any]:
    """Return all that a recording depends on but the noise's seed, by the keys that one would change."""
    spec, layout = bench.spec, bench.market.layout
    env = bench.env.model_dump(mode="json", exclude=set(_OF_TRAINING))
    found = {
        "symbols": list(layout.symbols),
        "bars": bench.panel.fingerprint[:12],
        "training rows": [list(segment) for segment in bench.segments],
        "features.names": list(layout.feature_names),
        "features.clip": bench.scaler.clip,
        "asset.benchmark": spec.asset.benchmark,
        **{f"algo.{key}": getattr(algo, key) for key in ("record", "passes", "noise", "gamma")},
        **{f"evaluation.{key}": getattr(spec.evaluation, key) for key in OF_RECORDINGS},
        **{home(f"env.{key}"): value for key, value in flatten(env).items() if not isinstance(value, dict)},
    }
    return dict(json.loads(json.dumps(found)))


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
        going = ~ended[0, :t].any(axis=0)  # a liquidated account begins anew at the first bar
        order = schedule.order(first + t, held[going].any(axis=0))
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
    of_path = ended[0].cumsum(axis=0) == ended[0]  # up to a liquidation: what begins anew is not at the baseline's bar
    return Recording(
        observations=observations[of_path],
        actions=actions[of_path],
        rewards=rewards[of_path],
        following=following[of_path],
        alive=1.0 - ended[0][of_path].astype(np.float32),
        returns=returns[of_path],
    )


def _read(path: Path, bench: Workbench, algo: OfflineSpec) -> Recording:
    try:
        with np.load(path, allow_pickle=False) as content:
            made = Recording(**{name: content[name] for name in COLUMNS})
            old = dict(json.loads(str(content[_ORIGIN]))) if _ORIGIN in content else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        why = f": {error.strerror}" if isinstance(error, OSError) else ""  # numpy's own words are about pickles
        raise TrainingError(
            f"algo.dataset={path} is no recording{why}", hint="name another file, and it is recorded anew"
        ) from error
    if old is None:
        raise TrainingError(
            f"algo.dataset={path} does not say which bars it was recorded from",
            hint="remove it, and it is recorded anew",
        )
    new = _origin(bench, algo)
    if found := differences({**dict.fromkeys(new), **old}, {**dict.fromkeys(old), **new}):
        raise TrainingError(
            f"algo.dataset={path} was recorded from something else: {listed(found)}",
            hint="name another algo.dataset, and it is recorded there",
        )
    if what := _moved(made, bench, algo):
        raise TrainingError(
            f"algo.dataset={path} has other {what} at its first bar than the code makes now",
            hint="remove it, and it is recorded anew",
        )
    return made


def _moved(made: Recording, bench: Workbench, algo: OfflineSpec) -> str:
    """Return what the first step of a recording has otherwise when it is played again, as after an edit of code; "" for nothing.

    Names and settings are the same by then. What is drawn (a baseline's portfolio, factors of costs) is not compared.
    """
    start, seen = bench.episodes[0][0], bench.market.layout.features
    once = algo.model_copy(update={"passes": 1, "noise": 0.0})
    again = _record(bench, once, (start, start + bench.env.window + 1), np.random.default_rng(0))
    parts: dict[str, list[Any]] = {
        "features": [(one.observations[0, seen], one.following[0, seen]) for one in (made, again)]
    }
    if not (_schedule(bench, once, bench.env, start, seed=0).baseline.drawn or bench.env.randomisation.enabled):
        parts |= {
            "actions": [(one.actions[0],) for one in (made, again)],
            "rewards": [(one.rewards[0],) for one in (made, again)],
        }
    for what, (old, new) in parts.items():
        if not all(np.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in zip(old, new, strict=True)):
            return what
    return ""
