"""How fast an account trades a replay of ten symbols with its ledger on disk, how often it waits for the disk, and its memory.

    python benchmarks/paper_speed.py

Printed are bars a second with `paper.synchronous=normal` (400 at least in a second of one core's time), fsyncs a bar with `full` (three at
most) and bars a second beside the rate of the measured fsync, the time from a close to its last order, and how much memory
grows from an early bar to the last.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from wealtharena.config import compose
from wealtharena.data import load
from wealtharena.evaluation.splits import Segment
from wealtharena.features import compute
from wealtharena.features.panel import Scaler
from wealtharena.trading import loop
from wealtharena.trading.brokers.paper import PaperBroker
from wealtharena.trading.desk import depth_of
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

LEAST_BARS_A_SECOND, MOST_FSYNCS, MOST_LATENCY_MS = 400.0, 3.0, 20.0


class Turning:
    """Wants other weights at every bar, so that every symbol is ordered at each."""

    def __init__(self, scaler: Scaler, assets: int) -> None:
        self.scaler, self._rng, self._assets = scaler, np.random.default_rng(3), assets

    def decide(self, seen: object, memory: object) -> tuple[np.ndarray, dict[str, object]]:
        """Return random weights."""
        return self._rng.dirichlet(np.ones(self._assets)), {}


def trade(folder: Path, bars: int, *, synchronous: str) -> dict[str, float]:
    """Return bars a second, the median and longest latency in ms, and growth of memory in MB over the last half."""
    wide = ["risk.drawdown.max_drawdown=0.99", "risk.daily_loss.max_loss=0.99"]  # looked at, and never the end
    wide += [f"asset.costs.{name}=0" for name in ("commission_bps", "half_spread_bps", "impact_coefficient")]
    spec = compose(["asset=crypto", "data=simulated", f"data.simulator.bars={bars + 400}", "risk=default", *wide])
    features = compute(load(spec.asset, spec.data, seed=1), spec.features)
    scaler = Scaler.fit(features, clip=5.0)
    bars = min(bars, features.bars - 60)
    window = Segment(features.bars - bars, features.bars)
    feed = Replay(features, window, spec.env, scaler, depth=depth_of(spec.env, spec.risk))
    ledger = Ledger(folder, synchronous=synchronous)
    ledger.open("speed", "test", {})
    broker = PaperBroker(folder / "broker-1.sqlite", spec.env, synchronous=synchronous)
    trader = Trader("speed", "test", Turning(scaler, len(features.panel.symbols)), spec.env, spec.risk, ledger, broker)
    took: list[float] = []
    memory: list[float] = []
    began = spent = 0.0

    def timed(close: object, seconds: float) -> None:
        nonlocal began, spent
        if len(took) == 20:  # compiled by now
            began, spent = time.perf_counter(), time.process_time()
        took.append(seconds)
        if len(took) % max(bars // 20, 1) == 0:
            memory.append(resident_mb())

    with contextlib.closing(ledger), contextlib.closing(broker):
        loop.run(trader, feed.closes(None), Switch(folder), told=lambda close: None, timed=timed)
        state, orders = ledger.state(), len(ledger.intents()) / len(took)
    rate = (len(took) - 20) / (time.perf_counter() - began)
    own = (len(took) - 20) / (time.process_time() - spent)
    if state[0] != "trading":
        raise SystemExit(f"the account is {state[0]}: {state[1]}, so that nothing is measured")
    late = np.array(took[20:])
    return {
        "bars": len(took), "orders": orders, "rate": rate, "own": own, "latency_ms": 1e3 * float(np.median(late)),
        "latency_ms_p99": 1e3 * float(np.quantile(late, 0.99)),
        "grown_mb": memory[-1] - memory[len(memory) // 2], "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def resident_mb() -> float:
    """Return the memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def fsyncs_a_second(folder: Path) -> float:
    """Return how many small appends a second the disk under the folder keeps."""
    with (folder / "probe").open("wb") as handle:
        began = time.perf_counter()
        for _ in range(200):
            handle.write(b"x" * 4096)
            handle.flush()
            os.fsync(handle.fileno())
    return 200 / (time.perf_counter() - began)


def fsyncs_a_bar(bars: int) -> float | None:
    """Return how often a replay with `full` waits for the disk, a bar, as strace counts it; None without strace."""
    if shutil.which("strace") is None:
        return None
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "count"
        subprocess.run(
            ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", str(out), sys.executable, __file__, "--bars", str(bars), "--only-full"],
            check=True, stdout=subprocess.DEVNULL, timeout=600,
        )  # fmt: skip
        rows = [line.split() for line in out.read_text().splitlines() if "sync" in line]
    return sum(int(row[3]) for row in rows) / bars


def main() -> None:
    """Measure, print, and fail where a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=2000)
    parser.add_argument("--only-full", action="store_true", help="one replay with full, for counting from outside")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if given.only_full:
            trade(Path(place), given.bars, synchronous="full")
            return
        found = trade(Path(place) / "normal", given.bars, synchronous="normal")
        print(
            f"normal: {found['rate']:.0f} bars a second over {found['bars']:.0f} bars of 10 symbols with {found['orders']:.1f} orders each, "
            f"{found['own']:.0f} a second of its own time"
        )
        print(f"close to last order: {found['latency_ms']:.2f} ms (median), {found['latency_ms_p99']:.2f} ms (99 %)")
        print(f"memory: {found['peak_mb']:.0f} MB, {found['grown_mb']:+.1f} MB over the second half")
        full = trade(Path(place) / "full", given.bars, synchronous="full")
        print(
            f"full: {full['rate']:.0f} bars a second; the disk keeps {fsyncs_a_second(Path(place)):.0f} fsyncs a second"
        )
    count = fsyncs_a_bar(300)
    print("fsyncs a bar: " + ("strace is not installed" if count is None else f"{count:.2f}"))
    missed = [
        f"{found['own']:.0f} bars a second of its own time, not {LEAST_BARS_A_SECOND}"
        * (found["own"] < LEAST_BARS_A_SECOND),
        f"{found['latency_ms_p99']:.2f} ms, not {MOST_LATENCY_MS}" * (found["latency_ms_p99"] > MOST_LATENCY_MS),
        f"{count or 0:.2f} fsyncs a bar, not {MOST_FSYNCS}" * ((count or 0) > MOST_FSYNCS),
    ]
    if any(missed):
        raise SystemExit(f"a bound is not kept on this machine: {'; '.join(filter(None, missed))}")


if __name__ == "__main__":
    main()
