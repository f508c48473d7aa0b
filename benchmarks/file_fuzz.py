"""Thousands of small files, made from honest bars by structural edits, and what reading them came to.

python benchmarks/file_fuzz.py [--files 5000] [--seed 0]

Every file must end in the honest panel, in a note that names the edit, or in a refusal of one line; exits 1 otherwise.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.data.reading import fuzz

KINDS = ("honest", "noted", "refused", "silent", "crashed")


def play(files: int, seed: int) -> list[fuzz.Outcome]:
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        truth = fuzz.honest_panel(place)
        for number in range(seed, seed + files):
            outcomes.append(fuzz.play(number, place, truth))
            for made in place.glob(f"{number}.*"):
                made.unlink()
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    began = time.perf_counter()
    outcomes = play(arguments.files, arguments.seed)
    table: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        if len(outcome.edits) == 1:
            table.setdefault(outcome.edits[0], Counter())[outcome.kind] += 1
        else:
            table.setdefault("two edits", Counter())[outcome.kind] += 1
    print(f"{'edit':<36}" + "".join(f"{kind:>9}" for kind in KINDS))
    for name, counts in sorted(table.items()):
        print(f"{name:<36}" + "".join(f"{counts[kind] or '':>9}" for kind in KINDS))
    whole = Counter(outcome.kind for outcome in outcomes)
    print(f"{'all':<36}" + "".join(f"{whole[kind]:>9}" for kind in KINDS))
    for outcome in outcomes:
        if outcome.kind in ("silent", "crashed"):
            print(f"{outcome.kind}: {' + '.join(outcome.edits)} ({outcome.layout}): {outcome.words}")
    print(f"{len(outcomes)} files in {time.perf_counter() - began:.0f} s")
    return 1 if whole["silent"] or whole["crashed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
