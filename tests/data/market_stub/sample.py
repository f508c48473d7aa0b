"""Bars and macro rows made for the stub: plain random walks with each venue's habits, and what must be known of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

DAYS = 320


@cache
def bars() -> pd.DataFrame:
    """Return daily bars of shares, a London share in pence, a pair, a coin and a future, and hourly bars of one share."""
    rng = np.random.default_rng(7)
    weekdays = pd.bdate_range("2023-09-01", periods=DAYS)
    every_day = pd.date_range("2023-09-01", periods=DAYS)
    parts = [
        walk(rng, "ACME", weekdays, price=80.0, sigma=0.015, volume=1e6),
        walk(rng, "BETA", weekdays, price=30.0, sigma=0.02, volume=3e5),
        walk(rng, "BHP.AX", weekdays, price=45.0, sigma=0.012, volume=5e6),
        walk(rng, "OCDO.L", weekdays, price=600.0, sigma=0.02, volume=7e5),
        walk(rng, "EURUSD=X", weekdays, price=1.08, sigma=0.004, volume=0.0),
        walk(rng, "GC=F", weekdays, price=1900.0, sigma=0.009, volume=2e5),
        walk(rng, "BTC-USD", every_day, price=26_000.0, sigma=0.03, volume=2e4),
        walk(rng, "ETH-USD", every_day, price=1_600.0, sigma=0.035, volume=1e5),
        walk(rng, "SOL-USD", every_day, price=20.0, sigma=0.045, volume=1e6),
    ]
    parts[0].loc[100, "dividend"] = 0.5
    hours = pd.DatetimeIndex([day + pd.Timedelta(hours=13.5 + k) for day in weekdays[:40] for k in range(7)])
    parts.append(walk(rng, "HOURLY", hours, price=50.0, sigma=0.004, volume=1e5))
    return pd.concat(parts, ignore_index=True)


@cache
def macro() -> pd.DataFrame:
    """Return a monthly series: each value published 40 days after its month began, and revised 30 days later."""
    rows = []
    for k, month in enumerate(pd.date_range("2023-01-01", periods=12, freq="MS")):
        first, revised = month + pd.Timedelta(days=40), month + pd.Timedelta(days=70)
        rows.append((month.date(), "CPI", 100.0 + k, first.date(), (revised - pd.Timedelta(days=1)).date()))
        rows.append((month.date(), "CPI", 100.25 + k, revised.date(), "9999-12-31"))
    return pd.DataFrame(rows, columns=["date", "series_id", "value", "realtime_start", "realtime_end"])


def walk(
    rng: np.random.Generator, symbol: str, index: pd.DatetimeIndex, *, price: float, sigma: float, volume: float
) -> pd.DataFrame:
    """Return bars of a random walk: gaps between close and open, highs and lows around both."""
    n = len(index)
    closes = price * np.exp(np.cumsum(rng.normal(0.0, sigma, n)))
    opens = np.r_[price, closes[:-1]] * np.exp(rng.normal(0.0, sigma / 3, n))
    highs = np.maximum(opens, closes) * np.exp(np.abs(rng.normal(0.0, sigma / 2, n)))
    lows = np.minimum(opens, closes) * np.exp(-np.abs(rng.normal(0.0, sigma / 2, n)))
    return pd.DataFrame(
        {
            "timestamp": index.tz_localize("UTC"),
            "symbol": symbol,
            "open": opens,
            "high": highs,
            "low": lows,
            "close": closes,
            "volume": np.round(volume * np.exp(rng.normal(0.0, 0.3, n))),
            "dividend": 0.0,
            "split": 0.0,
        }
    )
