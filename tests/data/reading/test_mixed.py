"""A volume that changes its unit inside a file: seen, brought to money, said; a rush of trade is no change of unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading import honest
from tests.data.reading.test_cases import load_written
from wealtharena.errors import DataError


def _counted_otherwise(frame: pd.DataFrame, *rows: int) -> pd.DataFrame:
    """Return bitcoin's volume in money, and from each of these rows on in the other unit."""
    flips = np.searchsorted(rows, np.arange(len(frame)), side="right") % 2 == 1
    return frame.assign(volume=np.where(flips, frame["volume"], frame["volume"] * frame["close"]))


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "bars"), [("1d", 120), ("1h", 24 * 40)])
@pytest.mark.parametrize("places", [(0.5,), (0.3, 0.6), (0.25, 0.5, 0.75)])
@pytest.mark.parametrize("begins", ["money", "coins"])
def test_a_volume_that_changes_its_unit_is_brought_to_money_and_said(
    interval: str, bars: int, places: tuple[float, ...], begins: str, tmp_path: Path
) -> None:
    frame = honest.honest_bars(bars=bars, interval=interval).query("symbol == 'BTC-USD'").reset_index(drop=True)
    frame["volume"] /= 1.0 if interval == "1d" else 24.0
    rows = tuple(int(bars * place) + (0 if interval == "1d" else 7) for place in places)  # in the middle of a day
    written = _counted_otherwise(frame, *((0, *rows) if begins == "coins" else rows))
    panel = load_written(written, tmp_path / "bars.parquet", "asset=crypto", interval=interval)
    assert panel.volume is not None
    assert panel.volume_unit == "account"
    np.testing.assert_allclose(panel.volume[:, 0], frame["volume"] * frame["close"], rtol=1e-12)
    days = [f"{frame['timestamp'][row]:%Y-%m-%d}" for row in rows]
    assert any(f"begins in {begins}" in note and all(day in note for day in days) for note in panel.notes)
    asked = load_written(written, tmp_path / "asked.parquet", "asset=crypto", interval=interval, volume_unit="units")
    assert asked.volume is not None
    np.testing.assert_array_equal(asked.volume[:, 0], written["volume"])  # as asked, and yet said
    assert any(f"seems to change its unit on {days[0]}" in note for note in asked.notes)


@pytest.mark.parametrize("order", ["newest first", "shuffled"])
@pytest.mark.parametrize("asked", ["auto", "units"])
def test_the_order_of_rows_hides_no_change_of_unit(order: str, asked: str, tmp_path: Path) -> None:
    frame = honest.honest_bars(bars=120).query("symbol == 'BTC-USD'").reset_index(drop=True)
    written = _counted_otherwise(frame, 60)
    rows = np.arange(120)[::-1] if order == "newest first" else np.random.default_rng(4).permutation(120)
    straight = load_written(written, tmp_path / "one.parquet", "asset=crypto", volume_unit=asked)
    panel = load_written(written.iloc[rows], tmp_path / "other.parquet", "asset=crypto", volume_unit=asked)
    assert panel.fingerprint == straight.fingerprint
    words = "begins in money" if asked == "auto" else f"change its unit on {frame['timestamp'][60]:%Y-%m-%d}"
    assert any(words in note for note in panel.notes)


@pytest.mark.parametrize("price", [1.0, 1e-3])
def test_a_rush_of_volume_is_not_taken_for_another_unit(price: float, tmp_path: Path) -> None:
    """Dogecoin in January 2021: eight times the price and fifty times the volume, a hundredth of a price of a cent."""
    frame = honest.honest_bars(bars=120).query("symbol == 'BTC-USD'").reset_index(drop=True)
    rush = np.where(np.arange(120) < 60, 1.0, 8.0)
    for field in ("open", "high", "low", "close"):
        frame[field] = frame[field] * price * rush
    frame["volume"] = 2e8 * np.where(np.arange(120) < 60, 1.0, float(frame["close"].iloc[60]) ** np.sign(price - 0.5))
    panel = load_written(frame, tmp_path / "bars.parquet", "asset=crypto")
    assert not any("changes its unit" in note for note in panel.notes)


def test_a_change_of_unit_that_nothing_decides_is_asked_about(tmp_path: Path) -> None:
    frame = honest.honest_bars(bars=120).query("symbol == 'BTC-USD'").reset_index(drop=True)
    written = _counted_otherwise(frame.assign(volume=frame["volume"] * 1e-7), 60)
    with pytest.raises(DataError, match=r"do not show which unit.*split the file there, or set data\.volume_unit=none"):
        load_written(written, tmp_path / "bars.parquet", "asset=crypto")
