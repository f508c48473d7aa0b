import contextlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from yfinance import cache

from tests.data.market_stub import sample, yahoo
from tests.data.specs import compose, with_data
from wealtharena.data import currency, load, manners
from wealtharena.data.provider import BusyError, RefusalError, UnknownSymbolError
from wealtharena.data.providers.yahoo import Provider
from wealtharena.errors import DataError, ProviderError

PAYLOADS = Path(__file__).parents[4] / "shared" / "market_stub" / "payloads" / "yahoo"


def wanted(symbol):
    frame = sample.bars()
    return frame[frame["symbol"] == symbol].reset_index(drop=True)


def test_daily_bars_arrive_whole_with_the_trade_date_of_the_venue(make_spec):
    spec = make_spec("stocks", "yahoo")
    raw = Provider(spec.data, spec.asset).fetch("BHP.AX", None, None, "1d")
    expected = wanted("BHP.AX")
    # in Sydney's summer the session opens at 23:00 UTC of the day before
    assert raw.table["timestamp"].tolist() == expected["timestamp"].tolist()
    np.testing.assert_allclose(raw.table["close"], expected["close"], rtol=1e-6)
    assert raw.currency == "AUD"
    assert raw.adjusted == "splits"
    assert raw.volume_unit == "units"


def test_dividends_stand_on_their_ex_date(make_spec):
    spec = make_spec("stocks", "yahoo")
    table = Provider(spec.data, spec.asset).fetch("ACME", None, None, "1d").table
    assert table.loc[table["dividend"] > 0, ["dividend"]].to_numpy().tolist() == [[0.5]]
    assert table["timestamp"][table["dividend"] > 0].iloc[0] == wanted("ACME")["timestamp"][100]


def test_the_window_includes_both_ends(make_spec):
    spec = make_spec("crypto", "yahoo")
    raw = Provider(spec.data, spec.asset).fetch("BTC-USD", date(2023, 10, 1), date(2023, 10, 31), "1d")
    assert raw.table["timestamp"].iloc[0] == pd.Timestamp("2023-10-01", tz="UTC")
    assert raw.table["timestamp"].iloc[-1] == pd.Timestamp("2023-10-31", tz="UTC")
    assert raw.volume_unit == "account"


def test_pairs_are_asked_for_in_yahoos_words_and_have_no_volume(make_spec, stub):
    spec = make_spec("forex", "yahoo")
    raw = Provider(spec.data, spec.asset).fetch("EURUSD", None, None, "1d")
    assert stub.log("yahoo")[-1]["path"].endswith("/EURUSD=X")
    assert raw.symbol == "EURUSD"
    assert raw.volume_unit == "none"


def test_pence_become_pounds(make_spec):
    spec = make_spec("stocks", "yahoo")
    raw = Provider(spec.data, spec.asset).fetch("OCDO.L", None, None, "1d")
    assert raw.currency == "GBP"
    np.testing.assert_allclose(raw.table["close"], wanted("OCDO.L")["close"] / 100, rtol=1e-6)


@pytest.fixture
def listed(stub, monkeypatch):
    """Return `listed(symbol, of, **meta)`: have the stub carry another's bars under a name, with this metadata."""
    plain = type(stub.stub).yahoo_meta

    def name(symbol, of="ACME", **meta):
        for held in (stub.stub.bars.frames, stub.stub.bars.daily):
            monkeypatch.setitem(held, symbol, held[of])
        monkeypatch.setattr(stub.stub, "yahoo_meta", lambda *about: plain(stub.stub, *about) | meta)

    return name


@pytest.mark.parametrize("unsaid", [None, ""])
@pytest.mark.parametrize(
    ("asset", "symbol", "currency", "parts"),
    [
        ("stocks", "OCDO.L", "GBP", 100),
        ("stocks", "7203.T", "JPY", 1),
        ("stocks", "AAPL", "USD", 1),
        ("stocks", "BRK-B", "USD", 1),
        ("etf", "BHP.AX", "AUD", 1),
        ("commodities", "GC=F", "USD", 1),
        ("crypto", "BTC-EUR", "EUR", 1),
        ("forex", "EURGBP", "GBP", 1),
    ],
)
def test_money_that_yahoo_does_not_name_is_the_venues(make_spec, listed, unsaid, asset, symbol, currency, parts):
    listed(symbol if asset != "forex" else f"{symbol}=X", currency=unsaid)
    spec = make_spec(asset, "yahoo")
    raw = Provider(spec.data, spec.asset).fetch(symbol, None, None, "1d")
    assert raw.currency == currency
    np.testing.assert_allclose(raw.table["close"] * parts, wanted("ACME")["close"], rtol=1e-6)


@pytest.mark.parametrize(("symbol", "parts"), [("KC=F", 1), ("ZC=F", 1), ("CORN.L", 100)])
def test_cents_of_a_future_stay_as_its_multiplier_counts_them(make_spec, listed, symbol, parts):
    listed(symbol, currency="USX")
    spec = make_spec("commodities", "yahoo")
    raw = Provider(spec.data, spec.asset).fetch(symbol, None, None, "1d")
    assert raw.currency == "USD"
    np.testing.assert_allclose(raw.table["close"] * parts, wanted("ACME")["close"], rtol=1e-6)


def test_money_that_nothing_tells_is_asked_for(make_spec, listed):
    spec = make_spec("stocks", "yahoo")
    for symbol, way in (("^AXJO", "leave it out"), ("ABC.QQ", "set ")):
        listed(symbol, currency=None)
        with pytest.raises(ProviderError, match=r"does not say what .* is quoted in") as raised:
            Provider(spec.data, spec.asset).fetch(symbol, None, None, "1d")
        assert way in raised.value.hint
    override = raised.value.hint.removeprefix("set ").partition(" if")[0].strip("'")
    told = compose(["asset=stocks", "data=yahoo", override]).asset
    assert Provider(spec.data, told).fetch("ABC.QQ", None, None, "1d").currency == "EUR"


def paying(monkeypatch, *codes):
    """Have the stub send a share's dividends with these currencies in turn."""
    plain = yahoo.events_of

    def events(rows):
        made = plain(rows) or {}
        for code, event in zip(codes, made.get("dividends", {}).values(), strict=False):
            event["currency"] = code
        return made

    monkeypatch.setattr(yahoo, "events_of", events)


@pytest.mark.parametrize("code", ["USD", "EUR", "GBP", "GBp", ""])
def test_a_dividend_in_other_money_is_converted_at_a_fixing_of_its_ex_date(make_spec, stub, listed, monkeypatch, code):
    frame = stub.stub.bars.frames["ACME"].copy()
    frame.loc[[60, 100], "dividend"] = 20.0, 0.358
    monkeypatch.setitem(stub.stub.bars.frames, "ACME", frame)
    listed("OCDO.L", currency="GBp", exchangeTimezoneName="Europe/London")
    paying(monkeypatch, "GBp", code)
    spec = make_spec("stocks", "yahoo")
    provider = Provider(spec.data, spec.asset)
    table = provider.fetch("OCDO.L", None, None, "1d").table
    day = table["timestamp"].iloc[100]
    pounds = {"GBP": 1.0, "GBp": 0.01, "": 0.01}.get(code) or currency.cross_rate(code, "GBP")[day]
    assert table["dividend"].iloc[60] == pytest.approx(0.2)
    assert table["dividend"].iloc[100] == pytest.approx(0.358 * pounds, rel=1e-12)
    assert (table["dividend"] > 0).sum() == 2
    assert any(f"dividends in {code} are converted to GBP" in note for note in provider.notes()) == (
        code in ("USD", "EUR")
    )


def test_a_dividend_that_nobody_can_convert_is_refused_with_ways_out(make_spec, monkeypatch):
    spec = make_spec("stocks", "yahoo")
    paying(monkeypatch, "VND")
    with pytest.raises(ProviderError, match="is paid in VND, prices are in USD, and the ECB") as raised:
        Provider(spec.data, spec.asset).fetch("ACME", None, None, "1d")
    assert "leave it out of data.symbols" in raised.value.hint
    assert "\n" not in str(raised.value)


def test_what_is_configured_decides_where_yahoo_names_no_money(make_spec, listed):
    spec = make_spec("stocks", "yahoo")
    whole = compose(["asset=stocks", "data=yahoo", "+asset.instrument.currencies={OCDO.L: GBP}"]).asset
    for unsaid, parts in ((None, 1), ("GBp", 100)):
        listed("OCDO.L", of="OCDO.L", currency=unsaid)
        raw = Provider(spec.data, whole).fetch("OCDO.L", None, None, "1d")
        assert raw.currency == "GBP"
        np.testing.assert_allclose(raw.table["close"] * parts, wanted("OCDO.L")["close"], rtol=1e-6)


def test_hourly_bars_carry_the_start_of_their_hour(make_spec, server):
    now = datetime(2023, 11, 1, tzinfo=UTC)
    spec = make_spec("stocks", "yahoo")
    raw = Provider(spec.data, spec.asset, clock=lambda: now).fetch("HOURLY", date(2023, 9, 4), date(2023, 9, 8), "1h")
    assert raw.table["timestamp"].iloc[0] == pd.Timestamp("2023-09-04 13:30", tz="UTC")
    assert len(raw.table) == 35


def test_hourly_bars_older_than_the_service_keeps_are_refused_before_asking(make_spec, stub):
    spec = make_spec("stocks", "yahoo")
    with pytest.raises(ProviderError, match="730 days") as refused:
        Provider(spec.data, spec.asset).fetch("HOURLY", date(2010, 1, 1), None, "1h")
    assert "data.start=" in refused.value.hint
    assert not stub.log("yahoo")


def test_a_session_that_has_ended_today_is_kept(make_spec):
    spec = make_spec("stocks", "yahoo")
    after_close, during = datetime(2024, 11, 21, 22, 0, tzinfo=UTC), datetime(2024, 11, 21, 16, 0, tzinfo=UTC)
    ended = Provider(spec.data, spec.asset, clock=lambda: after_close).fetch("ACME", None, None, "1d")
    running = Provider(spec.data, spec.asset, clock=lambda: during).fetch("ACME", None, None, "1d")
    assert ended.table["timestamp"].iloc[-1] == pd.Timestamp("2024-11-21", tz="UTC")
    assert running.table["timestamp"].iloc[-1] == pd.Timestamp("2024-11-20", tz="UTC")


@pytest.mark.parametrize("kind", ["http_429", "http_500", "truncate", "short_read", "empty_body", "down_page", "slow"])
def test_what_passes_is_tried_again(make_spec, stub, kind):
    spec = make_spec("stocks", "yahoo")
    provider = Provider(spec.data, spec.asset)
    provider.fetch("ACME", None, None, "1d")  # the time zone is known from here on
    stub.fault("yahoo", kind, times=1, **({"delay": 2.5} if kind == "slow" else {}))
    assert len(provider.fetch("ACME", date(2023, 9, 4), date(2024, 2, 1), "1d").table) > 90


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("http_429", BusyError, "too many requests"),
        ("http_500", BusyError, "HTTP 500"),
        ("truncate", BusyError, "broken answer"),
        ("short_read", BusyError, "no answer"),
        ("down_page", BusyError, "Will be right back"),
        ("html", ProviderError, "web page"),
        ("unknown_symbol", UnknownSymbolError, "does not know"),
        ("empty_result", ProviderError, "without rows"),
        ("malformed", ProviderError, "no numbers"),
        ("consent", RefusalError, "consent"),
        ("http_403", RefusalError, "refused access"),
    ],
)
def test_what_does_not_pass_is_told_by_its_cause(make_spec, stub, kind, error, words):
    spec = make_spec("stocks", "yahoo")
    provider = Provider(spec.data, spec.asset)
    provider.fetch("ACME", None, None, "1d")
    stub.clear()
    stub.fault("yahoo", kind)
    with pytest.raises(error, match=words) as raised:
        provider.fetch("ACME", date(2023, 9, 4), date(2024, 2, 1), "1d")
    assert raised.value.message.startswith("yahoo: ACME: ")
    assert raised.value.hint
    assert "delisted" not in raised.value.message  # which Yahoo says of any symbol that it has no rows of
    if not isinstance(raised.value, BusyError):
        assert len([row for row in stub.log("yahoo") if "/chart/" in row["path"]]) <= 2  # yfinance repeats a 4xx once


def test_a_long_retry_after_is_not_waited_for(make_spec, stub):
    spec = make_spec("stocks", "yahoo")
    stub.fault("yahoo", "http_429", retry_after=3600)
    with pytest.raises(BusyError, match="3600 s"):
        Provider(spec.data, spec.asset).fetch("ACME", None, None, "1d")


def test_the_budget_of_a_run_is_never_exceeded(make_spec, stub):
    spec = make_spec("stocks", "yahoo")
    data = spec.data.model_copy(update={"manners": spec.data.manners.model_copy(update={"requests_per_run": 4})})
    provider = Provider(data, spec.asset)
    refusals = 0
    for symbol in ("ACME", "BETA", "BHP.AX", "OCDO.L", "ACME", "BETA"):
        try:
            provider.fetch(symbol, None, None, "1d")
        except RefusalError as error:
            refusals += "budget of 4 requests" in error.message
    assert refusals >= 2  # how many a symbol takes depends on the cookie and crumb that are kept
    assert len(stub.log()) <= 4


@pytest.mark.skipif(not PAYLOADS.exists(), reason="recorded payloads are not part of the project")
@pytest.mark.parametrize(
    ("asset", "symbol", "file", "first", "rows", "currency"),
    [
        ("crypto", "BTC-USD", "chart_crypto_BTC-USD.body.json", "2020-01-01", 3, "USD"),
        ("forex", "EURUSD", "chart_fx_EURUSDX.body.json", "2020-01-01", 3, "USD"),
        ("stocks", "OCDO.L", "chart_equity_OCDO.L_GBp.body.json", "2020-01-02", 1, "GBP"),
        ("commodities", "GC=F", "chart_future_GCF.body.json", "2020-01-02", 1, "USD"),
        ("stocks", "NVDA", "chart_equity_NVDA_split_1y.body.json", "2021-02-01", 252, "USD"),
    ],
)
def test_recorded_payloads_parse_to_their_dates(make_spec, stub, asset, symbol, file, first, rows, currency):
    name = f"{symbol}=X" if asset == "forex" else symbol
    stub.stub.cfg["replay"] = {f"yahoo:{name}": str(PAYLOADS / file)}
    spec = make_spec(asset, "yahoo")
    raw = Provider(spec.data, spec.asset).fetch(symbol, date(2019, 12, 1), date(2023, 1, 1), "1d")
    assert raw.table["timestamp"].iloc[0] == pd.Timestamp(first, tz="UTC")
    assert (len(raw.table), raw.currency) == (rows, currency)


@pytest.mark.skipif(not PAYLOADS.exists(), reason="recorded payloads are not part of the project")
def test_a_closed_market_is_no_evidence_of_delisting(make_spec, stub):
    stub.stub.cfg["replay"] = {"yahoo:ACME": str(PAYLOADS / "chart_equity_AAPL_1m_weekend_no_timestamps.body.json")}
    spec = make_spec("stocks", "yahoo")
    with pytest.raises(ProviderError, match="without rows"):
        Provider(spec.data, spec.asset).fetch("ACME", date(2025, 2, 15), date(2025, 2, 16), "1d")


@pytest.fixture
def afresh(monkeypatch):
    """Let yfinance be as in a process in which nobody has asked it."""
    for manager, name in (
        ("_TzDBManager", "_db"),
        ("_TzCacheManager", "_tz_cache"),
        ("_CookieDBManager", "_db"),
        ("_CookieCacheManager", "_Cookie_cache"),
    ):
        monkeypatch.setattr(getattr(cache, manager), name, None)


def closes(spec):
    """Ask by a thread, which has a connection of its own to what yfinance keeps on disk."""
    with ThreadPoolExecutor(1) as thread:
        raw = thread.submit(Provider(spec.data, spec.asset).fetch, "BHP.AX", None, None, "1d").result(timeout=60)
    return raw.table["close"].tolist()


@pytest.mark.usefixtures("afresh")
def test_another_data_root_and_another_working_directory_bring_bars_too(make_spec, tmp_path, monkeypatch):
    found = []
    for place, root in (("first", "data"), ("second", "other"), ("second", "data")):
        (tmp_path / place).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / place)
        shutil.rmtree(tmp_path / "first" / "data", ignore_errors=True)
        spec = make_spec("stocks", "yahoo")
        found.append(closes(spec.model_copy(update={"data": spec.data.model_copy(update={"root": root})})))
        assert (tmp_path / place / root / ".cache" / "yfinance").is_dir()
    np.testing.assert_allclose(found, [wanted("BHP.AX")["close"]] * 3, rtol=1e-6)


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("root", ["file", "file/further", "/proc/none", "/proc"])
def test_a_root_that_is_no_folder_is_named_before_anything_is_asked(make_spec, stub, tmp_path, root):
    (tmp_path / "file").write_text("x")
    before = len(stub.log("yahoo"))
    spec = with_data(make_spec("stocks", "yahoo"), root=str(tmp_path / root), symbols=("BHP.AX",))
    with pytest.raises(DataError, match=rf"^data\.root=.*{root} is no folder that can be used \(.+\)") as raised:
        load(spec.asset, spec.data, seed=0)
    assert "data.root=" in raised.value.hint
    assert "\n" not in str(raised.value)
    assert len(stub.log("yahoo")) == before


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("broken", [b"no database", b""])
def test_what_yfinance_keeps_may_be_broken_or_gone(make_spec, broken):
    spec = make_spec("stocks", "yahoo")
    first = closes(spec)
    folder = Path(spec.data.root) / ".cache" / "yfinance"
    for path in list(folder.iterdir()):
        if broken:
            path.write_bytes(broken * 1000)
        else:
            path.unlink()
            path.mkdir()
    assert closes(spec) == first
    shutil.rmtree(folder)
    assert closes(spec) == first


@pytest.mark.usefixtures("afresh")
def test_nothing_of_what_yfinance_keeps_stays_open(make_spec):
    spec = make_spec("stocks", "yahoo")
    Provider(spec.data, spec.asset).fetch("BHP.AX", None, None, "1d")
    opened = [
        manager._db for manager in (cache._TzDBManager, cache._CookieDBManager, cache._ISINDBManager) if manager._db
    ]
    assert opened
    assert all(database.is_closed() for database in opened)  # in this thread, which has opened them


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(("body", "words"), [("[" * 100_000, "broken answer"), ("{}" + " " * 2**17, "sent more than")])
def test_an_answer_too_deep_or_too_large_is_an_error_of_its_symbol(make_spec, stub, tmp_path, monkeypatch, body, words):
    monkeypatch.setattr(manners, "_LARGEST_BYTES", 2**17)
    path = tmp_path / "odd.json"
    path.write_text(body)
    stub.stub.cfg["replay"] = {"yahoo:ACME": str(path)}
    spec = make_spec("stocks", "yahoo")
    with pytest.raises(ProviderError, match=words):
        Provider(spec.data, spec.asset).fetch("ACME", None, None, "1d")


@pytest.mark.parametrize(
    ("asset", "symbol", "sent", "taken"),
    [
        ("stocks", "ACME", "OTHER", False),
        ("stocks", "ACME", "acme", True),
        ("forex", "EURUSD", "EURJPY=X", False),
        ("forex", "USDJPY", "JPY=X", True),
        ("forex", "EURUSD", "EUR=X", False),
    ],
)
def test_bars_of_another_instrument_are_not_taken_for_the_one_asked_for(
    make_spec, stub, tmp_path, asset, symbol, sent, taken
):
    spec = make_spec(asset, "yahoo")
    source = Provider(spec.data, spec.asset)
    known = "ACME" if asset == "stocks" else "EURUSD"
    source.fetch(known, None, None, "1d")
    answer = source._answers.last.text.replace(f'"symbol":"{source.provider_symbol(known)}"', f'"symbol":"{sent}"')
    assert f'"symbol":"{sent}"' in answer
    path = tmp_path / "answer.json"
    path.write_text(answer)
    stub.stub.cfg["replay"] = {f"yahoo:{source.provider_symbol(symbol)}": str(path)}
    told = pytest.raises(ProviderError, match=f"was asked for .* and sent {sent}")
    with contextlib.nullcontext() if taken else told:
        source.fetch(symbol, None, None, "1d")
