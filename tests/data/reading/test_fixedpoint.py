"""Prices that are whole numbers of a small unit are prices again, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import load_written, shares
from tests.data.specs import compose, with_data
from wealtharena.data import load
from wealtharena.data.panel import Panel
from wealtharena.errors import DataError

_PRICES = ["open", "high", "low", "close"]


def _one(unit: float) -> pd.DataFrame:
    frame = shares("AAA", bars=60).drop(columns="symbol").round(2)
    frame[_PRICES] = (frame[_PRICES] / unit).round().astype("int64")
    return frame


def _said(panel: Panel, text: str) -> bool:
    return any(text in note for note in panel.notes)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_databentos_prices_are_counted_in_billionths(tmp_path: Path, suffix: str) -> None:
    frame = _one(1e-9).assign(rtype=35, publisher_id=1, instrument_id=38)
    panel = load_written(frame, tmp_path / f"AAA{suffix}")
    np.testing.assert_allclose(panel.close[:, 0], _one(0.01)["close"] / 100.0, rtol=1e-12)
    assert _said(panel, "as Databento writes them")
    decimal = shares("AAA", bars=60).drop(columns="symbol").round(2).assign(rtype=35, publisher_id=1)
    plain = load_written(decimal, tmp_path / f"BBB{suffix}")
    np.testing.assert_allclose(plain.close[:, 0], decimal["close"])


def test_a_price_that_databento_does_not_define_is_none(tmp_path: Path) -> None:
    frame = _one(1e-9).assign(rtype=35, publisher_id=1)
    frame.loc[20, "high"] = 2**63 - 1
    panel = load_written(frame, tmp_path / "AAA.csv")
    assert panel.high is not None
    assert np.isnan(panel.high[20, 0])
    assert np.nanmax(panel.high) < 1e6


@pytest.mark.slow
def test_leans_shares_are_counted_in_ten_thousandths(tmp_path: Path) -> None:
    frame = _one(1e-4).assign(date=lambda f: pd.to_datetime(f["date"]).dt.strftime("%Y%m%d 00:00"))
    frame.to_csv(tmp_path / "aaa.csv", index=False, header=False)
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(tmp_path / "aaa.csv"))
    panel = load(spec.asset, spec.data, seed=0)
    np.testing.assert_allclose(panel.close[:, 0], _one(0.01)["close"] / 100.0)
    assert _said(panel, "as LEAN writes them")


@pytest.mark.slow
def test_prices_of_no_market_are_refused_and_large_ones_of_one_are_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no market quotes so.*divide prices"):
        load_written(_one(1e-9), tmp_path / "AAA.csv")
    rupiah = _one(0.01).assign(**{name: _one(0.01)[name] * 150_000 + np.arange(60) * 1000 for name in _PRICES})
    np.testing.assert_allclose(load_written(rupiah, tmp_path / "BTCIDR.csv").close[:, 0], rupiah["close"])
