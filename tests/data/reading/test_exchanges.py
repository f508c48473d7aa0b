"""Bars of coins as exchanges hand them out: which end a stamp names, and which of several volumes counts coins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading import honest
from tests.data.reading.test_exports import _load, _refused, _said
from wealtharena.data import Panel

COIN = "asset=crypto"
TRUTH = honest.honest_bars().query("symbol == 'BTC-USD'").reset_index(drop=True)
PAID = (TRUTH["volume"] * TRUTH["close"]).round(2)
DAYS = TRUTH["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S.000Z")
ENDS = (TRUTH["timestamp"] + pd.Timedelta(days=1)).dt.strftime("%Y-%m-%dT%H:%M:%S.000Z")
BARS = TRUTH[["open", "high", "low", "close"]]

pytestmark = pytest.mark.slow


def _is_true(panel: Panel, *, unit: str = "units") -> None:
    assert list(pd.DatetimeIndex(panel.timestamps)) == list(TRUTH["timestamp"].dt.tz_localize(None))
    np.testing.assert_allclose(panel.close[:, 0], TRUTH["close"])
    assert panel.volume is not None
    np.testing.assert_allclose(panel.volume[:, 0], TRUTH["volume"])
    assert panel.volume_unit == unit


@pytest.mark.parametrize("first", ["openTimestamp", "start_time", "startedAt"])
def test_a_column_of_beginnings_counts_before_one_of_ends(tmp_path: Path, first: str) -> None:
    table = BARS.assign(volume=TRUTH["volume"], closeTimestamp=ENDS, timestamp=ENDS, **{first: DAYS})
    panel = _load(table, tmp_path / "BTC-USD.csv", COIN)
    _is_true(panel)
    assert _said(panel, f"bars stand at their beginnings, {first}, and not at timestamp")


def test_a_beginning_behind_the_end_is_refused(tmp_path: Path) -> None:
    table = BARS.assign(volume=TRUTH["volume"], timestamp=DAYS, start_time=ENDS)
    _refused(table, tmp_path / "BTC-USD.csv", "tell different times in row 1", COIN)


def test_bitmex_stamps_the_ends_of_bars_and_counts_coins_in_home_notional(tmp_path: Path) -> None:
    table = BARS.assign(timestamp=ENDS, symbol="XBTUSD", trades=5, volume=PAID.round(), homeNotional=TRUTH["volume"])
    panel = _load(table.assign(foreignNotional=PAID.round()), tmp_path / "bars.csv", COIN)
    _is_true(panel)
    assert _said(panel, "BitMEX stamps bars by their ends: they stand 1d earlier")


@pytest.mark.parametrize(("contracts", "coins"), [(TRUTH["volume"] * 100, TRUTH["volume"]), (TRUTH["volume"], PAID)])
@pytest.mark.parametrize("names", ["vol volCcy volCcyQuote", "vol vol_ccy vol_quote"])
def test_the_volume_of_okx_that_fits_its_money_counts(
    tmp_path: Path, names: str, contracts: pd.Series, coins: pd.Series
) -> None:
    figures = dict(zip(names.split(), (contracts, coins, PAID), strict=True))
    panel = _load(BARS.assign(ts=DAYS, **figures), tmp_path / "BTC-USD.csv", COIN)
    _is_true(panel)
    assert not _said(panel, "not understood")


def test_a_volume_in_money_or_coins_alone_beside_contracts_is_not_taken(tmp_path: Path) -> None:
    _is_true(_load(BARS.assign(ts=DAYS, vol=TRUTH["volume"], volCcy=PAID), tmp_path / "BTC-USD.csv", COIN))


@pytest.mark.parametrize("names", ["baseVol quoteVol", "baseTokenVolume usdVolume"])
def test_volumes_of_base_and_quote_are_known_by_their_names(tmp_path: Path, names: str) -> None:
    figures = dict(zip(names.split(), (TRUTH["volume"], PAID), strict=True))
    _is_true(_load(BARS.assign(startedAt=DAYS, **figures), tmp_path / "BTC-USD.csv", COIN))


def test_bybits_order_without_a_header_is_proven_by_its_turnover(tmp_path: Path) -> None:
    epochs = TRUTH["timestamp"].dt.as_unit("ms").astype("int64")
    table = pd.concat([epochs, BARS, TRUTH["volume"], PAID], axis=1)
    _is_true(_load(table[::-1].to_csv(index=False, header=False), tmp_path / "BTC-USD.csv", COIN))
    wrong = pd.concat([epochs, BARS, TRUTH["volume"], PAID * 9.5], axis=1)
    _refused(wrong.to_csv(index=False, header=False), tmp_path / "BTC-USD.csv", "has no header row", COIN)


@pytest.mark.parametrize(("name", "hours"), [("DAT_ASCII_EURUSD_M1_2023.csv", 5), ("EURUSD_M1_2023.csv", 0)])
def test_histdatas_times_are_those_of_new_yorks_winter(tmp_path: Path, name: str, hours: int) -> None:
    stamps = pd.date_range("2023-07-03", periods=60, freq="min")
    prices = honest.honest_bars(bars=60).query("symbol == 'BTC-USD'")[["open", "high", "low", "close"]] / 30_000
    table = prices.reset_index(drop=True).round(5).assign(volume=0)
    table.insert(0, "time", stamps.strftime("%Y%m%d %H%M%S"))
    overrides = ("asset=forex", "data.interval=1m")
    panel = _load(table.to_csv(index=False, header=False, sep=";"), tmp_path / name, *overrides)
    assert pd.Timestamp(panel.timestamps[0]) == stamps[0] + pd.Timedelta(hours=hours)
    assert _said(panel, "HistData's name of the file") == bool(hours)


def test_two_blanks_may_stand_before_a_time_of_day(tmp_path: Path) -> None:
    hours = honest.honest_bars(interval="1h").query("symbol == 'BTC-USD'").reset_index(drop=True)
    text = hours.assign(timestamp=hours["timestamp"].dt.strftime("%Y%m%d  %H:%M:%S")).drop(columns="symbol")
    panel = _load(text, tmp_path / "BTC-USD.csv", COIN, "data.interval=1h")
    assert list(pd.DatetimeIndex(panel.timestamps)) == list(hours["timestamp"].dt.tz_localize(None))
