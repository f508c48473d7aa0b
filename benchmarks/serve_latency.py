"""How long one prediction, a batch and one from a table of bars take in process, and what five agents cost in memory and start-up time.

python benchmarks/serve_latency.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

AGENTS = {"crypto": "mlp", "forex": "gru", "etf": "attention", "stocks": "mlp", "commodities": "lstm"}

_CHILD = r"""
import json, os, re, sys, time
import numpy as np
import pandas as pd
began = time.perf_counter()
from wealtharena.prediction.manager import ProductionModelManager
manager = ProductionModelManager(sys.argv[1])
manager.refresh()
started = time.perf_counter() - began
rows = {}
for agent, served in manager.loaded.items():
    probe = served.policy.probe
    one, held = probe.features[-1], probe.portfolio[-1]
    many, helds = np.resize(probe.features, (1024, *one.shape)).copy(), np.resize(probe.portfolio, (1024, held.size)).copy()
    def timed(features, portfolio, calls):
        took = []
        for _ in range(calls):
            at = time.perf_counter()
            manager.get_model_prediction(agent, features, portfolio=portfolio)
            took.append(time.perf_counter() - at)
        return float(np.median(took)), float(np.quantile(took, 0.99))
    timed(one, held, 50)
    timed(many, helds, 3)
    table = pd.read_parquet(f"{sys.argv[1]}.{agent}.parquet")  # read and judged as any other source is
    timed(table, None, 2)
    rows[agent] = [list(one.shape), *timed(one, held, 2000), *timed(many, helds, 30), *timed(table, None, 15)]
peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
heavy = [name for name in ("torch", "ray") if name in sys.modules]
print(json.dumps({"start": started, "rss": peak, "heavy": heavy, "rows": rows}))
"""


def shelf(root: Path, window: int = 1) -> None:
    """Publish one agent a class, five architectures, and put each on paper."""
    from tests.registry.trained import frame_until, world
    from wealtharena.registry import ModelCheckpoint, promote
    from wealtharena.registry.publish import publish

    store = ModelCheckpoint(root)
    for asset, model in AGENTS.items():
        made = world(asset, model, window=window)
        bars = made.features.bars
        publish(
            store,
            made.policy,
            version="run-1",
            spec=made.spec,
            features=made.features,
            start=0,
            stop=bars,
            facts=made.facts,
        )
        promote(store, asset, "run-1")
        facts = store.load_checkpoint(asset, "run-1").metadata
        table = frame_until(made.features, facts.min_history_bars, history=facts.min_history_bars)
        table.to_parquet(f"{root}.{facts.agent}.parquet")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "checkpoints"
        shelf(root)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, str(root)], capture_output=True, text=True, check=True, env=environment
        )
    found = json.loads(child.stdout)
    print(
        f"five agents: import, verify and load {found['start']:.2f} s, peak memory {found['rss']:.0f} MB, heavy imports {found['heavy']}"
    )
    print(
        f"{'agent':<18}{'[A, window, F]':>16}{'one, ms':>10}{'p99':>8}{'1024, ms':>10}{'p99':>8}{'bars, ms':>10}{'p99':>8}"
    )
    for agent, (shape, one, one_p99, many, many_p99, bars, bars_p99) in found["rows"].items():
        print(
            f"{agent:<18}{shape!s:>16}{one * 1e3:>10.3f}{one_p99 * 1e3:>8.3f}{many * 1e3:>10.2f}{many_p99 * 1e3:>8.2f}"
            f"{bars * 1e3:>10.1f}{bars_p99 * 1e3:>8.1f}"
        )


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    began = time.perf_counter()
    main()
    print(f"({time.perf_counter() - began:.0f} s in all)")
