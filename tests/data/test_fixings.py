"""The ECB's rates of dates after those in this installation: asked of a server that speaks as the ECB's does."""

import io
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.data import catalog, currency, fixings, loading, provider
from wealtharena.data.bars import raw_table
from wealtharena.data.collecting import Collector
from wealtharena.data.dividends import Payout, in_money_of
from wealtharena.data.providers import ecb
from wealtharena.data.reading.venues import Quote
from wealtharena.errors import DataError, ProviderError

DAYS = 30  # weekdays after the installation's last fixing, of which the server has rates
DATE = "%Y-%m-%d"
RATES = currency.installed_rates().iloc[-400:]  # as if the package held these


@cache
def sent():
    """Return what the server sends where a test says nothing else."""
    return zipped(later())


def later(days=DAYS):
    """Return the installation's rates and those of later weekdays, each a thousandth above the day before."""
    own = RATES
    dates = pd.bdate_range(own.index[-1] + pd.Timedelta(days=1), periods=days)
    grown = np.cumprod(np.full(days, 1.001))[:, None] * own.iloc[-1].to_numpy()
    return pd.concat([own, pd.DataFrame(grown, index=dates, columns=own.columns)]).drop(columns="EUR")


def zipped(rates, *, columns=True):
    """Return rates as the ECB's file has them: the latest first, N/A for none, a comma at the end of each line."""
    table = rates.iloc[::-1].set_axis(rates.index[::-1].strftime(DATE), axis=0).rename_axis("Date")
    lines = table.to_csv(na_rep="N/A", header=columns).splitlines()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            zipfile.ZipInfo("eurofxref-hist.csv"), "".join(f"{line},\n" for line in lines), zipfile.ZIP_DEFLATED
        )
    return made.getvalue()


class Source(provider.Provider):
    """A source that is asked over a network."""

    name, title, host, bars = "yahoo", "a source", "http://127.0.0.1:9", ()

    def fetch(self, symbol, start, end, interval):
        return next(one for one in self.bars if one.symbol == symbol)


def asks(spec, bars):
    return spec.data.model_copy(update={"symbols": tuple(one.symbol for one in bars)})


@pytest.fixture(autouse=True)
def installed_only(monkeypatch):
    monkeypatch.setattr(currency, "installed_rates", lambda: RATES)
    monkeypatch.setattr(currency, "_later", [])
    monkeypatch.setattr(fixings, "_next", [float("-inf")])


@pytest.fixture
def bank():
    """Return a server on the loopback interface: `content` is what it sends, `status` how, `asked` how often it was."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(self.server.content)))
            self.end_headers()
            self.wfile.write(self.server.content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.status, server.asked = sent(), 200, 0
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.fixture
def request_to(bank, tmp_path):
    """Return `make(*overrides)`: a request whose rates are asked of the server, with a store of its own."""

    def make(*overrides):
        port = bank.server_address[1]
        own = [f"data.root={tmp_path / 'data'}", f"data.rates.base_url=http://127.0.0.1:{port}/rates.zip"]
        spec = compose([*overrides])
        rates = spec.data.rates.model_copy(
            update={
                "base_url": own[1].partition("=")[2],
                "backoff_seconds": 0.01,
                "timeout_seconds": 3.0,
                "requests_per_second": 1000.0,
            }
        )
        return spec.model_copy(
            update={"data": spec.data.model_copy(update={"root": str(tmp_path / "data"), "rates": rates})}
        )

    return make


def moment(days):
    """Return noon in Frankfurt some days after the installation's last fixing."""
    return (currency.installed_rates().index[-1] + pd.Timedelta(days=days, hours=20)).to_pydatetime()


def test_later_rates_are_those_of_the_ecb_and_the_installation_s_stay(request_to, bank):
    own, before = currency.installed_rates(), currency.edition()
    with pytest.raises(DataError, match="rates in this installation end"):
        currency.from_ecb("AUD", "USD", closes=pd.DatetimeIndex([moment(20)]))
    assert fixings.renew(request_to("data=yahoo").data) == ""
    assert bank.asked == 1
    found, asked_of = currency.ecb_rates(), later()
    pd.testing.assert_frame_equal(found.iloc[: len(own)], own, check_freq=False)
    assert found.index.is_monotonic_increasing
    np.testing.assert_allclose(found[asked_of.columns].to_numpy(), asked_of.to_numpy(), rtol=1e-12)
    (rate,) = currency.from_ecb("AUD", "USD", closes=pd.DatetimeIndex([moment(20)]))
    at = asked_of.loc[: moment(20).date().isoformat()].iloc[-1]
    assert rate == pytest.approx(at["USD"] / at["AUD"], rel=1e-12)
    assert currency.edition() != before
    assert currency.installed_rates() is own


def test_what_was_had_is_kept_and_taken_into_use_by_the_next_process(request_to, monkeypatch):
    data = request_to("data=yahoo").data
    fixings.renew(data)
    found, edition = currency.ecb_rates(), currency.edition()
    monkeypatch.setattr(currency, "_later", [])
    fixings.take_kept(data.root)
    pd.testing.assert_frame_equal(currency.ecb_rates(), found, check_freq=False)
    assert currency.edition() == edition
    fixings.path_of(data.root).write_text("Date,USD\nno date,1\n", encoding="utf-8")
    monkeypatch.setattr(currency, "_later", [])
    fixings.take_kept(data.root)
    assert currency.ecb_rates() is currency.installed_rates()


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"<html>maintenance</html>", 200, "is no file of the ECB's rates"),
        (sent()[:5000], 200, "is no file of the ECB's rates"),
        (zipped(later(), columns=False), 200, "is no file of the ECB's rates"),
        (zipped(later().rename(columns={"USD": "JPY", "JPY": "USD"}) * 2), 200, "is not the ECB's rates as this"),
        (zipped(later()[["USD"]] * 0.5), 200, "is not the ECB's rates as this"),
        (zipped(later().iloc[-DAYS:]), 200, "is not the ECB's rates as this"),
        (b"", 200, "is no file of the ECB's rates"),
        (b"gone", 404, "the ECB answered HTTP 404"),
        (b"busy", 503, "cannot be had"),
    ],
)
def test_what_is_not_the_ecb_s_changes_nothing_and_is_told(request_to, bank, content, status, told):
    bank.content, bank.status = content, status
    data = request_to("data=yahoo").data
    assert told in fixings.renew(data)
    assert currency.ecb_rates() is currency.installed_rates()
    assert not fixings.path_of(data.root).exists()


def test_a_file_that_reaches_no_further_takes_nothing_away(request_to, bank):
    data = request_to("data=yahoo").data
    fixings.renew(data)
    found = currency.ecb_rates()
    bank.content = zipped(later(3))
    assert fixings.renew(data) == ""
    assert currency.ecb_rates() is found


@pytest.mark.parametrize(("days", "hour", "behind"), [(0, 23, False), (1, 14, False), (1, 15, True), (3, 14, True)])
def test_rates_are_behind_once_a_weekday_s_fixing_must_be_out(monkeypatch, days, hour, behind):
    monday = pd.Timestamp("2026-06-01", tz="UTC")
    monkeypatch.setattr(currency, "_later", [currency.installed_rates().loc[:monday]])
    assert fixings.behind((monday + pd.Timedelta(days=days, hours=hour)).to_pydatetime()) is behind
    friday = monday - pd.Timedelta(days=3)
    monkeypatch.setattr(currency, "_later", [currency.installed_rates().loc[:friday]])
    assert not fixings.behind(datetime(2026, 6, 1, 14, 59, tzinfo=UTC))
    assert fixings.behind(datetime(2026, 6, 1, 15, tzinfo=UTC))


def test_bars_in_other_money_have_the_rates_reach_as_far_as_they_do(request_to, bank, make_bars):
    spec = request_to("asset=stocks", "data=yahoo", "asset.account_currency=USD")
    dates = pd.bdate_range(end=moment(20).date(), periods=60)
    closes = np.linspace(10.0, 12.0, 60)
    shares = [make_bars("AAPL", dates, closes), make_bars("SHEL.L", dates, closes, currency="GBP")]
    pairs = [*shares, make_bars("GBPUSD", dates, closes)]
    early = [
        make_bars(one.symbol, dates[:20] - pd.Timedelta(days=40), closes[:20], currency=one.currency) for one in shares
    ]
    for bars in (shares[:1], pairs, early):
        Source.bars = bars
        assert loading.panel_of(Source(spec.data, spec.asset), spec.asset, asks(spec, bars)).bars == len(bars[0].table)
    assert bank.asked == 0
    Source.bars = shares
    for _ in range(2):
        panel = loading.panel_of(Source(spec.data, spec.asset), spec.asset, asks(spec, shares))
        assert bank.asked == 1
    rates = later()
    known = (rates["USD"] / rates["GBP"]).loc[str(dates[0].date()) :]
    np.testing.assert_allclose(
        panel.to_account[-20:, 1], known.reindex(dates.tz_localize("UTC")).iloc[-20:], rtol=1e-12
    )


def test_the_ecb_is_asked_once_an_hour_for_what_does_not_come(request_to, bank, monkeypatch, caplog):
    bank.status, data = 404, request_to("data=yahoo").data
    for now, asked in ((0.0, 1), (10.0, 1), (3599.0, 1), (3601.0, 2)):
        monkeypatch.setattr(fixings.time, "monotonic", lambda now=now: now)
        fixings.reach({"AUD"}, "USD", moment(20), data)
        assert bank.asked == asked
        assert len(caplog.records) == asked
    assert "the ECB answered HTTP 404" in caplog.text


def test_collecting_asks_for_the_rates_that_its_bars_need_and_tells_what_hindered_it(request_to, bank, monkeypatch):
    spec, content = request_to("asset=stocks", "data=yahoo", "asset.account_currency=USD"), bank.content
    data = spec.data.model_copy(update={"symbols": ("SHEL.L",)})
    for sent_by, told in ((b"maintenance", True), (content, False), (b"maintenance", False)):
        bank.content = sent_by
        collector = Collector(spec.asset, data, spec.collect, clock=lambda: moment(20))
        stored = {catalog.key("stocks", "SHEL.L", "1d"): {"currency": "GBP"}}
        monkeypatch.setattr(collector.store, "catalog", lambda stored=stored: {"bars": stored})
        collector.renew_rates()
        assert bool(collector.lacking) is told
    assert bank.asked == 2


def test_a_dividend_in_other_money_is_converted_at_the_fixing_of_its_date(request_to):
    data, day = request_to("data=yahoo").data, later().index[-5]
    table = raw_table(
        pd.DataFrame({"timestamp": [day], "open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0, "dividend": 0.5})
    )
    made, _ = in_money_of(Quote("GBP"), table, [Payout(day, 0.5, "USD")], calendar="XLON", hourly=False, data=data)
    rates = later().loc[day]
    assert made["dividend"][0] == pytest.approx(0.5 * rates["GBP"] / rates["USD"], rel=1e-12)


def test_collected_rates_go_up_to_the_last_fixing(request_to, bank):
    spec = request_to("asset=forex", "data=ecb")
    source = ecb.Provider(spec.data, spec.asset, clock=lambda: moment(40))
    with pytest.raises(ProviderError, match="has no rates between"):
        source.fetch("EURUSD", (moment(2)).date(), None, "1d")
    assert source.renew() == ""
    table = source.fetch("EURUSD", None, None, "1d").table
    dollars = later()["USD"]
    assert table["timestamp"].iloc[-1] == dollars.index[-1]
    np.testing.assert_allclose(table["close"].iloc[-DAYS:], dollars.iloc[-DAYS:], rtol=1e-12)
    asked = bank.asked
    assert ecb.Provider(spec.data, spec.asset, clock=lambda: dollars.index[-1] + timedelta(hours=20)).renew() == ""
    assert bank.asked == asked


def test_bars_that_were_collected_before_the_rates_came_are_continued_on_the_same_day(request_to, bank):
    spec = request_to("asset=forex", "data=ecb")
    found = []
    for content in (b"maintenance", bank.content, bank.content):
        bank.content = content
        source = ecb.Provider(spec.data, spec.asset, clock=lambda: moment(60))
        collector = Collector(spec.asset, spec.data, spec.collect, clock=lambda: moment(60))
        told = source.renew()
        collector._providers["ecb"] = source  # whose clock is the collector's, so that the dates of the rates have come
        one = collector.collect("EURUSD")
        found.append((one.status, one.added if one.status != "new" else 0, bool(told)))
    assert found == [("new", 0, True), ("updated", DAYS, False), ("current", 0, False)]


def test_a_simulated_market_is_the_same_whatever_rates_were_asked_for(request_to):
    spec = request_to("asset=forex", "data=simulated")
    before = loading.load(spec.asset, spec.data, seed=1)
    fixings.renew(spec.data)
    after = loading.load(spec.asset, spec.data, seed=1)
    assert currency.ecb_rates() is not currency.installed_rates()
    np.testing.assert_array_equal(after.close, before.close)
