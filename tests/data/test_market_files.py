"""Real bars of the development folder; skipped where it is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose, with_data
from wealtharena import features
from wealtharena.data import Panel, load
from wealtharena.errors import DataError

MARKET = Path(__file__).parents[3] / "shared" / "market"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MARKET.exists(), reason="the folder of real bars is not here"),
]


def _load(asset: str, file: str, *overrides: str) -> Panel:
    spec = with_data(compose([f"asset={asset}", "data=files", *overrides]), path=str(MARKET / file))
    return load(spec.asset, spec.data, seed=0)


@pytest.mark.parametrize(
    ("asset", "file", "start", "symbols", "bars"),
    [
        ("stocks", "stocks_asx_daily", None, 5, 3790),
        ("etf", "etf_daily", None, 3, 3771),
        ("commodities", "commodities_daily", None, 5, 3771),
        ("crypto", "crypto_daily", None, 6, 1827),
        ("crypto", "crypto_daily_2014_2022", None, 8, 2708),
        ("forex", "forex_oanda_daily", None, 4, 3738),
        ("crypto", "crypto_btc_hourly", "2021-06-01", 1, 6553),
        ("forex", "forex_eurusd_hourly", "2018-01-01", 1, 6168),
        ("etf", "etf_spy_hourly", "2020-01-01", 1, 2192),
    ],
)
def test_every_file_loads_with_its_class_and_has_features(
    asset: str, file: str, start: str | None, symbols: int, bars: int
) -> None:
    window = () if start is None else ("data.interval=1h", f"data.start={start}")
    panel = _load(asset, f"{file}.parquet", *window)
    assert len(panel.symbols) == symbols
    assert panel.bars == bars
    frame = pd.read_parquet(MARKET / f"{file}.parquet")
    frame = frame[frame["timestamp"] >= (start or "1900-01-01")]
    for column, symbol in enumerate(panel.symbols):
        truth = frame[frame["symbol"] == symbol].set_index("timestamp")["close"]
        ours = pd.Series(panel.close[:, column], pd.DatetimeIndex(panel.timestamps).tz_localize("UTC")).dropna()
        assert len(ours) >= len(truth) - 2
        np.testing.assert_array_equal(ours.to_numpy(), truth.reindex(ours.index).to_numpy())
    made = features.compute(panel, compose([f"asset={asset}", "data=files"]).features)
    last = made.values[-1]
    assert np.isfinite(last).all()


def test_bars_that_leak_the_next_day_are_refused() -> None:
    with pytest.raises(DataError, match=r"leaking_bars.*data=ecb"):
        _load("forex", "forex_yahoo_leaky_daily.parquet")


def test_leaking_bars_can_be_repaired_on_purpose() -> None:
    panel = _load(
        "forex", "forex_yahoo_leaky_daily.parquet", "data.quality.leaking_bars=repair", "data.max_repaired_share=1"
    )
    assert set(panel.symbols) == {"EURUSD", "GBPUSD", "USDJPY", "AUDUSD"}


def test_the_day_of_negative_oil_is_a_mark_and_poisons_nothing() -> None:
    panel = _load("commodities", "commodities_daily.parquet")
    oil = panel.symbols.index("CL=F")
    row = int(np.flatnonzero(panel.timestamps == np.datetime64("2020-04-20"))[0])
    assert panel.close[row, oil] == pytest.approx(-37.63, abs=1e-5)
    assert not panel.tradable[row, oil]
    made = features.compute(panel, compose(["asset=commodities", "data=files"]).features)
    after = made.values[row - made.warmup_bars :, oil]
    assert np.isnan(after[0]).all()
    assert np.isfinite(after[2:]).all(axis=1).mean() > 0.95


def test_stray_bars_of_a_young_coin_are_left_out() -> None:
    panel = _load("crypto", "crypto_daily_2014_2022.parquet")
    coin = panel.symbols.index("AVAX-USD")
    first = panel.timestamps[np.flatnonzero(np.isfinite(panel.close[:, coin]))[0]]
    assert str(first)[:10] == "2020-09-22"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("empty_headeronly_SPY.csv", "header and no rows"),
        ("yf_multiheader2_EURUSDX_MIT.csv", "leaking_bars"),
        ("duplicates_mixed_dst_offset_BTC-USD-15-MIN_MIT.csv", "15 minutes apart"),
    ],
)
def test_dirty_files_are_refused_with_the_reason(file: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        _load("etf" if "SPY" in file else "forex" if "EURUSD" in file else "crypto", f"dirty/{file}")


def test_rows_of_nothing_are_left_out() -> None:
    panel = _load("crypto", "dirty/nan_rows_AVAX-USD-1d_MIT.csv", "data.symbols=[AVAX-USD]")
    assert panel.symbols == ("AVAX-USD",)
    assert np.isfinite(panel.close).all()
    assert str(panel.timestamps[0])[:10] == "2020-09-22"
