"""Paper accounts whose process is killed at random moments, again and again: what comes out is what nobody disturbed.

    python benchmarks/paper_kills.py --seeds 50
    python benchmarks/paper_kills.py --seeds 50 --page docs/trading.md     writes the table into the page

Three kinds of account: one at the paper broker, one at an exchange on loopback that lives on while the process is dead, and
two agents in one process. From each seed one process after another is killed (SIGKILL) at a moment drawn at random, until
one comes to its end; then the ledger has to be that of an undisturbed run, to the last bit, and the broker's. The first
account that is not ends the run with an error.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.trading import test_crash, test_crash_outside, test_turns
from tests.trading.desks import account
from tests.trading.killing import killed_again_and_again
from tests.trading.outside import Place, an_exchange
from tests.trading.serving import serving

BEGIN, END = "<!-- kills -->", "<!-- /kills -->"
Play = Callable[[Path, int], int]  # returns how many processes were killed


def at_the_paper_broker(place: Path) -> Play:
    """Return what plays one seed of an account in the kernel."""
    undisturbed = test_crash.undisturbed_in(place)

    def play(folder: Path, seed: int) -> int:
        kills = killed_again_and_again(test_crash.trading(folder), seed)
        test_crash.assert_whole(folder, undisturbed)
        return kills

    return play


def at_an_exchange(place: Path) -> Play:
    """Return what plays one seed of an account outside."""
    undisturbed, world = test_crash_outside.undisturbed_in(place), test_crash_outside.WORLD

    def play(folder: Path, seed: int) -> int:
        exchange = an_exchange(world)
        with serving(exchange) as url:
            kills = killed_again_and_again(test_crash_outside.trading(Place(folder, world, url), exchange), seed)
        test_crash_outside.assert_whole(folder, exchange, undisturbed)
        return kills

    return play


def two_in_one_process(place: Path) -> Play:
    """Return what plays one seed of two agents that take turns."""
    undisturbed = test_turns.alone_in(place)

    def play(folder: Path, seed: int) -> int:
        kills = killed_again_and_again(lambda at: test_turns.House(folder, test_turns.WORLDS).trade(), seed)
        assert {name: account(folder / name / "test") for name in undisturbed} == undisturbed
        return kills

    return play


KINDS = {
    "at the paper broker": at_the_paper_broker,
    "at an exchange on loopback": at_an_exchange,
    "two agents in one process": two_in_one_process,
}


def main() -> None:
    """Play every kind and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--page", type=Path, help="a page with a place for the table")
    given = parser.parse_args()
    lines = ["| account | seeds | processes killed | lost or done twice |", "|---|---|---|---|"]
    began = time.perf_counter()
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            play = kind(Path(place) / "undisturbed")
            kills = [play(Path(place) / str(seed), seed) for seed in range(given.seeds)]
        lines.append(f"| {name} | {given.seeds} | {sum(kills)} | 0 |")
        print(lines[-1], flush=True)
    print(f"{time.perf_counter() - began:.0f} s")
    if given.page is not None:
        text = given.page.read_text()
        before, rest = text.split(BEGIN)
        table = "\n".join(lines)
        given.page.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
