"""Bars as they come, traded at a broker outside: feed, clock, orders and executions over HTTP, under one simulated time."""

import contextlib
import datetime as dt

import pytest

from tests.trading.clocks import passing
from tests.trading.conformance import alpaca_broker
from tests.trading.exchange import Exchange
from tests.trading.serving import serving
from tests.trading.test_live import FIRST, SYMBOLS, Leaning, days, desk  # noqa: F401 - a fixture is found by its name
from wealtharena.trading import loop
from wealtharena.trading.clock import Timer
from wealtharena.trading.feeds.live import Live
from wealtharena.trading.feeds.seen import SeenBars
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

SESSIONS = 6


def prices_at(frames, at):
    """Return the last close of each coin before a moment, by the exchange's names."""
    rows = {name: frame[frame["day"] < at.date()].iloc[-1] for name, frame in frames.items() if name in SYMBOLS}
    return {name.replace("-", "/"): float(row["close"]) for name, row in rows.items()}


@pytest.mark.slow
def test_live_bars_are_traded_at_a_broker_outside(desk, tmp_path):  # noqa: F811 - the fixture
    exchange = Exchange(
        prices_at(desk.frames, desk.clock.at), desk.clock.at, cash=desk.spec.env.initial_cash, fee=0.0025
    )
    ledger = Ledger(desk.folder, synchronous="normal")
    ledger.open("leaning", "test", {})
    seen, switch, closes = SeenBars(desk.folder, synchronous="normal"), Switch(desk.folder), []
    with serving(exchange) as url, contextlib.closing(ledger), contextlib.closing(seen):
        broker = alpaca_broker(exchange, url, tmp_path, SYMBOLS)
        trader = Trader("leaning", "test", Leaning(desk.scaler), desk.spec.env, desk.spec.risk, ledger, broker)

        def wait(seconds):
            desk.clock.wait(seconds)
            if desk.clock.at - exchange.now >= dt.timedelta(hours=2):  # each minute would do the same, and take longer
                exchange.go(desk.clock.at, prices_at(desk.frames, desk.clock.at))
                loop.tend(trader, switch)

        def told(close):
            closes.append(close)
            switch.signals.stop = len(closes) == SESSIONS

        timer = Timer(desk.clock.now, wait, lambda: switch.stop)
        feed = Live(
            desk.spec, desk.scaler, now=desk.clock.now, seen=seen, told=lambda bar, one: ledger.intervene(bar, [one])
        )
        with contextlib.closing(broker):
            loop.run(trader, passing(feed.steps(None), timer), switch, told=told)
            loop.tend(trader, switch)
        wanted, positions, state = ledger.wanted(), ledger.positions(), ledger.state()[0]
        intents, fees = ledger.intents(), [one for one in ledger.events() if one["kind"] == "fee"]
    assert [bar[:10] for bar in wanted] == days(FIRST, SESSIONS)
    assert state == "trading"
    assert intents
    assert {one.status for one in intents} == {"filled"}
    assert len(exchange.orders) == len(intents)
    assert fees
    held = {name.replace("/", "-"): units for name, units in exchange.held.items()}
    assert set(held) == set(SYMBOLS)
    bought = {one.symbol: abs(one.units) for one in intents}
    for name in SYMBOLS:  # but for the fee of the last purchase, which the next close takes over
        assert positions[name] == pytest.approx(held[name], abs=0.003 * bought[name])
