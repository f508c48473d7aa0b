"""On hourly bars a horizon is the same number of bars as on daily ones, and so are warm-up and history."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.data.specs import compose
from wealtharena import features
from wealtharena.config.paths import conf_dir
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data import Panel, load
from wealtharena.features.computing import warmup_bars

SETS = sorted(path.stem for path in (conf_dir() / "features").glob("*.yaml"))
ASSETS = ("crypto", "stocks")  # every hour, and those of a session


@pytest.fixture(scope="module", params=ASSETS)
def hourly(request: pytest.FixtureRequest) -> Panel:
    spec = compose([f"asset={request.param}", "data=simulated", "data.interval=1h", "data.simulator.bars=900"])
    panel = load(spec.asset, spec.data, seed=0)
    assert np.diff(panel.timestamps).min() == np.timedelta64(1, "h")
    return panel


def of(name: str) -> FeaturesSpec:
    return compose([f"features={name}"]).features


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_warm_up_and_history_are_bars(hourly: Panel, name: str) -> None:
    spec = of(name)
    made = features.compute(hourly, spec)
    assert made.names == spec.names
    warm_up = warmup_bars(spec.names)
    slowest = max(int(number) for one in spec.names for number in re.findall(r"\d+", one))
    assert warm_up >= slowest - 1
    assert made.warmup_bars == warm_up
    np.testing.assert_array_equal(made.panel.timestamps, hourly.timestamps[warm_up:])
    assert np.isfinite(made.values).all()
    history = features.min_history_bars(spec.names)
    assert history > warm_up
    recent = features.compute(hourly.slice(hourly.bars - history, hourly.bars), spec)
    np.testing.assert_allclose(recent.values[-1], made.values[-1], atol=2e-6)


@pytest.mark.parametrize("name", ["scaled_return_21", "log_return_5"])
def test_a_horizon_counts_bars_whatever_time_lies_between_them(hourly: Panel, name: str) -> None:
    spec = of("wide").model_copy(update={"names": (name,)})
    made = features.compute(hourly, spec)
    bars = int(name.rsplit("_", 1)[1])
    moved = np.log(hourly.close[bars:] / hourly.close[:-bars])
    if name.startswith("scaled"):
        single = np.log(hourly.close[1:] / hourly.close[:-1])
        squares = np.lib.stride_tricks.sliding_window_view(single**2, 63, axis=0).mean(axis=-1)
        moved = moved[-len(squares) :] / np.sqrt(squares[-len(moved) :] * bars)
    count = min(len(moved), made.bars)
    np.testing.assert_allclose(made.values[-count:, :, 0], moved[-count:], rtol=1e-4, atol=1e-6)
