"""Yahoo's bars of venues whose prices it tells late, and events of which the bar is late or lacking."""

import json
from datetime import UTC, date, datetime

import pandas as pd
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


def sent(provider, stub, tmp_path, symbol, interval, change):
    """Return the table of an answer of the stub's after `change` of it."""
    window = (date(2023, 9, 4), date(2023, 9, 8)) if interval == "1h" else (None, None)
    provider.fetch(symbol, *window, interval)
    answer = json.loads(provider._answers.last.text)
    change(answer["chart"]["result"][0])
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    stub.stub.cfg["replay"] = {f"yahoo:{symbol}": str(path)}
    return provider.fetch(symbol, *window, interval).table


def with_events(found, at):
    found["events"] = {
        "dividends": {str(at): {"date": at, "amount": 1.5}},
        "splits": {str(at): {"date": at, "numerator": 2, "denominator": 1}},
    }


def without_row(found, row):
    for values in (found["timestamp"], *found["indicators"]["quote"][0].values()):
        del values[row]
    del found["indicators"]["adjclose"][0]["adjclose"][row]


def test_events_of_a_date_without_a_bar_stand_on_the_next_one(make_spec, stub, tmp_path):
    """They stood on the one before it, whose buyers and sellers know nothing of them."""

    def lacks_the_ex_date(found):
        with_events(found, found["timestamp"][55])
        without_row(found, 55)

    spec = make_spec("stocks", "yahoo")
    table = sent(Provider(spec.data, spec.asset), stub, tmp_path, "ACME", "1d", lacks_the_ex_date)
    assert table.loc[54:56, "dividend"].tolist() == [0.0, 1.5, 0.0]
    assert table.loc[54:56, "split"].tolist() == [0.0, 2.0, 0.0]


def test_events_before_the_open_stand_on_the_first_hour_of_their_day(make_spec, stub, tmp_path):
    spec = make_spec("stocks", "yahoo")
    provider = Provider(spec.data, spec.asset, clock=lambda: datetime(2023, 11, 1, tzinfo=UTC))
    table = sent(
        provider, stub, tmp_path, "HOURLY", "1h", lambda found: with_events(found, found["timestamp"][14] - 1800)
    )
    for column, size in (("dividend", 1.5), ("split", 2.0)):
        found = table[table[column] > 0]
        assert found["timestamp"].tolist() == [pd.Timestamp("2023-09-06 13:30", tz="UTC")]
        assert found[column].tolist() == [size]


def test_bars_outside_the_window_are_not_taken(make_spec, stub, tmp_path):
    spec = make_spec("stocks", "yahoo")
    provider = Provider(spec.data, spec.asset)
    sent(provider, stub, tmp_path, "ACME", "1d", lambda found: None)  # from now on all of it, whatever is asked
    table = provider.fetch("ACME", date(2024, 3, 1), date(2024, 3, 28), "1d").table
    assert (table["timestamp"].iloc[0], table["timestamp"].iloc[-1]) == (
        pd.Timestamp("2024-03-01", tz="UTC"),
        pd.Timestamp("2024-03-28", tz="UTC"),
    )
