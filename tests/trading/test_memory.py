"""An account that trades for decades takes no more memory than one that trades for years."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, features_of, random_panel, spec_of
from tests.trading.desks import World, go, risk_of
from wealtharena.features.panel import Scaler
from wealtharena.trading.ledger import Ledger

BARS, MOST_MB = 20_000, 12.0


class Careful:
    """Orders a little of everything at every bar, so that its money lasts."""

    def __init__(self, scaler):
        self.scaler = scaler
        self.rng = np.random.default_rng(2)

    def decide(self, seen, memory):
        return self.rng.uniform(0.0, 0.002, 3), {}


def in_use_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def used_by(folder, bars):
    """Return the memory in use after each third of an account of so many bars, and at its end, in MB."""
    days = np.datetime64("1900-01-01", "ns") + np.arange(bars) * np.timedelta64(1, "D")
    calm = {"timestamps": days, "to_account": np.ones((bars, 3))}  # so that centuries fit, and prices stay numbers
    features = features_of(random_panel(np.random.default_rng(1), bars=bars, **calm))
    env = spec_of(costs=EVERY_COST, limits={"max_gross": 1.5, "participation": 0.001, "maintenance_margin": 0.0})
    world = World(features, env, risk_of(), Careful(Scaler.fit(features, clip=5.0)))
    used = []

    def told(close):
        if len(used) < 3 and str(close.bar) >= str(features.panel.timestamps[(bars // 3) * (len(used) + 1) - 1]):
            used.append(in_use_mb())

    go(folder, world, told=told)
    used.append(in_use_mb())
    assert len(used) == 4
    with contextlib.closing(Ledger(folder)) as ledger:
        assert ledger.state()[0] == "trading"
    return used


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory in use is told by Linux")
def test_memory_is_flat_over_twenty_thousand_bars(tmp_path, record_property):
    used = used_by(tmp_path, BARS)
    record_property("memory in use, MB, after each third", [round(one, 1) for one in used])
    assert used[-2] - used[0] < MOST_MB
