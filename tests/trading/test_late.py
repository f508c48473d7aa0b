"""Splits and dividends that a source publishes after the bar on whose date they hold: who held then is owed them."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import sqlite3

import numpy as np
import pandas as pd
import pytest

from tests.envs.markets import features_of, panel_of, spec_of
from tests.trading.bridge import SECRET, Bridge, bridging
from tests.trading.days import Script
from tests.trading.desks import risk_of
from wealtharena.config import compose
from wealtharena.data.bars import Bars
from wealtharena.envs.market import Market
from wealtharena.features.panel import Scaler
from wealtharena.trading import actions, answers, loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.database import FullError
from wealtharena.trading.desk import Close
from wealtharena.trading.feeds.seen import SeenBars
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

pytestmark = pytest.mark.slow  # each goes through days at a broker's server

FIRST, DATE, LAST = 50, 55, 62  # bars: of the opening, of the dividend or split, of the end
WANTS = [[0.5, -0.3], [0.5, -0.3], [0.5, -0.3], [0.5, -0.3], [0.5, -0.3], [0.1, -0.1]]  # less from the date on


class Account:
    """An account of the paper broker, or of a bridge, shown one bar after the other as a source tells of them then."""

    def __init__(self, folder, *, url=None, lot=1.0):
        self.folder, self.url = folder, url
        self.env = spec_of(fill="next_open", initial_cash=100_000.0, instrument={"lot_size": lot})
        plain = np.full((FIRST + 1, 2), 100.0)
        self.mind = Script(Scaler.fit(features_of(panel_of(plain, open=plain)), clip=5.0), WANTS)
        self.ledger = Ledger(folder, synchronous="normal")
        if self.ledger.facts() is None:
            self.ledger.open("a", "b", {})
        self.open()

    def open(self):
        words = ["broker=paper"] if self.url is None else ["broker=webhook", f"broker.url={self.url}"]
        settings = compose(words).broker
        opening = Opening(self.folder, self.env, 1, "normal", spec=settings, symbols=("S0", "S1"))
        self.broker = answers.opened(settings.name, opening)
        self.trader = Trader("a", "b", self.mind, self.env, risk_of(), self.ledger, self.broker)

    def show(self, bar, close, dividends):
        panel = panel_of(close[: bar + 1], open=close[: bar + 1], dividends=dividends[: bar + 1])
        features = features_of(panel)
        loop.on_close(
            self.trader, Close(features, Market.build(features, self.env, self.mind.scaler)), Switch(self.folder)
        )

    def play(self, published, *, again=(), close=None, dividend=0.0, ratio=1.0):
        """Show every bar; what holds from `DATE` on is known from the bar `published` on. `again`: restarted before these."""
        truth = np.full((LAST, 2), 100.0) if close is None else close
        for bar in range(FIRST, LAST):
            if bar in again:
                self.broker.close()
                self.open()
            told, paid = truth.copy(), np.zeros_like(truth)
            if bar >= published:
                paid[DATE, 0] = dividend
            else:
                told[:DATE, 0] *= ratio  # prices of before the split, as they were then
            self.show(bar, told, paid)
        self.broker.close()
        return self.ledger.closes()


@pytest.fixture(params=["paper", "webhook"])
def account(request, tmp_path, monkeypatch):
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    with contextlib.ExitStack() as held:
        url = held.enter_context(bridging(Bridge())) if request.param == "webhook" else None
        found = Account(tmp_path, url=url)
        with contextlib.closing(found.ledger):
            yield found


@pytest.mark.parametrize("again", [(), (DATE + 2,), (DATE + 3,)])
def test_a_dividend_that_is_published_late_is_paid_on_what_was_held_before_its_date(account, again):
    closes = account.play(DATE + 3, dividend=0.75, again=again)
    (event,) = account.ledger.events()
    assert (event["kind"], event["symbol"], event["units"], event["cash"]) == ("dividend", "S0", 0.0, 500.0 * 0.75)
    assert [one["dividends"] for one in closes if one["dividends"]] == [375.0]
    paid = {bar: one["equity"] for bar, one in zip(range(FIRST, LAST), closes, strict=True)}
    assert paid[DATE + 2] == pytest.approx(100_000.0)
    assert paid[DATE + 3] == pytest.approx(100_375.0)
    assert paid[LAST - 1] == pytest.approx(100_375.0)


class Full:
    """A connection whose file takes nothing while `full`: what was begun cannot be kept."""

    def __init__(self, db):
        self.db, self.full = db, False

    def __getattr__(self, name):
        return getattr(self.db, name)

    def execute(self, statement, *values):
        if self.full and statement == "COMMIT":
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self.db.execute(statement, *values)


def test_a_late_dividend_that_could_not_be_kept_is_paid_when_there_is_room(tmp_path):
    account, price = Account(tmp_path), np.full((LAST, 2), 100.0)
    books = account.broker._broker
    books._db = Full(books._db)
    for bar in range(FIRST, LAST):
        paid = np.zeros_like(price)
        paid[DATE, 0] = 0.75 if bar >= DATE + 3 else 0.0
        books._db.full = bar == DATE + 3
        with pytest.raises(FullError) if books._db.full else contextlib.nullcontext():
            account.show(bar, price, paid)
    account.broker.close()
    assert account.ledger.closes()[-1]["equity"] == pytest.approx(100_375.0)
    assert [one["cash"] for one in account.ledger.events()] == [375.0]
    account.ledger.close()


def test_a_dividend_in_time_is_paid_once_and_one_that_is_corrected_by_what_lacks(tmp_path):
    account, price = Account(tmp_path), np.full((LAST, 2), 100.0)
    for bar in range(FIRST, LAST):
        paid = np.zeros_like(price)
        paid[DATE, 0] = {DATE + 2: 0.5, DATE + 3: 0.0}.get(bar, 0.75 if bar < DATE + 2 else 0.6)
        account.show(bar, price, paid)
    account.broker.close()
    closes = account.ledger.closes()
    account.ledger.close()
    told = [round(one["equity"] - before["equity"], 6) for before, one in itertools.pairwise(closes)]
    assert [one for one in told if one] == [375.0, -125.0, 50.0]  # the bar that its source told of none took nothing


@pytest.mark.parametrize("again", [(), (DATE + 3,)])
@pytest.mark.parametrize("ratio", [2.0, 1.5, 0.1, 1.281])  # the last is how a spin-off is told
def test_a_split_that_is_published_late_rescales_what_was_held_before_its_date(tmp_path, ratio, again):
    found = {}
    for published in (DATE, DATE + 3):
        folder = tmp_path / str(published)
        account = Account(folder)
        with contextlib.closing(account.ledger):
            account.play(published, ratio=ratio, again=again, close=np.full((LAST, 2), 50.0))
            (event,) = [one for one in account.ledger.events() if one["units"]]
            units = [one.units for one in account.ledger.fills() if one.symbol == "S0"]
            found[published] = event["symbol"], event["units"], account.ledger.closes()[-1]["equity"]
            assert account.ledger.positions()["S0"] == pytest.approx(sum(units) + event["units"])
            assert account.ledger.state()[0] == "trading"
    assert found[DATE + 3] == (*found[DATE][:2], pytest.approx(100_000.0))


def test_after_a_split_a_dividend_of_before_it_is_owed_in_the_units_of_then(tmp_path):
    account, ratio = Account(tmp_path), 2.0
    for bar in range(FIRST, LAST):
        price, paid = np.full((LAST, 2), 50.0), np.zeros((LAST, 2))
        if bar < DATE + 1:
            price[:, 0] *= ratio
        if bar >= DATE + 3:
            paid[DATE, 0] = 0.75 / ratio
        account.show(bar, price, paid)
    account.broker.close()
    events = [one for one in account.ledger.events() if one["kind"] == "dividend"]
    account.ledger.close()
    assert [one["cash"] for one in events] == [pytest.approx(375.0)]


def test_one_bar_of_before_that_is_corrected_by_a_plain_fraction_is_no_late_split():
    bars = [(100.0, 100.0)] * 10
    bars[3] = (100.0, 50.0)
    assert actions.late_split(bars) is None


def test_bars_that_were_seen_are_shown_with_the_dividend_that_their_source_tells_of_now(tmp_path):
    stamps, now = pd.date_range("2024-01-01", periods=4, tz="UTC").as_unit("ns"), dt.datetime(2024, 1, 5, tzinfo=dt.UTC)
    row = {"open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0, "volume": 1000.0, "dividend": 0.0}
    table = pd.DataFrame({"timestamp": stamps, **row, "split": 0.0, "tradable": True})
    bars = Bars("yahoo", "A", "1d", table, "USD", "units", "splits", now)
    table.loc[1, ["close", "dividend"]] = 101.5, 0.75
    with contextlib.closing(SeenBars(tmp_path)) as seen:
        for stamp in stamps[:3]:
            seen.keep(str(stamp.to_datetime64()), {"A": ("yahoo", row)}, now)
        shown, (revised,) = seen.as_seen(bars, now)
        assert (revised.seen["dividend"], revised.now["dividend"]) == (0.0, 0.75)
        assert shown.table["close"].tolist() == [101.0] * 4
        assert shown.table["dividend"].tolist() == [0.0, 0.75, 0.0, 0.0]
        bars.table.loc[1, "dividend"] = 0.0  # another source that knows of none
        assert seen.as_seen(bars, now)[0].table["dividend"].tolist() == [0.0] * 4
