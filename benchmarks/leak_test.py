"""What the leak test costs, what it says of honest markets and of planted leaks.

    python benchmarks/leak_test.py [MARKET_FOLDER] [--time] [--markets]

Printed are three tables (one flag chooses the first or the others) for docs/evaluation.md: the time of 100 symbols over ten years of days with the 22 default
features (target: 3 s), honest markets with their outcomes (simulated ones of every class and, where a folder of recorded
bars is named, its files, of which the one called leaky is to be refused), and ten kinds of planted leak at the strength
at which they were found and at half of it. It fails where an honest market is refused, or the leaky one is not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.data.quality import planted
from wealtharena import features
from wealtharena.config import compose
from wealtharena.data import load
from wealtharena.data.panel import Panel
from wealtharena.data.quality import foresight, leaks
from wealtharena.data.quality.foresight import Sighting
from wealtharena.errors import DataError

CLASSES = ("stocks", "forex", "crypto", "etf", "commodities")
SEEDS = 5
QUALITY = compose([]).data.quality
LEAKY = "leaky"  # in the name of a file that must be refused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="recorded bars")
    parser.add_argument("--time", action="store_true", help="the time alone")
    parser.add_argument("--markets", action="store_true", help="the markets alone")
    asked = parser.parse_args()
    if asked.time or not asked.markets:
        print("| symbols | bars | features | numbers | seconds |\n|---|---|---|---|---|")
        print(row_of_time(symbols=100, bars=2520), flush=True)
    return 0 if asked.time else of_markets(asked.folder)


def of_markets(folder: Path | None) -> int:
    """Print what is said of honest markets and of planted leaks; return 1 where a market is judged wrongly."""
    wrong = []
    print("\n| market | bars | symbols | outcome |\n|---|---|---|---|")
    for name, market, outcome, right in honest(folder):
        size = f"{market.bars:,} | {len(market.symbols)}" if market is not None else "- | -"
        print(f"| {name} | {size} | {outcome} |", flush=True)
        wrong += [] if right else [name]
    print("\n| planted leak | as found | half as strong |\n|---|---|---|")
    daily, hourly = planted.market(bars=1600), planted.market(bars=4000, interval="1h")
    whole, half = (planted.every_kind(daily, hourly, QUALITY, share=share) for share in (1.0, 0.5))
    for name in whole:
        print(f"| {name} | {told(whole[name], 'missed')} | {told(half[name], 'missed')} |", flush=True)
    print(f"\n{'WRONG: ' + ', '.join(wrong) if wrong else 'No honest market is refused.'}")
    return 1 if wrong else 0


def row_of_time(*, symbols: int, bars: int) -> str:
    """Return the row of the first table: everything that a training's own audit asks of a panel, timed once more after a first."""
    names = ",".join(f"S{i:03d}" for i in range(symbols))
    spec = compose(["asset=etf", "data=simulated", f"data.symbols=[{names}]", f"data.simulator.bars={bars + 200}"])
    made = features.compute(load(spec.asset, spec.data, seed=0), spec.features)
    made = made.slice(made.bars - bars, made.bars) if made.bars > bars else made
    panel = replace(made.panel, simulated=False)
    spent = []
    for _ in range(2):
        began = time.perf_counter()
        numbers = [foresight.Number(name, symbol) for symbol in panel.symbols for name in made.names]
        values = made.values.reshape(made.bars, -1)
        leaks.panel_sightings(panel, QUALITY, more=(numbers, values))
        spent.append(time.perf_counter() - began)
    return f"| {symbols} | {panel.bars:,} | {len(made.names)} | {len(numbers):,} and the bars' own | {min(spent):.1f} |"


def honest(folder: Path | None) -> Iterator[tuple[str, Panel | None, str, bool]]:
    """Yield name, panel, outcome and whether that is right, of simulated and recorded markets."""
    for asset in CLASSES:
        for seed in range(SEEDS):
            market = planted.market(asset, seed=seed, bars=1500)
            seen = leaks.panel_sightings(market, QUALITY)
            yield f"simulated {asset}, seed {seed}", market, told(seen), not refused(seen)
    for path in sorted(folder.glob("*.parquet")) if folder is not None else ():
        asset = next((name for name in CLASSES if path.name.startswith(name)), None)
        if asset is not None:  # the others hold no bars
            yield recorded(asset, path)


def recorded(asset: str, path: Path) -> tuple[str, Panel | None, str, bool]:
    """Return the same of one file of recorded bars, through the door that every file takes."""
    hourly = ["data.interval=1h"] if "hourly" in path.name else []
    spec = compose([f"asset={asset}", "data=files", f"data.path={path.resolve()}", *hourly])
    try:
        panel = load(spec.asset, spec.data, seed=0)
    except DataError as error:
        return path.stem, None, f"refused: {first_sentence(error.message)}", LEAKY in path.name
    named = f"not refused, {len(panel.leaks)} named: {panel.leaks[0]}" if panel.leaks else "not refused"
    return path.stem, panel, named, LEAKY not in path.name


def first_sentence(message: str) -> str:
    return " ".join(message.split(";")[0].split()).replace("|", "/")


def refused(seen: Sequence[Sighting]) -> bool:
    return bool(seen) and seen[0].sure > QUALITY.leak_ceiling


def told(seen: Sequence[Sighting], nothing: str = "not refused") -> str:
    """Return what came of a look, with the strongest correlation of what was seen."""
    if not seen:
        return nothing
    word = "refused" if refused(seen) else "named"
    return f"{word}, {abs(seen[0].correlation):.2f}"


if __name__ == "__main__":
    sys.exit(main())
