"""Yahoo's bars of venues whose prices it tells late."""

from datetime import UTC, date, datetime

import pytest

from wealtharena.data.providers.yahoo import Provider


@pytest.mark.parametrize(
    ("currency", "clock", "bars"), [("USD", (20, 30), 35), ("AUD", (20, 50), 34), ("AUD", (21, 15), 35)]
)
def test_an_hour_is_over_once_all_of_it_was_told(make_spec, currency, clock, bars):
    """At its end that of a share in Sydney showed its first forty minutes, and was kept so until the next update."""
    spec = make_spec("stocks", "yahoo", **{"+asset.instrument.currencies.HOURLY": currency})
    now = datetime(2023, 9, 8, *clock, tzinfo=UTC)  # the last hour begins at 19:30
    raw = Provider(spec.data, spec.asset, clock=lambda: now).fetch("HOURLY", date(2023, 9, 4), date(2023, 9, 8), "1h")
    assert len(raw.table) == bars
