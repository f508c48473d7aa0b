"""What is learned of a signal that is known? Share of the oracle by size of the signal, length of record, costs and learner.

    python -m benchmarks.experiments.planted --learners direct-8 ppo-attention --seeds 100 101
    python -m benchmarks.experiments.planted --r2 0.02 0.002 --bars 5400 --costs 0

The protocol stands in docs/experiments.md. A cell is played once: the same command goes on from where it was.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.arena.courses import Course, planted
from benchmarks.arena.entries import Entrant
from benchmarks.arena.play import Cell, keep, play
from benchmarks.learning import FROM_CASH, LEARNERS

R2 = (0.0, 0.0002, 0.0005, 0.002, 0.02)
BARS = (5_400, 46_000)
COSTS_BPS = (0.0, 5.0)
BEFORE = LEARNERS["ppo-attention"]
TILT = FROM_CASH
FASTER = ("algo.learning_rate=0.003", "algo.final_learning_rate=0.0003")
COMPACT = ("features=compact",)
SMALL = (*BEFORE, "model=shared", *COMPACT, *TILT)
VARIANTS: Mapping[str, tuple[str, ...]] = {
    **{f"direct-{members}": (*LEARNERS["direct"], f"algo.members={members}") for members in (1, 4, 8, 16)},
    "ppo-attention": BEFORE,
    "ppo-mlp": (*BEFORE, "model=mlp", "model.hidden=[64,64]"),
    "ppo-shared": (*BEFORE, "model=shared"),
    "ppo-shared-tilt": (*BEFORE, "model=shared", *TILT, "algo.tilt_log_std=-2"),
    "ppo-shared-tilt-less": (
        *BEFORE, "model=shared", *TILT, "algo.tilt_log_std=-2", "algo.reward_less_anchor=true"
    ),
    "ppo-shared-starts": (*BEFORE, "model=shared", "algo.common_starts=8"),
    "ppo-attention-compact": (*BEFORE, *COMPACT),
    "ppo-shared-compact": (*BEFORE, "model=shared", *COMPACT),
    "ppo-shared-tilt-compact": (*BEFORE, "model=shared", *COMPACT, *TILT, "algo.tilt_log_std=-2"),
    "ppo-shared-tilt-compact-noise-0": (*SMALL, "algo.tilt_log_std=0"),
    "ppo-shared-tilt-compact-noise-0-faster": (*SMALL, "algo.tilt_log_std=0", *FASTER),
    "ppo-shared-tilt-compact-noise-0-faster-dropout": (
        *SMALL, "algo.tilt_log_std=0", "algo.learning_rate=0.005", "algo.final_learning_rate=0.0005", "algo.dropout=0.1"
    ),
    "ppo": LEARNERS["ppo"],  # noise 0.5, faster
    "sac-attention": LEARNERS["sac"],
    "sac-shared": (*LEARNERS["sac"], "model=shared"),
}  # fmt: skip


def worlds(r2: Sequence[float], bars: Sequence[int], costs: Sequence[float]) -> list[Course]:
    """Return a course for each combination."""
    return [
        planted(
            f"r2-{one:g}-{length}-{bps:g}bps",
            f"R2 {one:g}, {length} bars, {bps:g} bps",
            r2=one,
            bars=length,
            commission_bps=bps,
        )
        for one, length, bps in itertools.product(r2, bars, costs)
    ]


def table(results: Sequence[Mapping[str, Any]], who: Sequence[str], where: Sequence[Course]) -> str:
    """Return mean shares of the oracle by world and learner; without a signal the mean Sharpe ratio, marked S."""
    lines = [f"| world | {' | '.join(who)} |", "|---" * (len(who) + 1) + "|"]
    for course in where:
        cells = []
        for name in who:
            mine = [
                r for r in results if (r["course"], r["entrant"]) == (course.name, name) and r["status"] == "played"
            ]
            told = [r["sharpe"] / r["oracle_sharpe"] for r in mine if r["oracle_sharpe"] > 0.25]
            plain = f"S {np.mean([r['sharpe'] for r in mine]):+.2f}" if mine else "-"
            cells.append(f"{np.mean(told):.2f}" if told else plain)
        lines.append("| " + " | ".join([course.words, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Play all cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--r2", type=float, nargs="+", default=list(R2))
    parser.add_argument("--bars", type=int, nargs="+", default=list(BARS))
    parser.add_argument("--costs", type=float, nargs="+", default=list(COSTS_BPS), help="commission in basis points")
    parser.add_argument("--out", type=Path, default=Path("outputs/planted"))
    parser.add_argument("overrides", nargs="*", help="for all learners, such as train.env_steps=65536")
    asked = parser.parse_intermixed_args()
    warnings.simplefilter("ignore")
    where, results = worlds(asked.r2, asked.bars, asked.costs), []
    for seed, course, name in itertools.product(asked.seeds, where, asked.learners):
        entrant = Entrant(name, name, (*VARIANTS[name], *asked.overrides))
        found = play(Cell(course, entrant, seed), out=asked.out, ledger=asked.out / "ledger.jsonl")
        results.append(found)
        told = (
            f"{found['sharpe']:+.2f} of {found['oracle_sharpe']:+.2f}" if found["status"] == "played" else found["why"]
        )
        print(f"{course.words:30} {name:22} seed {seed}  {told}  {found['cell_seconds']:.0f} s", flush=True)
    print(table(results, asked.learners, where))
    keep(results, asked.out / "planted.json")


if __name__ == "__main__":
    main()
