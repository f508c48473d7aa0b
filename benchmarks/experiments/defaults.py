"""Does a default run meet the bars that it has to meet? Exposure, turnover, distance to the anchor, spread, memorising.

    python -m benchmarks.experiments.defaults MARKET_FOLDER --actions weights tilt --classes crypto forex
    python -m benchmarks.experiments.defaults MARKET_FOLDER --algos ppo direct --hourly btc spy eurusd

The protocol stands in docs/experiments.md. Inner folds of the first four fifths alone are played; every cell is a line of
the ledger and is played once: the same command goes on from where it was. Prints the table of that page.
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

from benchmarks.arena.courses import HOURLY, Course, hourly, recorded
from benchmarks.arena.entries import Entrant
from benchmarks.arena.play import Cell, keep, play
from benchmarks.real_markets import FILES
from wealtharena.evaluation.active import LEAST

LONG_ONLY = ("stocks", "crypto", "etf", "btc", "spy")
LEAST_EXPOSURE, MOST_TURNOVER, MOST_BEHIND, MOST_SPREAD, MOST_MEMORISED = 0.8, 12.0, 0.15, 0.2, 1.0
COLUMNS = (
    "market", "run", "seeds", "exposure", "turnover", "Sharpe less its anchor's", "IQR", "active share", "lambda",
    "memorised", "misses",
)  # fmt: skip


def entrants(algos: Sequence[str], actions: Sequence[str], more: Sequence[str]) -> list[Entrant]:
    """Return each algorithm as it ships under each action; `auto` is what its class has."""
    told = "".join(f", {word}" for word in more)
    return [
        Entrant(f"{algo}-{action}", f"{algo}, {action}{told}", (f"algo={algo}", f"env.action={action}", *more))
        for algo, action in itertools.product(algos, actions)
    ]


def measured(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of one entrant on one market over its seeds; who is his anchor has its Sharpe ratio."""
    still = [
        cell["active_share"] < LEAST and not cell["degenerate"] for cell in cells
    ]  # weights in cash are degenerate
    sharpes = [cell["anchor_sharpe"] if same else cell["sharpe"] for cell, same in zip(cells, still, strict=True)]
    apart = [own - cell["anchor_sharpe"] for own, cell in zip(sharpes, cells, strict=True)]
    kept = [share for cell in cells for share in cell["kept_shares"]]
    return {
        "seeds": len(cells),
        "anchors": sum(still),
        "exposure": float(np.mean([cell["exposure"] for cell in cells])),
        "turnover": float(np.mean([cell["turnover"] for cell in cells])),
        "apart": float(np.mean(apart)),
        "spread": float(np.subtract(*np.percentile(sharpes, [75, 25]))),
        "active_share": float(np.mean([cell["active_share"] for cell in cells])),
        "kept_share": float(np.mean(kept)) if kept else None,
        "memorised": float(np.mean([0.0 if same else c["memorised"] for c, same in zip(cells, still, strict=True)])),
        "degenerate": sorted({cell["degenerate"] for cell in cells if cell["degenerate"]}),
    }


def missed(found: Mapping[str, Any], course: str) -> list[str]:
    """Return the bars that a default run does not meet, in words."""
    kind, _, name = course.partition("-")
    daily = kind == "recorded"
    misses = {
        "exposure": name in LONG_ONLY and found["exposure"] < LEAST_EXPOSURE,
        "turnover": daily and found["turnover"] > MOST_TURNOVER,
        "anchor": daily and found["apart"] < -MOST_BEHIND,
        "spread": daily and found["spread"] > MOST_SPREAD,
        "memorised": daily and found["memorised"] > MOST_MEMORISED,
    }
    return [*(word for word, is_so in misses.items() if is_so), *found["degenerate"]]


def table(results: Sequence[Mapping[str, Any]], who: Sequence[Entrant], where: Sequence[Course]) -> str:
    """Return a line for each market and run, with the bars that it misses."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for course, one in itertools.product(where, who):
        mine = [
            cell for cell in results
            if (cell["course"], cell["entrant"]) == (course.name, one.name) and cell["status"] == "played"
        ]  # fmt: skip
        if not mine:
            continue
        found = measured(mine)
        same = f" ({found['anchors']} its anchor)" if found["anchors"] else ""
        cells = (
            course.words, one.words, f"{found['seeds']}{same}", f"{found['exposure']:.2f}", f"{found['turnover']:.1f}",
            f"{found['apart']:+.2f}", f"{found['spread']:.2f}", f"{found['active_share']:.3f}",
            "-" if found["kept_share"] is None else f"{found['kept_share']:.2f}", f"{found['memorised']:+.2f}",
            ", ".join(missed(found, course.name)) or "none",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Play all cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("market", type=Path, help="folder of recorded bars")
    parser.add_argument("--algos", nargs="+", default=["ppo"])
    parser.add_argument("--actions", nargs="+", default=["auto"], choices=["auto", "weights", "tilt"])
    parser.add_argument("--classes", nargs="*", default=list(FILES), choices=list(FILES))
    parser.add_argument("--hourly", nargs="*", default=[], choices=list(HOURLY))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("outputs/defaults"))
    parser.add_argument("--ledger", type=Path, default=Path("results/ledger.jsonl"))
    parser.add_argument("overrides", nargs="*", help="for all runs, such as train.env_steps=200000")
    asked = parser.parse_intermixed_args()
    warnings.simplefilter("ignore")
    market = asked.market.resolve()
    where = [
        *(recorded(name, market, folds=asked.folds) for name in asked.classes),
        *(hourly(name, market, folds=asked.folds) for name in asked.hourly),
    ]
    who, results = entrants(asked.algos, asked.actions, asked.overrides), []
    for seed, course, one in itertools.product(asked.seeds, where, who):
        found = play(Cell(course, one, seed), out=asked.out, ledger=asked.ledger)
        results.append(found)
        told = (
            f"{found['sharpe'] - found['anchor_sharpe']:+.2f}, turnover {found['turnover']:.1f}, "
            f"exposure {found['exposure']:.2f}, active {found['active_share']:.3f}, {found['degenerate']}"
            if found["status"] == "played"
            else found["why"]
        )
        print(f"{course.name:22} {one.words:14} seed {seed}  {told}  {found['cell_seconds']:.0f} s", flush=True)
    print(table(results, who, where))
    keep(results, asked.out / "defaults.json")


if __name__ == "__main__":
    main()
