"""A bar that was still running when it was fetched goes, one that was over stays, whatever day names its week or month."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from wealtharena.config import compose
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import rows
from wealtharena.data.quality.report import Context

WEEK, MONTH = "2024-12-01", "2024-11-30"  # the last days of theirs; a Sunday and a Saturday


@pytest.mark.parametrize("calendar", ["XNYS", "24/7"])
@pytest.mark.parametrize(
    ("interval", "freq", "until"),
    [("1w", "W-MON", WEEK), ("1w", "W-FRI", WEEK), ("1w", "W-SUN", WEEK), ("1mo", "MS", MONTH), ("1mo", "ME", MONTH),
     ("1mo", "BME", MONTH)],
)  # fmt: skip
def test_a_week_or_month_is_over_with_its_last_session(calendar: str, interval: str, freq: str, until: str) -> None:
    """A Monday's week was complete from the fourth day on; one labelled by its Friday was running for a week more."""
    stamps = pd.date_range("2023-01-01", until, freq=freq, tz="UTC")
    table = raw_table(pd.DataFrame({"timestamp": stamps, "close": 1.0}))

    def dropped(*fetched: int) -> bool:
        raw = RawBars("test", "A", interval, table, "USD", "none", "splits", datetime(*fetched, tzinfo=UTC))
        spec = compose(["asset=etf", "data=files"]).data.quality
        found = rows.unfinished_bar(table, Context(raw, "etf", calendar, spec))
        assert found is None or found.mask.tolist() == [False] * (len(stamps) - 1) + [True]
        return found is not None

    open_on_weekends = calendar == "24/7" and freq != "W-FRI"
    assert dropped(2024, 11, 29, 12)  # the Friday, before its close
    assert dropped(2024, 11, 30, 12) == open_on_weekends
    assert not dropped(2024, 12, 2, 12)
