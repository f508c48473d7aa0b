"""Bars as they come, from the real client of a source over loopback HTTP, under a simulated clock."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.trading.clocks import passing
from tests.trading.desks import risk_of
from wealtharena.data import loading
from wealtharena.evaluation.splits import Segment
from wealtharena.features import compute
from wealtharena.features.panel import Scaler
from wealtharena.trading import errand, figures, loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.clock import Timer
from wealtharena.trading.desk import depth_of
from wealtharena.trading.feeds.live import Live, sources_of
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.feeds.seen import FILE, SeenBars
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

pytestmark = pytest.mark.slow

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
FIRST = dt.date(2024, 6, 10)
PATIENCE = dt.timedelta(hours=6)


@dataclass
class Clock:
    """The time of a test; what is planned for a moment happens when it is reached."""

    at: dt.datetime
    plan: list[tuple[dt.datetime, Any]] = field(default_factory=list)

    def now(self):
        return self.at

    def wait(self, seconds):
        until = self.at + dt.timedelta(seconds=seconds)
        due = sorted((one for one in self.plan if one[0] <= until), key=lambda one: one[0])
        self.plan = [one for one in self.plan if one[0] > until]
        self.at = until
        for _, act in due:
            act()


@dataclass(frozen=True, eq=False)
class Leaning:
    """Wants what the features say, so that no difference in them goes unseen."""

    scaler: Scaler

    def decide(self, seen, memory):
        assets = len(SYMBOLS)
        last = seen.features[0, :, -1].astype(np.float64)
        return 0.3 + 0.2 * np.tanh(np.nan_to_num(last).sum(axis=-1))[:assets], {"count": memory.get("count", 0) + 1}


@dataclass(eq=False)
class Desk:
    """A spec against the stub, its clock, and the frames that the stub serves."""

    folder: Any
    spec: Any
    frames: dict[str, pd.DataFrame]
    clock: Clock

    @property
    def panel(self):
        asset, data = self.spec.asset, self.spec.data.model_copy(update={"end": dt.date(2024, 7, 10)})
        (source,) = sources_of(self.spec, lambda: dt.datetime(2024, 7, 20, tzinfo=dt.UTC))
        return loading.panel_of(source, asset, data)

    @property
    def scaler(self):
        names = self.spec.features.names
        return Scaler(tuple(names), np.zeros(len(names)), np.full(len(names), 10.0), 5.0)

    def hide(self, symbol, date, *, until=None):
        """Take a bar away from what the stub serves, up to a moment."""
        whole = self.frames[symbol]
        self.frames[symbol] = whole[whole["day"] != date].reset_index(drop=True)
        if until is not None:
            self.clock.plan.append((until, lambda: self.frames.__setitem__(symbol, whole)))

    def change(self, symbol, date, *, at=None, **factors):
        """Serve a bar with other values, from a moment on."""

        def act():
            frame = self.frames[symbol].copy()
            rows = frame["day"] == date
            for name, factor in factors.items():
                frame[name] = frame[name].astype(float)
                frame.loc[rows, name] = frame.loc[rows, name] * factor
            self.frames[symbol] = frame

        act() if at is None else self.clock.plan.append((at, act))

    def look_seldom(self):
        """Look each twenty minutes: what never comes is there neither at the third look nor at the thirtieth."""
        paper = self.spec.paper.model_copy(update={"bar_poll": 1200.0})
        self.spec = self.spec.model_copy(update={"paper": paper})

    def trade(self, sessions, *, risk=None):
        """Trade until so many sessions have been decided on, from wherever the account stands."""
        spec = self.spec if risk is None else self.spec.model_copy(update={"risk": risk})
        ledger, seen = Ledger(self.folder, synchronous="normal"), SeenBars(self.folder, synchronous="normal")
        if ledger.facts() is None:
            ledger.open("leaning", "test", {})
        broker = open_broker(Opening(self.folder, spec.env, ledger.epoch, "normal"))
        trader = Trader("leaning", "test", Leaning(self.scaler), spec.env, spec.risk, ledger, broker)
        switch, closes = Switch(self.folder), []

        def told(close):
            closes.append(close)
            switch.signals.stop = len(closes) == sessions

        with contextlib.closing(ledger), contextlib.closing(seen), contextlib.closing(broker):
            feed = Live(
                spec,
                self.scaler,
                now=self.clock.now,
                seen=seen,
                told=lambda bar, one: ledger.intervene(bar, [one]),
            )
            timer = Timer(self.clock.now, self.clock.wait, lambda: switch.stop)
            loop.run(trader, passing(feed.steps(ledger.decision()), timer), switch, told=told)
        return closes

    def read(self):
        ledger, seen = Ledger(self.folder), sqlite3.connect(self.folder / FILE)
        with contextlib.closing(ledger), contextlib.closing(seen):
            told = [one for one in ledger.interventions() if one["rule"] == "bars"]
            return {
                "days": [bar[:10] for bar in ledger.wanted()],
                "wanted": ledger.wanted(),
                "told": [(one["bar"][:10], one["action"], tuple(one["symbols"])) for one in told],
                "waited": [one["numbers"].get("waited_seconds", 0.0) for one in told],
                "revisions": [json.loads(row[0]) for row in seen.execute("SELECT content FROM revisions ORDER BY id")],
                "state": ledger.state(),
                "intents": ledger.intents(),
                "path": figures.path_of(ledger, SYMBOLS, fill="next_open", bars_per_year=365.0),
            }


@pytest.fixture
def desk(tmp_path, make_spec, stub, monkeypatch):
    monkeypatch.setattr(errand, "TURN_SECONDS", 60.0)  # so that no time of the clock passes while the stub answers
    spec = make_spec(
        "crypto",
        "yahoo",
        data__symbols=f"[{','.join(SYMBOLS)}]",
        features__names="[log_return_1,volatility_20]",
        paper__feed="live",
    )
    before = dict(stub.stub.bars.frames)
    start = dt.datetime.combine(FIRST, dt.time(12), tzinfo=dt.UTC)
    yield Desk(tmp_path / "account", spec, stub.stub.bars.frames, Clock(start))
    stub.stub.bars.frames.clear()
    stub.stub.bars.frames.update(before)


def end_of(date):
    return dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), tzinfo=dt.UTC)


def days(first, count):
    return [str(first + dt.timedelta(days=n)) for n in range(count)]


def test_from_few_bars_of_live_history_the_record_is_that_of_all_of_it(desk, tmp_path, record_property):
    closes = desk.trade(15)
    found = desk.read()
    assert found["days"] == days(FIRST, 15)
    assert found["told"] == []
    features = compute(desk.panel, desk.spec.features)
    assert closes[0].features.bars < features.bars / 3
    first = int(np.searchsorted(features.panel.timestamps, np.datetime64(FIRST, "ns")))
    env, risk, folder = desk.spec.env, desk.spec.risk, tmp_path / "replay"
    feed = Replay(features, Segment(first, first + 15), env, desk.scaler, depth=depth_of(env, risk))
    ledger = Ledger(folder, synchronous="normal")
    ledger.open("leaning", "test", {})
    broker = open_broker(Opening(folder, env, 1, "normal"))
    with contextlib.closing(ledger), contextlib.closing(broker):
        trader = Trader("leaning", "test", Leaning(desk.scaler), env, risk, ledger, broker)
        loop.run(trader, feed.closes(None), Switch(folder), told=lambda close: None)
        path = figures.path_of(ledger, SYMBOLS, fill="next_open", bars_per_year=365.0)
    apart = float(np.abs(found["path"].equity / path.equity - 1.0).max())
    record_property("live from the least history against all", apart)
    assert len(path.trades.bar) > 20
    assert len(found["path"].trades.bar) == len(path.trades.bar)
    assert apart < 1e-6


def test_a_late_bar_is_waited_for_and_decided_on_once(desk):
    late = FIRST + dt.timedelta(days=2)
    desk.hide("ETH-USD", late, until=end_of(late) + dt.timedelta(hours=1))
    desk.trade(5)
    found = desk.read()
    assert found["days"] == days(FIRST, 5)
    assert found["told"] == [(str(late), "late", SYMBOLS)]
    assert 3600 <= found["waited"][0] <= 3600 + 1100
    assert sum(one.bar.startswith(str(late)) for one in found["intents"]) <= 3


def test_a_bar_that_never_comes_leaves_its_symbol_without_a_price(desk):
    gone = FIRST + dt.timedelta(days=2)
    desk.hide("ETH-USD", gone)
    closes = desk.trade(5)
    found = desk.read()
    assert found["days"] == days(FIRST, 5)
    assert (str(gone), "missing", ("ETH-USD",)) in found["told"]
    assert max(found["waited"]) == pytest.approx(PATIENCE.total_seconds(), abs=1.0)
    missing = closes[2].features.panel.close[-1]
    assert np.isnan(missing[1])
    assert np.isfinite(missing[[0, 2]]).all()
    assert not any(
        one.bar.startswith(str(gone - dt.timedelta(days=1))) and one.status == "filled" and one.symbol == "ETH-USD"
        for one in found["intents"]
    )


def test_a_session_without_any_bar_is_recorded_and_not_decided_on(desk):
    desk.look_seldom()
    gone = FIRST + dt.timedelta(days=2)
    for symbol in SYMBOLS:
        desk.hide(symbol, gone)
    desk.trade(4)
    found = desk.read()
    assert found["days"] == [day for day in days(FIRST, 5) if day != str(gone)]
    assert (str(gone), "missed", SYMBOLS) in found["told"]
    assert all(not one.bar.startswith(str(gone)) for one in found["intents"])


def test_a_source_that_fails_is_asked_again_until_patience_ends(desk, stub):
    """Every request of one session fails, each in its own way."""
    bad = FIRST + dt.timedelta(days=1)
    kinds = ["http_500", "html", "empty_body", "truncate", "http_401"]
    hour = dt.timedelta(hours=1)

    def fail():
        for kind in kinds:
            stub.fault("yahoo", kind, times=40)

    desk.clock.plan += [(end_of(bad) - hour, fail), (end_of(bad) + 4 * hour, lambda: stub.stub.faults.set([]))]
    desk.look_seldom()
    desk.spec = desk.spec.model_copy(
        update={
            "data": desk.spec.data.model_copy(
                update={"manners": desk.spec.data.manners.model_copy(update={"attempts": 1})}
            ),
        }
    )
    desk.trade(3)
    found = desk.read()
    assert found["days"] == days(FIRST, 3)
    assert (str(bad), "late", SYMBOLS) in found["told"]


def test_volume_that_is_short_at_first_is_waited_for(desk):
    """Case 18: 27 % of the volume comes later."""
    day = FIRST + dt.timedelta(days=1)
    desk.change("BTC-USD", day, volume=0.73)
    desk.change("BTC-USD", day, at=end_of(day) + dt.timedelta(seconds=30), volume=1 / 0.73)
    closes = desk.trade(3)
    found = desk.read()
    assert found["days"] == days(FIRST, 3)
    whole = desk.panel
    row = int(np.searchsorted(whole.timestamps, np.datetime64(day, "ns")))
    assert closes[1].features.panel.volume[-1, 0] == pytest.approx(whole.volume[row, 0], rel=1e-6)
    assert found["revisions"] == []


@pytest.mark.parametrize("column", ["close", "open", "volume"])
def test_a_bar_that_lacks_a_part_is_not_final(desk, column):
    """Case 18: a row with a hole."""
    day = FIRST + dt.timedelta(days=1)
    desk.look_seldom()
    desk.change("BTC-USD", day, **{column: np.nan})
    closes = desk.trade(3)
    found = desk.read()
    assert found["days"] == days(FIRST, 3)
    assert (str(day), "missing" if column == "close" else "partial", ("BTC-USD",)) in found["told"]
    assert np.isnan(closes[1].features.panel.close[-1, 0])


def test_a_revision_is_logged_beside_the_bar_as_it_was_seen_and_nothing_is_decided_again(desk):
    """Case 18."""
    day = FIRST + dt.timedelta(days=1)
    later = end_of(day) + dt.timedelta(hours=20)
    desk.change("BTC-USD", day, at=later, close=1.02, high=1.02, volume=1.3)
    before = desk.trade(2)[-1].features.panel.close[-1, 0]
    closes = desk.trade(3)
    found = desk.read()
    assert found["days"] == days(FIRST, 5)
    (told,) = [one for one in found["told"] if one[1] == "revised"]
    assert told == (str(day), "revised", ("BTC-USD",))
    (kept,) = found["revisions"]
    assert kept["close"] == pytest.approx(before * 1.02, rel=1e-6)
    panel = closes[-1].features.panel
    row = int(np.searchsorted(panel.timestamps, np.datetime64(day, "ns")))
    assert panel.close[row, 0] == before


def test_a_bar_that_vanishes_is_still_there(desk):
    day = FIRST + dt.timedelta(days=1)
    desk.clock.plan.append((end_of(day) + dt.timedelta(hours=20), lambda: desk.hide("SOL-USD", day)))
    desk.trade(4)
    found = desk.read()
    assert found["days"] == days(FIRST, 4)
    assert [one for one in found["told"] if one[1] == "vanished"] == [(str(day), "vanished", ("SOL-USD",))]


def test_what_was_seen_before_a_split_is_told_in_units_of_after_it(tmp_path):
    """Case 16: the source rescales its history; that is no revision and no jump."""
    stamps = pd.date_range("2024-01-01", periods=6, tz="UTC").as_unit("ns")
    table = pd.DataFrame(
        {
            "timestamp": stamps, "open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0, "volume": 1000.0,
            "dividend": 0.5, "split": 0.0, "tradable": True,
        }
    )  # fmt: skip
    from wealtharena.data.bars import Bars

    now = dt.datetime(2024, 1, 7, tzinfo=dt.UTC)
    bars = Bars("yahoo", "A", "1d", table.iloc[:4], "USD", "units", "splits", now)
    row = {"open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0, "volume": 1000.0, "dividend": 0.5}
    after = table.copy()
    prices = ["open", "high", "low", "close", "dividend"]
    after.loc[:4, prices] = after.loc[:4, prices] / 4.0
    after.loc[:4, "volume"] *= 4.0
    after.loc[5, prices] = after.loc[5, prices] / 4.0
    after.loc[5, "split"] = 4.0
    whole = Bars("yahoo", "A", "1d", after, "USD", "units", "splits", now)
    with contextlib.closing(SeenBars(tmp_path)) as seen:
        for stamp in stamps[:4]:
            seen.keep(str(stamp.to_datetime64()), {"A": ("yahoo", row)}, now)
        shown, revised = seen.as_seen(whole, now)
        assert revised == []
        assert shown.table["close"].tolist() == [25.25] * 6
        assert seen.as_seen(bars, now)[1] == []


def test_an_account_that_is_stopped_for_a_while_goes_on_with_what_can_still_be_decided(desk):
    desk.trade(3)
    desk.clock.at += dt.timedelta(days=4)
    desk.trade(3)
    found = desk.read()
    resumed = FIRST + dt.timedelta(days=6)  # over, and within its patience
    assert found["days"] == [*days(FIRST, 3), *days(resumed, 3)]
    told = [day for day, what, _ in found["told"] if what == "missed"]
    assert told == days(FIRST + dt.timedelta(days=3), 3)


def test_stale_bars_end_in_a_halt(desk):
    """Case 25: one symbol has no bar any more; the rule about the age of data flattens and halts."""
    desk.look_seldom()
    frame = desk.frames["ETH-USD"]
    desk.frames["ETH-USD"] = frame[frame["day"] < FIRST + dt.timedelta(days=2)].reset_index(drop=True)
    desk.trade(6, risk=risk_of(stale_data={"max_bars": 2, "action": "halt"}))
    found = desk.read()
    assert found["state"][0] == "halted"
    assert max(one.bar for one in found["intents"])[:10] == str(FIRST + dt.timedelta(days=3))
