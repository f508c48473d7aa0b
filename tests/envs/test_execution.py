"""Executing a baseline: what waits for a bar that trades, and what is made up."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.config import compose
from wealtharena.envs.baselines import Baseline, spec_of
from wealtharena.envs.execution import execute
from wealtharena.envs.market import Market
from wealtharena.errors import MarketError
from wealtharena.evaluation.backtest import plain_scaler
from wealtharena.features.panel import FeaturePanel


@pytest.fixture(scope="module")
def spec():
    return compose(["asset=crypto", "asset.action=auto"])


def market_of(panel, env):
    features = FeaturePanel(
        panel=panel, values=np.zeros((*panel.close.shape, 1), np.float32), names=("none",), warmup_bars=0
    )
    return Market.build(features, env, plain_scaler(features))


def play(name, panel, spec, *, start=60, stop=None, env=None, **arguments):
    env = env or spec.env
    market = market_of(panel, env)
    rule = Baseline(spec_of(name, evaluation=spec.evaluation, env=env))
    return execute(
        rule,
        market,
        panel,
        spec=env,
        start=start,
        stop=stop or panel.bars,
        every=arguments.pop("every", 20),
        **arguments,
    )


class Twice:
    """Borrows half of what it holds."""

    name, holds = "twice", False

    def weights(self, panel, row):
        return np.full(len(panel.symbols), 2.0 / len(panel.symbols))


class Foreseeing(Twice):
    """Holds what rises over the next bar: off by one."""

    name = "foreseeing"

    def weights(self, panel, row):
        then = panel.close[min(row + 1, panel.bars - 1)]
        return (then > panel.close[row]) / len(panel.symbols)


class Remembering(Twice):
    """Holds what stands higher than at the first bar of all."""

    def weights(self, panel, row):
        return (panel.close[row] > panel.close[0]) / len(panel.symbols)


def closed(panel, rows, symbols=slice(None)):
    """Return the panel without bars in these rows, as a source with a gap leaves it."""
    close, opens, tradable = panel.close.copy(), panel.open.copy(), panel.tradable.copy()
    close[rows, symbols], opens[rows, symbols], tradable[rows, symbols] = np.nan, np.nan, False
    return replace(panel, close=close, open=opens, tradable=tradable)


def units(played):
    """Return units held after each bar, [n + 1, A]."""
    moved = np.zeros(played.weights.shape)
    np.add.at(moved, (played.trades.bar, played.trades.symbol), played.trades.units)
    return np.cumsum(moved, axis=0)


def test_equal_weight_is_rebalanced_on_its_days_and_rests_between(spec):
    played = play("equal_weight", worlds.panel(140), spec)
    assert sorted(set(played.trades.bar)) == [1, 21, 41, 61]
    assert played.weights[21] == pytest.approx([1 / 3] * 3, abs=0.01)


def test_a_rule_that_looks_ahead_is_refused_and_one_that_remembers_all_is_not(spec):
    """It was a hurdle that nothing could take, and promotable where it was what was judged."""
    panel, env = worlds.panel(700), spec.env
    words = {"spec": env, "start": 600, "stop": 700, "every": 5}
    with pytest.raises(
        MarketError, match=r"baseline foreseeing wants other weights at .* later bars are known: it looks"
    ):
        execute(Foreseeing(), market_of(panel, env), panel, **words)
    assert execute(Remembering(), market_of(panel, env), panel, **words).weights.any()


def test_a_rebalancing_day_without_bars_is_made_up_on_the_next_that_trades(spec):
    panel = worlds.panel(140)
    played = play("equal_weight", closed(panel, [80, 81]), spec)
    assert sorted(set(played.trades.bar)) == [1, 23, 41, 61]
    held = units(played)
    assert (held[1:] > 0).all(), "nothing was sold for want of a bar"
    assert np.array_equal(held[22], held[20])


def test_an_order_into_a_bar_that_does_not_trade_is_given_again(spec):
    played = play("equal_weight", closed(worlds.panel(140), [81]), spec)
    assert sorted(set(played.trades.bar)) == [1, 23, 41, 61]


def test_a_symbol_that_is_halted_on_the_day_keeps_its_position_and_is_rebalanced_when_it_trades(spec):
    panel = worlds.panel(140, volatility=0.03)
    played = play("equal_weight", closed(panel, slice(78, 84), 1), spec)
    held = units(played)
    assert np.array_equal(held[17:24, 1], np.full(7, held[17, 1])), "kept, not sold"
    others = played.trades.symbol != 1
    assert sorted(set(played.trades.bar[others])) == [1, 21, 41, 61]
    assert sorted(set(played.trades.bar[~others])) == [1, 25, 41, 61]
    assert np.array_equal(played.targets[20, 1], played.weights[20, 1])


def test_the_delay_comes_before_the_waiting(spec):
    played = play("equal_weight", closed(worlds.panel(140), [82]), spec, delay_bars=2)
    assert sorted(set(played.trades.bar)) == [3, 24, 43, 63]


@pytest.mark.parametrize("quiet", [[60], [61], [60, 61, 62], slice(60, 70)])
def test_buy_and_hold_buys_at_the_first_bar_it_can(quiet, spec):
    panel = worlds.panel(140, 1)
    tradable = panel.tradable.copy()
    tradable[quiet] = False
    played = play("buy_and_hold", replace(panel, tradable=tradable), spec)
    first = np.flatnonzero(tradable[60:139, 0] & tradable[61:140, 0])[0] + 1
    assert list(played.trades.bar) == [first]
    assert played.weights[-1, 0] == pytest.approx(1.0, abs=0.01)


def test_buy_and_hold_waits_for_each_symbol_alone(spec):
    played = play("buy_and_hold", closed(worlds.panel(140, 2), slice(58, 70), 1), spec)
    assert list(zip(played.trades.bar, played.trades.symbol, strict=True)) == [(1, 0), (11, 1)]
    assert played.weights[1] == pytest.approx([0.5, 0.0], abs=0.01)
    assert played.weights[11].sum() == pytest.approx(1.0, abs=0.01)


def test_buy_and_hold_goes_on_until_it_holds_what_the_volume_allowed_bit_by_bit(spec):
    panel = worlds.panel(140, 2, volatility=0.001)
    thin = replace(panel, volume=np.column_stack([np.full(140, 1e12), np.full(140, 1e6)]), volume_unit="account")
    limits = spec.env.limits.model_copy(update={"participation": 0.1})
    played = play("buy_and_hold", thin, spec, env=spec.env.model_copy(update={"limits": limits}))
    second = played.trades.bar[played.trades.symbol == 1]
    assert list(second) == [1, 2, 3, 4, 5], "half a million, a hundred thousand a bar"
    assert list(played.trades.bar[played.trades.symbol == 0]) == [1], "what is held is left alone"
    assert played.weights[6].sum() == pytest.approx(1.0, abs=0.01)


def test_a_symbol_that_lists_later_is_no_part_of_what_was_bought(spec):
    played = play("buy_and_hold", closed(worlds.panel(140, 2), slice(0, 90), 1), spec)
    assert set(played.trades.symbol) == {0}
    assert played.weights[1, 0] == pytest.approx(1.0, abs=0.01)
    again = play("equal_weight", closed(worlds.panel(140, 2), slice(0, 90), 1), spec)
    assert again.trades.bar[again.trades.symbol == 1].min() == 41, "the next rebalancing after it is listed"


def test_cash_never_trades(spec):
    played = play("cash", worlds.panel(140), spec)
    assert played.trades.bar.size == 0
    assert np.ptp(played.equity) == 0.0


def test_what_a_liquidation_had_to_leave_goes_at_the_next_bar_though_the_rule_would_wait(spec):
    """The first symbol has no bar on the day of the margin call; the rule trades the others every day."""
    panel = worlds.panel(100)
    close, opens = np.full(panel.close.shape, 100.0), np.full(panel.close.shape, 100.0)
    close[70:, 1:], opens[71:, 1:] = 60.0, 60.0
    panel = closed(replace(panel, close=close, open=opens), [70], 0)
    limits = spec.env.limits.model_copy(
        update={"max_gross": 2.0, "max_weight": 2.0, "maintenance_margin": 0.4, "long_only": False}
    )
    env = spec.env.model_copy(update={"limits": limits})
    played = execute(Twice(), market_of(panel, env), panel, spec=env, start=60, stop=panel.bars, every=1)
    assert played.liquidated
    held = units(played)
    assert held[10, 0] > 0.0
    assert not held[10, 1:].any()
    assert not held[11:].any()


@pytest.mark.parametrize("name", ["buy_and_hold", "equal_weight", "momentum", "inverse_volatility", "random"])
def test_a_rule_knows_the_bars_that_warmed_up_the_features(name, spec):
    """At the first bar behind them no other hour of the day had been seen: buy and hold was one market's shares for good."""
    panel = worlds.panel(402)
    morning = np.arange(402) // 6 % 2 == 0
    panel = closed(closed(panel, np.flatnonzero(morning), 0), np.flatnonzero(~morning), 1)
    late, lead = panel.slice(102, 402), panel.slice(0, 102)
    known = play(name, late, spec, start=0, lead=lead)
    whole = play(name, panel, spec, start=102)
    np.testing.assert_allclose(known.weights, whole.weights, atol=1e-4)  # volatility's begin tells what an order costs
    assert name == "momentum" or (known.weights.max(axis=0) > 0.0).all()
