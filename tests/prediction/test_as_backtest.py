"""The service decides on a request's bars as a backtest on the same bars does: repaired, left out or refused alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.registry.shelf import SYMBOLS, stocked
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data.loading import load_panel
from wealtharena.errors import DataError
from wealtharena.features import compute
from wealtharena.prediction.bars import observe
from wealtharena.prediction.inputs import InputError
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry.metadata import Metadata

BARS = 120


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Metadata:
    manager = ProductionModelManager(stocked(tmp_path_factory.mktemp("shelf")).root)
    return manager.load_agent_model("crypto").metadata


def walk(seed: int, *, end: str | datetime = "2026-03-01", step: str = "1D") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    days = pd.date_range(end=end, periods=BARS, freq=step, tz="UTC")
    parts = []
    for name in SYMBOLS:
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, BARS)))
        opening = np.r_[100.0, close[:-1]] * np.exp(rng.normal(0, 0.003, BARS))
        high, low = np.maximum(opening, close) * 1.01, np.minimum(opening, close) * 0.99
        volume = rng.lognormal(10, 1, BARS)
        parts.append(
            pd.DataFrame(
                {"timestamp": days, "symbol": name, "open": opening, "high": high, "low": low, "close": close,
                 "volume": volume}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def at(frame: pd.DataFrame, symbol: int, back: int) -> int:
    """Return the row of a symbol's bar so many before its last."""
    return (symbol + 1) * BARS - 1 - back


PRICES = ["open", "high", "low", "close"]


def damaged(frame: pd.DataFrame, kind: str, symbol: int, back: int) -> pd.DataFrame:
    row, frame = at(frame, symbol, back), frame.copy()
    if kind == "tick":
        frame.loc[row, PRICES] *= 50.0
    elif kind == "crash tick":
        frame.loc[row, PRICES] /= 50.0
    elif kind == "wick":
        frame.loc[row, "high"] *= 1000.0
    elif kind == "negative":
        frame.loc[row, "close"] = -1.0
    elif kind == "zero volume":
        frame.loc[row, "volume"] = 0.0
    elif kind == "outside":
        frame.loc[row, "open"] *= 1.2
    elif kind == "no open":
        frame.loc[row, "open"] = np.nan
    elif kind == "no close":
        frame.loc[row, "close"] = np.nan
    elif kind == "hole":
        frame = frame.drop(index=[n for n in range(row - 3, row + 1) if n // BARS == symbol])
    elif kind == "long hole":
        frame = frame.drop(index=[n for n in range(row - 40, row + 1) if n // BARS == symbol])
    elif kind == "frozen":
        frame.loc[row - 12 : row, PRICES] = frame.loc[row - 12, "close"]
    elif kind == "hundredfold":
        frame.loc[row : (symbol + 1) * BARS - 1, PRICES] *= 100.0
    return frame


KINDS = (
    "tick", "crash tick", "wick", "negative", "zero volume", "outside", "no open", "no close", "hole", "long hole",
    "frozen", "hundredfold",
)  # fmt: skip


def as_backtest(metadata: Metadata, frame: pd.DataFrame) -> tuple[np.ndarray, str]:
    panel = load_panel(frame, asset="crypto")
    features = compute(panel, FeaturesSpec(names=metadata.feature_names, clip=5.0))
    order = [panel.symbols.index(name) for name in metadata.symbols]
    seen = features.values[-metadata.window :][:, order].transpose(1, 0, 2)
    return seen, str(panel.timestamps[-1].astype("datetime64[s]"))


@pytest.mark.slow
@settings(max_examples=20)
@given(
    seed=st.integers(0, 3),
    faults=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.sampled_from([0, 0, 1, 2, 5, 20])),
        min_size=1,
        max_size=3,
        unique_by=lambda fault: fault[1],
    ),
)
def test_what_is_decided_on_is_what_a_backtest_sees(metadata, seed, faults):
    frame = walk(seed)
    for kind, symbol, back in sorted(faults, key=lambda fault: -fault[1]):  # rows of later symbols go first
        frame = damaged(frame, kind, symbol, back)
    try:
        expected, when = as_backtest(metadata, frame)
    except DataError:
        with pytest.raises(InputError):
            observe(metadata, frame)
        return
    longest = metadata.model_copy(update={"min_history_bars": 1})  # a backtest takes less than the service asks for
    found, as_of, _ = observe(longest, frame)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6, atol=1e-9)
    assert as_of == when


@pytest.mark.parametrize("kind", ["tick", "crash tick", "no close", "no open"])
def test_what_was_repaired_or_left_out_is_said(metadata, kind):
    _, _, notes = observe(metadata, damaged(walk(1), kind, 1, 0))
    assert any("quality of the bars" in one for one in notes)
    assert any("no price to trade at of ETH-USD" in one for one in notes)
    assert observe(metadata, walk(1))[2] == ()


@pytest.mark.parametrize("step", ["7D", "3D", "1h", "2D"])
def test_bars_of_another_interval_are_refused(metadata, step):
    with pytest.raises(InputError, match="not 1d") as refused:
        observe(metadata, walk(1, step=step))
    assert refused.value.field.startswith("bars.")


def test_a_running_bar_is_left_out_and_one_of_the_future_refused(metadata):
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    _, as_of, notes = observe(metadata, walk(1, end=today))
    assert as_of == (today - timedelta(days=1)).isoformat()[:19]
    assert any("unfinished_bar" in one for one in notes)
    with pytest.raises(InputError, match="future"):
        observe(metadata, walk(1, end=today + timedelta(days=2)))


def test_the_rules_of_training_hold_where_the_version_says_them(metadata):
    recipe = metadata.recipe.model_copy(update={"data": {"quality": {"spikes": "refuse"}}})
    strict = metadata.model_copy(update={"recipe": recipe})
    frame = damaged(walk(1), "tick", 0, 0)
    assert observe(metadata, frame)
    with pytest.raises(InputError, match=r"bars\.BTC-USD: refused by data\.quality\.spikes"):
        observe(strict, frame)
