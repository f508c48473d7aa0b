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


class Outside:
    """An account at an exchange on loopback whose bars are live, looked after as its process would."""

    def __init__(self, desk, exchange, url, folder):  # noqa: F811 - the fixture
        self.desk, self.exchange, self.closes = desk, exchange, []
        self.ledger = Ledger(desk.folder, synchronous="normal")
        if self.ledger.facts() is None:
            self.ledger.open("leaning", "test", {})
        self.seen = SeenBars(desk.folder, synchronous="normal")
        self.broker = alpaca_broker(exchange, url, folder, SYMBOLS)
        self.switch = Switch(desk.folder)
        self.feed = Live(
            desk.spec, desk.scaler, now=desk.clock.now, seen=self.seen,
            told=lambda bar, one: self.ledger.intervene(bar, [one]),
        )  # fmt: skip
        self.trader = Trader(
            "leaning", "test", Leaning(desk.scaler), desk.spec.env, desk.spec.risk, self.ledger, self.broker,
            wait=lambda seconds: None, reached=self.feed.reached,
        )  # fmt: skip

    def close(self):
        self.broker.close()
        self.seen.close()
        self.ledger.close()

    def tend(self):
        at = self.desk.clock.at
        self.exchange.go(at, prices_at(self.desk.frames, at))
        loop.tend(self.trader, self.switch)

    def trade(self, sessions):
        """Trade until so many sessions have been decided on."""

        def wait(seconds):
            self.desk.clock.wait(seconds)
            # each minute would do the same, and take longer
            if self.desk.clock.at - self.exchange.now >= dt.timedelta(hours=2):
                self.tend()

        def told(close):
            self.closes.append(close)
            self.switch.signals.stop = len(self.closes) == sessions

        timer = Timer(self.desk.clock.now, wait, lambda: self.switch.stop)
        loop.run(self.trader, passing(self.feed.steps(self.ledger.decision()), timer), self.switch, told=told)


@contextlib.contextmanager
def outside(desk, folder):  # noqa: F811 - the fixture
    exchange = Exchange(
        prices_at(desk.frames, desk.clock.at), desk.clock.at, cash=desk.spec.env.initial_cash, fee=0.0025
    )
    with serving(exchange) as url, contextlib.closing(Outside(desk, exchange, url, folder)) as found:
        yield found


@pytest.mark.slow
def test_live_bars_are_traded_at_a_broker_outside(desk, tmp_path):  # noqa: F811 - the fixture
    with outside(desk, tmp_path) as account:
        account.trade(SESSIONS)
        account.tend()
        ledger, exchange = account.ledger, account.exchange
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


@pytest.mark.slow
@pytest.mark.parametrize("hours", [20, 80])
def test_what_was_not_sent_is_sent_while_its_bar_lasts_and_never_after_it(desk, tmp_path, hours):  # noqa: F811 - the fixture
    """A machine that slept for days, over sessions that nobody decided on, woke up and traded on what it had seen before."""
    with outside(desk, tmp_path) as account:
        account.exchange.fail("500", times=1000, method="POST")
        account.trade(1)
        decided = account.ledger.intents()
        assert {one.status for one in decided} == {"sending"}
        account.exchange.faults.clear()
        desk.clock.at += dt.timedelta(hours=hours)
        account.tend()
        account.tend()
        fates = {one.status for one in account.ledger.intents()}
    assert fates == ({"filled"} if hours < 24 else {"expired"})
    assert len(account.exchange.orders) == (len(decided) if hours < 24 else 0)
