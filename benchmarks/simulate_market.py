"""How long the market simulator takes.

python benchmarks/simulate_market.py
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from wealtharena.config import compose
from wealtharena.data import simulate_market

SHAPES = ((10, 2_000), (10, 20_000), (100, 2_520), (10, 80_000))


def main() -> None:
    spec = compose(["asset=crypto"]).data.simulator.model_copy(update={"predictability": 0.02})
    print(f"{'symbols':>8}{'bars':>8}{'seconds':>10}{'cpu, s':>8}")
    for symbols, bars in SHAPES:
        times = pd.date_range("1800-01-01", periods=bars, freq="D", tz="UTC")
        names = tuple(f"S{i:03d}" for i in range(symbols))
        start, used = time.perf_counter(), time.process_time()
        simulate_market(names, spec, times=times, rng=np.random.default_rng(0))
        print(f"{symbols:8d}{bars:8d}{time.perf_counter() - start:10.2f}{time.process_time() - used:8.2f}")


if __name__ == "__main__":
    main()
