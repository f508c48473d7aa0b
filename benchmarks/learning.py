"""Does learning find what is there, and nothing where there is nothing? direct, PPO and SAC against an oracle.

The simulator plants a momentum signal that explains a known share R2 of the next bar's return. An oracle that is told
the expectation trades it; an agent is trained on the first part of the same market and judged on the last, which neither
training nor selection has seen. With the signal and the drift off, nothing can be learned, and the pooled
result out of sample must not differ from zero.

    python benchmarks/learning.py --algos direct ppo sac --seeds 5 --r2 0.02 --null

Prints a table and saves it to results/learning.json; lambda is the share of what was learned that validation proved.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import oracles
from wealtharena import data, features
from wealtharena.agents.foresight import targets_of
from wealtharena.agents.policy import load_policy
from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data.providers.simulated import Provider
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import metrics
from wealtharena.evaluation.splits import make_folds
from wealtharena.features.panel import FeaturePanel
from wealtharena.training import TrainingJob, train
from wealtharena.training.job import Silent

FREE = tuple(
    f"asset.costs.{name}=0"
    for name in (
        "commission_bps",
        "half_spread_bps",
        "impact_coefficient",
        "borrow_bps_per_year",
        "margin_bps_per_year",
        "cash_bps_per_year",
        "carry_bps_per_year",
    )
)
WORLD = (
    "asset=crypto",
    "data=simulated",
    "data.simulator.volume=0",  # no volume, no limit: thousands of compounding bars would outgrow any market
    "split.validation_share=0.1",
    "split.test_share=0.45",
    "asset.limits.long_only=false",
    "asset.limits.maintenance_margin=0",
    "model.hidden=[16,16]",
    "env.episode_bars=128",
)
FROM_CASH = (  # at once: of a tilt the form of the action alone
    "env.action=tilt",
    "env.anchor=cash",
    "env.trade_rate=1",
    "env.no_trade_band=0",
)
LEARNERS = {
    "direct": ("algo=direct", *FROM_CASH, "train.env_steps=327680"),
    "ppo": (
        "algo=ppo",
        *FROM_CASH,
        "model=shared",
        "features=compact",
        "algo.tilt_log_std=0.5",
        "algo.gamma=0.5",
        "algo.gae_lambda=0.5",
        "algo.learning_rate=0.003",
        "algo.final_learning_rate=0.0003",
        "algo.rollout_steps=8192",
        "algo.minibatch=1024",
        "algo.target_kl=null",
        "compute.envs=128",
        "train.env_steps=327680",
    ),
    "ppo-attention": (  # as it was before docs/experiments.md asked
        "algo=ppo",
        "env.action=weights",
        "model=attention",
        "algo.gamma=0.5",
        "algo.gae_lambda=0.5",
        "algo.learning_rate=0.001",
        "algo.final_learning_rate=0.0002",
        "algo.rollout_steps=8192",
        "algo.minibatch=1024",
        "algo.target_kl=null",
        "compute.envs=128",
        "train.env_steps=327680",
    ),
    "sac": (
        "algo=sac",
        "env.action=weights",
        "model=attention",
        "algo.gamma=0.5",
        "algo.learning_rate=0.001",
        "algo.batch=512",
        "algo.updates_per_step=0.02",
        "algo.buffer=200000",
        "train.env_steps=204800",
    ),
}


@dataclass(frozen=True)
class World:
    """One simulated market, its features and what the oracle knows, row by row."""

    spec: ExperimentSpec
    features: FeaturePanel
    expected: np.ndarray  # [T, A]


def world(seed: int, *, r2: float, bars: int, overrides: tuple[str, ...]) -> World:
    """Return a market with drift off and the signal's R2 as given."""
    spec = compose(
        [
            *WORLD,
            *FREE,
            f"data.simulator.bars={bars}",
            f"data.simulator.predictability={r2}",
            "data.simulator.drift=false",
            f"data.simulator.seed={seed}",
            f"seed={seed}",
            *overrides,
        ]
    )
    computed = features.compute(data.load(spec.asset, spec.data, seed=seed), spec.features)
    market = Provider(spec.data, spec.asset, seed=seed).market()
    order = [market.symbols.index(symbol) for symbol in computed.panel.symbols]
    return World(spec, computed, market.expected_returns[-computed.bars :, order])


def sharpe(trajectory: Trajectory) -> float:
    """Return the annual Sharpe ratio, 0 for who holds nothing: no share of the oracle's."""
    found = metrics.sharpe(trajectory.returns, bars_per_year=trajectory.bars_per_year)
    return 0.0 if math.isnan(found) and not trajectory.traded_value.any() else found


def oracle(place: World, market: Market, start: int, stop: int) -> float:
    """Return the Sharpe ratio of the best oracle over these bars: one that minds costs, where trading costs."""
    return oracles.best(place.expected, market, place.spec.env, start=start, stop=stop).sharpe


def learn(algo: str, seed: int, *, r2: float, bars: int, extra: tuple[str, ...] = ()) -> dict[str, object]:
    """Train once and return the agent's and the oracle's Sharpe on the held-out bars."""
    place = world(seed, r2=r2, bars=bars, overrides=(*LEARNERS[algo], *extra))
    fold = make_folds(place.spec.split, place.features.bars)[0]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        visible = place.features.slice(0, fold.validation.stop)
        result = train(TrainingJob(place.spec, visible, fold.train, fold.validation, Path(folder)), listener=Silent())
        assert result.best is not None
        policy = load_policy(Path(folder) / result.best.path)
    market = Market.build(place.features, place.spec.env, policy.scaler)
    start, stop = fold.test[0].start, fold.test[0].stop
    policy.reset()
    played = simulate(
        market, targets_of(policy, market, start=start, stop=stop), spec=place.spec.env, start=start, stop=stop
    )
    return {
        "algo": algo,
        "seed": seed,
        "r2": r2,
        "train_bars": sum(s.stop - s.start for s in fold.train),
        "test_bars": stop - start,
        "agent_sharpe": sharpe(played),
        "oracle_sharpe": oracle(place, market, start, stop),
        "kept_share": result.kept_share,
        "seconds": time.monotonic() - began,
        "returns": played.returns.tolist(),
    }


def main() -> None:
    """Run all seeds, print the table and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algos", nargs="+", default=["direct", "ppo", "sac"], choices=sorted(LEARNERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--r2", type=float, default=0.02)
    parser.add_argument("--bars", type=int, default=46_000)
    parser.add_argument(
        "--null", action="store_true", help="with the signal off: the pooled result must not differ from zero"
    )
    parser.add_argument("--out", default="results/learning.json")
    parser.add_argument("overrides", nargs="*", help="further overrides, such as train.env_steps=1000000")
    options = parser.parse_intermixed_args()
    rows = []
    print(f"{'algo':5} {'seed':>4} {'R2':>6} {'agent':>8} {'oracle':>8} {'share':>6} {'lambda':>6} {'seconds':>8}")
    for algo in options.algos:
        for seed in range(options.seeds):
            row = learn(
                algo, seed, r2=0.0 if options.null else options.r2, bars=options.bars, extra=tuple(options.overrides)
            )
            rows.append(row)
            agent, best = float(row["agent_sharpe"]), float(row["oracle_sharpe"])
            share = "" if options.null else f"{agent / best:6.2f}"
            kept = "" if row["kept_share"] is None else f"{row['kept_share']:6.2f}"
            told = f"{agent:8.3f} {best:8.3f} {share:>6} {kept:>6} {row['seconds']:8.1f}"
            print(f"{algo:5} {seed:4} {row['r2']:6} {told}", flush=True)
    summary = summarise(rows, null=options.null)
    for line in summary:
        print(line)
    table = [{name: value for name, value in row.items() if name != "returns"} for row in rows]
    target = Path(options.out)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"rows": table, "summary": summary}, indent=2) + "\n")


def summarise(rows: list[dict[str, object]], *, null: bool) -> list[dict[str, object]]:
    """Return a line for each algorithm: the mean share of the oracle, or the t statistic of the pooled returns."""
    lines: list[dict[str, object]] = []
    for algo in dict.fromkeys(str(row["algo"]) for row in rows):
        mine = [row for row in rows if row["algo"] == algo]
        if null:
            pooled = np.concatenate([np.asarray(row["returns"]) for row in mine])
            spread = float(pooled.std(ddof=1))
            t = float(pooled.mean()) / spread * math.sqrt(len(pooled)) if spread else 0.0  # anchors only earn nothing
            lines.append({"algo": algo, "bars": len(pooled), "t": round(t, 3), "differs_at_1_percent": abs(t) > 2.576})
            continue
        shares = [float(row["agent_sharpe"]) / float(row["oracle_sharpe"]) for row in mine]
        kept = [float(row["kept_share"]) for row in mine if row["kept_share"] is not None]
        told = {"mean_kept_share": round(float(np.mean(kept)), 3)} if kept else {}
        line = {"algo": algo, "mean_share": round(float(np.mean(shares)), 3), "worst_share": round(min(shares), 3)}
        lines.append({**line, **told})
    return lines


if __name__ == "__main__":
    main()
