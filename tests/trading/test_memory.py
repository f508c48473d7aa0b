"""An account that trades for decades takes no more memory than one that trades for years."""

import contextlib
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, features_of, random_panel, spec_of
from tests.trading.desks import World, go, risk_of
from wealtharena.features.panel import Scaler
from wealtharena.trading.ledger import Ledger

ROOT = Path(__file__).parents[2]
BARS, MOST_BYTES_A_BAR, MOST_OBJECTS_A_BAR = 4_500, 600, 0.5
MOST_MB = 12.0  # over the 100,000 bars of benchmarks/paper_memory.py


class Careful:
    """Orders a little of everything at every bar, so that its money lasts."""

    def __init__(self, scaler):
        self.scaler = scaler
        self.rng = np.random.default_rng(2)

    def decide(self, seen, memory):
        return self.rng.uniform(0.0, 0.002, 3), {}


def in_use_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def traded(folder, bars, told):
    """Trade so many bars; `told` is called with the bar's number after each."""
    days = np.datetime64("1900-01-01", "ns") + np.arange(bars) * np.timedelta64(1, "D")
    calm = {"timestamps": days, "to_account": np.ones((bars, 3))}  # so that centuries fit, and prices stay numbers
    features = features_of(random_panel(np.random.default_rng(1), bars=bars, **calm))
    env = spec_of(costs=EVERY_COST, limits={"max_gross": 1.5, "participation": 0.001, "maintenance_margin": 0.0})
    world = World(features, env, risk_of(), Careful(Scaler.fit(features, clip=5.0)))
    numbers = {str(stamp): number for number, stamp in enumerate(features.panel.timestamps, 1)}
    go(folder, world, told=lambda close: told(numbers[str(close.bar)]))
    with contextlib.closing(Ledger(folder)) as ledger:
        assert ledger.state()[0] == "trading"


def used_by(folder, bars):
    """Return the memory in use after each third of an account of so many bars, and at its end, in MB."""
    used = []
    traded(folder, bars, lambda number: used.append(in_use_mb()) if number in thirds_of(bars) else None)
    used.append(in_use_mb())
    assert len(used) == 4
    return used


def thirds_of(bars):
    return (bars // 3, 2 * (bars // 3), 3 * (bars // 3))


def measured(folder):
    """Return (bars, MB in use, objects) at each third of an account of `BARS` bars."""
    found = []

    def told(number):
        if number in thirds_of(BARS):
            gc.collect()
            found.append((number, in_use_mb(), sys.getallocatedblocks()))

    traded(folder, BARS, told)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory in use is told by Linux")
def test_memory_is_flat_from_bar_to_bar(tmp_path, record_property):
    """Neither objects nor bytes grow with the bars: one number that is kept a bar is seen, and so are 600 bytes.

    Told by a process of its own: threads that other tests have left behind take memory too.
    """
    code = f"import json; from tests.trading import test_memory as m; print(json.dumps(m.measured(m.Path({str(tmp_path)!r}))))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    (first, began, few), _, (last, ended, many) = json.loads(told.stdout.splitlines()[-1])
    record_property(
        "bytes and objects more a bar", [(ended - began) * 2**20 / (last - first), (many - few) / (last - first)]
    )
    assert (many - few) / (last - first) < MOST_OBJECTS_A_BAR
    assert (ended - began) * 2**20 / (last - first) < MOST_BYTES_A_BAR
