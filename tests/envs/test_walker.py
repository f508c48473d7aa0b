import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.envs.markets import (
    EVERY_COST,
    features_of,
    market_of,
    panel_of,
    random_panel,
    random_targets,
    rough_panel,
    spec_of,
)
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.envs.quotes import SIGMA_BARS
from wealtharena.envs.simulate import simulate
from wealtharena.envs.walker import Walker
from wealtharena.errors import MarketError
from wealtharena.features.panel import Scaler

BARS = 60


@st.composite
def worlds(draw):
    """Draw a panel, the rules to trade it by, targets and the bars at which to give no order."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = draw(st.sampled_from([random_panel, rough_panel]))
    panel = made(rng, bars=BARS, assets=draw(st.sampled_from([1, 3, 9])), opens=draw(st.booleans()))
    dated = draw(st.booleans())
    if dated:
        panel = dataclasses.replace(panel, cash=rng.uniform(-0.1, 0.5, BARS))
    rate = "DFF" if dated else EVERY_COST["cash_bps_per_year"]
    spec = spec_of(
        costs={**EVERY_COST, "commission_bps": draw(st.sampled_from([0, 7, 300])), "cash_bps_per_year": rate},
        limits={
            "max_gross": 2.0,
            "max_weight": 1.5,
            "maintenance_margin": draw(st.sampled_from([0.0, 0.35])),
            "participation": draw(st.sampled_from([0.001, 0.05, 1.0])),
        },
        instrument={"lot_size": draw(st.sampled_from([0, 3])), "margin_futures": draw(st.booleans())},
        min_trade_weight=draw(st.sampled_from([0.0, 0.05])),
    )
    hold = rng.random(BARS) < draw(st.sampled_from([0.0, 0.5]))
    return panel, spec, random_targets(rng, BARS, len(panel.symbols)), hold


def go(walker, targets, hold, *, until, first=0):
    """Step to row `until` of the targets, of which the market's row 0 is row `first`."""
    steps = []
    while walker.bar + first < until:
        t = walker.bar + first
        steps.append(walker.step(None if hold[t] else targets[t]))
    return steps


def assert_same(steps, path, *, begin):
    """Compare the steps with those of the path from its index `begin` on, to the last bit."""
    for n, step in enumerate(steps, start=begin):
        assert step.timestamp == path.timestamps[n + 1]
        assert step.equity == path.equity[n + 1]
        assert (step.weights == path.weights[n + 1]).all()
        assert (step.targets == path.targets[n]).all()
        assert (step.traded_value, step.costs, step.financing) == (
            path.traded_value[n], path.costs[n], path.financing[n],
        )  # fmt: skip
        assert step.dividends == pytest.approx(path.dividends[n], rel=1e-9, abs=1e-9)
        now = path.trades.bar == n + 1
        for name in ("symbol", "units", "price", "value", "cost"):
            assert (getattr(step.trades, name) == getattr(path.trades, name)[now]).all()


@pytest.mark.slow
@settings(max_examples=60)
@given(world=worlds(), at=st.integers(1, BARS - 2), factor=st.sampled_from([1.0, 2.5]))
def test_a_run_saved_at_any_bar_and_loaded_goes_on_as_the_uninterrupted_one(world, at, factor):
    panel, spec, targets, hold = world
    market = market_of(panel, spec)
    path = simulate(market, targets, spec=spec, hold=hold, cost_factor=factor)
    walker = Walker.open(market, spec, bar=0, cost_factor=factor)
    assert_same(go(walker, targets, hold, until=at), path, begin=0)
    written = json.dumps(walker.save(), allow_nan=False)
    again = Walker.load(json.loads(written), market, spec)
    assert (again.observe() == walker.observe()).all()
    assert json.dumps(again.save(), allow_nan=False) == written
    assert_same(go(again, targets, hold, until=BARS - 1), path, begin=at)
    assert again.liquidated == path.liquidated


@pytest.mark.slow
@settings(max_examples=40)
@given(world=worlds(), at=st.integers(1, BARS - 2), keep=st.integers(0, BARS))
def test_a_panel_that_grows_gives_the_path_of_the_whole_one(world, at, keep):
    """Cut it after row `at`, walk there, go on with the rest; what lies further back than volatility looks may be gone."""
    panel, spec, targets, hold = world
    features = features_of(panel)
    scaler = Scaler.fit(features, clip=5.0)
    path = simulate(Market.build(features, spec, scaler), targets, spec=spec, hold=hold)
    walker = Walker.open(Market.build(features.slice(0, at + 1), spec, scaler), spec, bar=0)
    go(walker, targets, hold, until=at)
    with pytest.raises(MarketError, match=f"ends at bar {at}"):
        walker.step(targets[at])
    first = max(0, min(keep, at - SIGMA_BARS - 2))
    while first and not np.isfinite(panel.close[first]).all():  # the price that is carried on belongs to them
        first -= 1
    walker.grow(Market.build(features.slice(first, BARS), spec, scaler))
    assert walker.bar == at - first
    assert_same(go(walker, targets, hold, until=BARS - 1, first=first), path, begin=at)


@pytest.mark.slow
@settings(max_examples=25)
@given(world=worlds(), depth=st.integers(4, BARS), window=st.sampled_from([1, 3]))
def test_parts_of_a_market_that_end_at_each_bar_give_the_path_of_the_whole_one(world, depth, window):
    """Whatever came before a part is in it already; what comes after is not."""
    panel, spec, targets, hold = world
    spec = spec.model_copy(update={"window": window})
    whole = market_of(panel, spec)
    path = simulate(whole, targets, spec=spec, hold=hold, start=window - 1)
    beside = Walker.open(whole, spec, bar=window - 1)
    walker = Walker.open(whole.part(0, window + 1), spec, bar=window - 1)
    steps = []
    for bar in range(window - 1, BARS - 1):
        part = whole.part(max(0, bar + 2 - depth), bar + 2)
        assert part.length == min(depth, bar + 2)
        assert part.timestamps[-1] == whole.timestamps[bar + 1]
        walker.grow(part)
        target = None if hold[bar] else targets[bar]
        steps.append(walker.step(target))
        beside.step(target)
        assert (walker.observe() == beside.observe()).all()
        assert walker.save() == beside.save()
    assert [step.equity for step in steps] == path.equity[1:].tolist()


@settings(max_examples=30)
@given(world=worlds(), at=st.integers(1, BARS - 2))
def test_an_account_opened_from_what_another_holds_walks_beside_it(world, at):
    panel, spec, targets, hold = world
    market = market_of(panel, spec)
    walker = Walker.open(market, spec, bar=0)
    go(walker, targets, hold, until=at)
    if walker.liquidated:
        return
    held = dict(zip(market.symbols, walker.units.tolist(), strict=True))
    other = Walker.open(market, spec, bar=at, units=held, cash=walker.cash, peak=walker.save()["account"]["peak"])
    assert other.equity == pytest.approx(walker.equity, rel=1e-12)
    ours, theirs = (go(one, targets, hold, until=BARS - 1) for one in (walker, other))
    assert [s.equity for s in theirs] == pytest.approx([s.equity for s in ours], rel=1e-6)


@settings(max_examples=30)
@given(world=worlds())
def test_orders_are_what_the_next_bar_is_asked_for(world):
    """It fills them to the last bit where it trades and has the volume, and never more; none goes beyond what is wanted."""
    panel, spec, targets, _ = world
    market = market_of(panel, spec)
    walker = Walker.open(market, spec, bar=0)
    while walker.bar < 30:
        before, held, marks = walker.save(), walker.weights, market.prices[walker.bar]
        orders = walker.orders(targets[walker.bar])
        assert walker.save() == before
        after = held + orders * marks / walker.equity
        step = walker.step(targets[walker.bar])
        assert (np.abs(after) <= np.maximum(np.abs(held), np.abs(step.targets)) * (1 + 1e-9)).all()
        if step.liquidated:
            break
        filled, asked = np.zeros(len(market.symbols)), step.trades.asked
        filled[step.trades.symbol[asked]] = step.trades.units[asked]
        bar = market.bars[step.bar]
        most = spec.limits.participation * bar[BAR.volume] - spec.instrument.lot_size
        free = (bar[BAR.fill] > 0) & (np.abs(orders) < most)
        assert (filled[free] == orders[free]).all()
        assert (np.abs(filled) <= np.abs(orders)).all()
        assert not filled[bar[BAR.fill] == 0].any()


PANEL = random_panel(np.random.default_rng(3), bars=30, assets=2)
SPEC = spec_of(costs=EVERY_COST)
MARKET = market_of(PANEL, SPEC)


def test_opening_counts_what_is_held_at_its_marks():
    walker = Walker.open(MARKET, SPEC, bar=4, units={"S1": -30.0}, cash=5e5)
    value = -30.0 * MARKET.prices[4, 1]
    assert walker.equity == 5e5 + value
    assert walker.weights.tolist() == pytest.approx([0.0, value / walker.equity])
    assert walker.observe()[0, MARKET.layout.weights] == pytest.approx(walker.weights, rel=1e-6)
    assert walker.observe()[0, MARKET.layout.drawdown] == 0.0
    below = Walker.open(MARKET, SPEC, bar=4, cash=5e5, peak=1e6)
    assert below.observe()[0, MARKET.layout.drawdown] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": {"XYZ": 1.0}}, "XYZ"),
        ({"cash": -1.0}, "equity of -1"),
        ({"bar": 30}, "cannot be played"),
        ({"cash": float("nan")}, "equity of nan"),
    ],
)
def test_what_cannot_be_opened_is_refused(changes, words):
    with pytest.raises(MarketError, match=words):
        Walker.open(MARKET, SPEC, **{"bar": 4, **changes})


def test_a_symbol_that_is_not_listed_yet_cannot_be_held():
    panel = panel_of([[np.nan, 10.0], [5.0, 10.0], [5.0, 10.0]])
    with pytest.raises(MarketError, match="S0 is held, but has no price up to bar 0"):
        Walker.open(market_of(panel, spec_of()), spec_of(), bar=0, units={"S0": 1.0})


def test_a_symbol_that_is_struck_off_cannot_be_held_at_its_last_price():
    panel = panel_of([[5.0, 10.0], [5.0, 10.0], *[[np.nan, 10.0]] * 3])
    spec = spec_of(limits={"delisting_bars": 2})
    market = market_of(panel, spec)
    assert Walker.open(market, spec, bar=2, units={"S0": 1.0}, cash=5.0).equity == 10.0
    for bar in (3, 4):
        with pytest.raises(MarketError, match="S0 is held, but is struck off"):
            Walker.open(market, spec, bar=bar, units={"S0": 1.0}, cash=5.0)
    at_a_broker = Walker.open(market, spec, bar=3, units={"S0": 1.0}, cash=5.0, carried=True)
    assert at_a_broker.equity == 10.0
    assert at_a_broker.orders(np.zeros(2))[0] == 0.0


@pytest.mark.parametrize("weights", [[np.nan, 0.0], [0.0], [[0.0, 0.0]], [[0.0], [0.0, 0.1]]])
def test_a_wrong_decision_changes_nothing(weights):
    walker = Walker.open(MARKET, SPEC, bar=4)
    before = walker.save()
    with pytest.raises(MarketError, match="weight"):
        walker.step(weights)
    assert walker.save() == before


def test_a_revised_bar_is_told_and_marks_the_account_anew_where_that_is_asked():
    walker = Walker.open(MARKET, SPEC, bar=4, units={"S0": 100.0}, cash=1e6)
    close = PANEL.close.copy()
    close[4, 0] *= 0.5
    revised = market_of(dataclasses.replace(PANEL, close=close), SPEC)
    saved = walker.save()
    with pytest.raises(MarketError, match="S0 was marked at"):
        walker.grow(revised)
    with pytest.raises(MarketError, match="S0 was marked at"):
        Walker.load(saved, revised, SPEC)
    assert walker.save() == saved
    walker.grow(revised, remark=True)
    assert walker.equity == 1e6 + 100.0 * revised.prices[4, 0]
    assert walker.save() == Walker.load(saved, revised, SPEC, remark=True).save()


def test_another_market_is_refused():
    walker = Walker.open(MARKET, SPEC, bar=4)
    others = {
        "same symbols": market_of(random_panel(np.random.default_rng(3), bars=30, assets=3), SPEC),
        "fills at": market_of(random_panel(np.random.default_rng(3), bars=30, assets=2, opens=False), SPEC),
        "does not have": market_of(PANEL.slice(10, 30), SPEC),
        "window": market_of(PANEL, spec_of(window=2)),
    }
    for words, market in others.items():
        with pytest.raises(MarketError) as told:
            walker.grow(market)
        assert words in f"{told.value} {told.value.hint}"
    assert walker.bar == 4


@pytest.mark.parametrize("lost", ["units", "account", "format"])
def test_a_file_that_lacks_something_is_refused(lost):
    saved = Walker.open(MARKET, SPEC, bar=4).save()
    del saved[lost]
    with pytest.raises(MarketError, match=lost):
        Walker.load(saved, MARKET, SPEC)


def test_a_symbol_struck_off_in_the_rows_that_came_later_is_closed():
    """Whether anything is delisted is a fact of the market, so a longer one must be asked again."""
    close = np.full((12, 1), 10.0)
    close[4:] = np.nan
    spec = spec_of(limits={"delisting_bars": 3})
    whole, cut = market_of(panel_of(close), spec), market_of(panel_of(close[:4]), spec)
    walker = Walker.open(cut, spec, bar=0)
    hold = np.arange(12) > 0
    go(walker, np.ones((12, 1)), hold, until=3)
    walker.grow(whole)
    assert_same(
        go(walker, np.ones((12, 1)), hold, until=11), simulate(whole, np.ones((12, 1)), spec=spec, hold=hold), begin=3
    )
    assert walker.units.tolist() == [0.0]


def test_a_liquidated_account_stays_so_when_it_is_taken_up_again():
    market = market_of(panel_of([100, 100, 70, 70, 70, 80.0]), spec_of())
    spec = spec_of(limits={"max_gross": 2.0, "max_weight": 2.0, "maintenance_margin": 0.3})
    walker = Walker.open(market, spec, bar=0)
    steps = go(walker, np.full((6, 1), 2.0), np.zeros(6, dtype=bool), until=3)
    assert [step.liquidated for step in steps] == [False, True, True]
    again = Walker.load(walker.save(), market, spec)
    assert again.equity > 0.0
    assert again.liquidated
    assert again.step(np.array([2.0])).trades.bar.size == 0


@pytest.mark.slow
@settings(max_examples=60)
@given(world=worlds())
def test_orders_dealt_as_sized_are_the_step_toward_the_weights(world):
    """Limits, forced closings and lots included: sizing and filling are one kernel, whoever stands between them."""
    panel, spec, targets, hold = world
    market = market_of(panel, spec)
    ours, theirs = (Walker.open(market, spec, bar=0) for _ in range(2))
    for t in range(BARS - 1):
        step = ours.step(None if hold[t] else targets[t])
        orders = np.zeros(len(market.symbols)) if hold[t] else theirs.orders(targets[t])
        dealt = theirs.deal(orders)
        assert dealt.equity == pytest.approx(step.equity, rel=1e-9, abs=1e-6)
        assert theirs.units == pytest.approx(ours.units, rel=1e-9, abs=1e-9)
        assert dealt.costs == pytest.approx(step.costs, rel=1e-9, abs=1e-6)
        assert theirs.liquidated == ours.liquidated


def test_what_is_dealt_is_filled_beyond_every_limit_and_nothing_else_moves():
    spec = spec_of(limits={"max_gross": 0.5, "max_weight": 0.2, "long_only": True}, min_trade_weight=0.3)
    walker = Walker.open(market_of(panel_of(np.full((4, 2), 10.0)), spec), spec, bar=0, units={"S1": 7.0})
    walker.deal(np.array([-9000.0, 0.0]))
    assert walker.units.tolist() == [pytest.approx(-9000.0, rel=1e-12), 7.0]
    walker.deal(-walker.units)
    assert walker.units.tolist() == [0.0, 0.0]
