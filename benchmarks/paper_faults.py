"""A paper account at a server that fails one request in five, in every way it can, for a thousand bars.

    python benchmarks/paper_faults.py --bars 1000 --seeds 1

429, 500, 504 after booking, slow, half an answer, HTML, 401, an older answer; the account's own clock 90 seconds early or
late at two bars in three, the stream of trade updates mute, broken or telling old frames again, the disk full at one bar in
ten. At the end each bar was decided on or is written down as missed, and the books are the broker's; the first account of
which that is not so ends the run with an error. The tests play 300 bars of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.trading.test_faults import withstand


def main() -> None:
    """Play seed after seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    for seed in range(11, 11 + args.seeds):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            counts = withstand(Path(folder), args.bars, seed)
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        print(
            f"seed {seed}: {args.bars:,} bars in {time.monotonic() - began:.0f} s: {told}; the books are the broker's",
            flush=True,
        )


if __name__ == "__main__":
    main()
