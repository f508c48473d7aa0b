from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from wealtharena.data.bars import BAR_COLUMNS, RAW_COLUMNS, Bars, RawBars, raw_table, window_mask


def _raw(freq: str) -> RawBars:
    stamps = pd.date_range("2024-01-01", "2024-01-05 23:00", freq=freq, tz="UTC")
    table = raw_table(pd.DataFrame({"timestamp": stamps[::-1], "close": np.arange(float(len(stamps)))}))
    return RawBars("test", "A", "1d", table, "USD", "none", "splits", datetime.now(UTC))


def test_a_window_holds_both_of_its_dates_to_their_last_hour() -> None:
    for freq, a_day in (("D", 1), ("h", 24)):
        stamps = Bars.from_raw(_raw(freq)).between(date(2024, 1, 2), date(2024, 1, 4)).table["timestamp"]
        assert len(stamps) == 3 * a_day
        assert stamps.iloc[0] == pd.Timestamp("2024-01-02", tz="UTC")
        assert stamps.iloc[-1].date() == date(2024, 1, 4)
    assert window_mask(_raw("D").table["timestamp"], None, None).all()


def test_a_table_has_exactly_its_columns_and_lacking_ones_say_so() -> None:
    table = raw_table(pd.DataFrame({"timestamp": ["2024-01-01"], "close": [1], "surplus": ["x"]}))
    assert tuple(table.columns) == RAW_COLUMNS
    assert table["open"].isna().all()
    assert table["volume"].isna().all()
    assert (table[["dividend", "split"]] == 0).all(axis=None)
    assert str(table["timestamp"].dtype) == "datetime64[ns, UTC]"


def test_bars_made_of_raw_ones_are_in_order_and_keep_their_mask() -> None:
    raw = _raw("D")
    mask = pd.Series([False, True, True, True, True])
    bars = Bars.from_raw(raw, tradable=mask)
    assert tuple(bars.table.columns) == BAR_COLUMNS
    assert bars.table["timestamp"].is_monotonic_increasing
    assert list(bars.table["tradable"]) == [True, True, True, True, False]
    assert raw.table["timestamp"].is_monotonic_decreasing  # not changed
