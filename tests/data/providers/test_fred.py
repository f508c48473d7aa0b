import math
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from tests.data.market_stub import sample
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError
from wealtharena.data.providers.fred import Provider
from wealtharena.errors import ProviderError

PAYLOADS = Path(__file__).parents[4] / "shared" / "market_stub" / "payloads" / "fred"


@pytest.fixture
def provider(make_spec):
    spec = make_spec("stocks", "fred")
    return Provider(spec.data, spec.asset)


def test_every_release_comes_with_the_day_it_was_out(provider):
    frame = provider.releases("CPI")
    assert frame.columns.tolist() == ["series", "date", "realtime_start", "value"]
    assert len(frame) == 24
    january = frame[frame["date"] == pd.Timestamp("2023-01-01")]
    assert january["value"].tolist() == [100.0, 100.25]
    assert january["realtime_start"].tolist() == [pd.Timestamp("2023-02-10"), pd.Timestamp("2023-03-12")]


def test_more_vintages_than_one_answer_holds_are_fetched_in_parts(provider, stub, monkeypatch):
    whole = provider.releases("CPI")
    stub.clear()
    monkeypatch.setattr("wealtharena.data.providers.fred._VINTAGES", 5)
    stub.fault("fred", "fred_vintages", most=5)
    pd.testing.assert_frame_equal(provider.releases("CPI"), whole)
    vintages = sample.macro()["realtime_start"].nunique()
    assert len(stub.log("fred")) == 1 + 1 + math.ceil(vintages / 5)


@pytest.mark.parametrize("vintages", [None, 5])
def test_more_values_than_one_answer_holds_are_fetched_in_parts(provider, stub, monkeypatch, vintages):
    whole = provider.releases("CPI")
    monkeypatch.setattr("wealtharena.data.providers.fred._ROWS", 14)
    stub.fault("fred", "fred_rows", most=14)  # of 24 values, without a word but their count
    if vintages:
        monkeypatch.setattr("wealtharena.data.providers.fred._VINTAGES", vintages)
        stub.fault("fred", "fred_vintages", most=vintages)
    pd.testing.assert_frame_equal(provider.releases("CPI"), whole)


def test_one_vintage_of_more_values_than_an_answer_holds_is_refused(provider, stub):
    stub.fault("fred", "fred_rows", most=3)
    with pytest.raises(ProviderError, match=r"more values of .* than one answer holds") as raised:
        provider.releases("CPI")
    assert "data.macro.series" in raised.value.hint


def test_as_bars_a_value_is_known_from_its_publication_on(provider):
    table = provider.fetch("CPI", None, date(2023, 4, 30), "1d").table
    # a revision of a month that is no longer the newest changes nothing
    assert table["timestamp"].dt.date.tolist() == [
        date(2023, 2, 10),
        date(2023, 3, 12),
        date(2023, 3, 13),
        date(2023, 4, 10),
    ]
    assert table["close"].tolist() == [100.0, 100.25, 101.0, 102.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "error", "words", "requests"),
    [
        ("http_429", BusyError, "429", 3),
        ("http_500", BusyError, "500", 3),
        ("slow", BusyError, "within 1.5 s", 3),
        ("truncate", BusyError, "broken answer", 3),
        ("html", ProviderError, "web page", 1),
        ("unknown_symbol", UnknownSymbolError, "does not know the series", 1),
        ("empty_result", ProviderError, "no observations", 1),
        ("malformed", ProviderError, "no numbers", 1),
        ("http_403", RefusalError, "does not accept the key", 1),
    ],
)
def test_failures_are_told_by_their_cause(provider, stub, kind, error, words, requests):
    stub.fault("fred", kind, **({"delay": 2.5} if kind == "slow" else {}))
    with pytest.raises(error, match=words) as raised:
        provider.releases("CPI")
    assert raised.value.message.startswith("fred: CPI: ")
    assert raised.value.hint
    assert len(stub.log()) == requests


@pytest.mark.parametrize(
    "row",
    [
        'date="2024-01-01" realtime_start="2024-02-01" value="1_0"',
        'date="2024-01-01" realtime_start="2024-02-01" value="Infinity"',
        'date="2024-01-01" realtime_start="2024-02-01" value="true"',
        'date="2024-01-01" realtime_start="2024-02-01"',
        'date="2024-01-01" value="1"',
        'date="2024-13-01" realtime_start="2024-02-01" value="1"',
        'date="9998-01-01" realtime_start="2024-02-01" value="1"',
    ],
)
def test_an_odd_answer_is_an_error_of_its_series(provider, stub, tmp_path, row):
    path = tmp_path / "odd.xml"
    path.write_text(f"<observations><observation {row}/></observations>")
    stub.stub.cfg["replay"] = {"fred:CPI": str(path)}
    with pytest.raises(ProviderError, match="no numbers or no dates"):
        provider.releases("CPI")


def test_a_bad_key_is_a_refusal_that_names_the_variable(provider, monkeypatch):
    monkeypatch.setenv("FRED_API_KEY", "short")
    with pytest.raises(RefusalError, match="does not accept the key") as raised:
        provider.releases("CPI")
    assert "FRED_API_KEY" in raised.value.hint


def test_beside_another_source_the_limits_that_are_named_are_its_own(make_spec, stub):
    spec = make_spec("stocks", "yahoo")
    stub.fault("fred", "http_429")
    with pytest.raises(BusyError) as raised:
        Provider(spec.data, spec.asset).releases("CPI")
    assert raised.value.hint.endswith("lower data.macro.manners.requests_per_second")


def test_rows_in_any_order_make_the_same_series(provider, stub):
    whole = provider.releases("CPI")
    for kind in ("out_of_order", "dup_ts"):
        stub.clear()
        stub.fault("fred", kind)
        pd.testing.assert_frame_equal(provider.releases("CPI"), whole)


@pytest.mark.skipif(not PAYLOADS.exists(), reason="recorded payloads are not part of the project")
def test_a_recorded_answer_parses_to_its_dates(provider, stub):
    stub.stub.cfg["replay"] = {"fred:CPI": str(PAYLOADS / "00_series_observations_series_id_SP500.xml")}
    frame = provider.releases("CPI")
    assert frame["date"].dt.date.tolist() == [date(2014, 9, day) for day in (2, 3, 4, 5)]
    assert frame["value"].tolist() == [2002.28, 2000.72, 1997.65, 2007.71]
