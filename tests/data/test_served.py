"""The store serves what a request asks for: by its rules, and within its dates."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose, with_data
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import catalog, load
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.providers.store import Provider
from wealtharena.data.quality import inspect
from wealtharena.data.store import Store, Window
from wealtharena.errors import DataError, ProviderError

THEN = datetime(2024, 6, 1, tzinfo=UTC)


def spec_of(root: Path, *overrides: str, **quality: Any) -> ExperimentSpec:
    spec = compose(["data=store", *overrides])
    rules = spec.data.quality.model_copy(update=quality)
    return with_data(spec, root=str(root), quality=rules)


def put(
    spec: ExperimentSpec, symbol: str, stamps: pd.DatetimeIndex, *, interval: str = "1d", pence: bool = False
) -> None:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.02, len(stamps))))
    if pence:
        close[40] *= 100
    frame = {
        "timestamp": stamps,
        "open": close,
        "high": close * 1.01,
        "low": close * 0.99,
        "close": close,
        "volume": 5e6,
    }
    raw = RawBars("yahoo", symbol, interval, raw_table(pd.DataFrame(frame)), "USD", "account", "splits", THEN)
    bars, report = inspect(raw, spec.asset, spec.data.quality)
    quality = {"rules": catalog.rules_of(spec.data), **report.to_dict()}
    Store(spec.data.root).write(spec.asset.name, bars, raw=raw, asked=Window(None, None), quality=quality)


DAYS = pd.date_range("2024-01-01", periods=90, tz="UTC")
LAX = {"unit_errors": "warn", "spikes": "warn"}
COIN = ("asset=crypto", "data.symbols=[BTC-USD]")


@pytest.mark.slow
def test_bars_are_judged_by_the_rules_of_the_request(tmp_path: Path) -> None:
    lax = spec_of(tmp_path, *COIN, **LAX)
    put(lax, "BTC-USD", DAYS, pence=True)
    same = load(lax.asset, lax.data, seed=0)
    assert np.nanmax(same.close) > 5000
    assert not any("judged" in note for note in same.notes)
    strict = spec_of(tmp_path, *COIN, **LAX | {"unit_errors": "refuse"})
    with pytest.raises(DataError, match=r"refused by data\.quality\.unit_errors"):
        load(strict.asset, strict.data, seed=0)
    repairing = spec_of(tmp_path, *COIN)
    panel = load(repairing.asset, repairing.data, seed=0)
    assert np.nanmax(panel.close) < 500
    assert "judged again, by this run's rules: BTC-USD" in panel.notes


def test_bars_that_an_earlier_release_judged_are_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel that was made of them then is none of ours either."""
    spec = spec_of(tmp_path, *COIN)
    monkeypatch.setattr(catalog, "judge", lambda: "earlier")
    put(spec, "BTC-USD", DAYS, pence=True)
    assert not any("judged" in note for note in load(spec.asset, spec.data, seed=0).notes)
    monkeypatch.undo()
    assert "judged again, by this run's rules: BTC-USD" in load(spec.asset, spec.data, seed=0).notes


def test_where_the_raw_bars_are_gone_it_is_said_that_other_rules_held(tmp_path: Path) -> None:
    lax = spec_of(tmp_path, *COIN, **LAX)
    put(lax, "BTC-USD", DAYS, pence=True)
    Store(tmp_path).raw_path("crypto", "yahoo", "BTC-USD", "1d").unlink()
    panel = load((strict := spec_of(tmp_path, *COIN)).asset, strict.data, seed=0)
    assert "judged when they were collected, by other rules: BTC-USD" in panel.notes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("universe", "symbol", "first", "last"),
    [
        (
            "asx_large",
            "BHP.AX",
            "2024-01-09 13:00",
            "2024-01-10 12:00",
        ),  # midnight in Sydney is 13:00 UTC the day before
        ("nyse", "AAPL", "2024-01-10 05:00", "2024-01-11 04:00"),
        ("asx_large", "AAPL", "2024-01-10 05:00", "2024-01-11 04:00"),  # in dollars, so of New York
    ],
)
def test_hourly_bars_are_cut_by_the_venues_own_dates(
    tmp_path: Path, universe: str, symbol: str, first: str, last: str
) -> None:
    spec = spec_of(tmp_path, "asset=stocks", f"universe={universe}")
    put(spec, symbol, pd.date_range("2024-01-08", periods=120, freq="h", tz="UTC"), interval="1h")
    day = date(2024, 1, 10)
    table = Provider(spec.data, spec.asset).fetch(symbol, day, day, "1h").table
    assert [str(stamp)[:16] for stamp in table["timestamp"].iloc[[0, -1]]] == [first, last]
    with pytest.raises(ProviderError, match="has no bars between"):
        Provider(spec.data, spec.asset).fetch(symbol, date(2025, 1, 1), None, "1h")
