"""Attacks on runs: kill -9 before 40 random moments of a training, its judging, publishing and promotion, and 20 sizes of disk.

    python benchmarks/attacks/runs.py [--kills 40] [--sizes 20] [--seed 0]

Each interrupted job is gone on with as its owner would, and must come to the end of one that nobody interrupted: the same
figures and verdict, one version, one look at the test window, the same stages, and a registry that verifies. Prints a line
an attack and leaves with 1 where one came to another end. Writes to a temporary folder only, and needs no network.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.attacks import moments

PROMOTE = ("task=deploy", "deploy.agents=[forex]")


def main() -> int:
    """Play all attacks and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--sizes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with moments.quiet_environment(), tempfile.TemporaryDirectory(prefix="attacks-") as place:
        moments.ready()
        folder = Path(place)
        training = moments.play(folder / "whole", moments.SMALL)
        promotion = moments.play(folder / "whole", PROMOTE)
        wanted = moments.end_of(folder / "whole")
        total = training.moments + promotion.moments
        print(f"uninterrupted: {total} moments, verdict {wanted['verdict'][0][0]}")
        bad = 0
        for n in range(asked.kills):
            found = _killed(folder / f"kill-{n}", rng.randrange(total), training.moments)
            bad += tell(wanted, *found)
        for n in range(asked.sizes):
            bad += tell(
                wanted, *_without_room(folder / f"room-{n}", round(64 * 2 ** (n * 14 / max(1, asked.sizes - 1))))
            )
        print(f"{asked.kills + asked.sizes - bad} of {asked.kills + asked.sizes} came to the same end")
        return int(bad > 0)


def _killed(folder: Path, moment: int, training: int) -> tuple[str, dict[str, Any], str]:
    if moment < training:
        played = moments.play(folder, moments.SMALL, kill_at=moment)
        moments.finish(folder, moments.SMALL)
        last = moments.play(folder, PROMOTE)
    else:
        moments.play(folder, moments.SMALL)
        played = moments.play(folder, PROMOTE, kill_at=moment - training)
        last = moments.play(folder, PROMOTE)
    note = "" if played.code == -9 else f"ended with {played.code} before it"
    return f"kill -9 at moment {moment}", moments.end_of(folder), note or last.said[-200:]


def _without_room(folder: Path, room: int) -> tuple[str, dict[str, Any], str]:
    played = moments.play(folder, moments.SMALL, room=room)
    told = played.said.strip().splitlines()
    if "Traceback" in played.said:
        return f"room of {room} bytes", {"told": "a traceback"}, played.said[-2000:]
    moments.finish(folder, moments.SMALL)
    moments.play(folder, PROMOTE)
    return f"room of {room} bytes: {told[-1][:150] if played.code else 'enough'}", moments.end_of(folder), ""


def tell(wanted: dict[str, Any], name: str, end: dict[str, Any], note: str) -> bool:
    """Print an attack and what differs from the end that is wanted; return whether anything does."""
    differs = [key for key in {**wanted, **end} if end.get(key) != wanted.get(key)]
    print(f"{'differs in ' + ', '.join(differs) if differs else 'the same end':40} {name}", flush=True)
    for key in differs:
        print(f"    {key}: {end.get(key)!r} where {wanted.get(key)!r} was wanted; {note}", flush=True)
    return bool(differs)


if __name__ == "__main__":
    sys.exit(main())
