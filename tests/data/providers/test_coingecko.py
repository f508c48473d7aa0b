import json
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub import sample
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError
from wealtharena.data.providers.coingecko import Provider
from wealtharena.errors import ProviderError

COIN = sample.bars()[sample.bars()["symbol"] == "BTC-USD"].set_index("timestamp")
NOW = datetime(2024, 7, 17, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def same_clock(stub):
    stub.stub.cfg["now"] = int(NOW.timestamp())


def provider_for(make_spec, plan="free"):
    spec = make_spec("crypto", "coingecko")
    data = spec.data.model_copy(update={"manners": spec.data.manners.model_copy(update={"plan": plan})})
    return Provider(data, spec.asset, clock=lambda: NOW)


def test_a_point_at_midnight_is_the_close_of_the_day_before(make_spec):
    raw = provider_for(make_spec).fetch("BTC-USD", None, None, "1d")
    table = raw.table.set_index("timestamp")
    shared = table.index.intersection(COIN.index)
    assert len(shared) > 300
    np.testing.assert_allclose(table.loc[shared, "close"], COIN.loc[shared, "close"], rtol=1e-9)


def test_there_are_closes_only_and_the_running_point_is_left_out(make_spec):
    raw = provider_for(make_spec).fetch("BTC-USD", None, None, "1d")
    assert raw.table[["open", "high", "low"]].isna().all().all()
    assert raw.table["timestamp"].iloc[-1] == COIN.index[-1]
    assert raw.volume_unit == "account"


def test_hourly_closes_carry_the_start_of_their_hour_and_no_volume(make_spec, stub):
    raw = provider_for(make_spec).fetch("BTC-USD", date(2024, 7, 1), date(2024, 7, 10), "1h")
    steps = raw.table["timestamp"].diff().dropna().unique()
    assert list(steps) == [pd.Timedelta(hours=1)]
    assert raw.volume_unit == "none"
    day_close = raw.table.set_index("timestamp").loc[pd.Timestamp("2024-07-05 23:00", tz="UTC"), "close"]
    assert day_close == pytest.approx(COIN.loc[pd.Timestamp("2024-07-05", tz="UTC"), "close"])


def test_a_limit_that_is_told_under_200_is_waited_for(make_spec, stub, tmp_path):
    path = tmp_path / "limit.json"
    path.write_text('{"status": {"error_code": 429, "error_message": "exceeded the Rate Limit"}}')
    stub.stub.cfg["replay"] = {"coingecko:BTC-USD": str(path)}
    with pytest.raises(BusyError, match="too many requests"):
        provider_for(make_spec).fetch("BTC-USD", None, None, "1d")
    assert len(stub.log()) == 3


def test_points_in_any_order_make_the_same_hours(make_spec, stub):
    window = ("BTC-USD", date(2024, 7, 1), date(2024, 7, 10), "1h")
    whole = provider_for(make_spec).fetch(*window).table
    stub.fault("coingecko", "out_of_order")
    again = provider_for(make_spec).fetch(*window).table
    assert not again["timestamp"].is_monotonic_increasing
    pd.testing.assert_frame_equal(again.sort_values("timestamp", ignore_index=True), whole)


def recorded(stub, tmp_path, points):
    path = tmp_path / "points.json"
    path.write_text(json.dumps({"prices": points, "total_volumes": [[at, 7.0] for at, _ in points]}))
    stub.stub.cfg["replay"] = {"coingecko:BTC-USD": str(path)}


def test_a_point_some_seconds_behind_midnight_is_the_close_and_that_of_now_is_none(make_spec, stub, tmp_path):
    days = [int(day.timestamp()) * 1000 for day in pd.date_range("2024-07-01", "2024-07-17", tz="UTC")]
    now = days[-1] + 200_000
    recorded(stub, tmp_path, [[at + 4000, float(k)] for k, at in enumerate(days[:-1])] + [[now, 99.0]])
    spec = make_spec("crypto", "coingecko")
    source = Provider(spec.data, spec.asset, clock=lambda: datetime.fromtimestamp(now / 1000, UTC))
    table = source.fetch("BTC-USD", None, None, "1d").table
    assert table["close"].tolist() == [float(k) for k in range(16)]
    assert table["timestamp"].iloc[-1] == pd.Timestamp("2024-07-15", tz="UTC")
    assert (table["volume"] == 7.0).all()


def test_of_two_points_about_one_hour_the_nearer_one_is_its_close(make_spec, stub, tmp_path):
    end = int(NOW.timestamp()) * 1000
    recorded(stub, tmp_path, [[end - 3_560_000, 1.0], [end - 250_000, 3.0], [end + 40_000, 2.0], [end + 200_000, 9.0]])
    spec = make_spec("crypto", "coingecko")
    source = Provider(spec.data, spec.asset, clock=lambda: datetime.fromtimestamp(end / 1000 + 200, UTC))
    table = source.fetch("BTC-USD", date(2024, 7, 17), None, "1h").table
    assert table["close"].tolist() == [1.0, 2.0]


def test_more_than_the_free_year_is_refused_before_asking(make_spec, stub):
    with pytest.raises(ProviderError, match="365 days") as raised:
        provider_for(make_spec).fetch("BTC-USD", date(2020, 1, 1), None, "1d")
    assert "data.start=" in raised.value.hint
    assert not stub.log()


def test_the_services_own_365_day_refusal_is_understood(make_spec, stub):
    stub.fault("coingecko", "cg_365")
    with pytest.raises(ProviderError, match="365 days") as raised:
        provider_for(make_spec).fetch("BTC-USD", date(2024, 6, 1), None, "1d")
    assert not isinstance(raised.value, RefusalError)
    assert len(stub.log()) == 1


def test_a_coin_without_a_known_id_is_told_how_to_be_named(make_spec, stub):
    with pytest.raises(UnknownSymbolError, match="id is not known") as raised:
        provider_for(make_spec).fetch("FOO-USD", None, None, "1d")
    assert "+data.provider_symbols={FOO-USD: <id>}" in raised.value.hint
    assert not stub.log()


def test_the_key_travels_in_a_header(make_spec, stub):
    provider_for(make_spec).fetch("BTC-USD", None, None, "1d")
    row = stub.log()[-1]
    assert row["headers"]["x-cg-demo-api-key"]
    assert not any("key" in name for name in row["query"])


@pytest.mark.parametrize(
    ("kind", "error", "words", "requests"),
    [
        ("http_429", BusyError, "429", 3),
        ("http_500", BusyError, "500", 3),
        ("http_401", RefusalError, "does not accept the key", 1),
        ("unknown_symbol", UnknownSymbolError, "does not know", 1),
        ("malformed", ProviderError, "for a point", 1),
        ("html", ProviderError, "web page", 1),
        ("empty_result", ProviderError, "no rows", 1),
        ("truncate", BusyError, "broken answer", 3),
        ("short_read", BusyError, "connection failed", 3),
    ],
)
def test_failures_are_told_by_their_cause(make_spec, stub, kind, error, words, requests):
    stub.fault("coingecko", kind)
    with pytest.raises(error, match=words) as raised:
        provider_for(make_spec).fetch("BTC-USD", None, None, "1d")
    assert raised.value.message.startswith("coingecko: BTC-USD: ")
    assert raised.value.hint
    assert len(stub.log()) == requests


@pytest.mark.parametrize(
    "body",
    [
        '{"prices": [[1e400, 1.0]]}',
        '{"prices": [{"t": 1}]}',
        '{"prices": [[1]]}',
        '{"prices": [[true, 1.0]]}',
        '{"prices": [[-1e300, 1.0]]}',
        '{"prices": [[1720656000000, true]]}',
        '{"prices": [[1720656000000, "1_0"]]}',
        '{"prices": [[1720656000000, 1e999]]}',
        '{"prices": [[NaN, 1.0]]}',
        '{"prices": [[1720656000, 1.0]]}',
        '{"prices": "none"}',
        '{"prices": [[1720656000000, 1.0]], "total_volumes": {"t": 1}}',
        '{"status": "busy"}',
        '{"status": ["busy"], "error": "busy"}',
        '{"error": ["busy"]}',
    ],
)
def test_an_odd_answer_is_an_error_of_its_symbol(make_spec, stub, tmp_path, body):
    path = tmp_path / "odd.json"
    path.write_text(body)
    stub.stub.cfg["replay"] = {"coingecko:BTC-USD": str(path)}
    with pytest.raises(ProviderError) as raised:
        provider_for(make_spec).fetch("BTC-USD", None, None, "1d")
    assert raised.value.symbol == "BTC-USD"
    assert raised.value.hint
