"""How long until an agent is good? Seconds of learning until its validation Sharpe ratio passes a share of the oracle's.

direct, PPO (as it is, and as it was: ppo-attention) and SAC of this platform, and Stable-Baselines3's PPO over this
platform's compiled vector environment, with its defaults and with large batches, on the markets of benchmarks/learning.py,
in one run on one machine. All but SAC and ppo-attention see features=compact. The clock runs while something is learned
and stands while something is validated, for all of them. Who does not get there within --limit seconds, or by the end of
its training, is censored: the best share so far is told.

    python benchmarks/time_to_quality.py --seeds 3 --share 0.8 --limit 300
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import learning, oracles
from benchmarks.ppo_throughput import thin_face
from wealtharena.agents.engine import Workbench
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.evaluation.splits import Fold, make_folds
from wealtharena.training import TrainingJob, train
from wealtharena.training.trainer import fit_scaler

LOOKS = 64  # validations over a training
OURS = ("direct", "ppo", "ppo-attention", "sac")
THEIRS: Mapping[str, dict[str, Any]] = {  # envs, and the keywords of stable_baselines3.PPO
    "sb3-ppo": {"envs": 1},
    "sb3-ppo-large": {"envs": 128, "n_steps": 64, "batch_size": 1024, "n_epochs": 4, "gamma": 0.5, "gae_lambda": 0.5,
                      "learning_rate": 1e-3},
}  # fmt: skip


@dataclass(frozen=True)
class Reached:
    """When a contender got there, None if it did not, and the best share it had."""

    seconds: float | None
    best: float
    learned: float  # seconds of learning in all


class _Enough(Exception):  # noqa: N818  # it is no error: there is nothing more to be learned
    """Ends a training from within."""


class Clock:
    """Counts seconds of learning, and is told of each validation; told to stop, it raises `_Enough`."""

    def __init__(self, oracle: float, *, share: float, limit: float) -> None:
        self.oracle, self.share, self.limit = oracle, share, limit
        self.learned, self.best, self.passed = 0.0, -math.inf, None

    def on_iteration(self, record: Mapping[str, Any]) -> None:
        """Add the time that the iteration took."""
        steps = int(record["env_step"]) - self._steps
        self._steps += steps
        self.learned += steps / float(record["env_steps_per_second"])

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        """Look at a validation of the trainer's."""
        self.validated(float(record["sharpe"]))

    def validated(self, sharpe: float) -> None:
        """Take a validation Sharpe ratio; raise once it is enough, or too late."""
        share = sharpe / self.oracle if math.isfinite(sharpe) else -math.inf
        self.best = max(self.best, share)
        if share >= self.share:
            self.passed = self.learned
        if self.passed is not None or self.learned >= self.limit:
            raise _Enough

    _steps = 0

    def reached(self) -> Reached:
        """Return how it ended."""
        return Reached(self.passed, self.best, self.learned)


def timed(run: Callable[[Clock], None], oracle: float, *, share: float, limit: float) -> Reached:
    """Return when `run` got there."""
    clock = Clock(oracle, share=share, limit=limit)
    with contextlib.suppress(_Enough):
        run(clock)
    return clock.reached()


def of_ours(algo: str, place: learning.World, fold: Fold) -> Callable[[Clock], None]:
    """Return the training of one of our algorithms, with the settings of benchmarks/learning.py."""

    def run(clock: Clock) -> None:
        with tempfile.TemporaryDirectory() as folder:
            visible = place.features.slice(0, fold.validation.stop)
            train(TrainingJob(place.spec, visible, fold.train, fold.validation, Path(folder)), listener=clock)

    return run


def of_theirs(name: str, place: learning.World, fold: Fold) -> Callable[[Clock], None]:
    """Return the training of Stable-Baselines3's PPO over our vector environment."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback

    settings = dict(THEIRS[name])
    envs = int(settings.pop("envs"))
    scaler = fit_scaler(place.features, fold.train, clip=place.spec.features.clip)
    env = place.spec.env.model_copy(update={"action": "weights"})
    market = Market.build(place.features.slice(0, fold.validation.stop), env, scaler)
    segments = tuple((segment.start, segment.stop) for segment in fold.train)
    panel = place.features.panel
    bench = Workbench(place.spec, env, "weights", market, segments, scaler, panel, 10**9)

    def run(clock: Clock) -> None:
        torch.set_num_threads(1)  # as ours
        model = PPO("MlpPolicy", thin_face(bench, envs), seed=place.spec.seed, device="cpu", **settings)

        class Look(BaseCallback):
            def _on_training_start(self) -> None:
                self.since, self.next = time.perf_counter(), 0.0

            def _on_step(self) -> bool:
                return True

            def _on_rollout_start(self) -> None:  # after each update, and once before the first
                clock.learned += time.perf_counter() - self.since
                if clock.learned >= self.next:
                    self.next = clock.learned + clock.limit / 200
                    played = simulate(
                        market,
                        lambda seen: model.predict(seen, deterministic=True)[0].astype(np.float64),
                        spec=env,
                        start=fold.validation.start,
                        stop=fold.validation.stop,
                    )
                    clock.validated(learning.sharpe(played))
                self.since = time.perf_counter()

        model.learn(10**9, callback=Look())

    return run


def contend(
    name: str, seed: int, *, r2: float, bars: int, share: float, limit: float, extra: tuple[str, ...]
) -> Reached:
    """Return how a contender did on one market."""
    theirs = ("env.action=weights", "features=compact")
    own = (*learning.LEARNERS[name], f"train.evaluations={LOOKS}") if name in OURS else theirs
    place = learning.world(seed, r2=r2, bars=bars, overrides=(*own, *extra))
    fold = make_folds(place.spec.split, place.features.bars)[0]
    level = Market.build(place.features, place.spec.env, fit_scaler(place.features, fold.train, clip=5.0))
    window = fold.validation
    told = oracles.best(place.expected, level, place.spec.env, start=window.start, stop=window.stop).sharpe
    run = (of_ours if name in OURS else of_theirs)(name, place, fold)
    return timed(run, told, share=share, limit=limit)


def main() -> None:
    """Run all contenders over all seeds, print the table and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contenders", nargs="+", default=[*OURS, *THEIRS], choices=[*OURS, *THEIRS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--r2", type=float, default=0.02)
    parser.add_argument("--bars", type=int, default=46_000)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds of learning after which one is censored")
    parser.add_argument("--out", default="results/time_to_quality.json")
    parser.add_argument("overrides", nargs="*", help="for all contenders, such as asset.costs.commission_bps=5")
    asked = parser.parse_intermixed_args()
    warnings.simplefilter("ignore")
    rows = []
    print(f"{'contender':15} {'seed':>4} {'seconds':>9} {'best share':>11} {'learned':>8}")
    for seed in range(asked.seeds):
        for name in asked.contenders:
            found = contend(
                name,
                seed,
                r2=asked.r2,
                bars=asked.bars,
                share=asked.share,
                limit=asked.limit,
                extra=tuple(asked.overrides),
            )
            rows.append({"contender": name, "seed": seed, **vars(found)})
            words = "-" if found.seconds is None else f"{found.seconds:.1f}"
            print(f"{name:15} {seed:4} {words:>9} {found.best:11.2f} {found.learned:8.1f}", flush=True)
    for name in asked.contenders:
        print(summary(name, [row for row in rows if row["contender"] == name]))
    target = Path(asked.out)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"share": asked.share, "limit": asked.limit, "rows": rows}, indent=2) + "\n")


def summary(name: str, rows: list[dict[str, Any]]) -> str:
    """Return a contender's median over seeds; who did not get there counts as later than all who did."""
    times = sorted(math.inf if row["seconds"] is None else row["seconds"] for row in rows)
    middle = times[(len(times) - 1) // 2]
    passed = sum(math.isfinite(one) for one in times)
    words = f"{middle:.1f} s" if math.isfinite(middle) else "not reached"
    return (
        f"{name}: median {words}, {passed} of {len(rows)} got there, best share {max(row['best'] for row in rows):.2f}"
    )


if __name__ == "__main__":
    main()
