"""Bars of an hour as they come: each decided on once, on the same record as a replay of them."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.sample import walk
from tests.data.market_stub.table import BarStore
from tests.trading.test_live import SYMBOLS, Clock, Desk, Leaning
from wealtharena.data import loading
from wealtharena.evaluation.splits import Segment
from wealtharena.features import compute
from wealtharena.trading import errand, figures, loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.clock import after_bar
from wealtharena.trading.desk import depth_of
from wealtharena.trading.feeds.history import least_bars
from wealtharena.trading.feeds.live import Live, sources_of
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.feeds.seen import SeenBars
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

pytestmark = pytest.mark.slow

HOUR = dt.timedelta(hours=1)
FIRST = dt.datetime(2024, 6, 10, 20, tzinfo=dt.UTC)  # the first bar that is decided on: midnight lies ahead
PATIENCE = 900.0


class Hours(Desk):
    """A desk whose stub serves each hour as it stands at the clock's time: the running one, too, and none of the future."""

    def hide(self, symbol, start, *, until=None):
        whole = self.frames[symbol]
        self.frames[symbol] = whole[whole["t"] != int(start.timestamp())].reset_index(drop=True)
        if until is not None:
            self.clock.plan.append((until, lambda: self.frames.__setitem__(symbol, whole)))

    def bars(self):
        """Return the bars that were decided on, as an account names them."""
        return [bar[:16] for bar in self.read()["wanted"]]


@pytest.fixture
def desk(tmp_path, make_spec, stub, monkeypatch):
    monkeypatch.setattr(errand, "TURN_SECONDS", 60.0)
    spec = make_spec(
        "crypto",
        "yahoo",
        data__symbols=f"[{','.join(SYMBOLS)}]",
        data__interval="1h",
        features__names="[log_return_1,volatility_20]",
        paper__feed="live",
    )
    rng, hours = np.random.default_rng(11), pd.date_range("2024-05-20", periods=24 * 32, freq="h")
    made = [walk(rng, name, hours, price=100.0, sigma=0.01, volume=1e5) for name in SYMBOLS]
    store, whole = BarStore(pd.concat(made, ignore_index=True)), stub.stub.bars
    stub.stub.bars = store
    clock = Clock(FIRST + dt.timedelta(minutes=30))
    found = Hours(tmp_path / "account", spec, store.frames, clock)
    wait = clock.wait

    def passed(seconds):
        wait(seconds)
        stub.stub.cfg["now"] = int(clock.at.timestamp())

    clock.wait = passed
    passed(0.0)
    yield found
    stub.stub.bars = whole


def hours(first, count):
    return [(first + n * HOUR).isoformat()[:16] for n in range(count)]


def panel_of(desk):
    data = desk.spec.data.model_copy(update={"start": dt.date(2024, 5, 20), "end": dt.date(2024, 6, 19)})
    (source,) = sources_of(desk.spec, lambda: dt.datetime(2024, 6, 25, tzinfo=dt.UTC))
    return loading.panel_of(source, desk.spec.asset, data)


def test_hours_as_they_come_are_traded_as_a_replay_trades_them(desk, tmp_path, stub):
    closes = desk.trade(30)
    assert desk.bars() == hours(FIRST, 30)
    assert desk.read()["told"] == []
    stub.stub.cfg["now"] = int(dt.datetime(2024, 6, 25, tzinfo=dt.UTC).timestamp())
    features = compute(panel_of(desk), desk.spec.features)
    assert closes[0].features.bars < features.bars / 3
    first = int(np.searchsorted(features.panel.timestamps, np.datetime64(FIRST.replace(tzinfo=None), "ns")))
    env, folder = desk.spec.env, tmp_path / "replay"
    feed = Replay(features, Segment(first, first + 30), env, desk.scaler, depth=depth_of(env, desk.spec.risk))
    ledger = Ledger(folder, synchronous="normal")
    ledger.open("leaning", "test", {})
    broker = open_broker(Opening(folder, env, 1, "normal"))
    with contextlib.closing(ledger), contextlib.closing(broker):
        trader = Trader("leaning", "test", Leaning(desk.scaler), env, desk.spec.risk, ledger, broker)
        loop.run(trader, feed.closes(None), Switch(folder), told=lambda close: None)
        path = figures.path_of(ledger, SYMBOLS, fill="next_open", bars_per_year=8766.0)
    found = desk.read()["path"]
    assert len(path.trades.bar) > 40
    assert len(found.trades.bar) == len(path.trades.bar)
    assert float(np.abs(found.equity / path.equity - 1.0).max()) < 1e-6


def test_an_hour_that_is_late_is_waited_for_and_one_that_never_comes_is_not_waited_for_beyond_a_quarter_of_an_hour(
    desk,
):
    late, gone = FIRST + 2 * HOUR, FIRST + 4 * HOUR
    desk.hide("SOL-USD", gone)
    desk.hide("ETH-USD", late, until=late + HOUR + dt.timedelta(minutes=6))
    closes = desk.trade(6)
    found = desk.read()
    assert desk.bars() == hours(FIRST, 6)
    assert [(action, symbols) for _, action, symbols in found["told"]] == [
        ("late", SYMBOLS),
        ("missing", ("SOL-USD",)),
        ("late", ("BTC-USD", "ETH-USD")),
    ]
    assert 360 <= found["waited"][0] < PATIENCE
    assert found["waited"][1] == pytest.approx(PATIENCE, abs=1.0)
    assert np.isnan(closes[4].features.panel.close[-1][2])


def test_there_is_history_enough_at_every_hour_of_the_day(desk):
    feed = Live(desk.spec, desk.scaler, now=desk.clock.now, seen=SeenBars(desk.folder), told=lambda bar, one: None)
    day = list(itertools.islice(after_bar("24/7", np.datetime64(FIRST.date(), "ns"), "1h"), 24))
    for depth in range(1, 60):
        feed._depth = depth
        wanted = least_bars(desk.spec.features, desk.spec.env) + depth
        for session in day:
            begins = dt.datetime.combine(feed._first_day(session), dt.time(), tzinfo=dt.UTC)
            assert (session.opens - begins) / HOUR + 1 >= wanted


def test_an_account_that_was_away_goes_on_with_the_hour_that_can_still_be_decided_on(desk):
    desk.trade(3)
    desk.clock.at += 5 * HOUR + dt.timedelta(minutes=3)
    desk.trade(2)
    found = desk.read()
    assert desk.bars() == [*hours(FIRST, 3), *hours(FIRST + 7 * HOUR, 2)]
    assert [action for _, action, _ in found["told"]] == ["missed"] * 4
