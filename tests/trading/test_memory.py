"""An account that trades for decades takes no more memory than one that trades for years."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, features_of, random_panel, spec_of
from tests.trading.desks import World, go, risk_of
from wealtharena.features.panel import Scaler

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


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory in use is told by Linux")
def test_memory_is_flat_over_twenty_thousand_bars(tmp_path, record_property):
    features = features_of(random_panel(np.random.default_rng(1), bars=BARS))
    env = spec_of(costs=EVERY_COST, limits={"max_gross": 1.5, "participation": 0.001, "maintenance_margin": 0.0})
    world = World(features, env, risk_of(), Careful(Scaler.fit(features, clip=5.0)))
    used = []

    def told(close):
        if len(used) < 3 and str(close.bar) >= str(features.panel.timestamps[(BARS // 3) * (len(used) + 1) - 1]):
            used.append(in_use_mb())

    go(tmp_path, world, told=told)
    used.append(in_use_mb())
    record_property("memory in use, MB, after each third", [round(one, 1) for one in used])
    assert len(used) == 4
    assert used[-2] - used[0] < MOST_MB
