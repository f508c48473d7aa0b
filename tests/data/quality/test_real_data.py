"""Real bars kept beside the project, as found: nothing true is refused, nothing false passes."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.config import compose
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import inspect
from wealtharena.data.quality.leaks import leak
from wealtharena.errors import ProviderError

MARKET = Path(__file__).parents[4] / "shared" / "market"
pytestmark = pytest.mark.skipif(not MARKET.exists(), reason="market data is not part of the project")
TRUE_FILES = {
    "stocks_asx_daily": "stocks",
    "etf_daily": "etf",
    "commodities_daily": "commodities",
    "crypto_daily": "crypto",
    "crypto_daily_2014_2022": "crypto",
    "forex_oanda_daily": "forex",
    "crypto_btc_hourly": "crypto",
    "etf_spy_hourly": "etf",
    "forex_eurusd_hourly": "forex",
}
TWINS = (
    "8TRA-DE-1d-missing-div-adjust",
    "AET-L-1d-100x-error",
    "ALPHA-PA-1d-bad-stock-split",
    "DEX-AX-1d-bad-stock-split",
    "SSW-JO-1d-100x-error",
)


@pytest.fixture(scope="module")
def specs():
    return {name: compose([f"asset={name}", "data=files"]) for name in sorted(set(TRUE_FILES.values()))}


def judge(spec, table, symbol, *, interval="1d", **actions):
    unit = "none" if spec.asset.market == "forex" else "units"
    raw = RawBars("files", symbol, interval, raw_table(table), "USD", unit, "splits", datetime.now(UTC))
    return inspect(raw, spec.asset, spec.data.quality.model_copy(update=actions))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUE_FILES)
def test_true_bars_are_neither_refused_nor_altered(specs, name):
    spec = specs[TRUE_FILES[name]]
    interval = "1h" if "hourly" in name else "1d"
    for symbol, table in pd.read_parquet(MARKET / f"{name}.parquet").groupby("symbol"):
        bars, report = judge(spec, table, symbol, interval=interval)
        kinds = {finding.kind for finding in report.findings}
        calendar = {"missing_sessions", "outside_sessions"}
        assert kinds <= calendar | {"ohlc_breaks", "non_positive", "ticker_reuse"}, (symbol, report.summary())
        lost = {"AVAX-USD": 2}.get(symbol, 0)
        assert len(bars.table) == len(table) - lost, symbol
        np.testing.assert_array_equal(bars.table["close"], table.sort_values("timestamp")["close"].iloc[lost:])
        assert leak(bars.table)[0] < 0.55, symbol


@pytest.mark.slow
def test_the_negative_oil_price_is_a_mark_that_nobody_fills_at(specs):
    table = pd.read_parquet(MARKET / "commodities_daily.parquet").query("symbol == 'CL=F'")
    bars, _ = judge(specs["commodities"], table, "CL=F")
    day = bars.table[bars.table["timestamp"] == pd.Timestamp("2020-04-20", tz="UTC")].iloc[0]
    assert day["close"] == pytest.approx(-37.63)
    assert not day["tradable"]


@pytest.mark.slow
def test_yahoos_daily_fx_is_refused_or_repaired(specs):
    spec = specs["forex"]
    for symbol, table in pd.read_parquet(MARKET / "forex_yahoo_leaky_daily.parquet").groupby("symbol"):
        with pytest.raises(ProviderError, match="leaking_bars"):
            judge(spec, table, symbol)
        bars, _ = judge(spec, table, symbol, leaking_bars="repair")
        assert leak(bars.table)[0] < 0.35
        np.testing.assert_array_equal(bars.table["close"], table["open"].iloc[1:])


def read_fixture(name):
    frame = pd.read_csv(MARKET / "dirty" / f"yfinance_tests_{name}.csv").rename(columns=str.lower)
    frame = frame.rename(columns={"dividends": "dividend", "stock splits": "split"})
    return frame.assign(timestamp=pd.to_datetime(frame["date"].str[:10], utc=True))


@pytest.mark.parametrize("name", TWINS)
def test_yfinances_repair_fixtures_come_out_as_their_twins(specs, name):
    twin = read_fixture(f"{name}-fixed").sort_values("timestamp", ignore_index=True)
    bars, _ = judge(specs["stocks"], read_fixture(name), name.split("-1d")[0].replace("-", "."))
    table = bars.table
    assert table["timestamp"].tolist() == twin["timestamp"].tolist()
    for column in ("open", "high", "low", "close", "volume", "dividend", "split"):
        np.testing.assert_allclose(table[column], twin[column], rtol=1e-5, err_msg=column)
    # with dividends paid out, closes earn what the twin's adjusted closes earn
    before = table["close"].shift()
    factor = (1 - table["dividend"] / before).fillna(1.0)[::-1].cumprod()[::-1].shift(-1, fill_value=1.0)
    np.testing.assert_allclose(table["close"] * factor, twin["adj close"], rtol=1e-5)


def test_nan_rows_and_stray_bars_before_a_listing_go(specs):
    frame = pd.read_csv(MARKET / "dirty" / "nan_rows_AVAX-USD-1d_MIT.csv").rename(columns=str.lower)
    bars, _ = judge(specs["crypto"], frame.assign(timestamp=pd.to_datetime(frame["date"], utc=True)), "AVAX-USD")
    assert bars.table["timestamp"].iloc[0] == pd.Timestamp("2020-09-22", tz="UTC")
    assert len(bars.table) == 511


@pytest.mark.slow
def test_a_reused_ticker_is_cut_at_the_gap(specs):
    path = MARKET / "dirty" / "ticker_reuse_gap_lean_uso_Apache2.zip"
    frame = pd.read_csv(path, names=["stamp", "open", "high", "low", "close", "volume"])
    frame = frame.assign(timestamp=pd.to_datetime(frame["stamp"], format="%Y%m%d %H:%M", utc=True))
    bars, report = judge(specs["etf"], frame, "USO")
    assert bars.table["timestamp"].iloc[0] == pd.Timestamp("2006-04-10", tz="UTC")
    assert "ticker_reuse" in {finding.kind for finding in report.findings}
