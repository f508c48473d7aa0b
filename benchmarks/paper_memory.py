"""How much memory an account takes that trades for 100,000 bars: as much at its end as at its beginning.

    python benchmarks/paper_memory.py

Prints the memory in use after each third, and ends with an error where the last third began with more than the bound above
the first's end. What a bar may leave behind is asked by tests/trading/test_memory.py.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.trading.test_memory import MOST_MB, used_by


def main() -> None:
    """Trade, print, and fail where memory grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=100_000)
    given = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        used = used_by(Path(place), given.bars)
    print(f"{given.bars} bars: {', '.join(f'{one:.1f}' for one in used)} MB after each third and at the end")
    print(f"{time.perf_counter() - began:.0f} s")
    if used[2] - used[0] > MOST_MB:
        raise SystemExit("memory grows")


if __name__ == "__main__":
    main()
