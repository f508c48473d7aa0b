"""What does PPO's result on recorded bars come from? One change at a time, on inner folds of the first four fifths.

    python -m benchmarks.experiments.attribution MARKET_FOLDER --steps 200000 --seeds 1

The protocol stands in docs/experiments.md. Every cell is a line of the ledger and is played once: the same command goes on
from where it was. Prints the tables of that page.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.arena.courses import Course, recorded
from benchmarks.arena.entries import Entrant
from benchmarks.arena.play import Cell, keep, play
from benchmarks.real_markets import FILES

WEIGHTS = ("env.action=weights",)
TILT = ("env.action=tilt",)
WHOLE = (*TILT, "model=shared", "features=compact", "algo.tilt_log_std=-2")
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "default": WEIGHTS,
    # one change at a time
    "less noise": (*WEIGHTS, "model.initial_log_std=-4"),
    "features=compact": (*WEIGHTS, "features=compact"),
    "model=shared": (*WEIGHTS, "model=shared"),
    "rate and band, cash as anchor": (*TILT, "env.anchor=cash"),
    "anchor, no rate or band": (*TILT, "env.trade_rate=1", "env.no_trade_band=0"),
    "tilt": TILT,
    # all of them, and one more at a time
    "tilt, shared": (*TILT, "model=shared"),
    "whole": WHOLE,
    "whole, less the anchor's reward": (*WHOLE, "algo.reward_less_anchor=true"),
    "whole, common starts": (*WHOLE, "algo.common_starts=8"),
    "whole, dropout": (*WHOLE, "algo.dropout=0.1"),
    "whole, costs vary": (*WHOLE, "env.randomisation.enabled=true"),
}


def entrants(steps: int, names: Sequence[str]) -> list[Entrant]:
    """Return the variants as entrants."""
    fixed = ("algo=ppo", f"train.env_steps={steps}", "train.evaluations=5")
    return [Entrant(name.replace(" ", "_").replace("'", ""), name, (*fixed, *VARIANTS[name])) for name in names]


def table(results: Sequence[Mapping[str, Any]], who: Sequence[Entrant], where: Sequence[Course]) -> str:
    """Return Sharpe less that of the class's anchor by variant and class, then turnover and exposure over classes."""
    names = [course.name.removeprefix("recorded-") for course in where]
    lines = [f"| variant | {' | '.join(names)} | mean | turnover | exposure |", "|---" * (len(names) + 4) + "|"]
    level = {
        (found["course"], found["seed"]): found["anchor_sharpe"] for found in results if found["entrant"] == "default"
    }
    for one in who:
        mine = [found for found in results if found["entrant"] == one.name and found["status"] == "played"]
        other = any(
            word.startswith("env.anchor=") for word in one.overrides
        )  # then the class's own anchor is the level
        apart = [
            [
                found["sharpe"] - (level.get((course.name, found["seed"]), np.nan) if other else found["anchor_sharpe"])
                for found in mine
                if found["course"] == course.name
            ]
            for course in where
        ]
        cells = [f"{np.mean(each):+.2f}" if each else "-" for each in apart]
        known = [float(np.mean(each)) for each in apart if each]
        rest = [
            f"{np.mean(known):+.2f}" if known else "-",
            f"{np.mean([found['turnover'] for found in mine]):.1f}" if mine else "-",
            f"{np.mean([found['exposure'] for found in mine]):.2f}" if mine else "-",
        ]
        lines.append("| " + " | ".join([one.words, *cells, *rest]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Play all variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("market", type=Path, help="folder of recorded bars")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--classes", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("outputs/attribution"))
    parser.add_argument("--ledger", type=Path, default=Path("results/ledger.jsonl"))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    where = [recorded(name, asked.market.resolve(), folds=asked.folds) for name in asked.classes]
    who = entrants(asked.steps, asked.variants)
    results = []
    for seed in asked.seeds:
        for one in who:
            for course in where:
                found = play(Cell(course, one, seed), out=asked.out, ledger=asked.ledger)
                results.append(found)
                told = (
                    f"{found['sharpe'] - found['anchor_sharpe']:+.2f}" if found["status"] == "played" else found["why"]
                )
                print(f"{one.words:32} {course.name:22} seed {seed}  {told}  {found['cell_seconds']:.0f} s", flush=True)
    print(table(results, who, where))
    keep(results, asked.out / "attribution.json")


if __name__ == "__main__":
    main()
