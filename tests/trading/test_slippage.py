"""What executions outside cost beside the prices of the backtest: dear is positive, bought or sold."""

from __future__ import annotations

import contextlib

import pytest

from wealtharena.trading import figures, reading
from wealtharena.trading.broker import Fill
from wealtharena.trading.ledger import Decision, Intent, Ledger

BARS = ("2024-05-01T00:00:00", "2024-05-02T00:00:00")


def executed(number, name, units, price):
    return Fill(number, f"e{number}", name, "", "A", units, price, price, 0.0)


@pytest.fixture
def ledger(tmp_path):
    """Return the ledger of an account that decided on two orders at the first bar."""
    found = Ledger(tmp_path, synchronous="normal")
    with contextlib.closing(found):
        found.open("agent", "test", {})
        orders = [Intent(name, BARS[0], "A", 1, at, 1.0) for at, name in enumerate(("one", "two"), 1)]
        found.decide(Decision(BARS[0], {}, [0.0], {}, 0), orders, [], state="trading")
        yield found


def test_who_buys_above_and_sells_below_the_backtests_price_has_paid(ledger, tmp_path):
    ledger.book([executed(1, "one", 10.0, 101.0), executed(2, "two", -30.0, 98.0)])
    ledger.assign(BARS[1], {"A": 100.0}, decided=BARS[0])
    assert [one["cost"] for one in ledger.slippage()] == [10.0, 60.0]
    assert figures.slippage_bps(ledger) == pytest.approx(1e4 * 70.0 / 4000.0)
    assert reading.counts(tmp_path).slippage_bps == pytest.approx((100.0 + 200.0) / 2.0)


def test_a_better_price_is_negative_and_what_was_decided_at_no_bar_has_none_beside_it(ledger, tmp_path):
    ledger.book([executed(1, "one", -10.0, 101.0), executed(2, None, 500.0, 150.0)])
    ledger.assign(BARS[1], {"A": 100.0}, decided=BARS[0])
    assert figures.slippage_bps(ledger) == pytest.approx(-100.0)
    assert reading.counts(tmp_path).slippage_bps == pytest.approx(-100.0)


def test_where_nothing_stands_beside_an_execution_nothing_is_known(ledger, tmp_path):
    ledger.book([executed(1, "one", 10.0, 101.0)])
    ledger.assign(BARS[1], {}, decided=BARS[0])
    assert figures.slippage_bps(ledger) is None
    assert reading.counts(tmp_path).slippage_bps is None
