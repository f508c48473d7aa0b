"""Bars and their inspection, for the tests of this folder."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.sample import walk
from wealtharena.config import compose
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import inspect

CALENDAR = ("missing_sessions", "outside_sessions")  # the bars of these tests know no holidays


@pytest.fixture(scope="session")
def specs():
    return {name: compose([f"asset={name}", "data=files"]) for name in ("stocks", "crypto", "forex", "commodities")}


@pytest.fixture
def judge(specs):
    """Return `judge(table, market, fetched_at=, adjusted=, **actions)`: the table after inspection and the report."""

    def run(
        table, market="stocks", *, fetched_at=datetime(2026, 1, 1, tzinfo=UTC), adjusted="splits", symbol="T", **actions
    ):
        spec = specs[market]
        unit = "none" if market == "forex" else "units"
        raw = RawBars("files", symbol, "1d", raw_table(table), "USD", unit, adjusted, fetched_at)
        bars, report = inspect(
            raw, spec.asset, spec.data.quality.model_copy(update={"missing_sessions": "warn", **actions})
        )
        return bars, {finding.kind: finding for finding in report.findings if finding.kind not in CALENDAR}

    return run


@pytest.fixture
def good():
    return walk(
        np.random.default_rng(3), "T", pd.bdate_range("2023-01-02", periods=300), price=50, sigma=0.015, volume=1e6
    )
