"""A split while something is held: units are rescaled, nothing is lost, and nothing looks like a jump of the price."""

import contextlib
import dataclasses
import doctest

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.envs.markets import features_of, panel_of, spec_of
from tests.trading.days import Script
from tests.trading.desks import risk_of
from wealtharena.envs.market import Market
from wealtharena.features.panel import Scaler
from wealtharena.trading import actions, figures, loop, reading, signals
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.desk import Close
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

RATIOS = (2.0, 3.0, 4.0, 7.0, 10.0, 20.0, 1.5, 1.25, 0.5, 0.1, 1.0 / 15.0, 2.0 / 3.0)


@pytest.mark.parametrize("module", [actions, reading, signals])
def test_the_examples_run(module):
    assert doctest.testmod(module).failed == 0


@given(st.sampled_from(RATIOS), st.floats(20.0, 5_000.0))
def test_a_split_is_told_by_prices_that_are_rounded_to_cents(ratio, price):
    assert actions.split_of(round(price, 2), round(price / ratio, 4)) == pytest.approx(ratio)


@pytest.mark.slow
@given(st.floats(1.0, 1e5), st.floats(-0.04, 0.04))
def test_a_price_that_is_revised_is_no_split(price, change):
    assert actions.split_of(price, price * (1.0 + change)) is None


@given(st.integers(-10_000, 10_000), st.sampled_from(RATIOS), st.sampled_from([0.0, 1.0, 5.0]))
def test_what_is_kept_and_what_is_paid_add_up(units, ratio, lot):
    kept, left = actions.rescaled(float(units), ratio, lot=lot)
    assert kept + left == pytest.approx(units * ratio)
    assert abs(left) < max(lot, 1e-9)
    assert not lot or kept / lot == pytest.approx(round(kept / lot))


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ratio", [2.0, 1.5, 0.1, 1 / 3])  # of the last, two thirds of a share are paid out
def test_at_the_paper_broker_equity_goes_on_over_a_split(tmp_path, ratio, restart):
    bars, before = 60, 56
    closes = np.full((bars, 2), 100.0)
    env = spec_of(fill="next_open", initial_cash=100_050.0, instrument={"lot_size": 1})

    def close_of(bar, scale):
        panel = panel_of(closes[: bar + 1] / [scale, 1.0], open=closes[: bar + 1] / [scale, 1.0])
        features = features_of(panel)
        return Close(features, Market.build(features, env, SCALER))

    SCALER = Scaler.fit(features_of(panel_of(closes, open=closes)), clip=5.0)
    mind = Script(SCALER, [[0.5007, -0.2]])
    rules = risk_of(price_jump={"max_move": 0.3, "action": "halt"})
    ledger = Ledger(tmp_path, synchronous="normal")
    ledger.open("a", "b", {})
    with contextlib.closing(ledger):
        broker = open_broker(Opening(tmp_path, env, 1, "normal"))
        trader = Trader("a", "b", mind, env, rules, ledger, broker)
        for bar in range(before - 3, before):
            loop.on_close(trader, close_of(bar, 1.0), Switch(tmp_path))
        held = ledger.positions()
        if restart:
            broker.close()
            broker = open_broker(Opening(tmp_path, env, 1, "normal"))
            trader = dataclasses.replace(trader, broker=broker)
        for bar in range(before, bars):
            loop.on_close(trader, close_of(bar, ratio), Switch(tmp_path))
        after, equity = ledger.positions(), [one["equity"] for one in ledger.closes()]
        (event,) = [one for one in ledger.events() if one["units"]]
        state = ledger.state()[0]
        broker.close()
        path = figures.path_of(ledger, ("S0", "S1"), fill="next_open", bars_per_year=252.0)
        now = figures.in_units_of_now(path, ledger, close_of(bars - 1, ratio).market).trades
    first = now.units[now.symbol == 0][0], now.price[now.symbol == 0][0]  # as a backtest over these bars has it
    assert first == (pytest.approx(500.0 * ratio), pytest.approx(100.0 / ratio))
    assert (now.units * now.price).tolist() == pytest.approx((path.trades.units * path.trades.price).tolist())
    assert held["S0"] == 500.0
    assert after == pytest.approx({"S0": float(int(500.0 * ratio)), "S1": held["S1"]}, abs=1.0)
    assert event["symbol"] == "S0"
    assert event["units"] == float(int(500.0 * ratio)) - 500.0
    assert equity == pytest.approx([100_050.0] * len(equity))
    assert state == "trading"


fractions = st.sampled_from([2.0, 1.5, 20 / 19, 21 / 20, 11 / 10, 0.5, 1 / 15])
history = st.lists(st.floats(20.0, 500.0).map(lambda price: round(price, 2)), min_size=2, max_size=20)


@given(history, fractions)
def test_one_bar_that_is_corrected_by_a_plain_fraction_is_no_split(prices, ratio):
    last, *rest = [{"A": price} for price in prices]
    found = actions.splits_between(last, {"A": last["A"] / ratio}, earlier=lambda: [(one, one) for one in rest])
    assert found == {}


@pytest.mark.slow
@given(history, fractions, st.integers(0, 20))
def test_a_split_rescales_all_that_came_before_it_though_one_bar_be_corrected_besides(prices, ratio, corrected):
    last, *rest = [({"A": price}, {"A": price / ratio}) for price in prices]
    if len(rest) > 2 and corrected < len(rest):
        rest[corrected] = (rest[corrected][0], {"A": 7.77})
    found = actions.splits_between(*last, earlier=lambda: rest)
    assert found == {"A": pytest.approx(ratio)}


whatever = st.floats(1.02, 3.0).map(lambda ratio: round(ratio, 3))


@given(st.lists(st.floats(20.0, 500.0).map(lambda price: round(price, 2)), min_size=4, max_size=20), whatever)
def test_a_spin_off_rescales_by_whatever_ratio_what_came_before_it_and_one_bar_less_is_a_correction(prices, ratio):
    last, *rest = [({"A": price}, {"A": price / ratio}) for price in prices]
    assert actions.splits_between(*last, earlier=lambda: rest) == {
        "A": pytest.approx(ratio, rel=2e-3)
    }  # as near as cents tell
    assume(actions.split_of(prices[0], prices[0] / ratio) is None)
    rest[1] = (rest[1][0], rest[1][0])
    assert actions.splits_between(*last, earlier=lambda: rest) == {}


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ratio", [20 / 19, 2.0])
def test_at_the_paper_broker_one_bar_that_is_corrected_leaves_the_units_as_they_are(tmp_path, ratio, restart):
    bars, before = 60, 56
    env = spec_of(fill="next_open", initial_cash=100_000.0, instrument={"lot_size": 1})

    def close_of(bar, *, corrected):
        closes = np.full((bar + 1, 2), 100.0)
        if corrected:
            closes[before - 1, 0] /= ratio
        features = features_of(panel_of(closes, open=closes))
        return Close(features, Market.build(features, env, SCALER))

    plain = np.full((bars, 2), 100.0)
    SCALER = Scaler.fit(features_of(panel_of(plain, open=plain)), clip=5.0)
    ledger = Ledger(tmp_path, synchronous="normal")
    ledger.open("a", "b", {})
    with contextlib.closing(ledger):
        broker = open_broker(Opening(tmp_path, env, 1, "normal"))
        trader = Trader("a", "b", Script(SCALER, [[0.5, -0.2]]), env, risk_of(), ledger, broker)
        for bar in range(before - 4, before):
            loop.on_close(trader, close_of(bar, corrected=False), Switch(tmp_path))
        held = ledger.positions()
        if restart:
            broker.close()
            broker = open_broker(Opening(tmp_path, env, 1, "normal"))
            trader = dataclasses.replace(trader, broker=broker)
        loop.on_close(trader, close_of(before, corrected=True), Switch(tmp_path))
        assert ledger.events() == []
        assert held["S0"] == 500.0
        assert ledger.fills(ledger.last_close()["bar"]) == []
        assert ledger.last_close()["equity"] == pytest.approx(100_000.0)
        broker.close()
