"""Attacks on runs: kill -9 before 40 random moments of training, judging, publishing, promoting, collecting and searching; full disks.

    python benchmarks/attacks/runs.py [--kills 40] [--sizes 20] [--seed 0] [--only collect]

Each interrupted job is gone on with as its owner would, and must come to the end of one that nobody interrupted: the same
figures and verdict, one version, one look at the test window, the same stages, a registry that verifies, the same bars. No
line of the ledger or the history that stood when it died may be gone. A disk is a file system of that size in memory where
mounting is allowed, else a limit on the size of files. Prints a line an attack and leaves with 1 where one came to another
end. Writes to a temporary folder only, and needs no network.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.attacks import moments

PROMOTE = ("task=deploy", "deploy.agents=[forex]")
TRAIN = (*moments.SMALL, "train.evaluations=1", "evaluation.baselines=[buy_and_hold,cash]", "tracking.report=false")
SEARCH = (
    *TRAIN, "sweep=ppo", "sweep.trials=2", "sweep.env_steps=2048", "sweep.finalists=1", "sweep.finalist_seeds=1",
)  # fmt: skip
COLLECT = (
    "task=collect", "asset=crypto", "data=yahoo", "data.symbols=[BTC-USD,ETH-USD,SOL-USD]",
    "data.manners.requests_per_second=1000", "tracking=quiet",
)  # fmt: skip
_STUB = """
import sys
from tests.data.market_stub import sample
from tests.data.market_stub.server import StubServer
with StubServer(sample.bars(), sample.macro()) as stub:
    print(stub.url("yahoo"), flush=True)
    sys.stdin.read()
"""
_ROOM = 1 << 30  # of a disk that was made larger
_NO_ROOM = ("No space left on device", "File too large")
_DISK = 4 << 20  # more than a job takes, and as much again


@dataclass(frozen=True)
class Job:
    """What is interrupted: its steps one after the other, and what must be the same at the end."""

    name: str
    steps: tuple[tuple[str, ...], ...]
    end: Callable[[Path], dict[str, Any]]
    share: float  # of the kills

    def play(self, folder: Path, trouble: moments.Trouble = moments.NO_TROUBLE) -> tuple[int, moments.Played]:
        """Play the steps until one fails, with the trouble at a moment of all; return the number of the last one and its end."""
        before = number = 0
        for number, step in enumerate(self.steps):  # noqa: B007 - how far it came is told
            at = {
                name: value - before for name in ("kill_at", "full_at") if (value := getattr(trouble, name)) is not None
            }
            played = moments.play(folder, step, replace(trouble, **at))
            before += played.moments
            if played.code != 0:
                break
        return number, replace(played, moments=before)

    def finish(self, folder: Path, number: int) -> moments.Played:
        """Go on from a step as the owner would: a collection by its command, a run by resume=, a promotion by its own."""
        again = moments.play if number or self.end is moments.end_of_store else moments.finish
        played = again(folder, self.steps[number])
        for step in self.steps[number + 1 :]:
            played = moments.play(folder, step)
        return played


def main() -> int:
    """Play all attacks and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--sizes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a job's name")
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with moments.quiet_environment(), market() as url, tempfile.TemporaryDirectory(prefix="attacks-") as place:
        moments.ready()
        jobs = (
            Job("train and promote", (TRAIN, PROMOTE), moments.end_of, 0.5),
            Job("collect", ((*COLLECT, f"data.manners.base_url={url}"),), moments.end_of_store, 0.3),
            Job("search and promote", (SEARCH, PROMOTE), moments.end_of_search, 0.2),
        )
        tally = [0, 0]
        for job in jobs:
            if asked.only in job.name:
                attack(job, Path(place) / job.name.replace(" ", "-"), asked, rng, tally)
        print(f"{tally[0]} of {tally[1]} came to the same end")
        return int(tally[0] < tally[1])


def attack(job: Job, folder: Path, asked: argparse.Namespace, rng: random.Random, tally: list[int]) -> None:
    """Play a job whole, then its share of kills and, for a training, all disks; count the good ends, and all."""
    _, whole = job.play(folder / "whole")
    if whole.code != 0:
        raise SystemExit(f"{job.name} fails of itself: {whole.said[-2000:]}")
    wanted = {**job.end(folder / "whole"), "lost": []}
    print(f"{job.name}, uninterrupted: {whole.moments} moments", flush=True)
    for n in range(round(asked.kills * job.share)):
        moment = rng.randrange(whole.moments)
        tell(wanted, *_interrupted(job, folder / f"kill-{n}", moments.Trouble(kill_at=moment)), tally)
    if job.end is moments.end_of:
        for n in range(asked.sizes):
            size, trouble = _disk(n, whole.moments, rng)
            tell(wanted, *_on_a_small_disk(job, folder / f"disk-{n}", size, trouble), tally)


def _disk(n: int, total: int, rng: random.Random) -> tuple[int, moments.Trouble]:
    """Return a disk that is too small from the start, each fifth time, or one that something else fills at some moment."""
    if n % 5 == 0:
        return rng.randrange(1 << 12, 1 << 20), moments.Trouble()
    return _DISK, moments.Trouble(full_at=rng.randrange(total), left=rng.choice((0, 0, 1 << 12, 1 << 14, 1 << 16)))


def _interrupted(job: Job, folder: Path, trouble: moments.Trouble) -> tuple[str, dict[str, Any], str]:
    number, played = job.play(folder, trouble)
    before = moments.kept(folder)
    last = job.finish(folder, number)
    note = "" if played.code == -9 else f"ended with {played.code} before it: {played.said[-300:]}"
    end = {**job.end(folder), "lost": moments.lost(before, folder)}
    return f"{job.name}: kill -9 at moment {trouble.kill_at}", end, note or last.said[-300:]


def _on_a_small_disk(job: Job, folder: Path, size: int, trouble: moments.Trouble) -> tuple[str, dict[str, Any], str]:
    with small_disk(folder, size) as enlarge:
        if enlarge is None:
            trouble = moments.Trouble(room=size if trouble.full_at is None else trouble.left)
        number, played = job.play(folder, trouble)
        told = played.said.strip().splitlines() or ["nothing was said"]
        name = f"{job.name}: a disk of {size:,} bytes"
        name += "" if trouble.full_at is None else f", full from moment {trouble.full_at} on but for {trouble.left:,}"
        if "Traceback" in played.said or (played.code != 0 and not any(words in played.said for words in _NO_ROOM)):
            return name, {"told": "no line"}, played.said[-2000:]
        before = moments.kept(folder)
        (folder / moments.FILLER).unlink(missing_ok=True)
        if enlarge is not None:
            enlarge()
        last = job.finish(folder, number)
        end = {**job.end(folder), "lost": moments.lost(before, folder)}
    return f"{name}: {told[-1][:110] if played.code else 'enough'}", end, last.said[-300:]


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], object] | None]:
    """Mount a file system of `size` bytes on a folder and yield what makes it larger; None where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={max(size, 4096)},mode=0700"
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
        )
        allowed = done.returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        print("mounting is not allowed here: a limit on the size of files takes the disk's place", flush=True)
        yield None
        return
    try:
        yield lambda: subprocess.run(["mount", "-o", f"remount,size={_ROOM}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def market() -> Iterator[str]:
    """Yield the address of a stand-in for Yahoo Finance, in a process of its own: this one forks."""
    source = subprocess.Popen(
        [sys.executable, "-c", _STUB],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert source.stdout is not None
    try:
        yield source.stdout.readline().strip()
    finally:
        source.communicate()


def tell(wanted: dict[str, Any], name: str, end: dict[str, Any], note: str, tally: list[int]) -> None:
    """Print an attack and what differs from the end that is wanted, and count it."""
    differs = [key for key in {**wanted, **end} if end.get(key) != wanted.get(key)]
    print(f"{'differs in ' + ', '.join(differs) if differs else 'the same end':40} {name}", flush=True)
    for key in differs:
        print(f"    {key}: {end.get(key)!r:.600} where {wanted.get(key)!r:.600} was wanted; {note}", flush=True)
    tally[0] += not differs
    tally[1] += 1


if __name__ == "__main__":
    sys.exit(main())
