import logging
import traceback
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub import sample
from tests.data.market_stub.fixtures import FACES, KEYS
from wealtharena.data.collecting import Collector, bar_ended_between
from wealtharena.data.providers import alpha_vantage, coingecko, yahoo
from wealtharena.errors import ConfigError, ProviderError

NOW = datetime(2024, 11, 21, 22, 30, tzinfo=UTC)  # New York has closed on the last day of the sample's shares
NOON = datetime(2024, 7, 17, 12, tzinfo=UTC)  # the day after the last of the sample's coins
MODULES = {"yahoo": yahoo, "alpha_vantage": alpha_vantage, "coingecko": coingecko}
CASES = {
    "yahoo": ("stocks", "ACME", None),
    "alpha_vantage": ("stocks", "BETA", date(2024, 7, 15)),
    "coingecko": ("crypto", "BTC-USD", None),
}
FAULTS = [
    "http_429", "http_500", "http_403", "truncate", "short_read", "html", "empty_body", "empty_result", "unknown_symbol",
    "nan_rows", "dup_ts", "out_of_order", "unadjusted_split", "malformed", "gap", "spike", "negative", "high_below_low",
    "zero_volume", "stale", "future",
]  # fmt: skip
OWN_FAULTS = {
    "yahoo": ["live_row", "crumb_429", "crumb_html", "down_page", "consent"],
    "alpha_vantage": ["av_information", "av_burst", "av_note", "av_premium", "av_error"],
    "coingecko": ["cg_365"],
}


MATRIX = [
    (name, kind)
    for name in CASES
    for kind in [*FAULTS, *OWN_FAULTS[name]]
    if (name, kind) != ("coingecko", "unadjusted_split")  # coins do not split, and a fall to a quarter has happened
]


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def collector(make_spec):
    """Return `make(provider, asset, clock=, **collect options)`: a collector whose providers share its clock."""

    def make(provider, asset, *, clock=None, start=None, end=None, interval="1d", **options):
        spec = make_spec(asset, provider)
        clock = clock or Clock()
        data = spec.data.model_copy(update={"start": start, "end": end, "interval": interval})
        made = Collector(spec.asset, data, spec.collect.model_copy(update=options), clock=clock)
        module = MODULES[provider]
        made._providers[provider] = module.Provider(data, spec.asset, clock=clock)
        return made

    return make


def stored(made, symbol):
    return made.store.read(made.asset.name, symbol, "1d").table


@pytest.mark.slow
def test_a_clean_fetch_is_the_truth(collector):
    made = collector("yahoo", "stocks")
    made.collect("ACME")
    closes = stored(made, "ACME").set_index("timestamp")["close"]
    np.testing.assert_allclose(closes, truth("ACME").reindex(closes.index), rtol=1e-6)
    assert len(closes) == sample.DAYS


def truth(symbol):
    frame = sample.bars()
    return frame[frame["symbol"] == symbol].set_index("timestamp")["close"]


@pytest.mark.slow
@pytest.mark.parametrize(("provider", "kind"), MATRIX)
def test_after_any_fault_the_store_holds_the_right_bars_or_the_old_ones(collector, stub, provider, kind):
    asset, symbol, start = CASES[provider]
    clock = Clock(NOON if asset == "crypto" else NOW)
    stub.stub.cfg["now"] = int(clock.now.timestamp())
    made = collector(provider, asset, start=start, clock=clock, refresh=True)
    assert made.collect(symbol).status == "new"
    before, clean = stored(made, symbol), len(stored(made, symbol))
    stub.clear()
    stub.fault(FACES[provider], kind, **({"factor": 7.0} if kind == "spike" else {}))
    outcome = collector(provider, asset, start=start, clock=clock, refresh=True).collect(symbol)
    after = stored(made, symbol)
    if outcome.status == "failed":
        pd.testing.assert_frame_equal(after, before)
        assert (outcome.provider, outcome.name) == (provider, symbol)
        assert outcome.cause
        assert outcome.remedy
    else:
        closes = after[after["tradable"] | (kind == "zero_volume")].set_index("timestamp")["close"]
        expected = before.set_index("timestamp")["close"].reindex(closes.index)
        assert expected.notna().all(), "a bar that never was"
        np.testing.assert_allclose(closes, expected, rtol=1e-3 if provider == "alpha_vantage" else 1e-6)  # four digits
        assert len(after) >= clean - 5
        assert after["timestamp"].is_monotonic_increasing
        assert (after["close"] > 0).all()
        inside = (after["high"].isna()) | (after["high"] >= after[["open", "close", "low"]].max(axis=1) - 1e-9)
        assert inside.all()


def test_a_second_run_asks_for_nothing_that_is_there(collector, stub):
    assert collector("yahoo", "stocks").collect("ACME").status == "new"
    stub.clear()
    outcome = collector("yahoo", "stocks").collect("ACME")
    assert (outcome.status, outcome.bars) == ("current", sample.DAYS)
    assert not stub.log()


@pytest.mark.slow
def test_an_american_share_among_australian_ones_is_asked_for_again_once_new_york_has_closed(collector):
    clock = Clock(datetime(2024, 11, 21, 16, tzinfo=UTC))
    made = collector("yahoo", "stocks", clock=clock)
    assert made.asset.universe.calendar == "XASX"
    assert (made.collect("ACME").bars, made.collect("ACME").status) == (sample.DAYS - 1, "current")
    clock.now = NOW
    assert (made.collect("ACME").status, len(stored(made, "ACME"))) == ("updated", sample.DAYS)


@pytest.mark.slow
def test_changed_rules_judge_the_stored_bars_anew_without_asking(collector, stub):
    stub.fault("yahoo", "spike", factor=7.0)
    assert "spikes repaired" in collector("yahoo", "stocks").collect("ACME").quality
    stub.clear()
    made = collector("yahoo", "stocks")
    made.data = made.data.model_copy(update={"quality": made.data.quality.model_copy(update={"spikes": "warn"})})
    made._rules = "changed"
    outcome = made.collect("ACME")
    assert (outcome.status, outcome.bars) == ("rejudged", sample.DAYS)
    assert "spikes noted" in outcome.quality
    assert not stub.log()
    assert made.collect("ACME").status == "current"


def test_a_later_run_fetches_the_overlap_and_the_new_bars_only(collector, stub):
    early = Clock(datetime(2024, 10, 1, 23, tzinfo=UTC))
    first = collector("yahoo", "stocks", clock=early, end=date(2024, 10, 1)).collect("ACME")
    stub.clear()
    outcome = collector("yahoo", "stocks", compare_days=1000).collect("ACME")
    assert outcome.status == "updated"
    assert outcome.added == sample.DAYS - first.bars > 0
    period = [row["query"]["period1"] for row in stub.log("yahoo") if "period1" in row["query"]]
    assert [pd.Timestamp(int(at), unit="s").date() for at in period] == [date(2024, 9, 24)]
    made = collector("yahoo", "stocks")
    closes = stored(made, "ACME").set_index("timestamp")["close"]
    np.testing.assert_allclose(closes, truth("ACME"), rtol=1e-6)
    assert made.store.read_raw("stocks", "yahoo", "ACME", "1d").table["timestamp"].is_unique


@pytest.mark.slow
@pytest.mark.parametrize("change", ["rescaled", "revised", "split"])
def test_a_changed_history_is_fetched_anew_never_glued(collector, stub, monkeypatch, change):
    early = Clock(datetime(2024, 10, 1, 23, tzinfo=UTC))
    collector("yahoo", "stocks", clock=early, end=date(2024, 10, 1)).collect("ACME")
    frame = stub.stub.bars.frames["ACME"].copy()
    columns = ["open", "high", "low", "close", "adj_close"]
    if change == "rescaled":  # what a 4:1 split does to the whole history
        frame[columns] /= 4
    elif change == "revised":
        frame.loc[frame.index[-40:], "close"] *= 1.002
    else:  # the record of a split within the new bars
        frame.loc[frame.index[-5], "split"] = 4.0
    monkeypatch.setitem(stub.stub.bars.frames, "ACME", frame)
    outcome = collector("yahoo", "stocks").collect("ACME")
    assert outcome.status == "refetched"
    closes = stored(collector("yahoo", "stocks"), "ACME")["close"].to_numpy()
    np.testing.assert_allclose(closes, frame["close"], rtol=1e-6)


@pytest.mark.slow
def test_an_earlier_start_fetches_the_whole_of_it(collector):
    collector("yahoo", "stocks", start=date(2024, 6, 3)).collect("ACME")
    outcome = collector("yahoo", "stocks", start=date(2024, 1, 2)).collect("ACME")
    assert (outcome.status, outcome.start) == ("refetched", "2024-01-02")


@pytest.mark.slow
def test_a_narrower_request_never_shrinks_what_is_stored(collector):
    collector("yahoo", "stocks").collect("ACME")
    narrow = collector("yahoo", "stocks", start=date(2024, 6, 3), end=date(2024, 7, 1), refresh=True).collect("ACME")
    assert (narrow.bars, narrow.start) == (sample.DAYS, "2023-09-01")


@pytest.mark.slow
def test_a_history_that_shrank_is_refused(collector, stub, monkeypatch):
    collector("yahoo", "stocks", clock=Clock(NOW - timedelta(days=30))).collect("ACME")
    frame = stub.stub.bars.frames["ACME"]
    monkeypatch.setitem(stub.stub.bars.frames, "ACME", frame.iloc[200:].assign(close=frame["close"] * 1.01))
    outcome = collector("yahoo", "stocks").collect("ACME")
    assert outcome.status == "failed"
    assert "bars that are stored" in outcome.cause
    assert "collect.refresh=true" in outcome.remedy
    assert len(stored(collector("yahoo", "stocks"), "ACME")) > 290


@pytest.mark.slow
def test_hourly_bars_stand_beside_the_daily_ones_and_go_on(collector):
    hours = {"interval": "1h", "start": date(2023, 9, 1)}
    first = collector("yahoo", "stocks", clock=Clock(datetime(2023, 9, 20, 16, tzinfo=UTC)), **hours)
    assert first.collect("HOURLY").status == "new"
    before = first.store.read("stocks", "HOURLY", "1h").table
    assert before["timestamp"].iloc[-1] == pd.Timestamp("2023-09-20 14:30", tz="UTC")  # the running hour is left out
    later = collector("yahoo", "stocks", clock=Clock(datetime(2023, 10, 2, 22, tzinfo=UTC)), **hours)
    outcome = later.collect("HOURLY")
    assert outcome.status == "updated"
    closes = later.store.read("stocks", "HOURLY", "1h").table.set_index("timestamp")["close"]
    np.testing.assert_allclose(closes, truth("HOURLY").reindex(closes.index), rtol=1e-6)
    assert len(closes) == outcome.bars == (truth("HOURLY").index < pd.Timestamp("2023-10-02 21:00", tz="UTC")).sum()
    assert later.store.processed_path("stocks", "HOURLY", "1h").name == "HOURLY.1h.parquet"


@pytest.mark.slow
def test_another_source_replaces_a_history_as_a_whole(collector):
    collector("yahoo", "crypto").collect("BTC-USD")
    refused = collector("coingecko", "crypto").collect("BTC-USD")
    assert "of the 320 bars that are stored, which came from yahoo" in refused.cause
    assert "collect.refresh=true" in refused.remedy
    made = collector("coingecko", "crypto", refresh=True)
    taken = made.collect("BTC-USD")
    assert taken.status == "new"
    assert "replaces bars of yahoo; 83 of the 320 bars that were stored are not in the history" in taken.note
    assert stored(made, "BTC-USD")["open"].isna().all()
    assert made.store.catalog()["bars"]["crypto/BTC-USD/1d"]["provider"] == "coingecko"


@pytest.mark.slow
def test_one_failure_does_not_lose_the_others_and_is_noted(collector, stub):
    stub.fault("yahoo", "unknown_symbol", match="ETH-USD")
    made = collector("yahoo", "crypto")
    outcomes = [made.collect(symbol) for symbol in ("BTC-USD", "ETH-USD", "SOL-USD")]
    assert [outcome.status for outcome in outcomes] == ["new", "failed", "new"]
    assert "does not know" in made.store.catalog()["refused"]["crypto/ETH-USD/1d"]["reason"]


def test_a_refusal_of_the_run_is_not_repeated_for_every_symbol(collector, stub):
    stub.fault("alphavantage", "av_information")
    made = collector("alpha_vantage", "crypto")
    outcomes = [made.collect(symbol) for symbol in ("BTC-USD", "ETH-USD", "SOL-USD")]
    assert [outcome.status for outcome in outcomes] == ["failed"] * 3
    assert len(stub.log()) == 1
    assert "not asked, since BTC-USD met" in outcomes[2].cause


def test_a_source_that_answers_nobody_is_left_alone(collector, stub):
    stub.fault("coingecko", "http_429")
    made = collector("coingecko", "crypto", give_up_after=2)
    outcomes = [made.collect(symbol) for symbol in ("BTC-USD", "ETH-USD", "SOL-USD")]
    assert [outcome.status for outcome in outcomes] == ["failed"] * 3
    assert len(stub.log()) == 6


@pytest.mark.parametrize("provider", ["alpha_vantage", "coingecko", "yahoo"])
def test_without_a_network_one_symbol_is_enough_to_know(make_spec, stub, provider):
    asset, first, start = CASES[provider]
    spec = make_spec(asset, provider)
    nowhere = {"base_url": "http://127.0.0.1:9", "backoff_seconds": 0.01, "attempts": 9}
    manners = spec.data.manners.model_copy(update=nowhere)
    data = spec.data.model_copy(update={"manners": manners, "start": start})
    made = Collector(spec.asset, data, spec.collect.model_copy(update={"give_up_after": 3}), clock=Clock())
    outcomes = [made.collect(symbol) for symbol in (first, "ETH-USD", "SOL-USD")]
    assert made._providers[provider].manners.requests <= 6  # two attempts; Yahoo asks for a cookie and a crumb too
    assert [f"not asked, since {first} met" in outcome.cause for outcome in outcomes] == [False, True, True]
    assert outcomes[0].remedy == "check the network, then run it again"


def test_the_chain_goes_on_only_where_a_symbol_is_not_carried(make_spec, stub, monkeypatch):
    spec = make_spec("crypto", "yahoo")
    data = spec.data.model_copy(update={"source": "auto"})
    asset = spec.asset.model_copy(update={"chain": ("coingecko", "yahoo")})

    def made():
        collector = Collector(asset, data, spec.collect, clock=Clock())
        own = data.model_copy(update={"manners": data.manners.model_copy(update={"base_url": stub.url("coingecko")})})
        collector._providers["coingecko"] = coingecko.Provider(own, asset, clock=Clock())
        collector._providers["yahoo"] = yahoo.Provider(data, asset, clock=Clock())
        return collector

    stub.fault("coingecko", "unknown_symbol", match="ETH-USD")
    assert [made().collect(symbol).provider for symbol in ("BTC-USD", "ETH-USD")] == ["coingecko", "yahoo"]
    stub.clear()
    stub.fault("coingecko", "http_401")
    outcome = made().collect("SOL-USD")
    assert (outcome.status, outcome.provider) == ("failed", "coingecko")
    assert not stub.log("yahoo")


def test_macro_series_are_stored_with_their_vintages_once_a_day(make_spec, stub):
    spec = make_spec("stocks", "yahoo")
    made = Collector(spec.asset, spec.data, spec.collect, clock=Clock())
    assert made.collect_series("CPI").status == "new"
    assert len(made.store.read_macro("CPI")) == 24
    assert made.collect_series("CPI").status == "current"
    assert len(stub.log("fred")) == 1
    stub.fault("fred", "http_500")
    made = Collector(spec.asset, spec.data, spec.collect, clock=Clock(NOW + timedelta(days=1)))
    assert made.collect_series("CPI").status == "failed"
    assert len(made.store.read_macro("CPI")) == 24


def test_leaking_bars_are_refused_and_nothing_is_stored(collector, stub, monkeypatch):
    frame = stub.stub.bars.frames["EURUSD=X"].copy()
    frame["close"] = frame["open"] * 1.0001  # the close of the open; high and low span the day after it
    monkeypatch.setitem(stub.stub.bars.frames, "EURUSD=X", frame)
    made = collector("yahoo", "forex")
    outcome = made.collect("EURUSD")
    assert outcome.status == "failed"
    assert "leaking_bars" in outcome.cause
    assert "data=ecb" in outcome.remedy
    assert made.store.missing("forex", ["EURUSD"], "1d", None, None) == ("EURUSD",)


@pytest.mark.parametrize("source", ["files", "simulated"])
def test_what_is_no_source_of_the_network_is_not_collected(make_spec, source):
    spec = make_spec("crypto", "yahoo")
    with pytest.raises(ConfigError, match="not collected"):
        Collector(spec.asset, spec.data.model_copy(update={"source": source}), spec.collect)


@pytest.mark.parametrize(
    ("calendar", "interval", "since", "now", "ended"),
    [
        ("XNYS", "1d", "2024-06-07 22:00", "2024-06-10 15:00", False),  # Friday's close to Monday noon
        ("XNYS", "1d", "2024-06-07 15:00", "2024-06-07 22:00", True),
        ("XASX", "1d", "2024-06-06 08:00", "2024-06-07 08:00", True),
        ("24/7", "1d", "2024-06-07 01:00", "2024-06-07 23:59", False),
        ("24/7", "1d", "2024-06-07 23:00", "2024-06-08 00:01", True),
        ("24/7", "1h", "2024-06-07 10:10", "2024-06-07 10:50", False),
        ("24/7", "1h", "2024-06-07 10:10", "2024-06-07 11:05", True),
        ("XNYS", "1d", "2024-01-01 00:00", "2024-06-07 22:00", True),
    ],
)
def test_a_bar_can_be_missing_only_if_one_has_ended_since(calendar, interval, since, now, ended):
    times = (pd.Timestamp(stamp, tz="UTC") for stamp in (since, now))
    assert bar_ended_between(calendar, interval, *times) is ended


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["alpha_vantage", "coingecko", "yahoo"])
def test_no_key_cookie_or_personal_path_gets_out(collector, make_spec, stub, caplog, capfd, provider, tmp_path):
    caplog.set_level(logging.DEBUG)
    asset, symbol, start = CASES[provider]
    told = []
    kinds = [
        "http_429",
        "http_500",
        "http_401",
        "truncate",
        "short_read",
        "html",
        "malformed",
        "unknown_symbol",
        *OWN_FAULTS[provider],
    ]
    for kind in kinds:
        stub.clear()
        stub.fault(FACES[provider], kind)
        made = collector(provider, asset, start=start)
        told.append(repr(made.collect(symbol)))
        if kind not in ("crumb_429", "crumb_html", "live_row"):
            with pytest.raises(ProviderError) as raised:
                made._providers[provider].fetch(symbol, start, None, "1d")
            told += traceback.format_exception(raised.value)
            assert raised.value.__context__ is None  # nothing of the libraries' own exceptions hangs on it
    out, err = capfd.readouterr()
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*.json"))
    everything = "\n".join([*told, out, err, caplog.text, kept])
    for secret in (*KEYS.values(), "StubCrumb", "d=STUB", "apikey=", str(tmp_path)):
        assert secret not in everything.replace("apikey=***", ""), secret
    assert str(Path.home() / "data") not in everything


def test_no_fred_key_gets_out(make_spec, stub, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    spec = make_spec("stocks", "yahoo")
    told = []
    for kind in ("http_500", "http_403", "truncate", "html", "malformed", "unknown_symbol", "empty_result"):
        stub.clear()
        stub.fault("fred", kind)
        told.append(repr(Collector(spec.asset, spec.data, spec.collect, clock=Clock()).collect_series("CPI")))
    out, err = capfd.readouterr()
    assert KEYS["FRED_API_KEY"] not in "\n".join([*told, out, err, caplog.text])
