"""How long it takes from the store to a panel with features, the first and the second time, and how that grows.

    python benchmarks/data_load.py

Every measurement runs in a fresh process on simulated daily bars of one exchange. Targets: 100 symbols over 10 years in
2 s and 600 MB, a second time in 0.3 s, and cost linear in symbols and bars.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime

import numpy as np

from wealtharena import features
from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import calendars, load, simulate_market
from wealtharena.data.bars import Bars, RawBars
from wealtharena.data.store import Store, Window
from wealtharena.features.loading import load as load_features

SHAPES = ((25, 2520), (50, 2520), (100, 2520), (200, 2520), (100, 1260), (100, 5040))


def request(root: str, symbols: int) -> ExperimentSpec:
    """Return the spec that asks the store for so many symbols."""
    names = ",".join(f"S{i:03d}" for i in range(symbols))
    return compose(["asset=etf", "data=store", f"data.root={root}", f"data.symbols=[{names}]"])


def fill(root: str, symbols: int, bars: int) -> None:
    """Put simulated bars into a store."""
    spec = request(root, symbols)
    times = calendars.last_bar_times("XNYS", "1d", bars, spec.data.simulator.end)
    names = spec.data.symbols or ()
    market = simulate_market(names, spec.data.simulator, times=times, rng=np.random.default_rng(0))
    store = Store(root)
    for name in names:
        raw = RawBars("yahoo", name, "1d", market.table(name), "USD", "units", "splits", datetime.now(UTC))
        store.write(spec.asset.name, Bars.from_raw(raw), raw=raw, asked=Window(None, None), quality={})


def measure(root: str, symbols: int) -> dict[str, float]:
    """Return seconds of a first and a second load in this process, and its peak memory."""
    spec = request(root, symbols)
    load_imports(spec)
    start, used = time.perf_counter(), time.process_time()
    made = load_features(spec.asset, spec.data, spec.features, seed=0)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - used,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "bars": made.bars,
        "features": len(made.names),
    }


def load_imports(spec: ExperimentSpec) -> None:
    """Import what a load imports: a run pays for that once, whatever it loads."""
    small = compose(["asset=etf", "data=simulated", "data.simulator.bars=100"])
    features.compute(load(small.asset, small.data, seed=0), spec.features)


def in_a_fresh_process(root: str, symbols: int) -> dict[str, float]:
    out = subprocess.run([sys.executable, __file__, root, str(symbols)], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
    return result


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
        return
    print(
        f"{'symbols':>8}{'bars':>7}{'features':>10}{'first, s':>10}{'cpu, s':>8}{'MB':>6}{'second, s':>11}{'cpu us a bar':>14}"
    )
    for symbols, bars in SHAPES:
        with tempfile.TemporaryDirectory() as root:
            fill(root, symbols, bars)
            first, second = in_a_fresh_process(root, symbols), in_a_fresh_process(root, symbols)
        each = 1e6 * first["cpu_seconds"] / (symbols * bars)
        print(
            f"{symbols:8d}{bars:7d}{first['features']:10.0f}{first['seconds']:10.2f}{first['cpu_seconds']:8.2f}"
            f"{first['megabytes']:6.0f}{second['seconds']:11.3f}{each:14.2f}"
        )


if __name__ == "__main__":
    main()
