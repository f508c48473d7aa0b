from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.fixtures import make_spec, server, stub  # noqa: F401 - fixtures of the loopback services
from tests.data.rooms import Room
from tests.data.specs import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data.bars import Bars, raw_table


@pytest.fixture(scope="session")
def crypto() -> ExperimentSpec:
    return compose(["asset=crypto", "data=files"])


@pytest.fixture(scope="session")
def forex() -> ExperimentSpec:
    return compose(["asset=forex", "data=ecb"])


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(str(tmp_path / "data"))


@pytest.fixture
def make_bars() -> Callable[..., Bars]:
    """Return a maker of bars: `make_bars("BTC-USD", dates, closes, volume=...)`."""

    def make(
        symbol: str, dates: Any, closes: Any, *, unit: str = "account", currency: str = "USD", **columns: Any
    ) -> Bars:
        closes = np.asarray(closes, dtype=np.float64)
        stamps = pd.DatetimeIndex(dates).tz_localize("UTC")
        frame = {"timestamp": stamps, "open": closes, "high": closes * 1.01, "low": closes * 0.99, "close": closes}
        table = raw_table(pd.DataFrame(frame | {"volume": np.full(len(closes), 1000.0)} | columns))
        table["tradable"] = True
        return Bars("test", symbol, "1d", table, currency, unit, "splits", datetime.now(UTC))

    return make
