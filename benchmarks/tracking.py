"""What tracking costs a training: the call of an iteration, the start of W&B beside it, and the end.

python benchmarks/tracking.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.pop("WANDB_API_KEY", None)

from wealtharena.config import compose
from wealtharena.tracking import Tracker

ITERATIONS = 500


def main() -> None:
    record = {"run_id": "20260101-000000-abcdef", "asset": "forex", "algo": "ppo", "data": {"source": "ecb"}}
    for name, override in (("journal only", "tracking=none"), ("journal and W&B offline", "tracking.console=quiet")):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            tracker = Tracker.start(compose([override]), Path(folder), record)
            started = time.perf_counter()
            calls = []
            for step in range(ITERATIONS):
                before = time.perf_counter()
                tracker.on_iteration({"env_step": step, "iteration": step, "reward": 0.1, "loss": 0.2, "kl": 0.01})
                calls.append(time.perf_counter() - before)
                time.sleep(0.01)
            ending = time.perf_counter()
            tracker.finish(record | {"status": "completed"})
            done = time.perf_counter()
        median, worst = sorted(calls)[ITERATIONS // 2] * 1e6, max(calls) * 1e3
        print(
            f"{name:<26} start {started - began:5.2f} s   an iteration {median:6.0f} us (worst {worst:5.1f} ms)   "
            f"end {done - ending:5.2f} s"
        )


if __name__ == "__main__":
    main()
